"""Means over fixed depths, and how sure they are.

The depths are those of the protocol, not a sample: what varies is the seed. So the variance of a mean over depths comes
from the spread between runs of the same cell, and a trend over depth is no noise.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from reproduction.evidence.statistics import CONFIDENCE, pooled_deviation


@dataclass(frozen=True)
class Estimate:
    """A mean, with its standard error and the degrees of freedom of that (0: there is no error)."""

    mean: float
    error: float
    freedom: float

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % interval, Student's t; NaN without degrees of freedom."""
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom) * self.error) if self.freedom else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        return self.mean - self.half_width, self.mean + self.half_width

    @property
    def probability_above_0(self) -> float:
        """That the true value is above 0, with a flat prior; NaN without degrees of freedom."""
        return float(stats.t.cdf(self.mean / self.error, self.freedom)) if self.freedom else float("nan")

    @property
    def p_value(self) -> float:
        """Two-sided, of a true value of 0."""
        above = self.probability_above_0
        return 2 * min(above, 1 - above)

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ± {self.half_width:.1f}" if self.freedom else f"{self.mean:+.1f}"


NOTHING = Estimate(float("nan"), float("nan"), 0)
"""What is said of no values."""


@dataclass(frozen=True)
class Cell:
    """The mean of `n` runs, whose `deviation` is estimated with `freedom` from a `pool` of cells that share it."""

    mean: float
    n: int
    deviation: float
    freedom: int
    pool: str


def contrast(terms: Iterable[tuple[float, Cell]]) -> Estimate:
    """The sum of weights times cells' means.

    Runs are taken to be independent and near normal. The degrees of freedom of the error are those of Satterthwaite
    (1946, An approximate distribution of estimates of variance components, Biometrics 2).
    """
    total, variances, freedoms = 0.0, defaultdict(float), {}
    for weight, cell in terms:
        total += weight * cell.mean
        variances[cell.pool] += weight**2 * cell.deviation**2 / cell.n
        freedoms[cell.pool] = cell.freedom
    variance = sum(variances.values())
    if not all(freedoms.values()) or not variance > 0:
        return Estimate(total, float("nan"), 0)
    return Estimate(total, variance**0.5, variance**2 / sum(variances[k] ** 2 / n for k, n in freedoms.items()))


def cells(values: pd.Series, strata: pd.Series) -> dict[float, Cell]:
    """The cell of each stratum, of those of `values` that are not missing.

    Within strata, values are taken to be independent, near normal, and of the same variance. A stratum of one value
    adds nothing to the degrees of freedom.
    """
    groups = values.dropna().groupby(strata)
    n, means = groups.size(), groups.mean()
    noise = pooled_deviation(n, groups.std(ddof=1))
    return {
        stratum: Cell(float(mean), int(n[stratum]), noise.deviation, noise.freedom, "all")
        for stratum, mean in means.items()
    }


def estimate(values: pd.Series, strata: pd.Series) -> Estimate:
    """The mean over strata of the mean in each, every stratum with the same weight (Cochran 1977, Sampling Techniques,
    section 5.3, with equal weights)."""
    own = cells(values, strata)
    return contrast((1 / len(own), cell) for cell in own.values()) if own else NOTHING


def slope(strata: Sequence[float], per: float = 10) -> dict[float, float]:
    """The weight of each stratum's value in the slope of a straight line through all (least squares), for `per` more
    of what the strata are numbers of."""
    centred = np.array(strata, dtype=float) - np.mean(strata)
    return dict(zip(strata, (per * centred / (centred**2).sum()).tolist(), strict=True))
