"""A cell that is killed goes on from its last whole epoch, and ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time

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


def children(process: int) -> list[int]:
    """The processes that `process` started and that still run, and so on: Linux only."""
    found = []
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    for pid, parent in pairs:
        if parent == process:
            found += [pid, *children(pid)]
    return found


@pytest.mark.parametrize("victim", ["notebook runner", "kernel"])
def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_bytes(tmp_path, victim):
    files = CellFiles(tmp_path / "runs", "enorm", 1)
    process = start(tmp_path)
    while epoch_reached(files) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    kernels = children(process.pid)
    assert kernels
    for pid in kernels if victim == "kernel" else [process.pid, *kernels]:
        os.kill(pid, signal.SIGKILL)
    assert process.wait(60) != 0
    assert 2 <= epoch_reached(files) < LONG["epochs"]
    assert not files.csv.exists()
    assert start(tmp_path).wait(300) == 0
    whole = tmp_path / "whole"
    cell.run(variant="enorm", **LONG, outputs=str(whole), device="cpu")
    assert files.csv.read_bytes() == CellFiles(whole / "runs", "enorm", 1).csv.read_bytes()
    assert not files.checkpoint.exists()
