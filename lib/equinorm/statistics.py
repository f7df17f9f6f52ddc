"""Means with their uncertainty and size, over seeds or over pairs."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def half_width(values: Sequence[float]) -> float:
    """Half the width of the 95 % interval of the mean, t_{0.975, n-1} s / sqrt(n); NaN for fewer than 2 values.

    s is the sample standard deviation (n - 1 in its denominator). Assumes the values independent and near normal.
    Student (1908), The probable error of a mean, Biometrika 6.
    """
    n = len(values)
    if n < 2:
        return float("nan")
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))


def interval_ends(values: Sequence[float]) -> tuple[float, float]:
    """Both ends of the 95 % interval of the mean, for seaborn's `errorbar`; the mean itself for one value."""
    mean, half = float(np.mean(values)), half_width(values)
    return (mean, mean) if np.isnan(half) else (mean - half, mean + half)


def effect_size(differences: Sequence[float]) -> float:
    """Cohen's d_z of paired differences, their mean over their standard deviation; NaN for fewer than 2.

    Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, section 2.3. About 0.2 is called small, 0.5
    medium, 0.8 large.
    """
    if len(differences) < 2:
        return float("nan")
    spread = float(np.std(differences, ddof=1))
    return float(np.mean(differences)) / spread if spread else float("nan")
