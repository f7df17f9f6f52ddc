"""Predicates about variants compared over the depths (`comparisons`)."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from reproduction.evidence import comparisons, draws
from reproduction.evidence.claims.evidence import Evidence
from reproduction.evidence.claims.finding import Finding, by_interval, by_probability, worst
from reproduction.evidence.stratified import Cell
from reproduction.protocol.variants import VARIANTS

Predicate = Callable[[Evidence], Finding]

_DRAWS = 1024
"""So often networks' true accuracies are drawn, given what was measured."""


def better(a: str, b: str) -> Predicate:
    """`a` is more accurate than `b`, in the mean over depths."""

    def predicate(evidence: Evidence) -> Finding:
        compared = evidence.compare(a, b)
        p_value = evidence.corrected.get((a, b), compared.mean.p_value)
        return Finding(by_interval(compared.mean, p_value), str(compared), compared.mean)

    return predicate


def all_better(pairs: Sequence[tuple[str, str]]) -> Predicate:
    """Each first of a pair is more accurate than its second, in the mean over depths."""

    def predicate(evidence: Evidence) -> Finding:
        found = {f"{VARIANTS[a].title} – {VARIANTS[b].title}": better(a, b)(evidence) for a, b in pairs}
        text = "; ".join(f"{pair}: {finding.text}" for pair, finding in found.items())
        least = min(found.values(), key=lambda finding: finding.estimate.mean)
        return Finding(worst([finding.verdict for finding in found.values()]), text, least.estimate)

    return predicate


def better_at(a: str, b: str, share: float) -> Predicate:
    """`a` is more accurate than `b` at no less than `share` of the depths."""

    def predicate(evidence: Evidence) -> Finding:
        compared = evidence.compare(a, b)
        if not compared.at:
            return Finding("inconclusive", str(compared))
        least = int(np.ceil(share * compared.depths - 1e-9))
        probability = evidence.compare_depths(a, b).probability_ahead(least)
        text = f"{compared}; that it truly is ahead at {least} or more has probability {probability:.2f}"
        return Finding(by_probability(probability), text, compared.mean)

    return predicate


def best_at_most(variant: str, among: Sequence[str], at: Callable[[int], bool] = lambda p: True) -> Predicate:
    """`variant` is the most accurate one of `among` at more than half of the depths that `at` chooses."""

    def predicate(evidence: Evidence) -> Finding:
        alone = evidence.cells_alone
        common = set.intersection(*(set(alone.get(name, ())) for name in among))
        depths = sorted(p for p in common if at(p))
        if not depths:
            return Finding("inconclusive", "no depth at which all of them trained")
        cells = {name: [alone[name][p] for p in depths] for name in among}
        best = [max(among, key=lambda name: cells[name][k].mean) for k in range(len(depths))]
        count = best.count(variant)
        others = {VARIANTS[name].title: best.count(name) for name in among if name != variant and name in best}
        rest = ", ".join(f"{title} at {times}" for title, times in others.items())
        text = f"{VARIANTS[variant].title} is best at {count} of {len(depths)} depths" + f" ({rest})" * bool(rest)
        drawn = _draw([cells[name] for name in among])
        if np.isnan(drawn).any():
            return Finding("inconclusive", f"{text}; how far seeds differ is not known")
        times_best = (drawn.argmax(axis=0) == among.index(variant)).sum(axis=0)
        probability = float((times_best > len(depths) / 2).mean())
        text += f"; that it truly is at more than half has probability {probability:.2f}"
        return Finding(by_probability(probability), text)

    return predicate


def flat(variant: str, most: float) -> Predicate:
    """The variant's accuracy falls by less than `most` points for 10 more layers."""

    def predicate(evidence: Evidence) -> Finding:
        cells = evidence.cells.get(variant, {})
        if len(cells) < 3:
            return Finding("inconclusive", f"runs trained at {len(cells)} depths, too few for a line")
        trend = comparisons.trend(cells)
        low, high = trend.interval
        verdict = "reproduced" if low > -most else "not reproduced" if high < -most else "inconclusive"
        text = f"{trend.mean:+.2f} points for 10 more layers (95 % interval {low:+.2f} to {high:+.2f})"
        return Finding(verdict, text)

    return predicate


def below_at(a: str, b: str, at: Sequence[int]) -> Predicate:
    """`a` is less accurate than `b` in the mean over the depths `at`."""

    def predicate(evidence: Evidence) -> Finding:
        chosen = {name: {p: cell for p, cell in own.items() if p in at} for name, own in evidence.cells.items()}
        compared = comparisons.compare_cells(chosen, b, a)
        text = f"{VARIANTS[b].title} – {VARIANTS[a].title} at p = {', '.join(map(str, at))}: {compared}"
        return Finding(by_interval(compared.mean, compared.mean.p_value), text, compared.mean)

    return predicate


def _draw(cells: Sequence[Sequence[Cell]]) -> np.ndarray:
    """True accuracies of variants' cells as they may be, given what was measured: ``[variants, depths, draws]``;
    Student's t around each mean, a flat prior."""
    means, errors, freedoms = (
        np.array([[of(cell) for cell in own] for own in cells])[..., None]
        for of in (lambda cell: cell.mean, lambda cell: cell.deviation / np.sqrt(cell.n), lambda cell: cell.freedom)
    )
    return means + errors * _students(tuple(map(tuple, np.maximum(freedoms, 1)[..., 0].tolist())))


@functools.cache
def _students(freedoms: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Student's t with these degrees of freedom: ``[variants, depths, draws]``."""
    shape = (len(freedoms), len(freedoms[0]))
    points = draws.uniform(_DRAWS, shape[0] * shape[1]).T.reshape(*shape, -1)
    return stats.t.ppf(points, np.array(freedoms)[..., None])
