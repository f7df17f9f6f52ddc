"""Points that fill a cube evenly, for means over a distribution: the same ones with every version of every library."""

import numpy as np
from scipy.stats import qmc


def uniform(dimensions: int, doublings: int) -> np.ndarray:
    """The first 2^doublings points of Sobol's sequence, inside the unit cube: ``[2^doublings, dimensions]``."""
    points = qmc.Sobol(dimensions, scramble=False).random_base2(doublings)
    return points + 0.5 ** (doublings + 1)  # the sequence begins in a corner
