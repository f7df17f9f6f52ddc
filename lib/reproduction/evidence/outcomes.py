"""How a run ends: it trains, it is stuck at chance, or it diverges."""

import numpy as np
import pandas as pd

from reproduction.protocol.data_sets import DATA_SETS

MARGIN = 0.01
"""A run that ends less than this above chance learned nothing: all its images get the same class, or one of a few."""


def outcomes(runs: pd.DataFrame, dataset: str = "cifar10") -> pd.Series:
    """How the runs of `dataset` ended: for each row of `runs`, the last of a run (with the columns diverged and
    test_accuracy), "diverged" where its loss was not finite, "stuck" where it ends at chance, else "trained"."""
    stuck = runs["test_accuracy"].astype(float) < DATA_SETS[dataset].chance + MARGIN
    ends = np.select([runs["diverged"].astype(bool), stuck], ["diverged", "stuck"], "trained")
    return pd.Series(ends, runs.index, dtype=object)
