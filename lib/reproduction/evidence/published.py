"""Test accuracies that the paper and the 2019 report published, read off their figures, beside those of runs here."""

import functools
from collections.abc import Collection

import pandas as pd

from reproduction.checkout import REPOSITORY
from reproduction.protocol.variants import VARIANTS

FILE = REPOSITORY / "reference" / "published_accuracies.csv"
"""Beside it a README says where each number is from, and how exact it is."""

CODE_OF_2019 = "https://github.com/jeromepl/enorm-reproducibility"
"""The code of the 2019 report, by its section 2."""

SOURCES = {"paper_2019": "paper", "report_2019": "2019 report"}

PAIRS = (
    ("enorm", "baseline"),
    ("batch_norm", "baseline"),
    ("enorm_batch_norm", "batch_norm"),
    ("enorm_batch_norm", "enorm"),
    ("enorm", "batch_norm"),
)
"""The differences that the ranking of 2019 consists of: (a, b) for "a less b"."""


@functools.cache
def accuracies() -> pd.DataFrame:
    """One row per source, variant and p: source (one of SOURCES), variant, p, test_accuracy (a share, as in runs)."""
    frame = pd.read_csv(FILE)
    frame["test_accuracy"] = frame["test_accuracy_percent"] / 100
    return frame[["source", "variant", "p", "test_accuracy"]]


@functools.cache
def curve(source: str, variant: str) -> dict[int, float]:
    """The accuracies, as shares, of one variant in one source, by p; empty where it has none."""
    frame = accuracies()
    own = frame[(frame["source"] == source) & (frame["variant"] == variant)]
    return dict(zip(own["p"].tolist(), own["test_accuracy"].tolist(), strict=True))


def behind(variants: Collection[str], depths: Collection[int]) -> pd.DataFrame:
    """Those of `accuracies` that belong in a figure of these variants and depths."""
    frame = accuracies()
    return frame[frame["variant"].isin(variants) & frame["p"].isin(depths)]


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean differences over depths, in points: variant, against, depths (how many), one column for each of SOURCES, and
    here; one row for each of PAIRS that there are runs of.

    The depths are those at which both trained here and were published. Of `runs`, the frame of `tables.final_runs`, all
    that trained count: at each depth the difference of the means over seeds, as in the curves of 2019.
    """
    curves, here = _curves_by_source(), _curves(runs[runs["fate"] == "trained"])
    rows = []
    for a, b in (pair for pair in PAIRS if set(pair) <= set(here)):
        difference = (here[a] - here[b]).dropna()
        difference = difference[difference.index.isin(_depths(curves))]
        published = {s: _mean((own[a] - own[b]).reindex(difference.index)) for s, own in curves.items()}
        if len(difference):
            rows.append({"variant": a, "against": b, "depths": len(difference), **published, "here": _mean(difference)})
    return pd.DataFrame(rows, columns=["variant", "against", "depths", *SOURCES, "here"])


def difference(source: str, a: str, b: str, depths: Collection[int]) -> float:
    """The mean of `a` less `b` in points, over those of `depths` at which the source has both; NaN if at none."""
    curves = _curves_by_source()[source]
    if not {a, b} <= set(curves):
        return float("nan")
    return _mean((curves[a] - curves[b]).reindex(list(depths)).dropna())


def levels(runs: pd.DataFrame) -> pd.DataFrame:
    """How much more accurate the runs here are, in points, means over depths: variant, depths (how many), and a column
    for each of SOURCES; one row for each variant that was published, empty (NaN) where it was not in a source. The
    depths are those at which it trained here and was published by all that have it."""
    curves, here = _curves_by_source(), _curves(runs[runs["fate"] == "trained"])
    rows = []
    for variant in here:
        off = pd.DataFrame({s: here[variant] - own[variant] for s, own in curves.items() if variant in own}).dropna()
        if len(off):
            rows.append({"variant": variant, "depths": len(off), **{source: _mean(off[source]) for source in off}})
    return pd.DataFrame(rows, columns=["variant", "depths", *SOURCES])


def differences_markdown(differences: pd.DataFrame) -> str:
    """The frame of `differences` for a reader."""
    rows = [
        {"": f"{VARIANTS[row['variant']].title} – {VARIANTS[row['against']].title}"}
        | {title: _points(row[source]) for source, title in SOURCES.items()}
        | {"here": _points(row["here"]), "depths": row["depths"]}
        for row in differences.to_dict("records")
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def levels_markdown(levels: pd.DataFrame) -> str:
    """The frame of `levels` for a reader."""
    rows = [
        {"accuracy here": VARIANTS[row["variant"]].title}
        | {f"less the {title}'s": _points(row[source]) for source, title in SOURCES.items()}
        | {"depths": row["depths"]}
        for row in levels.to_dict("records")
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def _points(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:+.2f}"


def _curves_by_source() -> dict[str, pd.DataFrame]:
    return {source: _curves(own) for source, own in accuracies().groupby("source")}


def _curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy: a row for each p, a column for each variant."""
    return frame.pivot_table(index="p", columns="variant", values="test_accuracy", sort=False)


def _depths(curves: dict[str, pd.DataFrame]) -> set[int]:
    """Those that all sources have."""
    return set.intersection(*(set(own.index) for own in curves.values()))


def _mean(differences: pd.Series) -> float:
    """In points; NaN where there are none."""
    return float(100 * differences.mean())
