"""Variants compared: differences of final accuracy, depth by depth and as a mean over depths.

Every run that trained counts, whichever seeds the other variant has. Runs are not paired by seed: that would lose those
of the variant with more seeds, or whose partner diverged.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reproduction.evidence import spread
from reproduction.evidence.stratified import NOTHING, Cell, Estimate, contrast, slope
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
    "variant", "against", "depths", "ahead", "expected_ahead", "difference", "low", "high", "p_value", "p_holm",
    "trend", "trend_low", "trend_high",
]  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One variant against another, over the depths at which both have a run that trained, in points of accuracy.

    - at: the difference at each depth, by p
    - mean: over these depths
    - trend: by how much the difference grows for 10 more layers, the slope of the straight line through `at` (least
      squares); None for fewer than three depths
    """

    at: dict[int, Estimate]
    mean: Estimate
    trend: Estimate | None

    @property
    def depths(self) -> int:
        return len(self.at)

    @property
    def ahead(self) -> int:
        """At how many depths the first is more accurate."""
        return sum(own.mean > 0 for own in self.at.values())

    @property
    def expected_ahead(self) -> float:
        """At how many depths it truly is, by expectation: the sum of the probabilities at each."""
        return sum(own.probability_above_0 for own in self.at.values())

    def probability_ahead(self, least: float) -> float:
        """That it truly is ahead at no fewer than `least` depths. Depths are taken to be independent of each other."""
        distribution = np.ones(1)  # of how many, a Poisson binomial: one factor for each depth
        for own in self.at.values():
            distribution = np.convolve(distribution, [1 - own.probability_above_0, own.probability_above_0])
        return float(distribution[int(np.ceil(least - 1e-9)) :].sum())

    def __str__(self) -> str:
        if not self.at:
            return "no depth at which both trained"
        low, high = self.mean.interval
        interval = "no interval" if np.isnan(low) else f"95 % interval {low:+.1f} to {high:+.1f}"
        return f"{self.mean.mean:+.1f} points ({interval}), ahead at {self.ahead} of {self.depths} depths"


def compare(runs: pd.DataFrame, a: str, b: str) -> Comparison:
    """`a` against `b`, given the frame of `tables.final_runs`."""
    return compare_cells(spread.cells(runs), a, b)


def compare_cells(cells: dict[str, dict[int, Cell]], a: str, b: str) -> Comparison:
    """`a` against `b`, given what `spread.cells` returns."""
    depths = sorted(set(cells.get(a, ())) & set(cells.get(b, ())))
    if not depths:
        return Comparison({}, NOTHING, None)

    def difference(weights: dict[int, float]) -> Estimate:
        terms = [(sign * w, cells[name][p]) for name, sign in ((a, 100), (b, -100)) for p, w in weights.items()]
        return contrast(terms)

    return Comparison(
        {p: difference({p: 1.0}) for p in depths},
        difference(dict.fromkeys(depths, 1 / len(depths))),
        difference(slope(depths)) if len(depths) > 2 else None,
    )


def trend(cells: dict[int, Cell]) -> Estimate:
    """By how many points of accuracy one variant's `cells`, by p, change for 10 more layers."""
    return contrast((100 * weight, cells[p]) for p, weight in slope(sorted(cells)).items())


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of a family of tests, corrected so that one of all is below alpha by chance with probability alpha at
    most (Holm 1979, A simple sequentially rejective multiple test procedure). NaN stays NaN, and does not count."""
    corrected, largest = [float("nan")] * len(p_values), 0.0
    order = sorted((p, place) for place, p in enumerate(p_values) if not np.isnan(p))
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[place] = largest
    return corrected


def pairs(variants: Collection[str]) -> list[tuple[str, str]]:
    """Those of PAIRS, and each other variant against the baseline, with biases where it has them."""
    of_2019 = [pair for pair in PAIRS if set(pair) <= set(variants)]
    others = [(name, "baseline_bias" if VARIANTS[name].biases else "baseline") for name in variants]
    named = {a for a, _ in PAIRS}
    return of_2019 + [(a, b) for a, b in others if a != b and a not in named and b in variants]


def table(runs: pd.DataFrame, variants: Collection[str] = tuple(VARIANTS)) -> pd.DataFrame:
    """One row for each of the `pairs` of `variants`: variant, against, depths (how many), ahead and expected_ahead (at
    how many), and in points of accuracy difference, low, high (its 95 % interval); p_value, and p_holm, corrected for
    all rows; trend, trend_low, trend_high: points for 10 more layers."""
    cells = spread.cells(runs)
    rows = []
    for a, b in pairs(variants):
        compared = compare_cells(cells, a, b)
        grows = compared.trend or NOTHING
        numbers = [compared.depths, compared.ahead, compared.expected_ahead, compared.mean.mean]
        numbers += [*compared.mean.interval, compared.mean.p_value, float("nan"), grows.mean, *grows.interval]
        rows.append(dict(zip(_COLUMNS, [a, b, *numbers], strict=True)))
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    return frame.assign(p_holm=holm(frame["p_value"].tolist()))


def markdown(comparisons: pd.DataFrame) -> str:
    """The frame of `table` for a reader."""
    rows = [
        {
            "": f"{VARIANTS[row.variant].title} – {VARIANTS[row.against].title}",
            "difference in points": _number(row.difference, "+.1f"),
            "95 % interval": _interval(row.low, row.high),
            "p (Holm)": "–" if np.isnan(row.p_holm) else "< 0.001" if row.p_holm < 0.001 else f"{row.p_holm:.3f}",
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
