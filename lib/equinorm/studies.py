"""What a study compares: conditions, each of them cells of the grid with something changed, trained once and kept.

``outputs/studies/<study>/<condition>/runs/<variant>/pNN.csv`` and ``.json``, as everywhere else (see `results`).
"""

import contextlib
import dataclasses
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from equinorm import cell, figures, results, statistics, up_to_date
from equinorm.config import REPOSITORY
from equinorm.experiments import Parameters, check_parameters
from equinorm.files import atomically
from equinorm.results import CellFiles, Result, ResultError

STUDIES = {
    "convergence": "How ENorm's cycles converge",
    "biases": "Why ENorm with biases turns to NaN, and a cure",
    "batch_norm_at_depth": "Why ENorm + BN is low at p = 19, and which c is best",
    "details": "Which details of the protocol matter",
}
"""Name and title; each is notebooks/studies/<name>.ipynb. The cheap ones first."""

OUTPUTS = REPOSITORY / "outputs" / "studies"
_CONTENTS = "contents.json"  # figures with captions, tables, the runs that were read, and a digest of all that
MATTERS = 0.5
"""Points of accuracy: a difference that is surely smaller is called none."""


@dataclass(frozen=True)
class Answer:
    """What a study found: its title, its text, its figures (file's name: caption), the names of its tables' files."""

    name: str
    title: str
    text: str
    figures: dict[str, str]
    tables: list[str]


def answers(outputs: Path) -> list[Answer]:
    """The answers under `outputs`, of all studies that have one."""
    found = []
    for name, title in STUDIES.items():
        folder = outputs / name
        if (folder / _CONTENTS).is_file():
            contents = json.loads((folder / _CONTENTS).read_text(encoding="utf-8"))
            text = (folder / "answer.md").read_text(encoding="utf-8")
            found.append(Answer(name, title, text.strip(), contents["figures"], contents["tables"]))
    return found


def train(
    cells: Iterable[tuple[str, dict]],
    outputs: str | Path,
    device: str = "auto",
    grid: Path = REPOSITORY / "outputs" / "paper",
    restarts: int = 0,
    remake: bool = False,
) -> pd.DataFrame:
    """Train the runs of each (condition, parameters) that are not there yet; all their rows, one per run and epoch.

    Runs that are in `grid`, the outputs of a profile, are taken from there. `restarts` as in `cell.run`. With `remake`,
    results of a condition that do not fit its parameters are put aside, and made again. The columns are
    `training.COLUMNS` with `condition` and `c` before them, and those of the cells' measures after. Raises ValueError
    or ResultError in one sentence.
    """
    todo = [(condition, check_parameters(parameters)) for condition, parameters in cells]
    outputs, frames = Path(outputs), []
    with tqdm(todo, unit="cell", mininterval=10) as bar:
        for condition, parameters in bar:
            bar.set_postfix_str(f"{condition}, p = {parameters.p}", refresh=False)
            for folder, result in _results(outputs / condition, parameters, device, grid, restarts, remake):
                frames.append(result.frame.assign(condition=condition, c=parameters.c))
                _remember(outputs, folder, result)
    frame = pd.concat(frames, ignore_index=True)
    return frame[["condition", "c", *frame.columns.drop(["condition", "c"])]]


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
            result = cell.run(
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


_read: dict[Path, dict[str, list[int]]] = {}
"""For each study's folder, the results that this process has read for it, with their seeds."""


def _remember(outputs: Path, folder: Path, result: Result) -> None:
    path = os.path.relpath(_files(folder, result.parameters).json.resolve(), outputs.resolve())
    seeds = _read.setdefault(outputs.resolve(), {}).setdefault(Path(path).as_posix(), [])
    seeds += [run["seed"] for run in result.runs if run["seed"] not in seeds]


def final(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per run: its last."""
    return rows.drop_duplicates(["condition", "variant", "p", "seed"], keep="last").reset_index(drop=True)


def differences(runs: pd.DataFrame, reference: str, by: list[str]) -> pd.DataFrame:
    """How much more accurate each condition's runs are than those of the condition `reference`, in points.

    Paired by variant, p and seed, over the pairs in which both runs finished; one row for each condition and each group
    of `by`: the mean difference, the half-width of its 95 % interval (Student's t over pairs), the number of pairs, and
    how many runs of the condition diverged. verdict: "matters" where the interval leaves out 0, "does not" where it
    lies within MATTERS points of 0, "diverges" where no pair is left, else "not known".
    """
    index = ["variant", "p", "seed"]
    own = runs[runs["condition"] == reference].set_index(index)["test_accuracy"].rename("reference")
    others = runs[runs["condition"] != reference].join(own, on=index)
    rows = []
    for key, group in others.groupby(["condition", *by], sort=False):
        pairs = (100 * (group["test_accuracy"] - group["reference"])).dropna()
        mean, half = pairs.mean(), statistics.half_width(list(pairs))
        rows.append(
            dict(zip(["condition", *by], key, strict=True))
            | {
                "difference": mean,
                "half_width": half,
                "pairs": len(pairs),
                "diverged": int(group["diverged"].sum()),
                "verdict": _verdict(mean, half, len(pairs)),
            }
        )
    return pd.DataFrame(rows)


def _verdict(mean: float, half: float, pairs: int) -> str:
    if not pairs:
        return "diverges"
    if abs(mean) > half:
        return "matters"
    return "does not" if abs(mean) + half <= MATTERS else "not known"


def write(
    outputs: str | Path, answer: str, drawn: dict[str, tuple[Figure, str]], tables: dict[str, pd.DataFrame]
) -> None:
    """Write a study's answer.md, figures/*.svg and .png, and tables/*.csv under `outputs`, for the report.

    `drawn` holds each figure with its caption, which says what it shows to whoever has not read the text.
    """
    outputs = Path(outputs)
    for name, (figure, _) in drawn.items():
        figures.write(figure, outputs / "figures" / name)
    for name, table in tables.items():
        with atomically(outputs / "tables" / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    with atomically(outputs / "answer.md") as temporary:
        temporary.write_text(answer + "\n", encoding="utf-8")
    captions = {name: caption for name, (_, caption) in drawn.items()}
    contents = {"figures": captions, "tables": list(tables)}
    if outputs.name in STUDIES:
        contents["runs"] = _read.get(outputs.resolve(), {})
        contents["made_of"] = _digest(outputs, contents["runs"])
    with atomically(outputs / _CONTENTS) as temporary:
        temporary.write_text(json.dumps(contents, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def is_current(outputs: Path) -> bool:
    """Whether the study whose folder this is has an answer, made of its notebook, runs and code as they are now."""
    try:
        contents = json.loads((outputs / _CONTENTS).read_text(encoding="utf-8"))
        return contents["made_of"] == _digest(outputs, contents["runs"])
    except (FileNotFoundError, KeyError, ResultError):
        return False


def _digest(outputs: Path, runs: dict[str, list[int]]) -> str:
    """What a study's answer is made of (see `up_to_date`), given the results that it read."""
    notebook = REPOSITORY / "notebooks" / "studies" / f"{outputs.name}.ipynb"
    return up_to_date.digest(notebook, (_rows_digest(outputs / path, seeds) for path, seeds in runs.items()))


def _rows_digest(path: Path, seeds: list[int]) -> str:
    """sha256 of the rows of some runs of one result. Raises ResultError."""
    result = results.read(CellFiles(path.parents[1], path.parent.name, int(path.stem[1:])))
    frame = result.frame[result.frame["seed"].isin(seeds)]
    return dataclasses.replace(result, frame=frame).digest()
