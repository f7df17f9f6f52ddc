"""What ENorm and BatchNorm add to a training step at p = 19: on one thread, as a grid's jobs run, and on all."""

import torch

from benchmarks.settings import Settings
from benchmarks.table import Row, milliseconds
from benchmarks.timing import STEPS, block, interleaved, threads
from benchmarks.trainer import Trainer

_P = 19


def run(settings: Settings) -> list[Row]:
    return [row for count in sorted({1, torch.get_num_threads()}) for row in _rows(count, settings)]


def _rows(thread_count: int, settings: Settings) -> list[Row]:
    data, steps = settings.dataset.to(torch.device("cpu")), settings.steps(STEPS)
    trainers = {variant: Trainer(variant, _P, data) for variant in ("baseline", "enorm", "batch_norm")}
    with threads(thread_count):
        times = interleaved(
            {variant: block(trainer.steps, steps) for variant, trainer in trainers.items()}, settings.rounds(40)
        )

    def row(variant: str, other: str, at_most: float) -> Row:
        details = f"{milliseconds(times[variant], steps)} over {milliseconds(times[other], steps)}"
        what = f"{variant} over {other}, a step, p = {_P}, threads: {thread_count}"
        return Row(what, times[variant] / times[other], details, at_most)

    return [row("enorm", "baseline", 1.04), row("batch_norm", "baseline", 1.05), row("enorm", "batch_norm", 1.0)]
