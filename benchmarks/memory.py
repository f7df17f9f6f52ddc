"""Memory: what an epoch with its evaluation adds to a process that holds the data, over a float32 copy of the data.

Run as `python -m benchmarks.memory P`, this module is that process; it prints bytes, before and after.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.settings import Settings, Skipped, random_images
from benchmarks.table import Row
from benchmarks.trainer import Trainer

_ROOT = Path(__file__).resolve().parents[1]
_MEBIBYTE = 2**20


def run(settings: Settings) -> list[Row]:
    if not Path("/proc/self/status").exists():
        raise Skipped("peak memory is read from /proc, which this system does not have")
    return [_row(p) for p in (1, 19)]


def _row(p: int) -> Row:
    command = [sys.executable, "-m", "benchmarks.memory", str(p)]
    done = subprocess.run(
        command, cwd=_ROOT, env=os.environ, capture_output=True, text=True, encoding="utf-8", check=True
    )
    data, before, after = map(int, done.stdout.split())
    return Row(
        f"peak memory that an epoch of enorm adds, over a float32 copy of the data set, p = {p}",
        [(after - before) / (4 * data)],
        f"{(after - before) / _MEBIBYTE:.0f} MiB over {4 * data / _MEBIBYTE:.0f} MiB; peak of the process "
        f"{after / _MEBIBYTE:.0f} MiB, of it {data / _MEBIBYTE:.0f} MiB of uint8 images",
        at_most=0.25,
    )


def _peak() -> int:
    """The largest memory this process has had, in bytes. (That of `getrusage` would be its parent's, if larger.)"""
    (line,) = (
        line for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")
    )
    return 1024 * int(line.split()[1])


def _measure(p: int) -> None:
    data = random_images().to(torch.device("cpu"))
    trainer = Trainer("enorm", p, data)
    before = _peak()
    trainer.epoch()
    print(data.train_images.numel() + data.test_images.numel(), before, _peak())


if __name__ == "__main__":
    _measure(int(sys.argv[1]))
