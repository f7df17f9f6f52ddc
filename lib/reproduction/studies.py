"""What a study compares: conditions, each of them cells of the grid with something changed, trained once and kept.

``outputs/studies/<study>/<condition>/runs/<variant>/pNN.csv`` and ``.json``, as everywhere else (see
`evidence.results`). What a study found is written by `evidence.answers`.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import torch
from joblib import Parallel, delayed  # comes with scikit-learn
from tqdm import tqdm

from reproduction.checkout import REPOSITORY
from reproduction.evidence import answers, results
from reproduction.evidence.results import CellFiles, Result
from reproduction.protocol.parameters import Parameters, check_parameters
from reproduction.run import run
from reproduction.training import devices


def train(
    cells: Iterable[tuple[str, dict]],
    outputs: str | Path,
    device: str = "auto",
    grid: Path = REPOSITORY / "outputs" / "paper",
    restarts: int = 0,
    remake: bool = False,
) -> pd.DataFrame:
    """Train the runs of each (condition, parameters) that are not there yet; all their rows, one per run and epoch.

    Runs that are in `grid`, the outputs of a profile, are taken from there. `restarts` as in `run.run`. With `remake`,
    results of a condition that do not fit its parameters are put aside, and made again. The columns are
    `protocol.history.COLUMNS` with `condition` and `c` before them, and those of the cells' measures after. Raises
    ValueError or ResultError in one sentence.
    """
    outputs = Path(outputs)
    todo = [(condition, check_parameters(parameters)) for condition, parameters in cells]
    calls = [
        delayed(_train)(outputs / condition, rest, device, restarts, remake)
        for condition, parameters in todo
        if (rest := _not_in(grid, parameters)) and not _is_done(outputs / condition, rest, restarts)
    ]
    for _ in tqdm(_in_parallel(calls, device), total=len(calls), unit="cell", mininterval=10, disable=not calls):
        pass
    frames = []
    for condition, parameters in todo:
        for folder, result in _read(outputs / condition, parameters, grid, restarts):
            frames.append(result.frame.assign(condition=condition, c=parameters.c))
            answers.remember(outputs, _files(folder, parameters), result)
    frame = pd.concat(frames, ignore_index=True)
    return frame[["condition", "c", *frame.columns.drop(["condition", "c"])]]


def _in_parallel(calls: list, device: str) -> Iterable:
    """What the calls return, in their order. On a CPU one process for each of this one's threads makes them, each with
    one thread: that is faster than all threads for one cell at a time."""
    processes = torch.get_num_threads() if devices.resolve_device(device).type == "cpu" else 1
    return Parallel(processes, return_as="generator")(calls)


def _train(own: Path, parameters: Parameters, device: str, restarts: int, remake: bool) -> None:
    """Train the runs that the condition's folder `own` lacks."""
    unusable = results.find(_files(own, parameters), parameters).problem
    remake = remake and bool(unusable)
    with contextlib.redirect_stdout(io.StringIO()):  # a bar for each of many cells would bury the notebook
        run(outputs=own, device=device, restarts=restarts, remake=remake, **parameters.model_dump(mode="json"))


def _read(own: Path, parameters: Parameters, grid: Path, restarts: int) -> Iterator[tuple[Path, Result]]:
    """The runs of `parameters`, from the folder `grid` and the condition's own, each with its folder."""
    shared, rest = _in(grid, parameters), _not_in(grid, parameters)
    if shared:
        yield grid, shared
    if rest and (result := results.find(_files(own, rest), rest, restarts).result):
        yield own, result


def _is_done(own: Path, parameters: Parameters, restarts: int) -> bool:
    found = results.find(_files(own, parameters), parameters, restarts)
    return not found.missing and not found.problem


def _in(grid: Path, parameters: Parameters) -> Result | None:
    """The runs of `parameters` that `grid` has; what does not fit there is no mistake here."""
    return results.find(_files(grid, parameters), parameters, results.RESTARTS).result


def _not_in(grid: Path, parameters: Parameters) -> Parameters | None:
    """`parameters` with the seeds that `grid` lacks; None where it has all."""
    shared = _in(grid, parameters)
    there = {run["seed"] for run in shared.runs} if shared else set()
    missing = tuple(seed for seed in parameters.seeds if seed not in there)
    return parameters.model_copy(update={"seeds": missing}) if missing else None


def _files(folder: Path, parameters: Parameters) -> CellFiles:
    return CellFiles(folder / "runs", parameters.variant, parameters.p)
