"""What a study compares: conditions, each of them cells of the grid with something changed, trained once and kept.

``outputs/studies/<study>/<condition>/runs/<variant>/pNN.csv`` and ``.json``, as everywhere else (see `results`).
"""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from equinorm import cell, figures, provenance, results, statistics
from equinorm.config import REPOSITORY
from equinorm.experiments import Parameters, check_parameters
from equinorm.files import atomically
from equinorm.results import CellFiles, ResultError

STUDIES = {
    "convergence": "How ENorm's cycles converge",
    "biases": "Why ENorm with biases turns to NaN, and a cure",
    "batch_norm_at_depth": "Why ENorm + BN is low at p = 19, and which c is best",
    "details": "Which details of the protocol matter",
}
"""Name and title; each is notebooks/studies/<name>.ipynb. The cheap ones first."""

OUTPUTS = REPOSITORY / "outputs" / "studies"
_CONTENTS = "contents.json"  # figures with captions, tables, and the digest of what they were made with
_MODULES = (
    "comparisons",
    "experiments",
    "fates",
    "figures",
    "first_steps",
    "statistics",
    "studies",
    "variations",
)  # besides those of a run's numbers
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
            contents, text = json.loads((folder / _CONTENTS).read_text()), (folder / "answer.md").read_text()
            found.append(Answer(name, title, text.strip(), contents["figures"], contents["tables"]))
    return found


def train(
    cells: Iterable[tuple[str, dict]],
    outputs: str | Path,
    device: str = "auto",
    grid: Path = REPOSITORY / "outputs" / "paper",
    restarts: int = 0,
) -> pd.DataFrame:
    """Train each (condition, parameters) that has no valid result yet; all their rows, one per run and epoch.

    Runs that are in `grid`, the outputs of a profile, are taken from there. `restarts` as in `cell.run`. The columns
    are `training.COLUMNS` with `condition` and `c` before them, and those of the cells' measures after. Raises
    ValueError in one sentence.
    """
    todo = [(condition, check_parameters(parameters)) for condition, parameters in cells]
    frames = []
    with tqdm(todo, unit="cell", mininterval=10) as bar:
        for condition, parameters in bar:
            bar.set_postfix_str(f"{condition}, p = {parameters.p}", refresh=False)
            rows = _rows_of_grid(grid, parameters)
            if rows is None:
                rows = _rows(Path(outputs) / condition, parameters, device, restarts)
            frames.append(rows.assign(condition=condition, c=parameters.c))
    frame = pd.concat(frames, ignore_index=True)
    return frame[["condition", "c", *frame.columns.drop(["condition", "c"])]]


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


def _rows_of_grid(grid: Path, parameters: Parameters) -> pd.DataFrame | None:
    """The runs of `parameters` out of a cell that has these seeds and maybe more; None where there is none.

    With the further seed of a cell whose runs have all diverged (see `cell.run`).
    """
    files = CellFiles(grid / "runs", parameters.variant, parameters.p)
    try:
        seeds = results.read(files).parameters.seeds
        result = results.read_for(files, parameters.model_copy(update={"seeds": seeds}))
    except (ResultError, ValueError):
        return None
    if not set(parameters.seeds) <= set(seeds):
        return None
    further = set(result.frame["seed"]) - set(seeds)
    return result.frame[result.frame["seed"].isin({*parameters.seeds, *further})]


def _rows(outputs: Path, parameters: Parameters, device: str, restarts: int) -> pd.DataFrame:
    """The runs of `parameters`, trained where they have no valid result under `outputs`."""
    files = CellFiles(outputs / "runs", parameters.variant, parameters.p)
    with contextlib.suppress(ResultError):
        return results.read_for(files, parameters).frame
    if files.csv.exists() or files.json.exists():
        results.set_aside(files)
    with contextlib.redirect_stdout(io.StringIO()):  # a bar for each of many cells would bury the notebook
        todo = parameters.model_dump(mode="json")
        return cell.run(outputs=str(outputs), device=device, restarts=restarts, **todo).frame


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
        temporary.write_text(answer + "\n")
    captions = {name: caption for name, (_, caption) in drawn.items()}
    contents = {"figures": captions, "tables": list(tables)}
    if outputs.name in STUDIES:
        contents["made_with"] = _digest(outputs.name)
    with atomically(outputs / _CONTENTS) as temporary:
        temporary.write_text(json.dumps(contents, indent=1, ensure_ascii=False) + "\n")


def is_current(outputs: Path) -> bool:
    """Whether the study whose folder this is has an answer made by its notebook and the library as they are now."""
    try:
        return json.loads((outputs / _CONTENTS).read_text())["made_with"] == _digest(outputs.name)
    except FileNotFoundError:
        return False


def _digest(name: str) -> str:
    """sha256 of a study's notebook and of the code that its answer depends on."""
    digest = hashlib.sha256(provenance.code_digest().encode())
    modules = [Path(__file__).with_name(f"{module}.py") for module in _MODULES]
    for path in [REPOSITORY / "notebooks" / "studies" / f"{name}.ipynb", *modules]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
