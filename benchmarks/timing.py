"""Candidates timed side by side: they take turns, so a machine that slows down slows them all."""

import time
from collections.abc import Callable, Mapping

import pandas as pd
import torch


def interleaved(measures: Mapping[str, Callable[[], float]], rounds: int) -> pd.DataFrame:
    """What each measure returns: one row per round, after one round that does not count.

    Every other round goes through the measures backwards, so that a steady drift cancels.
    """
    results = []
    for k in range(rounds + 1):
        names = reversed(measures) if k % 2 else measures
        results.append({name: measures[name]() for name in names})
    return pd.DataFrame(results[1:])


def in_blocks(
    candidates: Mapping[str, Callable[[], object]], threads: int, rounds: int, calls: int = 10, discarded: int = 2
) -> pd.DataFrame:
    """Seconds of one call of each candidate, timed in blocks of ten calls.

    Two calls before each block bring a network's weights (25 MB at p = 19) back into the processor's cache. With one
    thread the time is this thread's CPU time, which does not run while another process has the core; with more, it is
    wall time, for a thread that waits for another counts too.
    """
    clock = time.thread_time if threads == 1 else wall_time
    torch.set_num_threads(threads)
    return interleaved({name: timed(call, calls, discarded, clock) for name, call in candidates.items()}, rounds)


def wall_time() -> float:
    """Seconds, once all that was started on a GPU is done."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(call: Callable[[], object], calls=1, discarded=0, clock=wall_time) -> Callable[[], float]:
    """A measure: the mean seconds of so many calls, after some that do not count."""

    def measure() -> float:
        for _ in range(discarded):
            call()
        start = clock()
        for _ in range(calls):
            call()
        return (clock() - start) / calls

    return measure
