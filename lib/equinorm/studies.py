"""What a study compares: conditions, each of them cells of the grid with something changed, trained once and kept.

``outputs/studies/<study>/<condition>/runs/<variant>/pNN.csv`` and ``.json``, as everywhere else (see `results`).
"""

import contextlib
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from equinorm import cell, provenance, report, results, statistics
from equinorm.config import REPOSITORY
from equinorm.experiments import Parameters, check_parameters
from equinorm.files import atomically
from equinorm.results import CellFiles, Result, ResultError

NAMES = ("convergence", "biases", "batch_norm_at_depth", "details")
"""Each is notebooks/studies/<name>.ipynb; the cheap ones first."""

_DIGEST = "made_from.sha256"
MATTERS = 0.5
"""Points of accuracy: a difference that is surely smaller is called none."""


def train(cells: Iterable[tuple[str, dict]], outputs: str | Path, device: str = "auto") -> pd.DataFrame:
    """Train each (condition, parameters) that has no valid result yet; all their rows, one per run and epoch.

    The columns are `training.COLUMNS` with `condition` and `c` before them, and those of the cells' measures after.
    Raises ValueError in one sentence.
    """
    todo = [(condition, check_parameters(parameters)) for condition, parameters in cells]
    frames = []
    with tqdm(todo, unit="cell", mininterval=10) as bar:
        for condition, parameters in bar:
            bar.set_postfix_str(f"{condition}, p = {parameters.p}")
            result = _result(Path(outputs) / condition, parameters, device)
            frames.append(result.frame.assign(condition=condition, c=parameters.c))
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


def _result(outputs: Path, parameters: Parameters, device: str) -> Result:
    files = CellFiles(outputs / "runs", parameters.variant, parameters.p)
    with contextlib.suppress(ResultError):
        return results.read_for(files, parameters)
    if files.csv.exists() or files.json.exists():
        results.set_aside(files)
    with contextlib.redirect_stdout(io.StringIO()):  # a bar for each of many cells would bury the notebook
        return cell.run(outputs=str(outputs), device=device, restarts=0, **parameters.model_dump(mode="json"))


def write(outputs: str | Path, answer: str, figures: dict[str, Figure], tables: dict[str, pd.DataFrame]) -> None:
    """Write a study's answer.md, figures/*.svg and .png, and tables/*.csv under `outputs`, for the report."""
    outputs = Path(outputs)
    for name, figure in figures.items():
        report.write_figure(figure, outputs / "figures" / name)
    for name, table in tables.items():
        with atomically(outputs / "tables" / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    with atomically(outputs / "answer.md") as temporary:
        temporary.write_text(answer + "\n")
    if outputs.name in NAMES:
        with atomically(outputs / _DIGEST) as temporary:
            temporary.write_text(_digest(outputs.name) + "\n")


def is_current(outputs: Path) -> bool:
    """Whether the study whose folder this is has an answer made by its notebook and the library as they are now."""
    try:
        return (outputs / _DIGEST).read_text().strip() == _digest(outputs.name)
    except FileNotFoundError:
        return False


def _digest(name: str) -> str:
    """sha256 of a study's notebook and of the library."""
    notebook = REPOSITORY / "notebooks" / "studies" / f"{name}.ipynb"
    return hashlib.sha256(notebook.read_bytes() + provenance.library_digest().encode()).hexdigest()


def in_points(differences: pd.Series) -> str:
    """The mean of paired differences of accuracies, in words: points, 95 % interval, number of pairs."""
    half = 100 * statistics.half_width(list(differences))
    interval = "one pair only" if len(differences) < 2 else f"95 % interval ± {half:.1f}, {len(differences)} pairs"
    return f"{100 * differences.mean():+.1f} points ({interval})"
