"""The mean over fixed depths of a difference at each, and how sure it is.

The depths are those of the protocol, not a sample: what varies is the seed. So the variance is that between pairs of
runs at the same depth, pooled over depths, and a trend over depth is no noise.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from reproduction.evidence.statistics import CONFIDENCE, pooled_deviation


@dataclass(frozen=True)
class Estimate:
    """A mean over strata, with the degrees of freedom of its standard error."""

    mean: float
    error: float
    freedom: int

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % interval, Student's t; NaN without degrees of freedom."""
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom) * self.error) if self.freedom else float("nan")

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ± {self.half_width:.1f}" if self.freedom else f"{self.mean:+.1f}"


def estimate(values: pd.Series, strata: pd.Series) -> Estimate:
    """The mean over strata of the mean in each, every stratum with the same weight.

    Within strata, values are taken to be independent, near normal, and of the same variance (Cochran 1977, Sampling
    Techniques, section 5.3, with equal weights). A stratum of one value adds nothing to the degrees of freedom.
    """
    groups = values.dropna().groupby(strata)
    n = groups.size()
    noise = pooled_deviation(n, groups.std(ddof=1))
    error = noise.deviation * np.sqrt((1 / n).sum()) / len(n)
    return Estimate(float(groups.mean().mean()), float(error), noise.freedom)
