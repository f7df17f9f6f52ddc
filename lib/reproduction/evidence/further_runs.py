"""Runs of a grid's cells that studies made with other seeds: the same parameters, the same data, valid results."""

from pathlib import Path

import pandas as pd

from reproduction.evidence import results
from reproduction.evidence.outcomes import outcomes
from reproduction.evidence.results import CellFiles, Result, ResultError
from reproduction.evidence.tables import Grid
from reproduction.protocol.parameters import Parameters


def table(grid: Grid, studies: Path) -> pd.DataFrame:
    """One row per run as in `tables.final_runs`, and its study (study/condition); `studies` is outputs/studies.

    For each cell of the grid, those with seeds that neither the grid nor a study before has. What a run measures
    besides makes no difference to its numbers.
    """
    data = {result.metadata["data"]["fingerprint"] for result in grid.results.values()}
    frames = []
    for parameters in grid.profile.cells():
        own = grid.results.get((parameters.variant, parameters.p))
        seeds = set() if own is None else set(own.frame["seed"])
        for path in sorted(studies.glob(f"*/*/runs/{parameters.variant}/p{parameters.p:02d}.json")):
            result = _read_same_cell(CellFiles(path.parents[1], parameters.variant, parameters.p), parameters)
            if result is None or result.metadata["data"]["fingerprint"] not in data:
                continue
            final = result.final()[list(results.COLUMNS)]
            final = final[~final["seed"].isin(seeds)]
            seeds |= set(final["seed"])
            study = path.parents[2].relative_to(studies).as_posix()
            frames.append(final.assign(fate=lambda runs: outcomes(runs), study=study))
    frames = [frame for frame in frames if len(frame)]
    columns = [*results.COLUMNS, "fate", "study"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _read_same_cell(files: CellFiles, parameters: Parameters) -> Result | None:
    """The result there, if it is valid and of these parameters with whatever seeds; else None."""
    try:
        there = results.read(files).parameters
    except ResultError:
        return None
    same = {"seeds": there.seeds, "measures": there.measures}
    return results.find(files, parameters.model_copy(update=same)).result
