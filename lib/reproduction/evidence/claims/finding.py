"""What a predicate finds: a verdict, and the evidence in words and numbers."""

from dataclasses import dataclass
from typing import Literal

from reproduction.evidence.stratified import Estimate

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not tested"]
"""*Not reproduced* is evidence against a claim, *inconclusive* a lack of it; *not tested*: no run here could tell, or
there is none of those that the claim is about."""

SURE = 0.95


@dataclass(frozen=True)
class Finding:
    """`estimate` is the difference, in points, that the verdict rests on, where there is one."""

    verdict: Verdict
    text: str
    estimate: Estimate | None = None


def by_interval(estimate: Estimate, p_value: float) -> Verdict:
    """Of a difference that is claimed to be positive, with its p-value (corrected, where there are several tests)."""
    if not p_value <= 1 - SURE:  # nor where it is NaN
        return "inconclusive"
    return "reproduced" if estimate.mean > 0 else "not reproduced"


def by_probability(probability: float) -> Verdict:
    """Of what is claimed to hold, given the probability that it does."""
    if probability >= SURE:
        return "reproduced"
    return "not reproduced" if probability <= 1 - SURE else "inconclusive"


def worst(verdicts: list[Verdict]) -> Verdict:
    """Of a claim that holds only where each of its parts does."""
    order: list[Verdict] = ["not reproduced", "inconclusive", "reproduced"]
    return min(verdicts, key=order.index)
