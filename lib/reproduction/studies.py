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
        delayed(_results)(outputs / condition, parameters, device, grid, restarts, remake)
        for condition, parameters in todo
    ]
    frames = []
    with tqdm(total=len(todo), unit="cell", mininterval=10) as bar:
        for (condition, parameters), found in zip(todo, _in_parallel(calls, device), strict=True):
            bar.set_postfix_str(f"{condition}, p = {parameters.p}", refresh=False)
            bar.update()
            for folder, result in found:
                frames.append(result.frame.assign(condition=condition, c=parameters.c))
                answers.remember(outputs, _files(folder, parameters), result)
    frame = pd.concat(frames, ignore_index=True)
    return frame[["condition", "c", *frame.columns.drop(["condition", "c"])]]


def _in_parallel(calls: list, device: str) -> Iterator:
    """What the calls return, in their order. On a CPU one process for each of this one's threads makes them, each with
    one thread: that is faster than all threads for one cell at a time."""
    processes = torch.get_num_threads() if devices.resolve_device(device).type == "cpu" else 1
    return Parallel(processes, return_as="generator")(calls)


def _results(
    own: Path, parameters: Parameters, device: str, grid: Path, restarts: int, remake: bool
) -> list[tuple[Path, Result]]:
    """The runs of `parameters`, from the folder `grid` and the condition's own, where the missing ones are trained."""
    shared = results.find(_files(grid, parameters), parameters, results.RESTARTS)
    found = [(grid, shared.result)] if shared.result else []
    there = {run["seed"] for run in shared.result.runs} if shared.result else set()
    missing = [seed for seed in parameters.seeds if seed not in there]  # what does not fit there is no mistake here
    if missing:
        rest = parameters.model_copy(update={"seeds": tuple(missing)})
        unusable = results.find(_files(own, rest), rest).problem
        with contextlib.redirect_stdout(io.StringIO()):  # a bar for each of many cells would bury the notebook
            result = run(
                outputs=own,
                device=device,
                restarts=restarts,
                remake=remake and bool(unusable),
                **rest.model_dump(mode="json"),
            )
        found.append((own, result))
    return found


def _files(folder: Path, parameters: Parameters) -> CellFiles:
    return CellFiles(folder / "runs", parameters.variant, parameters.p)
