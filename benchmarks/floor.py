"""A whole epoch of the baseline over its floor: the same matrix products alone."""

import torch

from benchmarks.products import Products
from benchmarks.settings import Settings
from benchmarks.table import Row
from benchmarks.timing import interleaved, seconds
from benchmarks.trainer import Trainer


def run(settings: Settings) -> list[Row]:
    return [_row(p, settings) for p in (9, 19)]


def _row(p: int, settings: Settings) -> Row:
    trainer, products = Trainer("baseline", p, settings.dataset.to(torch.device("cpu"))), Products(p)
    train, test = len(settings.dataset.train_labels), len(settings.dataset.test_labels)
    times = interleaved(
        {
            "trainer": lambda: seconds(trainer.epoch),
            "floor": lambda: seconds(lambda: products.epoch(train, test)),
        },
        settings.rounds(5),
    )
    flops = trainer.parameters.flops(train, test) / trainer.parameters.epochs
    return Row(
        f"a whole epoch of baseline with its evaluation, over its products alone, p = {p}",
        times["trainer"] / times["floor"],
        f"{times['trainer'].median():.2f} s over {times['floor'].median():.2f} s "
        f"(floor: {flops / times['floor'].median() / 1e9:.0f} GFLOP/s)",
        at_most=1.15,
    )
