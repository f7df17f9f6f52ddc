"""A step with MKL's float32 products, which `torch.mm` calls, over one with oneDNN's, which the trainer takes."""

import contextlib
from collections.abc import Callable, Iterator

import torch

from benchmarks.settings import Settings, Skipped
from benchmarks.table import Row, milliseconds
from benchmarks.timing import STEPS, block, interleaved, threads
from benchmarks.trainer import Trainer
from reproduction.training import linear


def run(settings: Settings) -> list[Row]:
    if linear._ONEDNN is None:
        raise Skipped("oneDNN's float32 products are not used on this processor")
    steps, rounds = settings.steps(STEPS), settings.rounds(20)
    data = settings.dataset.to(torch.device("cpu"))
    rows = []
    for count in (1, torch.get_num_threads()):
        for p in (1, 9, 19):
            trainer = Trainer("enorm", p, data)
            with threads(count):
                times = interleaved(
                    {"MKL": block(_with_mkl(trainer.steps), steps), "oneDNN": block(trainer.steps, steps)}, rounds
                )
            rows.append(
                Row(
                    f"MKL over oneDNN, a step of enorm, p = {p}, threads: {count}",
                    times["MKL"] / times["oneDNN"],
                    f"{milliseconds(times['MKL'], steps)} over {milliseconds(times['oneDNN'], steps)}",
                )
            )
    return rows


def _with_mkl(steps: Callable[[int], object]) -> Callable[[int], object]:
    def run(count: int) -> None:
        with _mkl():
            steps(count)

    return run


@contextlib.contextmanager
def _mkl() -> Iterator[None]:
    kept, linear._ONEDNN = linear._ONEDNN, None
    try:
        yield
    finally:
        linear._ONEDNN = kept
