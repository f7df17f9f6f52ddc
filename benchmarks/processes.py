"""What is measured in processes of its own: jobs that share the machine, and the memory of an epoch."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import torch

from benchmarks.cell import Cell, random_images
from benchmarks.table import row
from benchmarks.timing import interleaved

_process = partial(ProcessPoolExecutor, 1, mp_context=multiprocessing.get_context("spawn"))


def jobs(asked):
    """Steps per second of two jobs with half of the threads each, over those of one job with all (two at least)."""
    threads, seconds = max(asked.threads), 0.5 if asked.quick else 3.0
    if threads < 2:
        return

    def rate(processes: list[ProcessPoolExecutor], p: int) -> float:
        started = [process.submit(_train, p, threads // len(processes), seconds) for process in processes]
        return sum(future.result() for future in started)

    with _process() as alone, _process() as first, _process() as second:
        for p in asked.p or [1, 9, 19]:
            measures = {"one": partial(rate, [alone], p), "two": partial(rate, [first, second], p)}
            rates = interleaved(measures, asked.rounds(8))
            details = f"{rates['two'].median():.3g} over {rates['one'].median():.3g} steps/s, baseline"
            what = f"two jobs, threads: {threads // 2} each / one job, threads: {threads}, p = {p}"
            yield row(what, rates["two"] / rates["one"], details)


def _train(p: int, threads: int, seconds: float) -> float:
    """Steps per second, in training for so many seconds."""
    step, start, made = _cell(p, threads).step, time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        step()
        made += 1
    return made / (time.perf_counter() - start)


@cache  # made in the round that does not count
def _cell(p: int, threads: int) -> Cell:
    torch.set_num_threads(threads)
    return Cell(random_images(20 * 256, 0), "baseline", p)


def memory(asked):
    """Memory that an epoch of enorm adds to a process with the data, over a float32 copy of the data (on Linux)."""
    if not Path("/proc/self/status").exists():
        return
    sizes = len(asked.images.train_labels), len(asked.images.test_labels)
    for p in asked.p or [1, 19]:
        with _process() as process:
            added, copy = process.submit(_added, p, *sizes).result(), 4 * 3072 * sum(sizes) / 2**20
        what, details = f"memory added / float32 copy of the data, p = {p}", f"{added:.0f} MiB over {copy:.0f} MiB"
        yield row(what, [added / copy], details, 0.25)


def _added(p: int, train: int, test: int) -> float:
    """By how many MiB an epoch raises the largest memory that this process has had."""

    def peak() -> float:  # that of `getrusage` would be the parent's where it is larger
        return int(Path("/proc/self/status").read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1024

    cell = Cell(random_images(train, test), "enorm", p)
    before = peak()
    cell.epoch()
    return peak() - before
