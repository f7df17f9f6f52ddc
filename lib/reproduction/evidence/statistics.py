"""Means with their uncertainty and size, over seeds or over pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class PooledDeviation:
    """The standard deviation within groups, taken to be the same in all of them, and its degrees of freedom."""

    deviation: float
    freedom: int

    def half_width(self, a: int, b: int) -> float:
        """Half the width of the 95 % interval of a difference between means of `a` and of `b` values of two groups.

        t_{0.975, freedom} s sqrt(1/a + 1/b): Student's interval for two samples, with s from all groups. Assumes the
        values independent and near normal. NaN without degrees of freedom.
        """
        if not self.freedom:
            return float("nan")
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom) * self.deviation * np.sqrt(1 / a + 1 / b))


def pooled_deviation(sizes: Sequence[int], deviations: Sequence[float]) -> PooledDeviation:
    """s with s^2 = sum (n_i - 1) s_i^2 / sum (n_i - 1), over groups of n_i values with sample standard deviation s_i.

    Groups of fewer than 2 values do not count; NaN where there are no others.
    """
    several = [(n, s) for n, s in zip(sizes, deviations, strict=True) if n > 1]
    freedom = int(sum(n - 1 for n, _ in several))
    if not freedom:
        return PooledDeviation(float("nan"), 0)
    return PooledDeviation(float(np.sqrt(sum((n - 1) * s**2 for n, s in several) / freedom)), freedom)
