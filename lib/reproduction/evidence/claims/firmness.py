"""How firm a verdict is: whether it turns when a run, a cell or a depth is left out, and how likely new seeds would
give the same."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from reproduction.evidence import draws
from reproduction.evidence.claims.claim import Claim
from reproduction.evidence.claims.evidence import Evidence
from reproduction.evidence.claims.finding import Verdict
from reproduction.evidence.stratified import Cell

DRAWS = 1024
"""So often new seeds are drawn: a probability of 90 % is good to 2 points then."""

FIRM = 0.9
"""A firm verdict turns with nothing left out, and would come again with this probability or more."""


@dataclass(frozen=True)
class Firmness:
    """- turned: for runs, cells and depths, how many of how many turn the verdict when left out
    - again: the probability of the same verdict with new seeds; NaN where it does not rest on accuracies alone
    """

    turned: dict[str, tuple[int, int]]
    again: float

    @property
    def is_firm(self) -> bool:
        return not any(turned for turned, _ in self.turned.values()) and not self.again < FIRM

    def __str__(self) -> str:
        turning = [f"{turned} of {n} {what}s" for what, (turned, n) in self.turned.items() if turned]
        words = f"turns without one of {' or '.join(turning)}" if turning else "no run, cell or depth turns it"
        return words if np.isnan(self.again) else f"{words}; new seeds: the same in {100 * self.again:.0f} %"


@dataclass(frozen=True)
class Rest:
    """The evidence without one run, cell or depth (`what`); `variant` is None for a depth."""

    what: str
    variant: str | None
    p: int
    evidence: Evidence


def with_one_left_out(evidence: Evidence) -> list[Rest]:
    """`evidence` without each single run, those of studies too, each cell and each depth."""
    rests = []
    for what, columns in (("run", ["variant", "p", "seed"]), ("cell", ["variant", "p"]), ("depth", ["p"])):
        places = pd.concat(
            [frame[columns] for frame in (evidence.runs, evidence.further) if len(frame)] or [pd.DataFrame()]
        )
        for place in places.drop_duplicates().itertuples(index=False):
            runs, further = (_without(frame, place._asdict()) for frame in (evidence.runs, evidence.further))
            rest = dataclasses.replace(evidence, runs=runs, further=further)
            rests.append(Rest(what, getattr(place, "variant", None), place.p, rest))
    return rests


def _without(frame: pd.DataFrame, place: dict[str, object]) -> pd.DataFrame:
    if not len(frame):
        return frame
    return frame[~np.logical_and.reduce([frame[name] == value for name, value in place.items()])]


def how_firm(claim: Claim, evidence: Evidence, verdict: Verdict, rests: Iterable[Rest]) -> Firmness:
    """`rests` as `with_one_left_out` gives them, which serve all claims. Those do not count that leave out what no
    mean is made of (a study's run), or all that the claim is about: to be judged, a claim about p = 19 needs that."""
    turned = {"run": [], "cell": [], "depth": []}
    for rest in rests:
        if rest.variant not in (None, *claim.variants) or (claim.at and rest.p not in claim.at):
            continue
        if claim.rests_on == "means" and len(rest.evidence.runs) == len(evidence.runs):
            continue
        found = claim.predicate(rest.evidence).verdict
        if found != "not tested":
            turned[rest.what].append(found != verdict)
    return Firmness({what: (sum(each), len(each)) for what, each in turned.items()}, _again(claim, evidence, verdict))


def _again(claim: Claim, evidence: Evidence, verdict: Verdict) -> float:
    """How often the verdict is the same with new means of all cells, drawn where new seeds may put them.

    A new mean of n runs is off the true one by s / sqrt(n), and so is the one that was measured: together by sqrt(2) of
    that. The deviations stay as they are.
    """
    known = all(cell.freedom for own in evidence.cells.values() for cell in own.values())
    if claim.rests_on != "means" or not known:
        return float("nan")
    cells = {name: evidence.cells[name] for name in claim.variants if name in evidence.cells}
    points = stats.norm.ppf(draws.uniform(DRAWS, sum(map(len, cells.values()))))
    same = 0
    for point in points:
        offset = iter(point)
        new = {v: {p: _moved(cell, next(offset)) for p, cell in own.items()} for v, own in cells.items()}
        same += claim.predicate(evidence.with_cells(evidence.cells | new)).verdict == verdict
    return same / len(points)


def _moved(cell: Cell, normal: float) -> Cell:
    return dataclasses.replace(cell, mean=cell.mean + normal * cell.deviation * np.sqrt(2 / cell.n))
