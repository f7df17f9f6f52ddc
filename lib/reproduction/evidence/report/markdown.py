"""Tables of the report, in Markdown."""

from collections.abc import Callable

import pandas as pd

from reproduction.evidence.published import SOURCES
from reproduction.evidence.tables import Grid
from reproduction.protocol.variants import VARIANTS


def table_or_none(write: Callable[[pd.DataFrame], str], table: pd.DataFrame | None) -> str | None:
    """A table for a reader; None for one that is not there or has no rows."""
    return None if table is None or table.empty else write(table)


def accuracy(grid: Grid, frame: pd.DataFrame, variants: list[str]) -> str:
    """A row for each p, a column for each of the profile's `variants`; mean in %, (n). `frame` as `tables.accuracy`
    gives it."""
    cells = frame.set_index(["variant", "p"])
    rows = []
    for p in grid.profile.depths:
        row = {"p": p}
        for variant in variants:
            done = (variant, p) in cells.index
            row[VARIANTS[variant].title] = _accuracy_text(cells.loc[(variant, p)]) if done else "not run yet"
        rows.append(row)
    return _markdown(pd.DataFrame(rows))


def _accuracy_text(cell: pd.Series) -> str:
    parts = []
    if cell["n"]:
        parts.append(f"{100 * cell['mean']:.1f} ({cell['n']:.0f})")
    parts += [f"{cell[fate]:.0f} {fate}" for fate in ("diverged", "stuck") if cell[fate]]
    return ", ".join(parts)


def rates(grid: Grid) -> str:
    """The initial learning rate, a row for each variant, a column for each p."""
    rates = {(cell.variant, cell.p): cell.initial_learning_rate for cell in grid.profile.cells()}
    names = list(grid.profile.repeats)
    by_depth = {p: [rates[name, p] for name in names] for p in grid.profile.depths}
    return _markdown(pd.DataFrame({"p": [VARIANTS[name].title for name in names], **by_depth}))


def cost(frame: pd.DataFrame) -> str:
    """Seconds per run, a row for each p, a column for each variant; `frame` as `tables.cost` gives it."""
    if frame.empty:
        return "No cell has been run yet."
    order = [name for name in VARIANTS if name in set(frame["variant"])]
    wide = frame.pivot(index="p", columns="variant", values="seconds_per_run")[order]
    wide = wide.map(lambda s: "–" if pd.isna(s) else f"{s:,.0f}" if s >= 10 else f"{s:.1f}")
    wide.columns = [VARIANTS[name].title for name in wide.columns]
    return _markdown(wide.reset_index())


def claims(judged: pd.DataFrame) -> str:
    """A row for each claim: the difference that it rests on, what was published of it, its verdict and how firm that
    is, or that it waits for cells; `judged` as `claims.judge` gives it."""
    rows = [
        {"": row["name"], "claim": row["claim"]}
        | {"verdict": f"**{row['verdict']}**" + _how_firm(row)}
        | {"here": _difference(row), ", ".join(SOURCES.values()): _published(row)}
        for row in judged.to_dict("records")
    ]
    return _markdown(pd.DataFrame(rows))


def _how_firm(row: dict) -> str:
    if row["verdict"] == "inconclusive" and row["missing"]:
        return ", waits"
    return {True: ", firm", False: ", not firm"}.get(row["firm"], "")


def _difference(row: dict) -> str:
    if pd.isna(row["estimate"]):
        return ""
    half = "" if pd.isna(row["low"]) else f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{row['estimate'] - row['low']:.1f}"
    return f"{row['estimate']:+.1f}{half}"


def _published(row: dict) -> str:
    """One column for both sources: with two, the table is too wide for a phone."""
    values = [row[source] for source in SOURCES]
    return (
        "" if all(map(pd.isna, values)) else ", ".join("–" if pd.isna(value) else f"{value:+.1f}" for value in values)
    )


def _markdown(frame: pd.DataFrame) -> str:
    return frame.to_markdown(index=False, disable_numparse=True)
