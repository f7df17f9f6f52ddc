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
    nothing; `over_depths`, the mean is over depths and the interval from the pairs within each, those of all rows
    together (`paired.means`), NaN where each has one. verdict: "matters" where the interval leaves out 0, "does not"
    where it lies within MATTERS points of 0, "diverges" where no pair is left, else "not known".
    """
    index = ["variant", "p", "seed"]
    own = runs[runs["condition"] == reference].set_index(index)["test_accuracy"].rename("reference")
    others = runs[runs["condition"] != reference].join(own, on=index)
    groups = dict(iter(others.groupby(["condition", *by], sort=False)))
    pairs = {
        key: (100 * (group["test_accuracy"] - group["reference"])).set_axis(group["p"]).dropna()
        for key, group in groups.items()
    }
    if over_depths:
        found = {key: (own.mean, own.half_width) for key, own in paired.means(pairs).items()}
    else:
        found = {key: (float(own.mean()), statistics.half_width(own)) for key, own in pairs.items()}
    return pd.DataFrame(
        dict(zip(["condition", *by], key, strict=True))
        | {
            "difference": mean,
            "half_width": half_width,
            "pairs": len(pairs[key]),
            "diverged": int(groups[key]["diverged"].sum()),
            "verdict": _verdict(mean, half_width) if len(pairs[key]) else "diverges",
        }
        for key, (mean, half_width) in found.items()
    )


def _verdict(mean: float, half_width: float) -> str:
    if abs(mean) > half_width:
        return "matters"
    return "does not" if abs(mean) + half_width <= MATTERS else "not known"
