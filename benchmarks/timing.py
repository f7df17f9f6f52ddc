"""Interleaved timing: the candidates take turns in short blocks, so a machine that slows down slows them all.

Blocks, not single steps: a network's weights stay in the processor's cache from one training step to the next (25 MB
at p = 19), and alternating step by step between networks would evict them.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

import pandas as pd
import torch

STEPS = 10
"""Timed steps of a block; the DISCARDED steps before them bring the weights back into the cache."""
DISCARDED = 2


def interleaved(candidates: Mapping[str, Callable[[], float]], rounds: int) -> pd.DataFrame:
    """What each candidate returns (seconds): one row per round, after one round that does not count.

    Every other round goes through the candidates backwards, so that a steady drift cancels.
    """
    for measure in candidates.values():
        measure()
    results = []
    for round_ in range(rounds):
        names = list(candidates)
        results.append({name: candidates[name]() for name in (reversed(names) if round_ % 2 else names)})
    return pd.DataFrame(results)[list(candidates)]


def block(steps: Callable[[int], object], count: int = STEPS) -> Callable[[], float]:
    """A candidate: `steps(n)` makes n steps; the seconds of `count` of them, after DISCARDED ones."""

    def measure() -> float:
        steps(DISCARDED)
        return seconds(lambda: steps(count))

    return measure


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch uses `count` threads, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds(work: Callable[[], object]) -> float:
    """The time `work` takes, with all it started on a GPU."""
    _synchronise()
    start = time.perf_counter()
    work()
    _synchronise()
    return time.perf_counter() - start


def _synchronise() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
