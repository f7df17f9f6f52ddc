"""What the predicates of claims look at."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from reproduction.evidence import comparisons, spread
from reproduction.evidence.comparisons import Comparison
from reproduction.evidence.stratified import Cell
from reproduction.protocol.variants import DEPTHS

ALONE = 5
"""A cell of so many runs tells by itself how far they are apart."""

Cells = dict[str, dict[int, Cell]]
"""By variant and p."""


@dataclass(frozen=True)
class Evidence:
    """The frames of `tables.final_runs`, `tables.status`, `tables.cost` and `further_runs.table`, and the folder that
    studies have their outputs in."""

    runs: pd.DataFrame
    status: pd.DataFrame
    cost: pd.DataFrame
    further: pd.DataFrame = field(default_factory=pd.DataFrame)
    studies: Path | None = None

    @cached_property
    def cells(self) -> Cells:
        """The cells that have runs which trained (`spread.cells`)."""
        return spread.cells(self.runs)

    @cached_property
    def cells_alone(self) -> Cells:
        """The same, for what is said of single depths: cells of ALONE runs or more have a deviation of their own.

        A mean over depths is as sure with a pooled one, the mean of its cells' variances.
        """
        trained = self.runs[self.runs["fate"] == "trained"]
        deviations = trained["test_accuracy"].astype(float).groupby([trained["variant"], trained["p"]]).std()

        def alone(variant: str, p: int, cell: Cell) -> Cell:
            if cell.n < ALONE:
                return cell
            own = float(deviations[variant, p])
            return dataclasses.replace(cell, deviation=own, freedom=cell.n - 1, pool=f"{variant}, p = {p}")

        return {variant: {p: alone(variant, p, cell) for p, cell in own.items()} for variant, own in self.cells.items()}

    @cached_property
    def cells_of_all_runs(self) -> Cells:
        """Those of all runs, those of studies too."""
        return spread.cells(self._all_runs)

    def with_new_seeds(self, normal: Mapping[tuple[str, int], float]) -> "Evidence":
        """The same, with the means of the cells (variant, p) of `normal` where new seeds may put them, given a standard
        normal number for each. The deviations stay as they are.

        A new mean of n runs is off the true one by s / sqrt(n), and so is the one that was measured: together by
        sqrt(2) of that.
        """
        other = dataclasses.replace(self)
        for name in ("cells", "cells_alone", "cells_of_all_runs"):
            measured = getattr(self, name)
            moved = {
                variant: {p: _moved(cell, normal.get((variant, p), 0.0)) for p, cell in measured[variant].items()}
                for variant in {variant for variant, _ in normal} & measured.keys()
            }
            other.__dict__[name] = measured | moved  # where cached_property keeps its value
        return other

    @cached_property
    def corrected(self) -> dict[tuple[str, str], float]:
        """The p-value of each pair that the 2019 report compares, corrected for all of them (`comparisons.holm`); not
        for what else a grid compares."""
        found = [pair for pair in comparisons.PAIRS if set(pair) <= set(self.cells)]
        p_values = [self.compare(*pair).mean.p_value for pair in found]
        return dict(zip(found, comparisons.holm(p_values), strict=True))

    def compare(self, a: str, b: str) -> Comparison:
        """In the mean over depths."""
        return comparisons.compare_cells(self.cells, a, b)

    def compare_depths(self, a: str, b: str) -> Comparison:
        """Depth by depth: the same differences, with the errors of single cells."""
        return comparisons.compare_cells(self.cells_alone, a, b)

    @cached_property
    def _all_runs(self) -> pd.DataFrame:
        frames = [frame for frame in (self.runs, self.further) if len(frame)]
        return pd.concat(frames, ignore_index=True) if frames else self.runs

    def all_runs(self, variant: str) -> pd.DataFrame:
        """Every run of the variant's cells that there is, those of studies too."""
        return self._all_runs[self._all_runs["variant"] == variant]

    def of_study(self, study: str, table: str) -> pd.DataFrame | None:
        """A table that a study has made; None where there is none."""
        return _table(self.studies / study, table) if self.studies else None

    def of_profile(self, profile: str, table: str) -> pd.DataFrame | None:
        """A table of another profile's summary, which is beside the studies; None where there is none."""
        return _table(self.studies.parent / profile, table) if self.studies else None

    def missing(self, variants: Iterable[str], depths: Iterable[int] = DEPTHS) -> list[tuple[str, int]]:
        """The cells (variant, p) of `variants` at `depths` that have no results."""
        done = self.status[self.status["status"] == "done"]
        there = set(done[["variant", "p"]].itertuples(index=False, name=None))
        return [(v, p) for v in variants for p in depths if (v, p) not in there]


def _moved(cell: Cell, normal: float) -> Cell:
    return Cell(
        cell.mean + normal * cell.deviation * (2 / cell.n) ** 0.5, cell.n, cell.deviation, cell.freedom, cell.pool
    )


def _table(folder: Path, name: str) -> pd.DataFrame | None:
    path = folder / "tables" / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else None
