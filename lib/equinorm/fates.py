"""How a run ends: it trains, it is stuck at chance, or it diverges."""

import numpy as np
import pandas as pd

CHANCE = 0.1
"""Accuracy of a guess: both data sets have 10 classes."""

STUCK_BELOW = CHANCE + 0.01
"""A run that ends below this test accuracy learned nothing: all its images get the same class, or one of a few."""


def fates(runs: pd.DataFrame) -> pd.Series:
    """For each row of `runs`, the last of a run (with the columns diverged and test_accuracy): "diverged" where its
    loss was not finite, "stuck" where it ends at chance, else "trained"."""
    stuck = runs["test_accuracy"].astype(float) < STUCK_BELOW
    ends = np.select([runs["diverged"].astype(bool), stuck], ["diverged", "stuck"], "trained")
    return pd.Series(ends, runs.index, dtype=object)
