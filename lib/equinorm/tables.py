"""The tables behind the figures and the report, each a tidy data frame made from the results of a profile."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from equinorm import provenance, results, statistics, studies
from equinorm.config import Profile
from equinorm.fates import fates
from equinorm.results import CellFiles, Result, ResultError


@dataclass(frozen=True)
class Grid:
    """What there is of a profile: its usable results by (variant, p), and why each other cell has none."""

    profile: Profile
    results: dict[tuple[str, int], Result]
    problems: dict[tuple[str, int], str]


def collect(profile: Profile, outputs: Path) -> Grid:
    """Read every cell of `profile` under `outputs`; a result that cannot be used counts as missing, with its reason."""
    usable, problems = {}, {}
    for parameters in profile.cells():
        key = (parameters.variant, parameters.p)
        try:
            usable[key] = results.read_for(CellFiles(outputs / "runs", *key), parameters)
        except ResultError as error:
            problems[key] = str(error).replace(f"{outputs}{os.sep}", "")  # the same wherever the folder is
    return Grid(profile, usable, problems)


def epochs(grid: Grid) -> pd.DataFrame:
    """All runs, one row per run and epoch: training.COLUMNS."""
    frames = [result.frame for result in grid.results.values()]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(results.COLUMNS))


def final_runs(grid: Grid) -> pd.DataFrame:
    """One row per run: its last epoch, and how it ended (`fates.fates`)."""
    frames = [result.final().assign(fate=lambda run: fates(run)) for result in grid.results.values()]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*results.COLUMNS, "fate"])


def status(grid: Grid) -> pd.DataFrame:
    """One row per cell: variant, p, status (done / missing), runs, diverged and stuck (how many), reason (why missing).

    A cell whose runs all diverged has one more run than asked for.
    """
    rows = []
    for parameters in grid.profile.cells():
        key = (parameters.variant, parameters.p)
        result = grid.results.get(key)
        ends = [] if result is None else list(fates(result.final()))
        rows.append(
            {
                "variant": parameters.variant,
                "p": parameters.p,
                "status": "missing" if result is None else "done",
                "runs": len(ends) or len(parameters.seeds),
                "diverged": ends.count("diverged"),
                "stuck": ends.count("stuck"),
                "reason": grid.problems.get(key, ""),
            }
        )
    return pd.DataFrame(rows)


def accuracy(grid: Grid) -> pd.DataFrame:
    """One row per cell that has results: variant, p, learning_rate, n (runs that trained), mean, sd (sample standard
    deviation) and ci95 (half the 95 % interval) of their final test accuracy, both empty for n < 2, worst and best, and
    how many others diverged or are stuck at chance (`fates`)."""
    rows = []
    for (variant, p), result in grid.results.items():
        final = result.final()
        ends = list(fates(final))
        trained = final.loc[[end == "trained" for end in ends], "test_accuracy"].astype(float)
        rows.append(
            {
                "variant": variant,
                "p": p,
                "learning_rate": result.metadata["protocol"]["initial_learning_rate"],
                "n": len(trained),
                "mean": trained.mean(),
                "sd": trained.std(ddof=1),
                "ci95": statistics.half_width(trained),
                "worst": trained.min(),
                "best": trained.max(),
                "diverged": ends.count("diverged"),
                "stuck": ends.count("stuck"),
            }
        )
    columns = ["variant", "p", "learning_rate", "n", "mean", "sd", "ci95", "worst"]
    columns += ["best", "diverged", "stuck"]
    return pd.DataFrame(rows, columns=columns)


def cost(grid: Grid) -> pd.DataFrame:
    """One row per cell that has results: runs, seconds (all of them, evaluation included), seconds_per_run, device,
    threads, data (what was trained on), precision. seconds_per_run is that of a run of all epochs, by the number of
    epochs that the cell's runs had, and empty where none had all: runs that diverge are over in seconds."""
    rows = [
        {
            "variant": variant,
            "p": p,
            "runs": result.frame["seed"].nunique(),
            "seconds": round(result.seconds, 1),
            "seconds_per_run": _seconds_per_run(result),
            "device": result.metadata["device"]["name"],
            "threads": result.metadata["device"].get("threads", ""),
            "data": result.metadata["data"]["description"],
            "precision": result.metadata["parameters"]["precision"],
        }
        for (variant, p), result in grid.results.items()
    ]
    columns = ["variant", "p", "runs", "seconds", "seconds_per_run", "device", "threads", "data", "precision"]
    return pd.DataFrame(rows, columns=columns)


def _seconds_per_run(result: Result) -> float:
    epochs = result.parameters.epochs
    if result.frame["epoch"].max() < epochs:
        return float("nan")
    return round(result.seconds / len(result.frame) * epochs, 1)


def inputs_digest(grid: Grid) -> str:
    """What the summary of `grid` depends on: its results, what is missing, the code that makes tables of them, and for
    the paper's grid the answers of the studies."""
    digest = hashlib.sha256(provenance.library_digest().encode())
    for key in sorted(grid.results):
        digest.update(json.dumps(grid.results[key].metadata, sort_keys=True).encode())
    digest.update(json.dumps(sorted(map(list, grid.problems))).encode())
    if grid.profile.name == "paper":
        digest.update(repr(studies.answers(studies.OUTPUTS)).encode())
    return digest.hexdigest()


def summary_is_current(grid: Grid, outputs: Path) -> bool:
    """Whether the tables, figures and report under `outputs` are those of `grid`."""
    try:
        return (outputs / "tables" / "inputs.sha256").read_text().strip() == inputs_digest(grid)
    except OSError:
        return False
