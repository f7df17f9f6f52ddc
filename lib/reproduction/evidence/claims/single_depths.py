"""Predicates about single depths, and about how runs end. They take every run of their cells that there is, those of
studies too."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from reproduction.evidence.claims.evidence import Evidence
from reproduction.evidence.claims.finding import SURE, Finding, Verdict, by_probability
from reproduction.evidence.stratified import Cell

_NO_RUN_AT_19 = Finding("not tested", "no run at p = 19")


@dataclass(frozen=True)
class _Line:
    """What a straight line through the mean accuracies at p < 19 says of p = 19."""

    at_19: float  # the mean there
    predicted: float
    half: float  # half the 95 % prediction interval
    p_value: float  # two-sided, of a mean as far from the line
    fit: float  # the p-value of means as far from the line as those at p < 19; NaN where seeds' spread is not known

    @property
    def fits(self) -> bool:
        """Whether nothing is against a straight line at p < 19."""
        return not self.fit <= 1 - SURE

    @property
    def verdict(self) -> Verdict:
        """Of the claim that it is low there: on the line or above it is evidence against that. A line that does not fit
        the smaller depths says nothing of p = 19."""
        if not self.fits:
            return "inconclusive"
        if self.at_19 < self.predicted - self.half:
            return "reproduced"
        return "inconclusive" if self.at_19 < self.predicted else "not reproduced"


def _line(cells: dict[int, Cell]) -> _Line:
    """Least squares, with each depth's mean as one value: the prediction interval of Student's t for a further one."""
    earlier = {p: cell for p, cell in cells.items() if p < 19}
    x, y = np.array(list(earlier), float), np.array([cell.mean for cell in earlier.values()])
    line = stats.linregress(x, y)
    residuals, freedom = y - line.intercept - line.slope * x, len(x) - 2
    predicted = line.intercept + line.slope * 19
    residual = np.sqrt((residuals**2).sum() / freedom)
    deviation = residual * np.sqrt(1 + 1 / len(x) + (19 - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    t = (cells[19].mean - predicted) / deviation
    half = stats.t.ppf(0.975, freedom) * deviation
    p_value = 2 * stats.t.sf(abs(t), freedom)
    return _Line(cells[19].mean, predicted, half, p_value, _fit(earlier.values(), residuals, freedom))


def _fit(cells: Collection[Cell], residuals: np.ndarray, freedom: int) -> float:
    """The p-value of the F-test for lack of fit: the means' distances from the line against the spread between seeds.
    Cells of one pool share its degrees of freedom."""
    known = sum({cell.pool: cell.freedom for cell in cells}.values())
    if not all(cell.freedom for cell in cells):
        return float("nan")
    errors = np.array([cell.deviation / np.sqrt(cell.n) for cell in cells])
    return float(stats.f.sf(((residuals / errors) ** 2).sum() / freedom, freedom, known))


def low_at_19(evidence: Evidence) -> Finding:
    """ENorm + BN at p = 19 is below what a straight line through the smaller depths predicts, by its 95 % prediction
    interval."""
    runs = evidence.all_runs("enorm_batch_norm")
    if not (runs["p"] == 19).any():
        return _NO_RUN_AT_19
    trained = runs[runs["fate"] == "trained"]
    own, smaller = trained[trained["p"] == 19], trained[trained["p"] < 19]
    if own.empty:
        return Finding("reproduced", "no run at p = 19 trained")
    if smaller["p"].nunique() < 3:
        return Finding("inconclusive", f"runs trained at {smaller['p'].nunique()} depths below p = 19, too few")
    line = _line(evidence.cells_of_all_runs["enorm_batch_norm"])
    text = (
        f"{100 * line.at_19:.2f} % at p = 19 ({_in_words(own)}); a line through p < 19 predicts "
        f"{100 * line.predicted:.2f} ± {100 * line.half:.2f} % (95 % prediction interval; p-value {line.p_value:.3f}). "
    )
    if not line.fits:
        text += f"But accuracy does not follow a line there (lack of fit: p = {line.fit:.1g}). "
    text += f"{_losses(own, smaller)}{_by_the_authors(evidence)}"
    return Finding(line.verdict, text)


def _losses(own: pd.DataFrame, smaller: pd.DataFrame) -> str:
    least, most, elsewhere = own["train_loss"].min(), own["train_loss"].max(), smaller["train_loss"].max()
    if least > elsewhere:
        return f"Training loss ends at {least:.2f} or more there, at {elsewhere:.2f} or less at smaller p"
    return f"Training loss ends between {least:.2f} and {most:.2f} there, and at up to {elsewhere:.2f} at smaller p"


def _by_the_authors(evidence: Evidence) -> str:
    """What ENorm + BN reaches at p = 19 by the protocol of the authors' code, where that has been run."""
    runs = evidence.of_profile("authors", "runs")
    own = None if runs is None else runs[(runs["variant"] == "enorm_batch_norm") & (runs["fate"] == "trained")]
    if own is None or not (own["p"] == 19).any():
        return ""
    means = 100 * own.groupby("p")["test_accuracy"].mean()
    n = int((own["p"] == 19).sum())
    return (
        f". By the protocol of the authors' code, {n} run{'s' * (n > 1)} at p = 19: {means[19]:.2f} %, "
        f"between {means.min():.2f} and {means.max():.2f} % at p = {', '.join(map(str, means.index))}"
    )


def better_with_other_seeds_at_19(evidence: Evidence) -> Finding:
    """ENorm + BN's first run at p = 19 is low by chance: others are more accurate."""
    runs = evidence.all_runs("enorm_batch_norm")
    if not (runs["p"] == 19).any():
        return _NO_RUN_AT_19
    own = runs[(runs["p"] == 19) & (runs["fate"] == "trained")].sort_values("seed")
    smaller = runs[(runs["p"] < 19) & (runs["fate"] == "trained")]["p"].nunique()
    if len(own) < 2 or smaller < 3:
        return Finding("inconclusive", f"{len(own)} runs at p = 19 and {smaller} smaller depths: too few")
    first, others = float(own["test_accuracy"].iloc[0]), own["test_accuracy"].iloc[1:].astype(float)
    cells = evidence.cells_of_all_runs["enorm_batch_norm"]
    cell, line = cells[19], _line(cells)
    # How likely is it that the mean of many runs reaches the line, given these?
    error = cell.deviation / np.sqrt(cell.n)
    reaches = float(stats.t.sf((line.predicted - line.half - line.at_19) / error, cell.freedom)) if error else np.nan
    text = (
        f"the first run {100 * first:.2f} %, the mean of {len(others)} other{'s' * (len(others) > 1)} "
        f"{100 * others.mean():.2f} %; that many runs would bring the mean to within what the smaller depths predict "
        f"has probability {reaches:.2f}"
    )
    if not line.fits:
        return Finding("inconclusive", f"{text}, but accuracy does not follow their line")
    return Finding(by_probability(reaches) if reaches == reaches else "inconclusive", text)


def _in_words(runs: pd.DataFrame) -> str:
    """How many runs there are, how accurate each is where there are several, and how many are of studies."""
    if len(runs) == 1:
        return "1 run"
    each = ", ".join(f"{100 * accuracy:.2f}" for accuracy in runs["test_accuracy"])
    studies = int(runs["study"].notna().sum()) if "study" in runs else 0
    return f"{len(runs)} runs: {each}" + (f"; {studies} of a study" if studies else "")


def _every(runs: pd.DataFrame, as_claimed: pd.Series, text: str) -> Finding:
    """A claim about every one of `runs`."""
    if not len(runs):
        return Finding("inconclusive", "no run yet")
    return Finding("reproduced" if as_claimed.all() else "not reproduced", text)


def trains_up_to_9(evidence: Evidence) -> Finding:
    own = evidence.all_runs("enorm_bias")
    own = own[own["p"] <= 9]
    trained = own["fate"] == "trained"
    return _every(own, trained, f"{trained.sum()} of {len(own)} runs at p ≤ 9 trained")


def never_trains_above_9(evidence: Evidence) -> Finding:
    own = evidence.all_runs("enorm_bias")
    own = own[own["p"] > 9]
    trained = own["fate"] == "trained"
    return _every(own, ~trained, f"{trained.sum()} of {len(own)} runs at p > 9 trained")


def nan_within_an_epoch_above_9(evidence: Evidence) -> Finding:
    own = evidence.all_runs("enorm_bias")
    own = own[own["p"] > 9]
    at_once = (own["fate"] == "diverged") & (own["epoch"] == 1)
    text = f"{at_once.sum()} of {len(own)} runs at p > 9 gave NaN in the first epoch"
    for fate, words in (("stuck", "stayed at chance"), ("trained", "trained")):
        others = own[own["fate"] == fate]
        if len(others):
            which = ", ".join(f"seed {run.seed} at p = {run.p}" for run in others.itertuples())
            text += f"; {len(others)} {words} ({which})"
    return _every(own, at_once, text)


def diverges_now_and_then(evidence: Evidence) -> Finding:
    """Some runs of ENorm at p > 9 diverge, and not all."""
    own, baseline = (evidence.all_runs(name) for name in ("enorm", "baseline"))
    own, baseline = own[own["p"] > 9], baseline[baseline["p"] > 9]
    diverged, n = int(own["diverged"].sum()), len(own)
    text = (
        f"{diverged} of {n} ENorm runs at p > 9 diverged; of the baseline's, {int(baseline['diverged'].sum())} of "
        f"{len(baseline)}"
    )
    early = evidence.of_study("early_nan", "early")
    if early is not None:
        early = early[(early["setting"] == "enorm") & (early["p"] > 9)]
        text += f". With draws of their own, {int(early['nan'].sum())} of {len(early)} give NaN within a dozen steps"
    if diverged:
        return Finding("reproduced" if diverged < n else "not reproduced", text)
    most = stats.binomtest(0, n).proportion_ci(method="exact").high if n else 1.0
    return Finding("inconclusive" if most > 0.05 else "not reproduced", text)
