"""What the predicates of claims look at."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from reproduction.evidence import comparisons, spread
from reproduction.evidence.comparisons import Comparison
from reproduction.evidence.stratified import Cell
from reproduction.protocol.variants import DEPTHS


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
    def cells(self) -> dict[str, dict[int, Cell]]:
        """The cells that have runs which trained (`spread.cells`)."""
        return spread.cells(self.runs)

    def with_cells(self, cells: dict[str, dict[int, Cell]]) -> "Evidence":
        """The same, but for the means over seeds."""
        other = dataclasses.replace(self)
        other.__dict__["cells"] = cells  # where cached_property keeps its value
        return other

    @cached_property
    def corrected(self) -> dict[tuple[str, str], float]:
        """The p-value of each pair that the 2019 report compares, corrected for all of them (`comparisons.holm`); not
        for what else a grid compares."""
        found = [pair for pair in comparisons.PAIRS if set(pair) <= set(self.cells)]
        p_values = [self.compare(*pair).mean.p_value for pair in found]
        return dict(zip(found, comparisons.holm(p_values), strict=True))

    def compare(self, a: str, b: str) -> Comparison:
        return comparisons.compare_cells(self.cells, a, b)

    def all_runs(self, variant: str) -> pd.DataFrame:
        """Every run of the variant's cells that there is, those of studies too."""
        frames = [frame for frame in (self.runs, self.further) if len(frame)]
        runs = pd.concat(frames, ignore_index=True) if frames else self.runs
        return runs[runs["variant"] == variant]

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


def _table(folder: Path, name: str) -> pd.DataFrame | None:
    path = folder / "tables" / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else None
