"""Means with their uncertainty: Student's t interval (Student, 1908, Biometrika 6), over seeds or over pairs."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def half_width(values: Sequence[float]) -> float:
    """Half the width of the 95 % interval of the mean, t_{0.975, n-1} s / sqrt(n); NaN for fewer than 2 values.

    s is the sample standard deviation (n - 1 in its denominator). Assumes the values independent and near normal.
    """
    n = len(values)
    if n < 2:
        return float("nan")
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))


def interval_ends(values: Sequence[float]) -> tuple[float, float]:
    """Both ends of the 95 % interval of the mean, for seaborn's `errorbar`; the mean itself for one value."""
    mean, half = float(np.mean(values)), half_width(values)
    return (mean, mean) if np.isnan(half) else (mean - half, mean + half)
