"""How far apart runs are that differ in their seed only: one standard deviation for each range of depths."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from reproduction.evidence.statistics import PooledDeviation, pooled_deviation

SHALLOW = 9
"""The largest p of the shallow networks. In the deeper ones seeds differ more (claims 7 and 10 are about these too)."""

ENOUGH = 4
"""The degrees of freedom that a range of its own needs."""


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
        f"{words(PooledDeviation(row.deviation, row.freedom))} at p = {row.lowest} to {row.highest}"
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
