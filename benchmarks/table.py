"""The tables that the benchmarks print: one row per measured ratio."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

Row = dict[str, str]


def row(what: str, ratios: Sequence[float], details: str, goal: float | None = None, at_least: bool = False) -> Row:
    """A ratio, measured several times. `goal` is for the median, an upper bound unless `at_least`."""
    low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75])  # NaN where one is; it meets no goal
    met = goal is not None and (median >= goal if at_least else median <= goal)
    return {
        "what": what,
        "median": f"{median:.3g}",
        "quartiles": f"{low:.3g} … {high:.3g}",
        "n": str(len(ratios)),
        "goal": "–" if goal is None else f"{'≥' if at_least else '≤'} {goal:g}",
        "met": "–" if goal is None else "yes" if met else "**no**",
        "details": details,
    }


def ratio(times: pd.DataFrame, above: str, below: str, where: str, goal=None, at_least=False) -> Row:
    """The column `above` of `times` (seconds, one row per round) over the column `below`."""
    medians = [f"{s:.3g} s" if s >= 1 else f"{1000 * s:.3g} ms" for s in times[[above, below]].median()]
    return row(f"{above} / {below}, {where}", times[above] / times[below], " over ".join(medians), goal, at_least)


def markdown(rows: Sequence[Row]) -> str:
    align = ["left", *["right"] * 4, "left", "left"]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=align)
