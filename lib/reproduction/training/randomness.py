"""Randomness without state: every draw follows from the seed and what it is for.

So a resumed run draws what it would have drawn, a run does not depend on its siblings, and no generator's state has
to be kept. Draws are made on the CPU, the same for every device.
"""

import numpy as np
import torch
from torch import Tensor

_INITIALIZATION, _PERMUTATION = 0, 1


def initialization(seed: int) -> torch.Generator:
    """The generator of a run's initial weights."""
    return _generator(seed, _INITIALIZATION)


def permutation(seed: int, epoch: int, size: int) -> Tensor:
    """The order ``[size]`` in which a run sees the training images in its epoch number `epoch` (from 1)."""
    return torch.randperm(size, generator=_generator(seed, _PERMUTATION, epoch))


def _generator(*key: int) -> torch.Generator:
    # SeedSequence spreads neighbouring keys over the whole range of seeds.
    (seed,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed) >> 1)
