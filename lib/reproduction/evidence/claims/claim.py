"""A claim: who says what, where, and how it is judged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from reproduction.evidence.claims.evidence import Evidence
from reproduction.evidence.claims.finding import Finding


@dataclass(frozen=True)
class Claim:
    """- name: R for the 2019 report or P for the paper, and a number
    - variants: those whose cells it needs, at the depths `at`
    - rule: what `predicate` asks for
    - pair: the two whose difference is claimed to be positive, where it is one, for what was published of it
    - at: the depths that this is about; None: all of the protocol
    - rests_on: the mean accuracies of cells, of the grid's runs or with those of studies; or how single runs ended; or
      something else than the grid's runs, so that to leave some out turns nothing
    """

    name: str
    text: str
    place: str
    variants: tuple[str, ...]
    predicate: Callable[[Evidence], Finding]
    rule: str
    pair: tuple[str, str] | None = None
    at: tuple[int, ...] | None = None
    rests_on: Literal["means", "means of all runs", "ends", "else"] = "means"
