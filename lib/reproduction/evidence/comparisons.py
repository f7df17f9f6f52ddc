"""Variants compared: differences of final accuracy, paired by depth and seed, with interval and effect size.

The depths are the sample: the interval says how sure it is that one variant is better over this range of depths, not
at a single one. Where a difference has a trend over depth, its mean depends on which depths were run.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from reproduction.evidence import statistics
from reproduction.protocol.variants import VARIANTS

PAIRS = (
    ("enorm", "baseline"),
    ("batch_norm", "baseline"),
    ("enorm_batch_norm", "baseline"),
    ("enorm_batch_norm", "batch_norm"),
    ("enorm_batch_norm", "enorm"),
    ("enorm", "batch_norm"),
    ("baseline_bias", "baseline"),
    ("enorm_bias", "enorm"),
    ("enorm_bias", "baseline_bias"),
)
"""What the claims of the 2019 report compare: (a, b) for "a against b"."""

_COLUMNS = [
    "variant", "against", "depths", "ahead", "difference", "low", "high", "effect_size",
    "trend", "trend_low", "trend_high",
]  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One variant against another, over the depths at which both have a run that trained."""

    differences: pd.Series  # of accuracy, by p

    @property
    def wins(self) -> int:
        return int((self.differences > 0).sum())

    @property
    def n(self) -> int:
        return len(self.differences)

    @property
    def mean(self) -> float:
        return float(self.differences.mean()) if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean (paired t)."""
        return self.mean - self.half_width, self.mean + self.half_width

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return statistics.half_width(self.differences)

    @property
    def effect_size(self) -> float:
        """Cohen's d_z, `statistics.effect_size` of the differences over depths."""
        return statistics.effect_size(self.differences)

    @property
    def trend(self) -> tuple[float, float, float]:
        """By how much the difference grows per layer, and the 95 % interval of that: slope of a straight line over p
        (least squares, Student's t). NaN for fewer than three depths."""
        if self.n < 3:
            return (float("nan"),) * 3
        line = stats.linregress(self.differences.index.to_numpy(dtype=float), self.differences.to_numpy())
        half = stats.t.ppf(0.975, self.n - 2) * line.stderr
        return float(line.slope), float(line.slope - half), float(line.slope + half)

    def __str__(self) -> str:
        if not self.n:
            return "no depth at which both trained"
        low, high = self.interval
        text = "no interval" if np.isnan(low) else f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
        return f"{100 * self.mean:+.1f} points ({text}), ahead at {self.wins} of {self.n} depths"


def compare(runs: pd.DataFrame, a: str, b: str) -> Comparison:
    """`a` minus `b` at each depth, given the frame of `tables.final_runs`.

    At a depth where they share seeds, the mean difference over these (same initial weights where the layers are the
    same, same order of images); where they share none, the difference of their means.
    """
    trained = runs[(runs["fate"] == "trained") & runs["variant"].isin((a, b))]
    if trained["variant"].nunique() < 2:
        return Comparison(pd.Series(dtype=float))
    seeds = trained.pivot_table(index=["p", "seed"], columns="variant", values="test_accuracy", dropna=False)
    paired = (seeds[a] - seeds[b]).groupby("p").mean()
    means = seeds.groupby("p").mean()
    return Comparison(paired.fillna(means[a] - means[b]).dropna().astype(float))


def pairs(variants: Collection[str]) -> list[tuple[str, str]]:
    """Those of PAIRS, and each other variant against the baseline, with biases where it has them."""
    of_2019 = [pair for pair in PAIRS if set(pair) <= set(variants)]
    others = [(name, "baseline_bias" if VARIANTS[name].biases else "baseline") for name in variants]
    named = {a for a, _ in PAIRS}
    return of_2019 + [(a, b) for a, b in others if a != b and a not in named and b in variants]


def table(runs: pd.DataFrame, variants: Collection[str] = tuple(VARIANTS)) -> pd.DataFrame:
    """One row for each of the `pairs` of `variants`: variant, against, depths (how many), ahead (at how many), and in
    points of accuracy difference, low, high (its 95 % interval); effect_size; trend, trend_low, trend_high: points per
    10 layers."""
    rows = []
    for a, b in pairs(variants):
        comparison = compare(runs, a, b)
        low, high = comparison.interval
        trend, trend_low, trend_high = comparison.trend
        rows.append(
            {
                "variant": a,
                "against": b,
                "depths": comparison.n,
                "ahead": comparison.wins,
                "difference": 100 * comparison.mean,
                "low": 100 * low,
                "high": 100 * high,
                "effect_size": comparison.effect_size,
                "trend": 1000 * trend,
                "trend_low": 1000 * trend_low,
                "trend_high": 1000 * trend_high,
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)


def markdown(comparisons: pd.DataFrame) -> str:
    """The frame of `table` for a reader."""
    rows = [
        {
            "": f"{VARIANTS[row.variant].title} – {VARIANTS[row.against].title}",
            "difference in points": _number(row.difference, "+.1f"),
            "95 % interval": _interval(row.low, row.high),
            "effect size": _number(row.effect_size, "+.1f"),
            "depths ahead": f"{row.ahead} of {row.depths}",
            "trend per 10 layers": f"{_number(row.trend, '+.1f')} ({_interval(row.trend_low, row.trend_high)})",
        }
        for row in comparisons.itertuples()
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def _interval(low: float, high: float) -> str:
    return "–" if np.isnan(low) else f"{low:+.1f} to {high:+.1f}"


def _number(value: float, form: str) -> str:
    return "–" if np.isnan(value) else format(value, form)
