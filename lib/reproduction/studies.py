"""What a study compares: conditions, each of them cells of the grid with something changed, trained once and kept.

``outputs/studies/<study>/<condition>/runs/<variant>/pNN.csv`` and ``.json``, as everywhere else (see
`evidence.results`). What a study found is written by `evidence.answers`.
"""

import contextlib
import dataclasses
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from joblib import Parallel, delayed  # comes with scikit-learn
from tqdm import tqdm

from reproduction.checkout import REPOSITORY
from reproduction.data import datasets
from reproduction.evidence import answers, results
from reproduction.evidence.results import CellFiles, Found, Result, ResultError
from reproduction.protocol.parameters import Parameters, check_parameters
from reproduction.run import REMEDY, run
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

    Runs that are in `grid`, the outputs of a profile, are taken from there, where their data are the study's: those at
    hand, or where nothing is to be trained those of its own runs. `restarts` as in `run.run`. With `remake`, results of
    a condition that do not fit its parameters, or are of other data, are put aside, and made again. The columns are
    `protocol.history.COLUMNS` with `condition` and `c` before them, and those of the cells' measures after. Raises
    ValueError, DataError or ResultError in one sentence.
    """
    todo = [(condition, check_parameters(parameters)) for condition, parameters in cells]
    there = _There(Path(outputs), grid, restarts, _data_of(Path(outputs), todo))
    if any(there.lacks(*cell) for cell in todo):
        names = {parameters.dataset for _, parameters in todo}
        there = dataclasses.replace(there, data={name: datasets.load(name).about() for name in names})
    work = [(condition, rest) for condition, parameters in todo if (rest := there.lacks(condition, parameters))]
    for problem in () if remake else filter(None, (there.problem(*cell) for cell in work)):  # before hours are spent
        raise ResultError(f"{problem}; {REMEDY}")
    processes = torch.get_num_threads() if devices.resolve_device(device).type == "cpu" else 1
    calls = [
        delayed(_train)(
            there.outputs / condition,
            rest,
            device=device,
            restarts=restarts,
            remake=remake and bool(there.problem(condition, rest)),
            one_thread=processes > 1,
        )
        for condition, rest in work
    ]
    # On a CPU one process for each of this one's threads is faster than all threads for one cell at a time.
    trained = Parallel(processes, return_as="generator")(calls)
    for _ in tqdm(trained, total=len(calls), unit="cell", mininterval=10, disable=not calls):
        pass
    frames = []
    for condition, parameters in todo:
        for folder, result in there.read(condition, parameters):
            frames.append(result.frame.assign(condition=condition, c=parameters.c))
            answers.remember(there.outputs, _files(folder, parameters), result)
    frame = pd.concat(frames, ignore_index=True)
    return frame[["condition", "c", *frame.columns.drop(["condition", "c"])]]


def _train(own: Path, parameters: Parameters, *, device: str, restarts: int, remake: bool, one_thread: bool) -> None:
    """Train the runs that the condition's folder `own` lacks."""
    if one_thread:
        torch.set_num_threads(1)  # a worker has its share of the cores, or what OMP_NUM_THREADS says
    with contextlib.redirect_stdout(io.StringIO()):  # a bar for each of many cells would bury the notebook
        run(outputs=own, device=device, restarts=restarts, remake=remake, **parameters.model_dump(mode="json"))


def _data_of(outputs: Path, cells: list[tuple[str, Parameters]]) -> dict[str, dict]:
    """What is known of the data of the study's own runs, by the data set's name."""
    found = {}
    for condition, parameters in cells:
        files = _files(outputs / condition, parameters)
        if parameters.dataset not in found and files.json.exists():
            with contextlib.suppress(ResultError):
                found[parameters.dataset] = results.read(files).metadata["data"]
    return found


@dataclass(frozen=True)
class _There:
    """What there is of a study's cells, each one's (condition, parameters), in its own folder `outputs` and in that of
    a `grid`; of the data of `data` alone, by name."""

    outputs: Path
    grid: Path
    restarts: int
    data: dict[str, dict]

    def lacks(self, condition: str, parameters: Parameters) -> Parameters | None:
        """`parameters` with the seeds that the grid lacks, where the study's own folder does not have them all."""
        rest = self._not_in_grid(parameters)
        found = rest and self._own(condition, rest)
        return rest if found and (found.missing or found.problem) else None

    def problem(self, condition: str, rest: Parameters) -> str:
        """Why the condition's own files cannot be used."""
        return self._own(condition, rest).problem

    def read(self, condition: str, parameters: Parameters) -> Iterator[tuple[Path, Result]]:
        """The runs of `parameters`, from the grid's folder and the condition's own, each with its folder."""
        shared, rest = self._in_grid(parameters), self._not_in_grid(parameters)
        if shared:
            yield self.grid, shared
        if rest and (result := self._own(condition, rest).result):
            yield self.outputs / condition, result

    def _own(self, condition: str, rest: Parameters) -> Found:
        return results.find(_files(self.outputs / condition, rest), rest, self.restarts, self.data.get(rest.dataset))

    def _in_grid(self, parameters: Parameters) -> Result | None:
        """What does not fit there is no mistake here."""
        data = self.data.get(parameters.dataset)
        return results.find(_files(self.grid, parameters), parameters, results.RESTARTS, data).result

    def _not_in_grid(self, parameters: Parameters) -> Parameters | None:
        """`parameters` with the seeds that the grid lacks; None where it has all."""
        shared = self._in_grid(parameters)
        there = {run["seed"] for run in shared.runs} if shared else set()
        missing = tuple(seed for seed in parameters.seeds if seed not in there)
        return parameters.model_copy(update={"seeds": missing}) if missing else None


def _files(folder: Path, parameters: Parameters) -> CellFiles:
    return CellFiles(folder / "runs", parameters.variant, parameters.p)
