"""A cell that is killed goes on from its last whole epoch, and ends with the same bytes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from equinorm import cell
from equinorm.config import REPOSITORY
from equinorm.results import CellFiles

LONG = {"p": 1, "seeds": [0, 1], "epochs": 15, "learning_rate": 0.01, "dataset": "digits"}


def start(folder) -> subprocess.Popen:
    command = [
        sys.executable, str(REPOSITORY / "workflow" / "run_notebook.py"), "notebooks/enorm.ipynb",
        "--save-as", str(folder / "notebooks" / "enorm.ipynb"), "--outputs", str(folder),
        "--parameters", json.dumps(LONG), "--device", "cpu",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
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
def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_bytes(tmp_path, victim):
    files = CellFiles(tmp_path / "runs", "enorm", 1)
    process = start(tmp_path)
    while epoch_reached(files) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    kernels = children(process.pid)
    assert kernels
    kill(kernels if victim == "kernel" else [psutil.Process(process.pid), *kernels])
    assert process.wait(60) != 0
    assert 2 <= epoch_reached(files) < LONG["epochs"]
    assert not files.csv.exists()
    assert start(tmp_path).wait(300) == 0
    whole = tmp_path / "whole"
    cell.run(variant="enorm", **LONG, outputs=str(whole), device="cpu")
    assert files.csv.read_bytes() == CellFiles(whole / "runs", "enorm", 1).csv.read_bytes()
    assert not files.checkpoint.exists()


def test_grid_whose_launcher_was_killed_keeps_its_lock_and_a_closed_terminal_stops_it(tmp_path):
    command = ["bash", str(REPOSITORY / "run_all.sh"), "demo", "--jobs", "1", "--outputs", str(tmp_path / "outputs")]

    def launch():
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        while not list(tmp_path.glob("outputs/runs/*/*.progress.json")):
            assert process.poll() is None
            time.sleep(0.1)
        return process

    first = launch()
    started = children(first.pid)
    first.kill()
    first.wait()
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode != 0
    assert "another run_all.sh is at work there" in second.stderr
    kill(started)
    for path in tmp_path.glob("outputs/runs/*/*.progress.json"):
        path.unlink()
    third = launch()
    started = children(third.pid)
    third.send_signal(signal.SIGHUP)
    _, said = third.communicate(timeout=30)
    assert third.returncode == 1
    assert said.strip().endswith("stopped; what is done is kept, and the same command goes on")
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive
