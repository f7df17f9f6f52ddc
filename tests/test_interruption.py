"""A cell that is killed goes on from its last whole epoch, and ends with the same bytes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import checkouts
import psutil
import pytest
from checkouts import copy_checkout
from processes import Command

from reproduction.checkout import REPOSITORY
from reproduction.evidence import report, results, tables
from reproduction.evidence.results import CellFiles
from reproduction.protocol import profiles
from reproduction.protocol.parameters import check_parameters
from reproduction.run import run as run_cell

LONG = {"p": 1, "seeds": [0, 1], "epochs": 15, "learning_rate": 0.01, "dataset": "digits"}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files; not tmp_path, since names of sockets must be short."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def start(folder, temporary) -> subprocess.Popen:
    command = [
        sys.executable, str(REPOSITORY / "workflow" / "run_notebook.py"), "notebooks/enorm.ipynb",
        "--save-as", str(folder / "notebooks" / "enorm.ipynb"), "--outputs", str(folder),
        "--parameters", json.dumps(LONG), "--device", "cpu",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    return subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)


def epoch_reached(files: CellFiles) -> int:
    try:
        return json.loads(files.progress.read_text())["epoch"]
    except (OSError, ValueError):
        return 0


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize("victim", ["notebook runner", "kernel"])
def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_bytes(tmp_path, temporary, victim):
    files = CellFiles(tmp_path / "runs", "enorm", 1)
    process = start(tmp_path, temporary)
    while epoch_reached(files) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    kernels = children(process.pid)
    assert kernels
    kill(kernels if victim == "kernel" else [psutil.Process(process.pid), *kernels])
    assert process.wait(60) != 0
    assert 2 <= epoch_reached(files) < LONG["epochs"]
    assert not files.csv.exists()
    assert bool(list(temporary.glob("enorm-*"))) == (victim == "notebook runner")
    assert start(tmp_path, temporary).wait(300) == 0
    assert not list(temporary.glob("enorm-*"))
    whole = tmp_path / "whole"
    run_cell(variant="enorm", **LONG, outputs=str(whole), device="cpu")
    assert files.csv.read_bytes() == CellFiles(whole / "runs", "enorm", 1).csv.read_bytes()
    assert not files.checkpoints()


DIE_WRITING = """
import os, pathlib, sys
from reproduction.run import run as run_cell

write, replace = pathlib.Path.write_bytes, pathlib.Path.replace

def write_half(path, content):
    if kind == "half a checkpoint" and "checkpoint" in path.name:
        write(path, bytes(content)[: len(content) // 2])
        os.kill(os.getpid(), 9)
    return write(path, content)

def replace_or_die(path, target):
    if (kind, target.suffix) == ("before the CSV is in its place", ".csv"):
        os.kill(os.getpid(), 9)
    if kind == "between CSV and JSON" and target.name == "p00.json" and target.exists():
        os.kill(os.getpid(), 9)
    return replace(path, target)

kind, outputs = sys.argv[1:]
pathlib.Path.write_bytes, pathlib.Path.replace = write_half, replace_or_die
run_cell(variant="enorm", p=0, seeds=[0], epochs=2, learning_rate=0.01, dataset="digits", device="cpu", outputs=outputs)
"""


def test_a_cell_killed_while_it_writes_a_file_goes_on_and_ends_with_the_same_bytes(tmp_path):
    files = CellFiles(tmp_path / "runs", "enorm", 0)
    parameters = {"variant": "enorm", "p": 0, "seeds": [0], "epochs": 2, "learning_rate": 0.01, "dataset": "digits"}
    for kind in ("half a checkpoint", "before the CSV is in its place", "between CSV and JSON"):
        command = [sys.executable, "-c", DIE_WRITING, kind, str(tmp_path)]
        process = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
        assert process.returncode == -signal.SIGKILL, process.stderr
        assert list(files.runs.rglob(".*.tmp"))
        assert bool(files.checkpoints()) == (kind != "half a checkpoint")
        assert results.find(files, check_parameters(parameters)).missing == (0,)
    assert files.csv.exists()
    run_cell(**parameters, device="cpu", outputs=tmp_path)
    run_cell(**parameters, device="cpu", outputs=tmp_path / "whole")
    assert files.csv.read_bytes() == CellFiles(tmp_path / "whole" / "runs", "enorm", 0).csv.read_bytes()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository with a profile of one cell, long enough to be hit several times."""
    checkout = copy_checkout(tmp_path_factory.mktemp("checkout") / "copy")
    (checkout / "config" / "one.yaml").write_text(
        "{title: one cell, dataset: digits, epochs: 100, learning_rate: 0.01, depths: [1], repeats: {enorm: 2}}"
    )
    return checkout


def test_a_grid_goes_on_after_its_snakemake_and_its_launcher_were_killed_and_after_ctrl_c(checkout, tmp_path):
    outputs, log = tmp_path / "outputs", tmp_path / "log"
    files = CellFiles(outputs / "runs", "enorm", 1)
    command = [
        "bash",
        str(checkout / "run_all.sh"),
        "one",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--outputs",
        str(outputs),
    ]

    def launch() -> Command:
        before = epoch_reached(files)
        run = Command(command, log, checkouts.environment())
        while epoch_reached(files) <= before:
            assert run.process.poll() is None, log.read_text()
            time.sleep(0.05)
        return run

    def assert_all_end(run: Command) -> None:
        assert run.wait_for_end_of_all(30) == []
        assert run.process.wait() != 0
        assert 0 < epoch_reached(files) < 100
        assert not files.csv.exists()

    run = launch()
    run.of_kind("Snakemake")[0].kill()
    assert_all_end(run)
    assert "Snakemake was killed (SIGKILL)" in log.read_text()
    killed = subprocess.Popen(["true"])
    killed.wait()
    left, at_work = (files.runs / "enorm" / f".p01.csv.{process}.tmp" for process in (killed.pid, os.getpid()))
    left.write_text("what a killed writer left")
    at_work.write_text("what a notebook is writing")

    run = launch()
    run.of_kind("launcher")[0].kill()
    assert_all_end(run)

    run = launch()
    (kernel,) = run.of_kind("kernel")
    kernel.suspend()  # so that it is still at work when the second launcher has given up
    second = subprocess.run(command, capture_output=True, text=True, env=checkouts.environment())
    assert second.returncode == 1
    assert second.stderr == f"{outputs}: another run_all.sh is at work there; wait for it or give another --outputs\n"
    kernel.resume()
    os.killpg(run.process.pid, signal.SIGINT)
    assert_all_end(run)
    assert run.process.returncode == 130
    assert log.read_text().endswith("stopped; what is done is kept, and the same command goes on\n")

    assert Command(command, log, checkouts.environment()).process.wait(300) == 0, log.read_text()
    assert list(outputs.rglob(".*.tmp")) == [at_work]
    whole = tmp_path / "whole"
    profile = profiles.load_profile("one", checkout / "config")
    run_cell(**profile.cells()[0].model_dump(), outputs=str(whole), device="cpu")
    assert files.csv.read_bytes() == CellFiles(whole / "runs", "enorm", 1).csv.read_bytes()
    expected = report.all_tables(tables.collect(profile, whole))
    for name in ("runs", "status", "accuracy"):
        assert (outputs / "tables" / f"{name}.csv").read_text() == expected[name].to_csv(index=False)


def test_a_closed_terminal_stops_a_grid_unless_nohup_says_otherwise(checkout, tmp_path):
    for nohup in (False, True):
        outputs, log = tmp_path / f"outputs_{nohup}", tmp_path / f"log_{nohup}"
        command = ["bash", str(checkout / "run_all.sh"), "one", "--outputs", str(outputs)]
        run = Command([*(["nohup"] if nohup else []), *command], log, checkouts.environment())
        while not (outputs / ".lock").exists():
            assert run.process.poll() is None, log.read_text()
            time.sleep(0.05)
        run.process.send_signal(signal.SIGHUP)
        if nohup:
            time.sleep(1)
            assert run.process.poll() is None, log.read_text()
            run.process.send_signal(signal.SIGTERM)
        assert run.wait_for_end_of_all(30) == []
        assert log.read_text().endswith("stopped; what is done is kept, and the same command goes on\n")


STUDY = """\
import sys
import torch
from reproduction import studies

torch.set_num_threads(2)  # as many workers
cell = {"variant": "enorm", "p": 1, "epochs": 10_000, "learning_rate": 0.01, "dataset": "digits"}
studies.train([("one", cell), ("two", cell | {"c": 1.0})], sys.argv[1], "cpu", studies.Path("none"))
"""


def test_workers_of_a_study_end_with_the_process_that_was_killed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", STUDY, str(tmp_path)], stderr=subprocess.DEVNULL)
    while min(epoch_reached(CellFiles(tmp_path / name / "runs", "enorm", 1)) for name in ("one", "two")) < 1:
        assert process.poll() is None
        time.sleep(0.05)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    _, left = psutil.wait_procs(workers, timeout=15)
    kill(left)
    assert left == []
