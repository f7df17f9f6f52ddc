"""A forest plot: for each claim the difference that it rests on, what was published of it, and the verdict."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduction.evidence import figures

_COLOURS = {"reproduced": "#007A55", "not reproduced": "#C04A00"}
_OTHERS = "0.45"
_PUBLISHED = {"paper_2019": ("^", "the paper"), "report_2019": ("v", "the 2019 report")}


def forest(claims: pd.DataFrame) -> Figure:
    """One row for each of `claims`, the frame of `claims.judge`, that rests on a difference."""
    claims = claims.dropna(subset="estimate")
    figures.use_style()
    figure, axis = plt.subplots(figsize=(9.5, 0.8 + 0.31 * len(claims)), layout="constrained")
    for y, claim in enumerate(claims.itertuples()):
        colour = _COLOURS.get(claim.verdict, _OTHERS)
        for source, (marker, _) in _PUBLISHED.items():
            axis.plot(getattr(claim, source), y - 0.2, marker, color="0.6", ms=5)
        axis.plot([claim.low, claim.high], [y, y], color=colour, lw=1.6)
        axis.plot(claim.estimate, y, "o", color=colour, ms=6)
        firm = {True: ", firm", False: ", not firm"}.get(claim.firm, "")
        axis.annotate(
            claim.verdict + firm,
            (1.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            color=colour,
            fontsize="small",
        )
    axis.axvline(0, color="0.4", lw=0.8)
    axis.set_yticks(
        range(len(claims)), [f"{claim.name}  {claim.claim}" for claim in claims.itertuples()], fontsize="small"
    )
    axis.set_ylim(len(claims) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("difference that is claimed to be positive, in points of test accuracy")
    handles = [Line2D([], [], color="0.3", marker="o", lw=1.6, label="here, with its 95 % interval")]
    handles += [Line2D([], [], color="0.6", marker=m, lw=0, label=title) for m, title in _PUBLISHED.values()]
    figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False, fontsize="small")
    return figure
