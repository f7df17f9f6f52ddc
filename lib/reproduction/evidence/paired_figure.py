"""Runs, or differences of pairs of runs, over depth: a dot for each, a line through their means."""

import pandas as pd
from matplotlib.axes import Axes


def draw(axis: Axes, values: dict[str, pd.Series], width: float = 0.9, styles: dict[str, dict] | None = None) -> None:
    """A line for each of `values` (its label: what it shows, by stratum and seed), side by side within `width` units
    of the axis so that dots do not hide each other. `styles` holds what else matplotlib should know of a line, by its
    label."""
    step = width / max(1, len(values))
    for k, (label, series) in enumerate(values.items()):
        own = series.dropna()
        strata = own.index.get_level_values(0)
        shift = step * (k - (len(values) - 1) / 2)
        means = own.groupby(strata).mean()
        (line,) = axis.plot(means.index + shift, means, label=label, **{"lw": 1.6} | (styles or {}).get(label, {}))
        axis.plot(strata + shift, own, "o", color=line.get_color(), ms=3.5)
