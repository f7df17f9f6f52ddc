"""Accuracies by protocol: the paper's, those of a grid with another protocol than that of 2019, the 2019 report's, and
those of its protocol here."""

import pandas as pd

from reproduction.checkout import REPOSITORY
from reproduction.evidence import published
from reproduction.evidence.stratified import Estimate
from reproduction.evidence.tables import Grid
from reproduction.protocol.variants import VARIANTS

OF_2019 = REPOSITORY / "outputs" / "paper" / "tables" / "runs.csv"
"""The runs of the 2019 report's protocol, one row for each, where their summary has been made."""

OF_AUTHORS = REPOSITORY / "outputs" / "authors" / "tables" / "protocols.csv"
"""`by_protocol` of the authors' protocol, where its summary has been made."""

TITLES = {
    "paper_2019": "paper",
    "here": "these runs",
    "report_2019": "2019 report",
    "protocol_2019": "2019 protocol here",
}


def differs(grid: Grid) -> bool:
    """Whether the profile has a protocol of its own, at full length on CIFAR-10."""
    return grid.profile.dataset == "cifar10" and grid.profile.epochs == 60 and bool(grid.profile.parameters)


def by_protocol(runs: pd.DataFrame, of_2019: pd.DataFrame | None) -> pd.DataFrame:
    """Mean accuracies in %: variant, depths (how many), and a column for each of TITLES, NaN where there is none.

    A row for each variant of the paper's that trained in `runs`. Both frames are as `tables.final_runs` gives them.
    Means are over the depths at which all that have the variant have a run that trained.
    """
    sources = {source: own for source, own in published.accuracies().groupby("source")} | {
        name: frame[frame["fate"] == "trained"]
        for name, frame in (("here", runs), ("protocol_2019", of_2019))
        if frame is not None
    }
    curves = {name: own.groupby(["variant", "p"])["test_accuracy"].mean() for name, own in sources.items()}
    rows = []
    for variant in VARIANTS:
        own = {name: curve[variant] for name, curve in curves.items() if variant in curve.index}
        if {"paper_2019", "here"} <= set(own):
            depths = set.intersection(*(set(curve.index) for curve in own.values()))
            means = {name: 100 * curve[sorted(depths)].mean() for name, curve in own.items()}
            rows.append({"variant": variant, "depths": len(depths), **means})
    return pd.DataFrame(rows, columns=["variant", "depths", *TITLES])


def markdown(table: pd.DataFrame) -> str:
    """The frame of `by_protocol` for a reader, with how far each is above the paper."""

    def cell(row: dict, name: str) -> str:
        if pd.isna(row[name]):
            return "–"
        above = "" if name == "paper_2019" else f" ({row[name] - row['paper_2019']:+.1f})"
        return f"{row[name]:.1f}{above}"

    rows = [
        {"": VARIANTS[row["variant"]].title}
        | {title: cell(row, name) for name, title in TITLES.items()}
        | {"depths": row["depths"]}
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def words(table: pd.DataFrame, these_runs: str = "these runs") -> str:
    """How far these runs are from the paper, and those of the 2019 protocol; empty where no variant has both."""
    both = table.dropna(subset=["here", "protocol_2019"])
    if both.empty:
        return ""
    count = f"{len(both)} method{'s' * (len(both) != 1)}"
    here, there = (both[name] - both["paper_2019"] for name in ("here", "protocol_2019"))
    return (
        f"Over the {count} that all have, {these_runs} are {mean(here)} points from the paper's accuracy, and runs of "
        f"the 2019 report's protocol {mean(there)}, which is {mean(there - here)} more (95 % intervals, from how "
        "methods differ)."
    )


def mean(differences: pd.Series) -> Estimate:
    """The mean over methods, with the spread between them as its error."""
    return Estimate(float(differences.mean()), float(differences.sem()), len(differences) - 1)
