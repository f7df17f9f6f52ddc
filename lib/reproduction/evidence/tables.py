"""The tables behind the figures and the report, each a tidy data frame made from the results of a profile."""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reproduction.evidence import results, statistics
from reproduction.evidence.outcomes import outcomes
from reproduction.evidence.results import CellFiles, Result
from reproduction.protocol.profiles import Profile


@dataclass(frozen=True)
class Grid:
    """What there is of a profile, by (variant, p): the usable runs of those asked for, the seeds of runs that are still
    to be trained, and why results that there are cannot be used."""

    profile: Profile
    results: dict[tuple[str, int], Result]
    missing: dict[tuple[str, int], tuple[int, ...]]
    problems: dict[tuple[str, int], str]

    @property
    def runs_done(self) -> int:
        """How many runs there are, with the further ones of cells whose runs all diverged."""
        return sum(len(result.runs) for result in self.results.values())

    @property
    def runs_missing(self) -> int:
        """How many there are not, or not usable ones."""
        unusable = [cell for cell in self.profile.cells() if (cell.variant, cell.p) in self.problems]
        return sum(map(len, self.missing.values())) + sum(len(cell.seeds) for cell in unusable)

    def reason(self, key: tuple[str, int]) -> str:
        """Why runs of a cell are missing, in a few words; empty where none is."""
        if key in self.problems:
            return self.problems[key]
        seeds = self.missing.get(key, ())
        return f"not run yet: seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" if seeds else ""


def collect(profile: Profile, outputs: Path) -> Grid:
    """Read every cell of `profile` under `outputs`."""
    usable, missing, problems = {}, {}, {}
    for parameters in profile.cells():
        key = (parameters.variant, parameters.p)
        found = results.find(CellFiles(outputs / "runs", *key), parameters, results.RESTARTS)
        if found.result is not None:
            usable[key] = found.result
        if found.missing:
            missing[key] = found.missing
        if found.problem:
            problems[key] = found.problem.replace(f"{outputs}{os.sep}", "")  # the same wherever the folder is
    return Grid(profile, usable, missing, problems)


def epochs(grid: Grid) -> pd.DataFrame:
    """All runs, one row per run and epoch: `protocol.history.COLUMNS`."""
    frames = [result.frame for result in grid.results.values()]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(results.COLUMNS))


def final_runs(grid: Grid) -> pd.DataFrame:
    """One row per run: its last epoch, and how it ended (`outcomes`)."""
    frames = [
        result.final().assign(fate=lambda run: outcomes(run, grid.profile.dataset)) for result in grid.results.values()
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*results.COLUMNS, "fate"])


def status(grid: Grid) -> pd.DataFrame:
    """One row per cell: variant, p, status (done, partial or missing), runs (how many there are), diverged and stuck
    (how many of them), reason (why it is not done).

    A cell whose runs all diverged has one more run than asked for.
    """
    rows = []
    for parameters in grid.profile.cells():
        key = (parameters.variant, parameters.p)
        result = grid.results.get(key)
        ends = [] if result is None else list(outcomes(result.final(), result.parameters.dataset))
        rows.append(
            {
                "variant": parameters.variant,
                "p": parameters.p,
                "status": "missing" if result is None else "partial" if key in grid.missing else "done",
                "runs": len(ends),
                "diverged": ends.count("diverged"),
                "stuck": ends.count("stuck"),
                "reason": grid.reason(key),
            }
        )
    return pd.DataFrame(rows)


def accuracy(grid: Grid) -> pd.DataFrame:
    """One row per cell that has results: variant, p, learning_rate, n (runs that trained), mean, sd (sample standard
    deviation) and ci95 (half the 95 % interval) of their final test accuracy, both empty for n < 2, worst and best, and
    how many others diverged or are stuck at chance (`outcomes`)."""
    rows = []
    for (variant, p), result in grid.results.items():
        final = result.final()
        ends = list(outcomes(final, result.parameters.dataset))
        trained = final.loc[[end == "trained" for end in ends], "test_accuracy"].astype(float)
        rows.append(
            {
                "variant": variant,
                "p": p,
                "learning_rate": result.parameters.initial_learning_rate,
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
            "device": "; ".join(dict.fromkeys(device["name"] for device in result.devices)),
            "threads": "; ".join(dict.fromkeys(str(device.get("threads", "")) for device in result.devices)),
            "data": result.data,
            "precision": result.parameters.precision,
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
