"""The figures, drawn with seaborn: each takes a tidy table and returns a matplotlib figure."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from reproduction.files import atomically
from reproduction.protocol.variants import VARIANTS

# Okabe and Ito's colours but their yellow, then some of Tol's: distinct for colour-blind readers; markers differ too,
# for print. There are more colours than markers, so that variants beyond either still differ in one of the two.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255")
_COLOURS += ("#999933", "#332288", "#A0A0A0", "#AA4466")
_MARKERS = ("o", "s", "D", "^", "v", "P", "p", "h", "<", ">", "d")

PANELS = 20
"""The most depths that curves are drawn for: more cannot be told apart, and each panel slows all the others down."""


def variants_with(*, biases: bool) -> list[str]:
    """The variants of Figure 2 (without biases) or Figure 3 (with), in the order of the registry."""
    return [name for name, variant in VARIANTS.items() if variant.biases == biases]


def _place(name: str) -> int:
    """The variant's place in the cycle of colours and markers: that of its twin with the same parts in Figure 2."""
    own = VARIANTS[name]
    first = variants_with(biases=False)
    if own.biases:
        twins = [k for k in first if [*VARIANTS[k].parts, "biases"] == own.parts]
        return first.index(twins[0]) if twins else len(first) + variants_with(biases=True).index(name)
    return first.index(name)


def style_of(name: str) -> tuple[str, str]:
    """Colour and marker of a variant."""
    place = _place(name)
    return _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]


COLOURS = {name: style_of(name)[0] for name in VARIANTS}
MARKERS = {name: style_of(name)[1] for name in VARIANTS}


def use_style() -> None:
    """Readable at the width of a page; SVGs with the same bytes each time, whatever a user's matplotlibrc says."""
    plt.rcdefaults()
    sns.set_theme(context="notebook", style="whitegrid", font_scale=0.95)
    plt.rcParams.update({"grid.color": "0.9", "axes.edgecolor": "0.7", "xtick.color": "0.3", "ytick.color": "0.3"})
    plt.rcParams.update({"svg.hashsalt": "equinorm", "svg.fonttype": "none", "savefig.bbox": "tight"})


def training_curves(frame: pd.DataFrame) -> Figure:
    """Training loss and test accuracy over epochs of one cell, a line per seed; x where a run diverged."""
    use_style()
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    panels = (("train_loss", "training loss"), ("test_accuracy", "test accuracy"))
    for axis, (column, label) in zip(axes, panels, strict=True):
        finite = frame[~frame["diverged"]]
        seeds = sorted(frame["seed"].unique())
        palette = dict(zip(seeds, sns.color_palette("colorblind", len(seeds)), strict=True))
        if len(finite):
            sns.lineplot(
                finite, x="epoch", y=column, hue="seed", hue_order=seeds, palette=palette, marker="o", ms=4, ax=axis,
                legend=axis is axes[-1],
            )  # fmt: skip
        for seed, step, epoch in frame.loc[frame["diverged"], ["seed", "step", "epoch"]].itertuples(index=False):
            axis.plot(epoch, 0.06, "X", transform=axis.get_xaxis_transform(), color=palette[seed], ms=10, clip_on=False)
            if axis is axes[0]:
                late = epoch > frame["epoch"].max() / 2
                axis.annotate(
                    f"seed {seed} diverged at step {step}", (epoch, 0.06), xycoords=axis.get_xaxis_transform(),
                    xytext=(-10 if late else 10, 14 * seeds.index(seed) - 4), textcoords="offset points",
                    ha="right" if late else "left", fontsize="small",
                )  # fmt: skip
        axis.set(xlabel="epoch", ylabel=label, xlim=(0, frame["epoch"].max() + 1))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1].yaxis.set_major_formatter(PercentFormatter(1))
    first = frame.iloc[0]
    figure.suptitle(f"{VARIANTS[first['variant']].title}, p = {first['p']}")
    return figure


def curves_over_epochs(frame: pd.DataFrame, column: str, label: str, variants: list[str]) -> Figure | None:
    """`column` over epochs, a panel for each depth, a line for each variant (mean over seeds, all seeds shaded).

    Where there are more than PANELS depths, that many are drawn, the first and the last among them.
    """
    use_style()
    frame = frame[frame["variant"].isin(variants) & ~frame["diverged"]]
    if frame.empty:
        return None
    variants = [name for name in variants if name in set(frame["variant"])]
    depths = np.sort(frame["p"].unique())
    if len(depths) > PANELS:
        frame = frame[frame["p"].isin(depths[np.linspace(0, len(depths) - 1, PANELS).round().astype(int)])]
    grid = sns.relplot(
        frame, x="epoch", y=column, hue="variant", hue_order=variants, palette=COLOURS, kind="line", col="p",
        col_wrap=min(5, frame["p"].nunique()), height=2.3, aspect=1.05, errorbar=("pi", 100), lw=1.4,
        marker="o" if frame["epoch"].max() < 10 else None,
    )  # fmt: skip
    for text in grid.legend.texts:
        text.set_text(VARIANTS[text.get_text()].title)
    grid.legend.set_title("")
    sns.move_legend(grid, "upper center", bbox_to_anchor=(0.45, 0), ncols=min(len(variants), 4), frameon=False)
    grid.set_axis_labels("epoch", label)
    grid.set_titles("p = {col_name}")
    for axis in grid.axes.flat:
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if column == "test_accuracy":
            axis.yaxis.set_major_formatter(PercentFormatter(1))
    return grid.figure


def write(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as .svg and .png, without the date that would make each file differ from the last."""
    paths = []
    for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
        path = stem.with_suffix(suffix)
        with atomically(path) as temporary:
            figure.savefig(temporary, format=suffix[1:], dpi=150, metadata=metadata)
        paths.append(path)
    plt.close(figure)
    return paths
