"""The claims of the 2019 report and of the paper, and what became of them.

Each has its place, a predicate over the tables, the verdict that it computes, and how firm that is.
"""

from collections.abc import Collection

import pandas as pd

from reproduction.evidence import published
from reproduction.evidence.claims.claim import Claim
from reproduction.evidence.claims.evidence import Evidence
from reproduction.evidence.claims.finding import Finding
from reproduction.evidence.claims.firmness import Rest, how_firm, with_one_left_out
from reproduction.evidence.claims.of_2019 import OF_2019
from reproduction.evidence.claims.of_the_paper import OF_THE_PAPER
from reproduction.protocol.variants import DEPTHS, VARIANTS

CLAIMS: tuple[Claim, ...] = (*OF_2019, *OF_THE_PAPER)

_COLUMNS = [
    "name",
    "claim",
    "place",
    "verdict",
    "evidence",
    "rule",
    "firm",
    "firmness",
    "missing",
    "estimate",
    "low",
    "high",
]


def judge(evidence: Evidence, variants: Collection[str] = tuple(VARIANTS)) -> pd.DataFrame:
    """One row per claim that is about no other than these variants: name, claim, place, verdict, evidence, rule; firm
    (whether), firmness (why; neither where nothing was found); missing: how many cells that it needs have not been run;
    estimate, low, high: the difference that it rests on,
    in points, and its 95 % interval; and what was published of that, a column for each of `published.SOURCES`.

    Where cells are missing, the verdict is *inconclusive*, and the evidence is what there is so far.
    """
    rests = with_one_left_out(evidence)
    rows = [_row(claim, evidence, rests) for claim in CLAIMS if set(claim.variants) <= set(variants)]
    return pd.DataFrame(rows, columns=[*_COLUMNS, *published.SOURCES])


def _row(claim: Claim, evidence: Evidence, rests: list[Rest]) -> dict[str, object]:
    finding, firm = _judge(claim, evidence), None
    if finding.verdict in ("reproduced", "not reproduced") and claim.rests_on != "else":
        firm = how_firm(claim, evidence, finding.verdict, rests)
    row = {"name": claim.name, "claim": claim.text, "place": claim.place, "verdict": finding.verdict}
    row |= {"evidence": finding.text, "rule": claim.rule}
    row |= {"firm": firm.is_firm if firm else None, "firmness": str(firm) if firm else ""}
    row |= {"missing": len(_missing(claim, evidence))}
    if finding.estimate:
        low, high = finding.estimate.interval
        row |= {"estimate": finding.estimate.mean, "low": low, "high": high}
    if claim.pair:
        depths = _depths(claim, evidence)
        row |= {source: published.difference(source, *claim.pair, depths) for source in published.SOURCES}
    return row


def _depths(claim: Claim, evidence: Evidence) -> Collection[int]:
    """Those of a claimed difference: where it can be taken here, for numbers beside each other are of the same; all
    that the claim is about where it can be taken at none."""
    about = claim.at or DEPTHS
    return [p for p in evidence.compare(*claim.pair).at if p in about] or about


def _missing(claim: Claim, evidence: Evidence) -> list[tuple[str, int]]:
    """The cells that it needs and that have not been run."""
    return [] if claim.rests_on == "else" else evidence.missing(claim.variants, claim.at or DEPTHS)


def _judge(claim: Claim, evidence: Evidence) -> Finding:
    missing, cells = _missing(claim, evidence), len(claim.variants) * len(claim.at or DEPTHS)
    lacking = f"{len(missing)} of {cells} cells not run yet"
    if not missing:
        return claim.predicate(evidence)
    if len(missing) == cells:
        return Finding("inconclusive", "none of its cells has been run yet")
    if claim.rests_on in ("ends", "means of all runs"):  # it says nothing without those of its depths
        return Finding("inconclusive", lacking)
    so_far = claim.predicate(evidence)
    return Finding("inconclusive", f"{lacking}; so far: {so_far.text}", so_far.estimate)
