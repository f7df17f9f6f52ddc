"""What the README promises: `./run_all.sh demo` in a fresh folder, and again."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from equinorm.config import REPOSITORY


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The files of this repository as someone else would get them, in a folder with a space and an accent."""
    folder = tmp_path_factory.mktemp("fresh") / "un dossier très neuf"
    listed = ["git", "-C", str(REPOSITORY), "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.splitlines():
        source, target = REPOSITORY / name, folder / name
        if source.is_file() and not name.startswith("outputs/"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)
    return folder


def run_all(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": path}
    command = ["bash", str(checkout / "run_all.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=checkout.parent)


@pytest.fixture(scope="module")
def demo(checkout):
    done = run_all(checkout, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout / "outputs" / "demo"


def test_demo_runs_every_cell_and_writes_its_report(demo):
    runs = pd.read_csv(demo / "tables" / "runs.csv")
    assert len(runs) == 24
    assert runs["test_accuracy"].min() > 0.5
    report = (demo / "report.md").read_text()
    assert "12 of 12 cells are done" in report
    assert "digits" in report
    for row in pd.read_csv(demo / "tables" / "accuracy.csv").itertuples():
        assert f"{100 * row.mean:.1f} ± {100 * row.ci95:.1f} ({row.n})" in report
    assert {path.name for path in (demo / "figures").glob("figure_*")} == {
        f"figure_{number}.{suffix}" for number in (2, 3) for suffix in ("svg", "png")
    }


def test_every_file_the_report_links_to_is_there(demo):
    import re

    links = re.findall(r"\]\(([^)#]+)\)", (demo / "report.md").read_text())
    assert links
    for link in links:
        assert link.startswith("https://") or (demo / link).exists(), link


def test_executed_notebooks_name_no_path_of_this_machine(demo, checkout):
    notebooks = list((demo / "notebooks").glob("*.ipynb"))
    assert len(notebooks) == 13
    for notebook in notebooks:
        text = notebook.read_text()
        assert str(checkout) not in text
        assert str(Path.home()) + "/" not in text


def test_second_run_recomputes_nothing_and_says_so(demo, checkout):
    before = {path: path.stat().st_mtime_ns for path in demo.rglob("*") if path.is_file()}
    started = time.monotonic()
    done = run_all(checkout, "demo")
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert time.monotonic() - started < 60  # "seconds", with room for a busy machine
    after = {path: path.stat().st_mtime_ns for path in demo.rglob("*") if path.is_file()}
    assert {k: v for k, v in after.items() if k.name != ".lock"} == {
        k: v for k, v in before.items() if k.name != ".lock"
    }


def test_a_damaged_result_is_named_and_made_again_and_only_that(demo, checkout):
    damaged = demo / "runs" / "enorm" / "p03.csv"
    good = damaged.read_bytes()
    damaged.write_bytes(good[: len(good) // 2])
    plan = run_all(checkout, "demo", "-n")
    assert "enorm, p = 3: runs/enorm/p03.csv: changed or truncated" in plan.stdout
    assert "11 of 12 cells are done" in plan.stdout
    untouched = (demo / "runs" / "enorm" / "p01.csv").stat().st_mtime_ns
    done = run_all(checkout, "demo")
    assert done.returncode == 0, done.stderr
    assert damaged.read_bytes() == good
    assert [path.read_bytes() for path in demo.glob("set_aside/*/enorm/p03.csv")] == [good[: len(good) // 2]]
    assert (demo / "runs" / "enorm" / "p01.csv").stat().st_mtime_ns == untouched


def test_a_failing_cell_is_named_others_go_on_and_the_summary_shows_it_missing(demo, checkout):
    for name in ("csv", "json"):
        (demo / "runs" / "baseline" / f"p01.{name}").unlink()
        (demo / "runs" / "enorm" / f"p01.{name}").unlink()
    notebook = checkout / "notebooks" / "baseline.ipynb"
    good = notebook.read_text()
    notebook.write_text(good.replace("from equinorm import cell, figures", "raise RuntimeError('out of luck')"))
    done = run_all(checkout, "demo")
    notebook.write_text(good)
    assert done.returncode != 0
    assert "out of luck" in done.stderr
    assert "runs/baseline/p01.csv: missing" in done.stderr
    assert (demo / "runs" / "enorm" / "p01.csv").exists()
    assert "RuntimeError" in (demo / "notebooks" / "baseline_p01.ipynb").read_text()
    report = (demo / "report.md").read_text()
    assert "11 of 12 cells are done" in report
    assert "not run yet" in report
