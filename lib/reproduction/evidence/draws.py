"""Random points for means over a distribution: the same ones with every version of every library.

Points of Sobol's sequence, which fill a cube more evenly, were tried: without scrambling, whose draws may change with
the library, the first 256 of 40 dimensions are correlated (up to 0.25).
"""

import numpy as np


def uniform(points: int, dimensions: int) -> np.ndarray:
    """Independent and uniform, strictly between 0 and 1: ``[points, dimensions]``."""
    raw = np.random.PCG64(2019).random_raw(points * dimensions)  # NumPy keeps a bit generator's stream for good
    return ((raw >> np.uint64(12)) + 0.5).reshape(points, dimensions) / 2.0**52
