"""What the first lines of the report say was found: each sentence is computed, and is left out where runs say
otherwise or nothing."""

import re
from typing import get_args

import numpy as np
import pandas as pd

from reproduction.evidence import spread
from reproduction.evidence.claims.finding import Verdict
from reproduction.evidence.comparisons import compare_cells
from reproduction.evidence.published import SOURCES
from reproduction.protocol.variants import DEPTHS, VARIANTS


def first(text: str) -> str:
    """The first sentence of a text."""
    return re.split(r"(?<=[.?!]) (?=[A-Z])", text)[0]


def found(frames: dict[str, pd.DataFrame]) -> list[str]:
    """The sentences that the tables of `contents.all_tables` allow."""
    if "claims" not in frames:
        return []
    leads = [_lead(frames, "enorm", "baseline", "ENorm", "the baseline"), _trend(frames), _step(frames)]
    written = [_verdicts(frames["claims"]), " ".join(filter(None, leads))]
    written.append(_lead(frames, "enorm_batch_norm", "batch_norm", "ENorm + BN", "BN alone"))
    return [sentence for sentence in written if sentence]


def _verdicts(judged: pd.DataFrame) -> str:
    of_2019 = judged[judged["name"].str.startswith("R")]
    if of_2019.empty:
        return ""
    waiting = (of_2019["verdict"] == "inconclusive") & (of_2019["missing"] > 0)
    counts = of_2019[~waiting]["verdict"].value_counts().reindex(get_args(Verdict), fill_value=0)
    n = int(waiting.sum())
    waits = f"{n} wait{'s' * (n == 1)} for cells that are not run yet, " if n else ""
    are = "is" if counts["not reproduced"] == 1 else "are"
    return (
        f"Of {len(of_2019)} claims of the 2019 report, {counts['reproduced']} are reproduced and "
        f"{counts['not reproduced']} {are} not. For {counts['inconclusive']} these runs cannot tell, "
        f"{waits}and {counts['not tested']} were not tested."
    )


def _row(frames: dict[str, pd.DataFrame], a: str, b: str) -> pd.Series | None:
    table = frames["comparisons"]
    rows = table[(table["variant"] == a) & (table["against"] == b)]
    return None if rows.empty else rows.iloc[0]


def _lead(frames: dict[str, pd.DataFrame], a: str, b: str, title: str, against: str) -> str:
    """How much better `a` is than `b`, where that is sure."""
    row = _row(frames, a, b)
    if row is None or not row["low"] > 0:
        return ""
    here = f"**{title} is {row['difference']:.1f} points more accurate than {against}**"
    depths = "all depths" if row["depths"] == len(DEPTHS) else f"{row['depths']} depths"
    here += f" (± {row['difference'] - row['low']:.1f}), as a mean over {depths}"
    ahead = f"ahead at {row['ahead']} of {row['depths']} depths"
    table = frames["published_differences"].set_index(["variant", "against"])
    if (a, b) not in table.index or table.loc[(a, b), list(SOURCES)].isna().any():
        return f"{here}. It is {ahead}."
    theirs = " and ".join(f"{table.loc[(a, b), source]:.1f} in the {title}" for source, title in SOURCES.items())
    return f"{here}. It is {ahead}; the lead was {theirs}."


def _trend(frames: dict[str, pd.DataFrame]) -> str:
    """Whether ENorm's lead over the baseline changes with depth, where that is sure."""
    row = _row(frames, "enorm", "baseline")
    if row is None or np.isnan(row["trend_low"]) or row["trend_low"] <= 0 <= row["trend_high"]:
        return ""
    how = "grows" if row["trend"] > 0 else "shrinks"
    half = row["trend"] - row["trend_low"]
    by = f"{abs(row['trend']):.1f} points (± {half:.1f}) for 10 more layers"
    return f"ENorm's lead over the baseline {how} with depth, by {by}."


def _step(frames: dict[str, pd.DataFrame]) -> str:
    """How ENorm's lead grows, where it does, on either side of the depth where the baseline's learning rate falls:
    whether with each layer, or by one step there."""
    if not _trend(frames):
        return ""
    pair, cells = ("enorm", "baseline"), spread.cells(frames["runs"])
    compared = compare_cells(cells, *pair)
    rates = {p: VARIANTS["baseline"].learning_rate(p) for p in compared.at}
    first = rates[min(rates)]
    shallow, deep = ([p for p in rates if (rates[p] < first) == lower] for lower in (False, True))
    if min(len(shallow), len(deep)) < 3:
        return ""
    before, after = (
        compare_cells({name: {p: cells[name][p] for p in part} for name in pair}, *pair) for part in (shallow, deep)
    )
    shrinks, goes_on = compared.trend.mean < 0, after.trend.mean > compared.trend.mean / 2
    low, high = after.trend.interval
    if shrinks or goes_on or not low <= 0 <= high:
        return ""
    where = f"from p = {min(deep)} on, where the baseline's learning rate is lower"
    if before.trend.interval[0] > 0:
        half = before.trend.half_width
        return (
            f"Up to p = {max(shallow)} it grows by {before.trend.mean:.1f} points (± {half:.1f}) for 10 more layers. "
            f"{where.capitalize()}, that is {after.trend}, not told from none."
        )
    return (
        f"Most of that is one step: {before.mean.mean:.1f} points on average up to p = {max(shallow)} and "
        f"{after.mean.mean:.1f} {where}."
    )
