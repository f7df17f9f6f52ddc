"""Figures 2 and 3 for a browser: a dot is a run that says what it is and leads to its notebook (Vega-Altair)."""

import json
from itertools import pairwise
from pathlib import Path

import altair as alt
import pandas as pd

from reproduction.evidence import published, results
from reproduction.evidence.figures import MARKERS
from reproduction.evidence.results import CellFiles
from reproduction.protocol.variants import VARIANTS

_SHAPES = {
    "o": "circle",
    "s": "square",
    "D": "M0,-1.15L1.15,0L0,1.15L-1.15,0Z",
    "^": "M0,-1.15L1.2,0.95L-1.2,0.95Z",
    "v": "M0,1.15L1.2,-0.95L-1.2,-0.95Z",
    "P": "cross",
    "p": "M0,-1L0.95,-0.31L0.59,0.81L-0.59,0.81L-0.95,-0.31Z",
    "h": "M0,-1L0.87,-0.5L0.87,0.5L0,1L-0.87,0.5L-0.87,-0.5Z",
    "<": "M-1.15,0L0.95,-1.2L0.95,1.2Z",
    ">": "M1.15,0L-0.95,-1.2L-0.95,1.2Z",
    "d": "M0,-1L0.6,0L0,1L-0.6,0Z",
}
"""Vega's name or path for each of matplotlib's markers that figures use."""

_CROSS = "M-0.7,-0.7L0.7,0.7M0.7,-0.7L-0.7,0.7"
_DASHES = {"paper_2019": [2, 3], "report_2019": [7, 4]}
_CSS = {  # the page's colours, so that a chart is light and dark with it
    "axis": {
        "labelColor": "var(--ink)",
        "titleColor": "var(--ink)",
        "gridColor": "var(--line)",
        "domainColor": "var(--muted)",
        "tickColor": "var(--muted)",
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
    },
    "view": {"stroke": None},
    "background": "transparent",
    "font": "system-ui, sans-serif",
}


def runs_of(outputs: Path) -> pd.DataFrame:
    """One row per run of a report, as in its tables/runs.csv: variant, title, p, seed, test_accuracy (NaN where it
    diverged), fate, epoch (its last), learning_rate (the first), precision, seconds (of the whole run), dataset, epochs
    (asked for).

    Raises ResultError where the runs in the table are not under `outputs`.
    """
    rows = []
    for (variant, p), own in pd.read_csv(outputs / "tables" / "runs.csv").groupby(["variant", "p"], sort=False):
        result = results.read(CellFiles(outputs / "runs", variant, int(p)))
        seconds = {run["seed"]: sum(run["epoch_seconds"]) for run in result.runs}
        for run in own.to_dict("records"):
            rows.append(
                {name: run[name] for name in ("variant", "p", "seed", "test_accuracy", "fate", "epoch")}
                | {
                    "title": VARIANTS[variant].title,
                    "learning_rate": result.parameters.initial_learning_rate,
                    "precision": result.parameters.precision,
                    "seconds": round(seconds[run["seed"]]),
                    "dataset": result.parameters.dataset,
                    "epochs": result.parameters.epochs,
                }
            )
    return pd.DataFrame(rows)


def accuracy_over_depth(runs: pd.DataFrame, variants: list[str], notebooks: dict[tuple[str, int], str]) -> str | None:
    """The chart as Vega-Lite in JSON; None where none of `variants` has a run.

    - runs: as `runs_of` gives it
    - notebooks: where the notebook of (variant, p) is, seen from the page; a click on a run leads there

    A checkbox for each variant, and one for each publication that has curves of them, shows it or not.
    """
    runs = runs[runs["variant"].isin(variants)].reset_index(drop=True)
    variants = [name for name in variants if name in set(runs["variant"])]
    if not variants:
        return None
    curves = _published_curves(runs)
    depths = sorted(runs["p"].unique().tolist())
    sources = [source for source in published.SOURCES if source in set(curves["source"])]
    layers = [_published(curves)] if sources else []
    layers += [_means(runs, depths), _dots(_prepared(runs, variants, depths, notebooks), depths)]
    switches = [_switch(name, VARIANTS[name].title, on=True) for name in variants]
    switches += [_switch(source, f"published: {published.SOURCES[source]}", on=False) for source in sources]
    chart = alt.layer(*layers).add_params(*switches).properties(width="container", height=380).configure(**_CSS)
    return json.dumps(chart.to_dict(), sort_keys=True)


def _prepared(
    runs: pd.DataFrame, variants: list[str], depths: list[int], notebooks: dict[tuple[str, int], str]
) -> pd.DataFrame:
    """`runs` with what a dot needs: its place (x beside its p, so that none hides another; y at the lower edge for a
    run that did not train), where it leads, and what it says."""
    trained = runs["fate"] == "trained"
    said = [
        f"{run.title}, p = {run.p}, seed {run.seed}: "
        + (f"{100 * run.test_accuracy:.2f} %" if run.fate == "trained" else run.fate)
        for run in runs.itertuples()
    ]
    return runs.assign(
        x=_beside(runs, variants, depths),
        y=runs["test_accuracy"].where(trained, _domain(runs)[0]),
        accuracy=[f"{100 * a:.2f} %" if t else "–" for a, t in zip(runs["test_accuracy"], trained, strict=True)],
        href=[notebooks.get((run.variant, run.p), "") for run in runs.itertuples()],
        said=said,
    )


def _beside(frame: pd.DataFrame, variants: list[str], depths: list[int]) -> pd.Series:
    """Where a row of `frame` is drawn: near its p, a little beside the other variants."""
    step = min((b - a for a, b in pairwise(depths)), default=2)
    return frame["p"] + (frame["variant"].map(variants.index) - (len(variants) - 1) / 2) * 0.06 * step


def _published_curves(runs: pd.DataFrame) -> pd.DataFrame:
    """What was published of these variants and depths; nothing where the runs are of other data or lengths."""
    comparable = (runs["dataset"] == "cifar10").all() and (runs["epochs"] == 60).all()
    return published.behind(set(runs["variant"]) if comparable else (), runs["p"].unique())


def _domain(runs: pd.DataFrame) -> tuple[float, float]:
    """The accuracies that are shown, those that can be switched on among them."""
    values = runs.loc[runs["fate"] == "trained", "test_accuracy"].tolist()
    values += _published_curves(runs)["test_accuracy"].tolist()
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = 0.05 * (high - low) + 0.005
    return round(low - 2 * margin, 3), round(min(1, high + margin), 3)


def _dots(runs: pd.DataFrame, depths: list[int]) -> alt.Chart:
    variants = list(dict.fromkeys(runs["variant"]))
    shapes = [*(_SHAPES[MARKERS[name]] for name in variants), _CROSS]
    return (
        _of_variants(alt.Chart(runs.assign(shape=runs["variant"].where(runs["fate"] == "trained", "no"))), variants)
        .mark_point(filled=True, size=75, opacity=1, strokeWidth=1.6, cursor="pointer")
        .encode(
            x=_x("x", depths),
            y=_y(runs),
            shape=alt.Shape("shape:N", scale=alt.Scale(domain=[*variants, "no"], range=shapes), legend=None),
            color=_colour(variants),
            stroke=alt.condition("datum.fate == 'trained'", alt.value("var(--page)"), _colour(variants, alt.Stroke)),
            href="href:N",
            description="said:N",
            tooltip=[
                alt.Tooltip("title:N", title="variant"),
                alt.Tooltip("p:Q", title="p"),
                alt.Tooltip("seed:Q", title="seed"),
                alt.Tooltip("accuracy:N", title="test accuracy"),
                alt.Tooltip("learning_rate:Q", title="learning rate"),
                alt.Tooltip("precision:N", title="precision"),
                alt.Tooltip("seconds:Q", title="seconds", format=","),
                alt.Tooltip("fate:N", title="ended"),
                alt.Tooltip("epoch:Q", title="last epoch"),
            ],
        )
    )


def _means(runs: pd.DataFrame, depths: list[int]) -> alt.Chart:
    """A line for each variant; none across a depth without a run that trained."""
    trained = runs[runs["fate"] == "trained"]
    means = trained.groupby(["variant", "p"], sort=False, as_index=False)["test_accuracy"].mean()
    place = means["p"].map(depths.index)
    means["piece"] = (place - place.groupby(means["variant"]).rank(method="dense")).astype(int)
    variants = list(dict.fromkeys(runs["variant"]))
    return (
        _of_variants(alt.Chart(means.assign(x=_beside(means, variants, depths), y=means["test_accuracy"])), variants)
        .mark_line(strokeWidth=2, aria=False)
        .encode(x=_x("x", depths), y=_y(runs), color=_colour(variants), detail="piece:N")
    )


def _published(curves: pd.DataFrame) -> alt.LayerChart:
    """The curves that can be switched on, in their variants' colours."""
    frame = curves.assign(
        title=curves["variant"].map(lambda name: VARIANTS[name].title),
        where=curves["source"].map(published.SOURCES),
        accuracy=[f"{100 * value:.1f} %" for value in curves["test_accuracy"]],
    ).rename(columns={"p": "x", "test_accuracy": "y"})
    variants = list(dict.fromkeys(frame["variant"]))
    sources = [source for source in published.SOURCES if source in set(frame["source"])]
    dashes = alt.Scale(domain=sources, range=[_DASHES[source] for source in sources])
    base = _of_variants(alt.Chart(frame), variants).transform_filter(_any("source", sources))
    tooltip = [
        alt.Tooltip("where:N", title="published in"),
        alt.Tooltip("title:N", title="variant"),
        alt.Tooltip("x:Q", title="p"),
        alt.Tooltip("accuracy:N", title="test accuracy"),
    ]
    line = base.mark_line(strokeWidth=1.6, aria=False).encode(
        x="x:Q", y="y:Q", color=_colour(variants), strokeDash=alt.StrokeDash("source:N", scale=dashes, legend=None)
    )
    points = base.mark_tick(size=7, thickness=2, aria=False).encode(
        x="x:Q", y="y:Q", color=_colour(variants), tooltip=tooltip
    )
    return alt.layer(line, points)


def _of_variants(chart: alt.Chart, variants: list[str]) -> alt.Chart:
    return chart.transform_filter(_any("variant", variants))


def _any(column: str, names: list[str]) -> str:
    """An expression: the switch of what `column` says is on."""
    return " || ".join(f"(datum.{column} == '{name}' && show_{name})" for name in names)


def _switch(name: str, title: str, *, on: bool) -> alt.Parameter:
    return alt.param(name=f"show_{name}", value=on, bind=alt.binding_checkbox(name=title))


def _colour(variants: list[str], channel: type = alt.Color) -> alt.Color | alt.Stroke:
    scale = alt.Scale(domain=variants, range=[f"var(--{name})" for name in variants])
    return channel("variant:N", scale=scale, legend=None)


def _x(column: str, depths: list[int]) -> alt.X:
    axis = alt.Axis(values=depths, format="d", grid=False, labelOverlap=True)
    scale = alt.Scale(domain=[min(depths) - 1, max(depths) + 1], nice=False)
    return alt.X(f"{column}:Q", title="p (number of intermediary layers)", axis=axis, scale=scale)


def _y(runs: pd.DataFrame) -> alt.Y:
    scale = alt.Scale(domain=list(_domain(runs)), nice=False, zero=False)
    return alt.Y("y:Q", title="test accuracy", axis=alt.Axis(format=".0%", tickCount=7), scale=scale)
