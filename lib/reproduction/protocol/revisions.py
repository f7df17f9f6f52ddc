"""Revisions: whole numbers that say whether a result was computed as it would be today.

Each part of what a run computes has one, 1 where nothing is said. Raise it here, by hand, when the part's numbers
change, and only then: results of another revision are not used any more. `tests/test_golden.py` notices numbers that
change without it. A result names the revisions that are not 1, so that a part which is new leaves all results valid.
"""

from reproduction.protocol.parameters import Parameters
from reproduction.protocol.variants import VARIANTS

RATES_BESIDE_GAMMA = "rate_c beside gamma and beta"

REVISIONS: dict[str, int] = {
    RATES_BESIDE_GAMMA: 2,  # these had the rate of the layer before them, but on a GPU
}
"""By the name of a part of a variant (`Variant.parts`), "training" (data, draws, initial weights, loss, evaluation:
what every run goes through), a precision of matrix products, or RATES_BESIDE_GAMMA."""


def revisions(parameters: Parameters) -> dict[str, int]:
    """The revisions, where they are not 1, of all that a run of `parameters` goes through."""
    parts = ["training", parameters.precision, *VARIANTS[parameters.variant].parts]
    if parameters.rate_c is not None and {"batch_norm", "group_norm"} & set(parts):
        parts.append(RATES_BESIDE_GAMMA)
    return {part: REVISIONS[part] for part in parts if REVISIONS.get(part, 1) != 1}
