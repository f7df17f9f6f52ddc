"""Training by steps and epochs: variants over the baseline and over their products, bfloat16 over float32."""

from itertools import product

import pandas as pd

from benchmarks.cell import Cell
from benchmarks.products import Products
from benchmarks.table import ratio
from benchmarks.timing import in_blocks, interleaved, timed

GOALS = {  # of a variant's step over the baseline's at p = 19 in float32: with one thread, with two
    "enorm": (1.04, 1.05),
    "batch_norm": (1.06, 1.10),
    "group_norm": (1.15, 1.15),
    "weight_norm_batch_norm": (1.25, 1.25),
    "path_sgd": (1.15, 1.15),
}

CONTROL = "baseline again"


def variants(asked):
    """A step of each variant over the baseline's, and over its bare matrix products.

    A second baseline is timed beside the first. Its ratio would be 1 without noise: smaller differences tell nothing.
    """
    names = list(dict.fromkeys(["baseline", *(asked.variants or GOALS)]))
    for p, threads, precision in product(asked.p or [19], asked.threads, asked.precision or ["float32"]):
        cells = {name: Cell(asked.images, name, p, precision) for name in names}
        cells[CONTROL] = Cell(asked.images, "baseline", p, precision)
        times = _step_times(cells, cells["baseline"], threads, asked.rounds(40))
        where = f"a step, p = {p}, threads: {threads}, {precision}"
        goals = GOALS if (p, precision) == (19, "float32") and threads <= 2 else {}
        for name in [CONTROL, *names[1:]]:
            yield ratio(times, name, "baseline", where, goals[name][threads - 1] if name in goals else None)
        for name in names:
            yield ratio(times, name, "products", where)


def bfloat16(asked):
    """A step in bfloat16 over its bare matrix products, and over the same step in float32."""
    for p, threads, name in product(asked.p or [1, 9, 19], asked.threads, asked.variants or ["enorm"]):
        cells = {precision: Cell(asked.images, name, p, precision) for precision in ("bfloat16", "float32")}
        times = _step_times(cells, cells["bfloat16"], threads, asked.rounds(40))
        where = f"a step of {name}, p = {p}, threads: {threads}"
        yield ratio(times, "bfloat16", "products", where, 1.8)
        yield ratio(times, "bfloat16", "float32", where, 0.33)


def epoch(asked):
    """An epoch of the baseline with its evaluation, over its bare matrix products."""
    for p in asked.p or [9, 19]:
        cell = Cell(asked.images, "baseline", p)
        measures = {"baseline": timed(cell.epoch), "products": timed(Products(cell).epoch)}
        yield ratio(interleaved(measures, asked.rounds(5)), "baseline", "products", f"an epoch, p = {p}", 1.12)


def _step_times(cells: dict[str, Cell], of_products: Cell, threads: int, rounds: int) -> pd.DataFrame:
    """Seconds of a step of each cell, and of the products of one of them."""
    steps = {name: cell.step for name, cell in cells.items()}
    times = in_blocks({"products": Products(of_products).step} | steps, threads, rounds)
    for name, step in steps.items():
        if not step().isfinite().all():
            raise RuntimeError(f"{name}: has diverged, so that its times mean nothing")
    return times
