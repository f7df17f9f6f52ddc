"""A cycle of ENorm beside the authors' formula in plain PyTorch."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise, product

from torch import Tensor

from benchmarks.table import ratio
from benchmarks.timing import in_blocks
from equinorm import equi_normalize_
from reproduction.protocol.parameters import Parameters
from reproduction.training.network import FullyConnected


def run(asked):
    """A cycle of ENorm over one by the authors' published formula in plain PyTorch."""
    for p, threads in product(asked.p or [1, 9, 19], asked.threads):
        cycles = {"this cycle": equi_normalize_, "the published one": published_cycle_}
        candidates = {name: partial(cycle_, _weights(p), c=1.2) for name, cycle_ in cycles.items()}
        times = in_blocks(candidates, threads, asked.rounds(40))
        yield ratio(times, "this cycle", "the published one", f"p = {p}, threads: {threads}", 0.5)


def _weights(p: int) -> list[Tensor]:
    return [weight[0].detach() for weight in FullyConnected(Parameters(variant="enorm", p=p)).weights]


def published_cycle_(weights: Sequence[Tensor], c: float) -> None:
    """Rescale all pairs of matrices ``[out, in]`` in place by norms that were taken before the first was rescaled."""
    factors = [(right.norm(dim=0) / (c * left.norm(dim=1))).sqrt() for left, right in pairwise(weights)]
    for (left, right), d in zip(pairwise(weights), factors, strict=True):
        left.mul_(d.unsqueeze(1))
        right.div_(d)
