"""What is shown while a grid runs."""

import json
import os

from reproduction.evidence.results import CellFiles
from reproduction.protocol.profiles import load_profile
from workflow import watch


def files(outputs, cell) -> CellFiles:
    files = CellFiles(outputs / "runs", cell.variant, cell.p)
    files.csv.parent.mkdir(parents=True, exist_ok=True)
    return files


def write_progress(path, epoch) -> None:
    path.write_text(json.dumps({"epoch": epoch, "epochs": 3, "description": "loss 0.5"}))


def test_cells_done_and_work_done_are_counted_and_those_that_run_are_named(tmp_path, capsys):
    profile = load_profile("demo")
    done, running, cut_off, *damaged = needed = profile.cells()[2:]
    write_progress(files(tmp_path, cut_off).progress, 1)
    os.utime(files(tmp_path, cut_off).progress, (0, 0))  # of an earlier start
    watcher = watch.Watcher(profile, tmp_path, needed, (1500, 297))
    (files(tmp_path, done).csv.parent / f".p{done.p:02d}.done").touch()
    write_progress(files(tmp_path, done).progress, 3)  # the moment before it is removed
    write_progress(files(tmp_path, running).progress, 2)
    for cell, content in zip(damaged, ("{", "{}", "[]", '{"epoch": null}', "3"), strict=False):
        files(tmp_path, cell).progress.write_text(content)
    watcher.look(last=True)
    said = capsys.readouterr().out
    assert "3 of 12 cells done" in said
    assert f"{running.variant} p={running.p} epoch 2/3, loss 0.5" in said
    assert said.count("epoch") == 1
    work = {cell: cell.flops(1500, 297) for cell in needed}
    share = (work[done] + work[running] * 2 / 3 + work[cut_off] / 3) / sum(work.values())
    assert f"{share:.0%} of the work" in said


def test_a_look_that_took_long_is_not_repeated_at_once(tmp_path, monkeypatch):
    """On a large grid and a slow file system, looking must not be all that the launcher does."""
    profile = load_profile("demo")
    watcher = watch.Watcher(profile, tmp_path, profile.cells(), (1500, 297))
    now, looks = [watcher.started], []
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])

    def slow_read() -> tuple:
        looks.append(now[0])
        now[0] += 3
        return 0, 0.0, []

    monkeypatch.setattr(watcher, "_read", slow_read)
    for _ in range(200):
        watcher.look()
        now[0] += 0.5
    assert len(looks) == 2
