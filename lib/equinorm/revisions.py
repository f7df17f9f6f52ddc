"""Revisions: whole numbers that say whether a result was computed as it would be today.

Each part of what a run computes has one. Raise it by hand when the part's numbers change, and only then: results of
another revision are not used any more. `tests/test_golden.py` notices numbers that change without it. A result names
the revisions that are not 1, so that a part which is new leaves all results valid.
"""

from equinorm.experiments import VARIANTS, Parameters

REVISIONS = {
    "training": 1,  # data, draws, initial weights, layers, loss, SGD, evaluation: what every run goes through
    "batch_norm": 1,
    "biases": 1,
    "enorm": 1,
    "float32": 1,  # and the other precisions of matrix products
    "tf32": 1,
    "bfloat16": 1,
}


def revisions(parameters: Parameters) -> dict[str, int]:
    """The revisions, where they are not 1, of the parts that a run of `parameters` goes through."""
    variant = VARIANTS[parameters.variant]
    parts = ["training", parameters.precision]
    parts += [part for part in ("batch_norm", "biases", "enorm") if getattr(variant, part)]
    return {part: REVISIONS[part] for part in parts if REVISIONS[part] != 1}
