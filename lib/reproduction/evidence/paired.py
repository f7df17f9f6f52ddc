"""Conditions of a study compared in pairs of runs that share depth and seed.

Test accuracies are in per cent, differences in points. A pair of which one run diverged counts as missing.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reproduction.evidence.statistics import pooled_deviation
from reproduction.evidence.stratified import Estimate, estimate


def accuracy(
    runs: pd.DataFrame, columns: Sequence[str], strata: str = "p", metric: str = "test_accuracy"
) -> pd.DataFrame:
    """The accuracy of each run in per cent, NaN where it diverged: a row for each (stratum, seed), a column for each
    value of `columns`. `runs` has one row for each run."""
    percent = 100 * runs[metric].astype(float).where(~runs["diverged"].astype(bool))
    table = runs.assign(percent=percent).pivot_table(
        index=[strata, "seed"], columns=list(columns), values="percent", dropna=False
    )
    return table.astype(float)


def mean(differences: pd.Series) -> Estimate:
    """The mean over strata (the first level of the index), each with the same weight."""
    return estimate(differences, _strata(differences))


def contrast(values: pd.Series, weights: dict[float, float]) -> Estimate:
    """The sum over strata of weight times the mean there; NaN where one of the strata has no value.

    As in `stratified.estimate`, the variance is that within strata, taken to be the same in all of them.
    """
    groups = values.dropna().groupby(_strata(values))
    n = groups.size()
    noise = pooled_deviation(n, groups.std(ddof=1))
    n, means = (table.reindex(list(weights)) for table in (n, groups.mean()))
    factors = pd.Series(weights, dtype=float)
    total = (factors * means).sum(skipna=False)
    error = noise.deviation * np.sqrt((factors**2 / n).sum(skipna=False))
    return Estimate(float(total), float(error), noise.freedom)


def slope(values: pd.Series, per: float = 10) -> Estimate:
    """By how much the values grow with each `per` layers (or whatever the strata are numbers of): the straight line
    through the means of the strata, by least squares. That the means do not lie on a line is no noise. NaN for fewer
    than two strata."""
    strata = np.unique(_strata(values.dropna())).astype(float)
    if len(strata) < 2:
        return Estimate(float("nan"), float("nan"), 0)
    centred = strata - strata.mean()
    return contrast(values, dict(zip(strata, per * centred / (centred**2).sum(), strict=True)))


def direction(own: Estimate, above: str, below: str, unsure: str) -> str:
    """The word for an estimate whose 95 % interval is above 0, below 0, or holds it (or is not known)."""
    if own.mean - own.half_width > 0:
        return above
    return below if own.mean + own.half_width < 0 else unsure


def by_stratum(differences: pd.Series, name: str = "p") -> dict[str, str]:
    """The mean difference in each stratum, for a line of a table; a stratum without a pair is left out."""
    groups = differences.dropna().groupby(_strata(differences))
    return {f"{name} = {stratum}": f"{value:+.1f}" for stratum, value in groups.mean().items()}


def diverged(runs: pd.DataFrame, by: str = "condition") -> str:
    """How many runs diverged, for each value of the column `by`; "none" where none did."""
    counts = runs.loc[runs["diverged"].astype(bool), by].value_counts(sort=False)
    return "; ".join(f"{what}: {count}" for what, count in counts.items()) or "none"


def _strata(values: pd.Series) -> pd.Series:
    return pd.Series(values.index.get_level_values(0), values.index)
