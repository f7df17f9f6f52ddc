"""On a CUDA GPU: a step of ten seeds at p = 9 over its float32 floor, what ENorm adds, and whether a CPU agrees.

Steps are timed by whole epochs, without evaluation, so that what an epoch sets up once is spread as it is in training.
"""

import torch

from benchmarks.products import Products
from benchmarks.settings import Settings, Skipped
from benchmarks.table import Row, milliseconds
from benchmarks.timing import interleaved, seconds
from benchmarks.trainer import Trainer, precisions
from reproduction.protocol.variants import VARIANTS

_P = 9
_SEEDS = tuple(range(10))
_COMPARED_SEEDS, _COMPARED_STEPS = (0, 1, 2), 50


def run(settings: Settings) -> list[Row]:
    if not torch.cuda.is_available():
        raise Skipped("this machine has no CUDA GPU that this PyTorch can use")
    device = torch.device("cuda")
    return [*speed(settings, device), *agreement(settings, device)]


def speed(settings: Settings, device: torch.device) -> list[Row]:
    """The trainer's steps on `device` over the floor, over each other, and in other precisions."""
    data = settings.dataset.to(device)
    images = len(data.train_labels)
    trainers = {variant: Trainer(variant, _P, data, _SEEDS) for variant in ("baseline", "enorm", "batch_norm")}
    others = [precision for precision in precisions(device) if precision != "float32"]
    trainers |= {name: Trainer("enorm", _P, data, _SEEDS, precision=name) for name in others}
    products = Products(_P, len(_SEEDS), device)
    times = interleaved(
        {"its products alone": lambda: seconds(lambda: products.train_epoch(images))}
        | {name: lambda trainer=trainer: seconds(trainer.train_epoch) for name, trainer in trainers.items()},
        settings.rounds(20),
    )
    steps = -(-images // trainers["baseline"].parameters.batch_size)

    def row(above: str, below: str, what: str, at_most: float | None = None) -> Row:
        details = f"{milliseconds(times[above], steps)} over {milliseconds(times[below], steps)}"
        what = f"{what}, a step with {len(_SEEDS)} seeds, p = {_P}"
        return Row(what, times[above] / times[below], details, at_most)

    return [
        row("enorm", "its products alone", "enorm over its products alone (float32, torch.bmm)", 2.0),
        row("baseline", "its products alone", "baseline over its products alone (float32, torch.bmm)"),
        row("enorm", "baseline", "enorm over baseline", 1.1),
        row("batch_norm", "baseline", "batch_norm over baseline"),
        *(row("enorm", name, f"float32 over {name}, enorm") for name in others),
    ]


def agreement(settings: Settings, device: torch.device) -> list[Row]:
    """For each variant with the protocol's learning rate and c: the largest relative difference, of the first losses,
    between `device` and the CPU, for each seed. No ratio of times, but the same kind of row."""
    steps = min(_COMPARED_STEPS, len(settings.dataset.train_labels) // 256)
    rows = []
    for name, variant in VARIANTS.items():
        losses = [
            Trainer(name, _P, settings.dataset.to(where), _COMPARED_SEEDS, learning_rate=None, c=1.2).steps(steps).cpu()
            for where in (device, torch.device("cpu"))
        ]
        difference = ((losses[0] - losses[1]) / losses[1]).abs().amax(dim=1)
        rows.append(
            Row(
                f"{variant.title}: largest relative difference of a loss to the CPU's, first {steps} steps, p = {_P}",
                difference.tolist(),
                f"one value a seed, {len(_COMPARED_SEEDS)} seeds; float32",
                at_most=1e-4,
                judged_by="max",
            )
        )
    return rows
