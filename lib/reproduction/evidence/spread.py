"""How far apart runs are that differ in their seed only: one standard deviation for each range of depths."""

from collections import defaultdict
from collections.abc import Callable
from math import nan
from statistics import mean, stdev

import numpy as np
import pandas as pd

from reproduction.evidence.statistics import PooledDeviation, pooled_deviation
from reproduction.evidence.stratified import Cell

SHALLOW = 9
"""The largest p of the shallow networks. In the deeper ones seeds differ more (claims 7 and 10 are about these too)."""

ENOUGH = 4
"""The degrees of freedom that a range of its own needs."""

OWN = 16
"""The degrees of freedom that a variant needs for a deviation of its own, five runs at four depths."""


def cells(runs: pd.DataFrame) -> dict[str, dict[int, Cell]]:
    """Each cell of `runs` in which a run trained, by variant and p; `runs` is as `tables.final_runs` gives it.

    A variant whose cells in a range of depths have OWN degrees of freedom has a deviation of its own there; the others
    have that of all variants together, in the ranges of `by_depth`.
    """
    trained, accuracies = runs[runs["fate"] == "trained"], defaultdict(list)
    for variant, p, accuracy in zip(trained["variant"], trained["p"], trained["test_accuracy"], strict=True):
        accuracies[variant, p].append(float(accuracy))
    rows = [
        {"variant": variant, "p": p, "n": len(own), "mean": mean(own), "sd": stdev(own) if len(own) > 1 else nan}
        for (variant, p), own in accuracies.items()
    ]
    found: dict[str, dict[int, Cell]] = {variant: {} for variant, _ in accuracies}
    for low, high in by_depth(pd.DataFrame(rows, columns=["p", "n", "sd"]))[["lowest", "highest"]].to_numpy().tolist():
        everybody = [row for row in rows if low <= row["p"] <= high]
        shared = _deviation(everybody)
        for variant in {row["variant"] for row in everybody}:
            own = [row for row in everybody if row["variant"] == variant]
            noise, pool = _deviation(own), f"{variant}, p = {low} to {high}"
            if noise.freedom < OWN:
                noise, pool = shared, f"p = {low} to {high}"
            for row in own:
                found[variant][row["p"]] = Cell(row["mean"], row["n"], noise.deviation, noise.freedom, pool)
    return found


def _deviation(rows: list[dict]) -> PooledDeviation:
    return pooled_deviation([row["n"] for row in rows], [row["sd"] for row in rows])


def by_depth(accuracy: pd.DataFrame) -> pd.DataFrame:
    """One row for each range of depths: lowest and highest (the p of the cells in it), deviation, freedom.

    From the frame of `tables.accuracy`: the standard deviation within a cell, pooled over all that have several runs
    (`statistics.pooled_deviation`), as a share; and its degrees of freedom. p ≤ SHALLOW and the depths above it are a
    range each, if both have ENOUGH degrees of freedom; else all depths are one. NaN where no cell has several runs.
    """
    if accuracy.empty:
        return pd.DataFrame(columns=["lowest", "highest", "deviation", "freedom"])
    shallow = accuracy["p"] <= SHALLOW
    parts = [part for part in (accuracy[shallow], accuracy[~shallow]) if len(part)]
    rows = [_pooled(part) for part in parts]
    if any(row["freedom"] < ENOUGH for row in rows):
        rows = [_pooled(accuracy)]
    return pd.DataFrame(rows)


def at(spread: pd.DataFrame, depths: np.ndarray) -> np.ndarray:
    """The deviation at each of `depths`, given the frame of `by_depth`: that of the nearest range."""
    if spread.empty:
        return np.full(len(depths), np.nan)
    ends = spread[["lowest", "highest"]].to_numpy()
    distance = np.maximum(ends[:, 0] - depths[:, None], depths[:, None] - ends[:, 1])
    return spread["deviation"].to_numpy()[distance.argmin(axis=1)]


def in_words(spread: pd.DataFrame) -> str:
    """The frame of `by_depth` in words; empty where no cell has several runs."""
    return _by_range(spread, lambda noise: f"{100 * noise.deviation:.2f} points")


def noise_in_words(spread: pd.DataFrame) -> str:
    """Half the 95 % interval of a difference between two single runs, in words."""
    return _by_range(spread, lambda noise: f"± {100 * noise.half_width(1, 1):.1f} points")


def _by_range(spread: pd.DataFrame, words: Callable[[PooledDeviation], str]) -> str:
    return " and ".join(
        f"{words(PooledDeviation(row.deviation, row.freedom))} at p = {row.lowest}"
        + (f" to {row.highest}" if row.highest > row.lowest else "")
        for row in spread.dropna(subset=["deviation"]).itertuples()
    )


def _pooled(part: pd.DataFrame) -> dict[str, float]:
    noise = pooled_deviation(part["n"], part["sd"])
    return {
        "lowest": part["p"].min(),
        "highest": part["p"].max(),
        "deviation": noise.deviation,
        "freedom": noise.freedom,
    }
