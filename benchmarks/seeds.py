"""Ten seeds of p = 1 as one batched model, over ten single runs one after the other."""

import torch

from benchmarks.settings import Settings
from benchmarks.table import Row, milliseconds
from benchmarks.timing import STEPS, block, interleaved
from benchmarks.trainer import Trainer

_SEEDS = tuple(range(10))


def run(settings: Settings) -> list[Row]:
    return [_row(variant, settings) for variant in ("baseline", "enorm")]


def _row(variant: str, settings: Settings) -> Row:
    data, steps = settings.dataset.to(torch.device("cpu")), settings.steps(STEPS)
    batched = block(Trainer(variant, 1, data, _SEEDS).steps, steps)
    single = [block(Trainer(variant, 1, data, (seed,)).steps, steps) for seed in _SEEDS]
    times = interleaved(
        {"batched": batched, "single": lambda: sum(measure() for measure in single)}, settings.rounds(20)
    )
    return Row(
        f"ten seeds of {variant} as one batched model, over ten single runs, a step, p = 1",
        times["batched"] / times["single"],
        f"{milliseconds(times['batched'], steps)} over {milliseconds(times['single'], steps)}",
        at_most=1.05,
    )
