"""How much faster bfloat16 is than float32 on a CPU: products of the layers' shapes, a step's floor, a step."""

from collections.abc import Callable

import torch

from benchmarks.products import Products
from benchmarks.settings import Settings
from benchmarks.table import Row, milliseconds
from benchmarks.timing import STEPS, block, interleaved
from benchmarks.trainer import Trainer, precisions
from reproduction.training.linear import multiply

_BATCH = 256
# out, in, columns: [out, in] @ [in, columns]
_PRODUCTS = {
    "first layer, forward": (500, 3072, _BATCH),
    "first layer, weight gradient": (500, _BATCH, 3072),
    "hidden layer, forward and input gradient": (500, 500, _BATCH),
    "hidden layer, weight gradient": (500, _BATCH, 500),
    "last layer, forward": (10, 500, _BATCH),
}
_DEPTHS = (1, 9, 19)


def run(settings: Settings) -> list[Row]:
    steps, rounds = settings.steps(STEPS), settings.rounds(20)
    rows = []
    for what, shape in _PRODUCTS.items():
        repeats = 10 * steps
        make = {dtype: _product(shape, dtype) for dtype in (torch.float32, torch.bfloat16)}
        what = f"{what}: {shape[0]}×{shape[1]} · {shape[1]}×{shape[2]}"
        rows.append(_row(what, make[torch.float32], make[torch.bfloat16], repeats, rounds))
    for p in _DEPTHS:
        full, half = Products(p), Products(p, dtype=torch.bfloat16)
        rows.append(_row(f"all products of a step, p = {p}", full.steps, half.steps, steps, rounds))
    data = settings.dataset.to(torch.device("cpu"))
    if "bfloat16" in precisions(torch.device("cpu")):
        for p in _DEPTHS:
            full, half = Trainer("enorm", p, data), Trainer("enorm", p, data, precision="bfloat16")
            rows.append(_row(f"a step of enorm, p = {p}", full.steps, half.steps, steps, rounds))
    return rows


def _row(what: str, full: Callable[[int], object], half: Callable[[int], object], steps: int, rounds: int) -> Row:
    times = interleaved({"float32": block(full, steps), "bfloat16": block(half, steps)}, rounds)
    return Row(
        f"float32 over bfloat16, {what}",
        times["float32"] / times["bfloat16"],
        f"{milliseconds(times['float32'], steps)} over {milliseconds(times['bfloat16'], steps)}",
    )


def _product(shape: tuple[int, int, int], dtype: torch.dtype) -> Callable[[int], None]:
    out, in_, columns = shape
    a, b = torch.randn(1, out, in_).to(dtype), torch.randn(1, in_, columns).to(dtype)

    def repeat(count: int) -> None:
        for _ in range(count):
            multiply(a, b)

    return repeat
