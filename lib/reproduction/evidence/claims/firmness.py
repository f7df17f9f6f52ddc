"""How firm a verdict is: whether it turns when a run, a cell, a depth or a seed is left out, and how likely new seeds
would give the same."""

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

DRAWS = 1024
"""So often new seeds are drawn: a probability of 90 % is good to 2 points then."""

FIRM = 0.9
"""A firm verdict turns with nothing left out, and would come again with this probability or more."""

_KINDS = {"run": ["variant", "p", "seed"], "cell": ["variant", "p"], "depth": ["p"], "seed": ["seed"]}
"""What is left out, and the columns that tell which."""


@dataclass(frozen=True)
class Firmness:
    """- turned: for runs, cells and depths (and seeds), how many of how many turn the verdict when left out
    - again: the probability of the same verdict with new seeds; NaN where it does not rest on accuracies alone
    """

    turned: dict[str, tuple[int, int]]
    again: float

    @property
    def is_firm(self) -> bool:
        return not any(turned for turned, _ in self.turned.values()) and not self.again < FIRM

    def __str__(self) -> str:
        turning = [f"{turned} of {n} {what}s" for what, (turned, n) in self.turned.items() if turned]
        *kinds, last = [what for what, (_, n) in self.turned.items() if n] or self.turned
        words = (
            f"turns without one of {' or '.join(turning)}" if turning else f"no {', '.join(kinds)} or {last} turns it"
        )
        return words if np.isnan(self.again) else f"{words}; new seeds: the same in {100 * self.again:.0f} %"


@dataclass(frozen=True)
class Rest:
    """The evidence without one run, cell, depth or seed (`what`); `variant` and `p` are None where it is of all."""

    what: str
    variant: str | None
    p: int | None
    evidence: Evidence


def with_one_left_out(evidence: Evidence) -> list[Rest]:
    """`evidence` without each single run, those of studies too, each cell, each depth and each seed."""
    rests = []
    for what, columns in _KINDS.items():
        places = pd.concat(
            [frame[columns] for frame in (evidence.runs, evidence.further) if len(frame)] or [pd.DataFrame()]
        )
        for place in places.drop_duplicates().itertuples(index=False):
            runs, further = (_without(frame, place._asdict()) for frame in (evidence.runs, evidence.further))
            rest = dataclasses.replace(evidence, runs=runs, further=further)
            rests.append(Rest(what, getattr(place, "variant", None), getattr(place, "p", None), rest))
    return rests


def _without(frame: pd.DataFrame, place: dict[str, object]) -> pd.DataFrame:
    if not len(frame):
        return frame
    return frame[~np.logical_and.reduce([frame[name] == value for name, value in place.items()])]


def how_firm(claim: Claim, evidence: Evidence, verdict: Verdict, rests: Iterable[Rest]) -> Firmness:
    """`rests` as `with_one_left_out` gives them, which serve all claims. Those do not count that leave out what no
    mean is made of (a study's run), or all that the claim is about: to be judged, a claim about p = 19 needs that.

    How runs of one seed end may be one draw, so a claim about that is judged without each seed too, where every cell
    keeps a run.
    """
    turned = {what: [] for what in _KINDS if what != "seed" or claim.rests_on == "ends"}
    for rest in rests:
        if rest.what not in turned or not _counts(claim, rest, evidence):
            continue
        if claim.rests_on == "means" and len(rest.evidence.runs) == len(evidence.runs):
            continue
        found = claim.predicate(rest.evidence).verdict
        if found != "not tested":
            turned[rest.what].append(found != verdict)
    return Firmness({what: (sum(each), len(each)) for what, each in turned.items()}, _again(claim, evidence, verdict))


def _counts(claim: Claim, rest: Rest, evidence: Evidence) -> bool:
    if rest.what == "seed":
        return _places(claim, rest.evidence) == _places(claim, evidence)
    return rest.variant in (None, *claim.variants) and rest.p in (claim.at or (rest.p,))


def _places(claim: Claim, evidence: Evidence) -> set[tuple[str, int]]:
    """The cells (variant, p) that the claim is about and that have a run."""
    runs = pd.concat([evidence.all_runs(variant) for variant in claim.variants])
    runs = runs[runs["p"].isin(claim.at)] if claim.at else runs
    return set(runs[["variant", "p"]].itertuples(index=False, name=None))


def _again(claim: Claim, evidence: Evidence, verdict: Verdict) -> float:
    """How often the verdict is the same with new means of all cells, drawn where new seeds may put them."""
    if claim.rests_on not in ("means", "means of all runs"):
        return float("nan")
    found = evidence.cells if claim.rests_on == "means" else evidence.cells_of_all_runs
    if not all(cell.freedom for own in found.values() for cell in own.values()):
        return float("nan")
    cells = [(name, p) for name in claim.variants for p in found.get(name, ())]
    points = stats.norm.ppf(draws.uniform(DRAWS, len(cells))).tolist()
    again = [claim.predicate(evidence.with_new_seeds(dict(zip(cells, own, strict=True)))) for own in points]
    return sum(finding.verdict == verdict for finding in again) / len(again)
