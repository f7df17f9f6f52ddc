"""One job with all threads against two jobs with half of them each: training steps per second of all jobs together.

Run as `python -m benchmarks.jobs P`, this module is such a job: it trains for as many seconds as each line it reads
says, and prints its steps per second.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.settings import Settings, Skipped, random_images
from benchmarks.table import Row
from benchmarks.timing import interleaved
from benchmarks.trainer import Trainer

_ROOT = Path(__file__).resolve().parents[1]
_BLOCK = 5  # steps between two looks at the clock


def run(settings: Settings) -> list[Row]:
    threads = torch.get_num_threads()
    if threads < 2:
        raise Skipped("one thread only: there is nothing to divide between two jobs")
    return [_row(p, threads, settings) for p in (1, 9, 19)]


def _row(p: int, threads: int, settings: Settings) -> Row:
    one, two = [Job(p, threads)], [Job(p, threads // 2), Job(p, threads // 2)]
    duration = 1.0 if settings.quick else 3.0
    try:
        rates = interleaved(
            {"one": lambda: steps_per_second(one, duration), "two": lambda: steps_per_second(two, duration)},
            settings.rounds(8),
        )
    finally:
        for job in one + two:
            job.stop()
    return Row(
        f"steps per second of two jobs with {_threads(threads // 2)} each, over one with {_threads(threads)}, p = {p}",
        rates["two"] / rates["one"],
        f"{rates['two'].median():.3g} over {rates['one'].median():.3g} steps/s (baseline)",
    )


class Job:
    """A process that trains when told to, and sleeps between."""

    def __init__(self, p: int, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.jobs", str(p)],
            cwd=_ROOT,
            env=os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.steps_per_second()  # it is ready

    def start(self, duration: float) -> None:
        print(duration, file=self._process.stdin, flush=True)

    def steps_per_second(self) -> float:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a job ended with exit code {self._process.wait()}; its message is above")
        return float(line)

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def steps_per_second(jobs: list[Job], duration: float) -> float:
    """Of all `jobs` together, training at the same time."""
    for job in jobs:
        job.start(duration)
    return sum(job.steps_per_second() for job in jobs)


def _train_when_told(p: int) -> None:
    # Random images: speed does not depend on the pixels, and a job need not read and check the whole data set.
    trainer = Trainer("baseline", p, random_images(train=20 * 256, test=0).to(torch.device("cpu")))
    trainer.steps(_BLOCK)
    print(0.0, flush=True)
    for line in sys.stdin:
        start, steps = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < float(line):
            trainer.steps(_BLOCK)
            steps += _BLOCK
        print(steps / elapsed, flush=True)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


if __name__ == "__main__":
    _train_when_told(int(sys.argv[1]))
