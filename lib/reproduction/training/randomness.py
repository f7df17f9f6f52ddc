"""Randomness without state: every draw follows from the seed and what it is for.

So a resumed run draws what it would have drawn, a run does not depend on its siblings, and no generator's state has
to be kept. Draws are made on the CPU, the same for every device.
"""

import numpy as np
import torch
from torch import Tensor

_INITIALIZATION, _PERMUTATION = 0, 1
_OF_ONE_DEPTH = 2  # added where a depth has draws of its own


def initialization(seed: int, p: int | None = None) -> torch.Generator:
    """The generator of a run's initial weights; with `p`, of its own at that depth."""
    return _generator(seed, *_purpose(_INITIALIZATION, p))


def permutation(seed: int, epoch: int, size: int, p: int | None = None) -> Tensor:
    """The order ``[size]`` in which a run sees the training images in its epoch number `epoch` (from 1); with `p`, of
    its own at that depth."""
    return torch.randperm(size, generator=_generator(seed, *_purpose(_PERMUTATION, p), epoch))


def _purpose(kind: int, p: int | None) -> tuple[int, ...]:
    return (kind,) if p is None else (kind + _OF_ONE_DEPTH, p)


def _generator(*key: int) -> torch.Generator:
    # SeedSequence spreads neighbouring keys over the whole range of seeds.
    (seed,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed) >> 1)
