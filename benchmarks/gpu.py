"""On a CUDA GPU: how fast steps are, and whether a CPU agrees."""

from itertools import islice

import torch

from benchmarks.cell import Cell
from benchmarks.products import Products
from benchmarks.table import Row, ratio, row
from benchmarks.timing import interleaved, timed
from reproduction.protocol.parameters import Parameters
from reproduction.protocol.variants import VARIANTS
from reproduction.training.first_steps import first_steps


def run(asked):
    """On a GPU: steps of ten seeds over their products, and how far the first losses are from the CPU's."""
    if not torch.cuda.is_available():
        return
    for p in asked.p or [9]:
        yield from _speed(asked, p)
        yield from (_agreement(asked, name, p) for name in asked.variants or VARIANTS)


def _speed(asked, p: int):
    """By whole epochs without evaluation, so that what an epoch sets up once is spread as it is in training."""
    names = asked.variants or ["baseline", "enorm"]
    cells = {name: Cell(asked.images, name, p, seeds=tuple(range(10)), device="cuda") for name in names}
    epochs = {"products": Products(cells[names[0]]).train_epoch} | {name: cells[name].train_epoch for name in names}
    times = interleaved({name: timed(epoch) for name, epoch in epochs.items()}, asked.rounds(20))
    return [ratio(times, name, "products", f"the steps of an epoch, 10 seeds, p = {p}", 2.0) for name in names]


def _agreement(asked, variant: str, p: int) -> Row:
    """The largest relative difference of a loss, with the protocol's parameters: no ratio of times, but such a row."""
    parameters = Parameters(variant=variant, p=p, seeds=(0, 1, 2))
    devices = [asked.images.to(torch.device(name)) for name in ("cuda", "cpu")]
    first_losses = [[loss.cpu() for _, _, loss in islice(first_steps(parameters, data), 1, 51)] for data in devices]
    on_gpu, on_cpu = map(torch.stack, first_losses)
    largest = ((on_gpu - on_cpu) / on_cpu).abs().max().item()
    return row(f"{variant}: difference of the first 50 losses to the CPU's, p = {p}", [largest], "3 seeds", 1e-4)
