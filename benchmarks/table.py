"""The table that the benchmarks print: one row per measured ratio."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Row:
    """One ratio, measured several times.

    - what: what is divided by what
    - ratios: one for each repetition
    - at_most, at_least: the bound; neither where there is none
    - details: the absolute numbers behind the ratio, and how they were measured
    - judged_by: what is held against the bound, the median or the max of the ratios
    """

    what: str
    ratios: Iterable[float]
    details: str
    at_most: float | None = None
    at_least: float | None = None
    judged_by: str = "median"

    def cells(self) -> dict[str, str]:
        ratios = pd.Series(list(self.ratios), dtype=float)
        quartiles = ratios.quantile([0.25, 0.75])
        judged = getattr(ratios, self.judged_by)(skipna=False)  # a NaN meets no bound
        bound, met = "–", "–"
        if self.at_most is not None:
            bound, met = f"≤ {self.at_most:g}", "yes" if judged <= self.at_most else "**no**"
        elif self.at_least is not None:
            bound, met = f"≥ {self.at_least:g}", "yes" if judged >= self.at_least else "**no**"
        return {
            "what": self.what,
            "median": _number(ratios.median(skipna=False)),
            "quartiles": f"{_number(quartiles[0.25])} … {_number(quartiles[0.75])}",
            "min … max": f"{_number(ratios.min(skipna=False))} … {_number(ratios.max(skipna=False))}",
            "n": str(len(ratios)),
            "bound": bound,
            "met": met,
            "details": self.details,
        }


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    cells = pd.DataFrame([row.cells() for row in rows])
    align = ["left", "right", "right", "right", "right", "right", "left", "left"]
    return cells.to_markdown(index=False, disable_numparse=True, colalign=align)


def milliseconds(times: pd.Series, steps: int = 1) -> str:
    """The median of `times` (seconds for `steps` steps) a step."""
    return f"{1000 * times.median() / steps:.3g} ms"


def _number(value: float) -> str:
    """Three decimals for ratios near 1."""
    if value < 0.1:
        return f"{value:.1e}"
    return f"{value:.3f}" if value < 2 else f"{value:.2f}"
