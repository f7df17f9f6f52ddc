"""Conditions of a study compared in pairs of runs that share depth and seed.

Test accuracies are in per cent, differences in points. A pair of which one run diverged counts as missing.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from reproduction.evidence import stratified
from reproduction.evidence.stratified import NOTHING, Estimate


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
    return stratified.estimate(differences, _strata(differences))


def means(columns: Mapping[str, pd.Series]) -> dict[str, Estimate]:
    """The `mean` of each, with one error for all: pairs of a stratum are taken to be equally far apart in each, which
    few pairs of one alone cannot tell. NOTHING where one has no pair."""
    strata = [(k, stratum) for k, own in enumerate(columns.values()) for stratum in _strata(own)]
    cells = stratified.cells(pd.concat(columns.values(), ignore_index=True), pd.Series(strata, dtype=object))
    found = {}
    for k, name in enumerate(columns):
        own = [cell for (column, _), cell in cells.items() if column == k]
        found[name] = stratified.contrast((1 / len(own), cell) for cell in own) if own else NOTHING
    return found


def contrast(values: pd.Series, weights: dict[float, float]) -> Estimate:
    """The sum over strata of weight times the mean there; NaN where one of the strata has no value."""
    cells = stratified.cells(values, _strata(values))
    if not set(weights) <= set(cells):
        return NOTHING
    return stratified.contrast((weight, cells[stratum]) for stratum, weight in weights.items())


def slope(values: pd.Series, per: float = 10) -> Estimate:
    """By how much the values grow with each `per` layers (or whatever the strata are numbers of): the straight line
    through the means of the strata, by least squares. That the means do not lie on a line is no noise. NaN for fewer
    than two strata."""
    strata = sorted(set(_strata(values.dropna())))
    return contrast(values, stratified.slope(strata, per)) if len(strata) > 1 else NOTHING


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
