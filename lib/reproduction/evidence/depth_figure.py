"""Figures 2 and 3 of the 2019 report: test accuracy over depth, beside what was published."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from reproduction.evidence import figures, spread
from reproduction.evidence.published import SOURCES
from reproduction.protocol.variants import VARIANTS

_GREY = {
    "paper_2019": {"color": "0.55", "lw": 1.4, "ls": "-"},
    "report_2019": {"color": "0.55", "lw": 1.4, "ls": (0, (4, 1.6))},
}
"""How the published curves are drawn, by their source."""

_OUTLINE = {"facecolor": "none", "ls": ":", "lw": 0.9}
"""How a band is drawn that comes from other variants' runs."""

_MARKS = {"X": {"ms": 7}, "*": {"ms": 10}, "o": {"ms": 6, "fillstyle": "none"}}
"""How marks are drawn, by their markers; the circle is empty, unlike a run's."""


def accuracy_over_depth(
    runs: pd.DataFrame,
    status: pd.DataFrame,
    variants: list[str],
    seed_spread: pd.DataFrame,
    published: pd.DataFrame | None = None,
) -> Figure:
    """Figures 2 and 3 of the 2019 report: final test accuracy over p. Every run is a dot, a line joins the means over
    seeds, and the band around it is one standard deviation between seeds wide to each side; it is an outline where no
    cell of the variant has two runs, so that all of it comes from other variants.

    - runs: one row per run, as `tables.final_runs` gives it
    - status: one row per cell, as `tables.status` gives it; runs that did not train are marked, and cells not run yet,
      these in their own panel where there is one
    - seed_spread: the standard deviation for each range of depths, as `spread.by_depth` gives it
    - published: as `published.behind` gives it, drawn in grey behind; several variants then get a panel each, since a
      dozen curves in one cannot be told apart, below one of all variants together
    """
    figures.use_style()
    runs = runs[runs["variant"].isin(variants) & (runs["fate"] == "trained")]
    status = status[status["variant"].isin(variants)]
    depths = sorted(status["p"].unique())
    behind = published is not None and len(published) > 0
    grey = published if behind else None
    figure, axes = _panels(len(variants) if behind and len(variants) > 1 else 0)
    marked = status[(status["diverged"] > 0) | (status["stuck"] > 0) | (status["status"] == "missing")]
    for k, axis in enumerate(axes):
        shown = [variants[k - 1]] if k else variants
        few = len(shown) == 1 < len(variants)
        own = marked if k or len(axes) == 1 else marked[marked["status"] != "missing"]
        _draw_panel(axis, runs, own, depths, shown, seed_spread, grey)
        low, high = _limits(runs, seed_spread, grey, min(len(shown), own["variant"].nunique()))
        _set_axes(axis, depths, low, high, few=few)
        if k:
            axis.set_title(VARIANTS[shown[0]].title, color=figures.COLOURS[shown[0]], fontsize="medium")
            axis.tick_params(labelleft=k % 2 == 1, labelbottom=k > len(variants) - 2)
    axes[0].set_xlabel("p (number of intermediary layers)")
    axes[0].set_ylabel("test accuracy")
    ended = set(status.loc[status["status"] != "missing", "variant"])
    _legend(figure, [v for v in variants if v in ended] if len(axes) > 1 else variants, runs, status, seed_spread, grey)
    return figure


def _panels(below: int) -> tuple[Figure, list[Axes]]:
    """A figure of one panel, and of `below` smaller ones under it, two in a row."""
    rows = [[f"{k}", f"{k + 1}" if k < below else "."] for k in range(1, below + 1, 2)]
    figure = plt.figure(figsize=(5.6, 4.4 + 1.8 * len(rows)), layout="constrained")
    axes = figure.subplot_mosaic([["0", "0"], *rows], height_ratios=[1.6 if rows else 1, *[1] * len(rows)])
    return figure, [axes[f"{k}"] for k in range(below + 1)]


def _draw_panel(
    axis: Axes,
    runs: pd.DataFrame,
    marked: pd.DataFrame,
    depths: list[int],
    shown: list[str],
    seed_spread: pd.DataFrame,
    published: pd.DataFrame | None,
) -> None:
    """All that there is of the variants `shown`, with a row of marks for each that has some."""
    alone = len(shown) == 1
    if published is not None and alone:
        _draw_published(axis, published[published["variant"] == shown[0]], depths)
    for row, variant in enumerate(shown):
        own = runs[runs["variant"] == variant]
        shift = (row - (len(shown) - 1) / 2) * 0.06 * _smallest_step(depths)  # so that no dot hides another
        _draw_runs(axis, own, variant, depths, shift, seed_spread if alone or published is None else None)
    for row, variant in enumerate(name for name in shown if name in set(marked["variant"])):
        _mark_untrained(axis, marked[marked["variant"] == variant], figures.COLOURS[variant], row)


def _set_axes(axis: Axes, depths: list[int], low: float, high: float, *, few: bool) -> None:
    """Limits and ticks; `few` where a panel is small."""
    margin = _smallest_step(depths) / 2
    axis.set(xticks=_some(depths, 6 if few else 10), xlim=(min(depths) - margin, max(depths) + margin))
    axis.set_ylim(low, high)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0 if high - low > 0.03 else 1))
    axis.yaxis.set_major_locator(MaxNLocator(5 if few else 7, steps=[1, 2, 5, 10]))


def _draw_runs(
    axis: Axes, own: pd.DataFrame, variant: str, depths: list[int], shift: float, seed_spread: pd.DataFrame | None
) -> None:
    """Dots, line and band of one variant, `shift` to the right; no line across a depth without a run."""
    colour = figures.COLOURS[variant]
    means = own.groupby("p")["test_accuracy"].mean()
    place = means.index.map(depths.index).to_series(index=means.index)
    for _, piece in means.groupby(place - place.rank(method="dense")):
        axis.plot(piece.index + shift, piece, color=colour, lw=1.8)
        if seed_spread is not None:
            x, mean = _drawable(piece, depths)
            half = spread.at(seed_spread, x)
            if np.isfinite(half).all():
                style = _OUTLINE if _is_borrowed(own) else {"alpha": 0.16, "lw": 0}
                axis.fill_between(x + shift, mean - half, mean + half, color=colour, **style)
    axis.plot(own["p"] + shift, own["test_accuracy"], figures.MARKERS[variant], color=colour, ms=5, mec="w", mew=0.6)


def _is_borrowed(own: pd.DataFrame) -> bool:
    """Whether the runs `own` of a variant say nothing of how far seeds differ."""
    return not own["p"].duplicated().any()


def _draw_published(axis: Axes, own: pd.DataFrame, depths: list[int]) -> None:
    for source, curve in own.groupby("source"):
        axis.plot(*_drawable(curve.set_index("p")["test_accuracy"], depths), **_GREY[source], zorder=1.5)


def _drawable(curve: pd.Series, depths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """x and y of a curve over p; a single point becomes a short level line, for a line of no length is not seen."""
    x, y = curve.index.to_numpy(dtype=float), curve.to_numpy()
    return (x + _smallest_step(depths) * np.array([-0.15, 0.15]), y.repeat(2)) if len(curve) == 1 else (x, y)


def _smallest_step(depths: list[int]) -> float:
    """The smallest distance between depths."""
    return min((b - a for a, b in pairwise(depths)), default=2)


def _some(depths: list[int], most: int) -> list[int]:
    """The first of `depths`, and others at the same distance in the list, so many that they can be read on an axis."""
    return depths[:: -(-len(depths) // most)]


def _limits(
    runs: pd.DataFrame, seed_spread: pd.DataFrame, published: pd.DataFrame | None, rows: int
) -> tuple[float, float]:
    """The same for all panels of a figure but for the room for `rows` of marks, which are below the lines."""
    if runs.empty and published is None:
        return 0.0, 1.0
    means = runs.groupby(["variant", "p"])["test_accuracy"].mean()
    half = np.nan_to_num(spread.at(seed_spread, means.index.get_level_values("p").to_numpy(dtype=float)))
    shown = [runs["test_accuracy"], means - half, means + half]
    values = np.concatenate(shown if published is None else [*shown, published["test_accuracy"]]).astype(float)
    low, high = values.min(), values.max()
    margin = 0.005 + 0.06 * (high - low)
    room = 0.06 * rows * (high - low + 2 * margin)
    return low - margin - room, min(1, high + margin)


def _marks(status: pd.DataFrame) -> dict[str, tuple[str, pd.Series]]:
    """What is marked in a figure of these cells: for each marker its meaning, and whether a cell has it."""
    marks = {
        "X": ("a run diverged (NaN)", status["diverged"] > 0),
        "*": ("a run is stuck at chance", status["stuck"] > 0),
        "o": ("not run yet", status["status"] == "missing"),
    }
    return {marker: (meaning, where) for marker, (meaning, where) in marks.items() if where.any()}


def _mark_untrained(axis: Axes, cells: pd.DataFrame, colour: str, row: int) -> None:
    """Mark cells near the lower edge, a row for each variant."""
    for marker, (_, where) in _marks(cells).items():
        own = cells.loc[where, "p"]
        place, scale = [0.04 + 0.05 * row] * len(own), axis.get_xaxis_transform()
        axis.plot(own, place, marker, color=colour, transform=scale, **_MARKS[marker])


def _legend(
    figure: Figure,
    variants: list[str],
    runs: pd.DataFrame,
    status: pd.DataFrame,
    seed_spread: pd.DataFrame,
    published: pd.DataFrame | None,
) -> None:
    """Below the figure: the variants in one column, all else that is in it in another."""
    style = {"ms": 6, "mec": "w", "mew": 0.6, "lw": 1.8}
    first = [
        Line2D([], [], color=figures.COLOURS[v], marker=figures.MARKERS[v], label=VARIANTS[v].title, **style)
        for v in variants
    ]
    sources = [] if published is None else [source for source in _GREY if source in set(published["source"])]
    second: list[Artist] = [Line2D([], [], **_GREY[source], label=SOURCES[source]) for source in sources]
    if len(runs) and seed_spread["deviation"].notna().any():
        borrowed = {_is_borrowed(own) for _, own in runs.groupby("variant")}
        if False in borrowed:
            second.append(Patch(color="0.5", alpha=0.3, lw=0, label="± one standard deviation"))
        if True in borrowed:
            second.append(Patch(edgecolor="0.35", label="± one standard deviation (other variants)", **_OUTLINE))
    for marker, (label, _) in _marks(status).items():
        second.append(Line2D([], [], marker=marker, ls="", color="0.35", label=label, **_MARKS[marker] | {"ms": 8}))
    if not second:
        figure.legend(handles=first, loc="outside lower center", ncols=min(len(first), 3), frameon=False)
        return
    rows = max(len(first), len(second))
    both = [entry for column in (first, second) for entry in [*column, *[_nothing()] * (rows - len(column))]]
    figure.legend(handles=both, loc="outside lower center", ncols=2, frameon=False, fontsize="small")


def _nothing() -> Artist:
    return Line2D([], [], ls="", label=" ")
