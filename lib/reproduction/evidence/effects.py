"""What the conditions of a study change: differences of final accuracy from a reference, over pairs of runs."""

import pandas as pd

from reproduction.evidence import paired, statistics

MATTERS = 0.5
"""Points of accuracy: a difference that is surely smaller is called none."""


def differences(runs: pd.DataFrame, reference: str, by: list[str], over_depths: bool = False) -> pd.DataFrame:
    """How much more accurate each condition's runs are than those of the condition `reference`, in points.

    Paired by variant, p and seed, over the pairs in which both runs finished; one row for each condition and each group
    of `by`: the mean difference, the half-width of its 95 % interval, the number of pairs, and how many runs of the
    condition diverged. The interval is Student's t over pairs, of all depths alike, which is right where depth changes
    nothing; `over_depths`, the mean is over depths and the interval from the pairs within each (`paired.mean`), NaN
    where each has one. verdict: "matters" where the interval leaves out 0, "does not" where it lies within MATTERS
    points of 0, "diverges" where no pair is left, else "not known".
    """
    index = ["variant", "p", "seed"]
    own = runs[runs["condition"] == reference].set_index(index)["test_accuracy"].rename("reference")
    others = runs[runs["condition"] != reference].join(own, on=index)
    rows = []
    for key, group in others.groupby(["condition", *by], sort=False):
        pairs = (100 * (group["test_accuracy"] - group["reference"])).set_axis(group["p"]).dropna()
        mean, half_width = float(pairs.mean()), statistics.half_width(pairs)
        if over_depths:
            estimate = paired.mean(pairs)
            mean, half_width = estimate.mean, estimate.half_width
        rows.append(
            dict(zip(["condition", *by], key, strict=True))
            | {
                "difference": mean,
                "half_width": half_width,
                "pairs": len(pairs),
                "diverged": int(group["diverged"].sum()),
                "verdict": _verdict(mean, half_width) if len(pairs) else "diverges",
            }
        )
    return pd.DataFrame(rows)


def _verdict(mean: float, half_width: float) -> str:
    if abs(mean) > half_width:
        return "matters"
    return "does not" if abs(mean) + half_width <= MATTERS else "not known"
