"""The claims of the 2019 report, each with its place there, a predicate over the tables, and the verdict it computes.

Variants are compared depth by depth (see `comparisons`). Claims about single depths take every run of their cells that
there is, those of the studies too, and say how near their verdict is.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from reproduction.evidence.comparisons import Comparison, compare
from reproduction.protocol.variants import DEPTHS, IN_2019, VARIANTS

Verdict = Literal["reproduced", "not reproduced", "inconclusive"]
_MAIN = ("baseline", "batch_norm", "enorm", "enorm_batch_norm")
HOURS_IN_2019, RUNS_IN_2019 = 24, 80
"""Section 4.1 of the report; its runs, restarted ones not counted (they are not given)."""
ABOUT_SINGLE_DEPTHS = (6, 7, 10)
"""The numbers of the claims that rest on a few runs."""
_ALMOST_EVERY, _CONSISTENTLY, _MOSTLY = 0.8, 0.9, 0.5  # shares of the depths, as the words of 2019 are read here


@dataclass(frozen=True)
class Evidence:
    """What the predicates look at: the frames of `tables.final_runs`, `tables.status`, `tables.cost` and
    `further_runs.table`."""

    runs: pd.DataFrame
    status: pd.DataFrame
    cost: pd.DataFrame
    further: pd.DataFrame = field(default_factory=pd.DataFrame)

    def means(self, variant: str) -> pd.Series:
        """Mean final accuracy of the runs that trained, by p."""
        own = self.runs[(self.runs["variant"] == variant) & (self.runs["fate"] == "trained")]
        return own.groupby("p")["test_accuracy"].mean()

    def all_runs(self, variant: str) -> pd.DataFrame:
        """Every run of the variant's cells that there is, those of studies too."""
        frames = [frame for frame in (self.runs, self.further) if len(frame)]
        runs = pd.concat(frames, ignore_index=True) if frames else self.runs
        return runs[runs["variant"] == variant]

    def missing(self, *variants: str) -> list[tuple[str, int]]:
        """The cells (variant, p) of `variants` that have no results."""
        done = set(
            self.status.loc[self.status["status"] == "done", ["variant", "p"]].itertuples(index=False, name=None)
        )
        return [(v, p) for v in variants for p in DEPTHS if (v, p) not in done]

    def incomplete_depths(self, *variants: str) -> list[int]:
        """The depths at which one of `variants` has no results."""
        return sorted({p for _, p in self.missing(*variants)})


def _beats(comparison: Comparison, share: float) -> Verdict:
    """Reproduced where `a` is ahead at no less than `share` of the depths and the interval lies above 0; not reproduced
    where it is ahead at too few and the interval reaches below 0, or lies wholly there; else inconclusive."""
    low, high = comparison.interval
    often = comparison.n > 0 and comparison.wins >= share * comparison.n
    if often and low > 0:
        return "reproduced"
    if high < 0 or (not often and low <= 0):
        return "not reproduced"
    return "inconclusive"


def _worst(verdicts: list[Verdict]) -> Verdict:
    order: list[Verdict] = ["not reproduced", "inconclusive", "reproduced"]
    return min(verdicts, key=order.index)


def _pair(a: str, b: str, share: float) -> Callable[[Evidence], tuple[Verdict, str]]:
    def predicate(evidence: Evidence) -> tuple[Verdict, str]:
        comparison = compare(evidence.runs, a, b)
        return _beats(comparison, share), str(comparison)

    return predicate


def _best_at_most_depths(evidence: Evidence) -> tuple[Verdict, str]:
    means = pd.DataFrame({v: evidence.means(v) for v in _MAIN})
    means = means.drop(index=evidence.incomplete_depths(*_MAIN), errors="ignore")
    best = means.idxmax(axis=1)
    count = int((best == "enorm_batch_norm").sum())
    others = best[best != "enorm_batch_norm"].map(lambda v: VARIANTS[v].title).value_counts()
    rest = ", ".join(f"{title} at {number} of them" for title, number in others.items())
    text = f"ENorm + BN is best at {count} of {len(best)} depths" + (f" ({rest})" if rest else "")
    return ("reproduced" if count > len(best) / 2 else "not reproduced"), text


def _all_beat_baseline(evidence: Evidence) -> tuple[Verdict, str]:
    compared = {v: compare(evidence.runs, v, "baseline") for v in ("batch_norm", "enorm", "enorm_batch_norm")}
    text = "; ".join(f"{VARIANTS[v].title}: {comparison}" for v, comparison in compared.items())
    return _worst([_beats(comparison, _MOSTLY) for comparison in compared.values()]), text


def _ranking(evidence: Evidence) -> tuple[Verdict, str]:
    pairs = (("enorm_batch_norm", "enorm"), ("enorm", "batch_norm"), ("batch_norm", "baseline"))
    compared = {pair: compare(evidence.runs, *pair) for pair in pairs}
    text = "; ".join(f"{VARIANTS[a].title} over {VARIANTS[b].title}: {c}" for (a, b), c in compared.items())
    return _worst([_beats(comparison, _MOSTLY) for comparison in compared.values()]), text


@dataclass(frozen=True)
class _Line:
    """What a straight line through the mean accuracies at p < 19 says of p = 19."""

    at_19: float  # the mean there
    predicted: float
    half: float  # half the 95 % prediction interval
    p_value: float  # two-sided, of a mean as far from the line

    @property
    def verdict(self) -> Verdict:
        return "reproduced" if self.at_19 < self.predicted - self.half else "not reproduced"


def _line(runs: pd.DataFrame) -> _Line:
    """Least squares, with each depth's mean as one value: the prediction interval of Student's t for a further one."""
    means = runs.groupby("p")["test_accuracy"].mean()
    earlier = means[means.index < 19]
    x, y = earlier.index.to_numpy(float), earlier.to_numpy()
    line = stats.linregress(x, y)
    predicted = line.intercept + line.slope * 19
    residual = np.sqrt(((y - line.intercept - line.slope * x) ** 2).sum() / (len(x) - 2))
    deviation = residual * np.sqrt(1 + 1 / len(x) + (19 - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    t = (means[19] - predicted) / deviation
    half = stats.t.ppf(0.975, len(x) - 2) * deviation
    return _Line(means[19], predicted, half, 2 * stats.t.sf(abs(t), len(x) - 2))


def _low_at_19(evidence: Evidence) -> tuple[Verdict, str]:
    """Below what a straight line through the smaller depths predicts, by its 95 % prediction interval."""
    runs = evidence.all_runs("enorm_batch_norm")
    trained = runs[runs["fate"] == "trained"]
    own = trained[trained["p"] == 19]
    if own.empty:
        return "reproduced", "no run at p = 19 trained"
    smaller = trained[trained["p"] < 19]
    if smaller["p"].nunique() < 4:  # with one left out, a line and its residuals need three
        return "inconclusive", f"runs trained at {smaller['p'].nunique()} depths below p = 19, too few for a line"
    line = _line(trained)
    left_out = [run for run in trained.index if len(own) > 1 or run not in own.index]
    turned = [run for run in left_out if _line(trained.drop(run)).verdict != line.verdict]
    text = (
        f"{100 * line.at_19:.2f} % at p = 19 ({_in_words(own)}); a line through p < 19 predicts "
        f"{100 * line.predicted:.2f} ± {100 * line.half:.2f} % (95 % prediction interval: no less than "
        f"{100 * (line.predicted - line.half):.2f} %; p-value {line.p_value:.3f}). With one of {len(left_out)} runs "
        f"left out the verdict {_turns(len(turned))}. Training loss ends at {own['train_loss'].min():.2f} or more "
        f"at p = 19, at {smaller['train_loss'].max():.2f} or less at smaller p"
    )
    return line.verdict, text


def _in_words(runs: pd.DataFrame) -> str:
    """How many runs there are, how accurate each is where there are several, and how many are of studies."""
    if len(runs) == 1:
        return "1 run"
    each = ", ".join(f"{100 * accuracy:.2f}" for accuracy in runs["test_accuracy"])
    studies = int(runs["study"].notna().sum()) if "study" in runs else 0
    return f"{len(runs)} runs: {each}" + (f"; {studies} of a study" if studies else "")


def _turns(times: int) -> str:
    return "stays the same, whichever it is" if not times else f"turns in {times} of the cases"


def _bias_threshold(evidence: Evidence) -> tuple[Verdict, str]:
    own = evidence.all_runs("enorm_bias")
    low, high = own[own["p"] <= 9], own[own["p"] > 9]
    at_once = (high["fate"] == "diverged") & (high["epoch"] == 1)

    def count(runs: pd.DataFrame, fate: str) -> int:
        return int((runs["fate"] == fate).sum())

    text = (
        f"p > 9: of {len(high)} runs, {count(high, 'diverged')} gave NaN ({int(at_once.sum())} in the first epoch), "
        f"{count(high, 'stuck')} stayed at chance, {count(high, 'trained')} trained; p ≤ 9: {count(low, 'trained')} of "
        f"{len(low)} trained"
    )
    otherwise = pd.concat([high[~at_once], low[low["fate"] != "trained"]])
    if otherwise.empty:
        return "reproduced", f"{text}. All {len(own)} runs are as claimed; one that is not would turn the verdict"
    if (low["fate"] == "trained").all() and not count(high, "trained"):
        text += ". So it is p = 9 above which nothing trains, as claimed, but NaN is not how every run ends"
    if len(otherwise) == 1:
        run = otherwise.iloc[0]
        text += f". One run decides: without seed {run['seed']} at p = {run['p']} the claim would be reproduced"
    else:
        text += f". {len(otherwise)} of {len(own)} runs are not as claimed"
    return "not reproduced", text


def _biases_help(evidence: Evidence) -> tuple[Verdict, str]:
    compared = {
        "baseline": compare(evidence.runs, "baseline_bias", "baseline"),
        "ENorm where it trains": compare(evidence.runs, "enorm_bias", "enorm"),
    }
    text = "; ".join(f"{name}: {comparison}" for name, comparison in compared.items())
    return _worst([_beats(comparison, _MOSTLY) for comparison in compared.values()]), text


def _now_and_then(evidence: Evidence) -> tuple[Verdict, str]:
    own = evidence.runs[(evidence.runs["variant"] == "enorm") & (evidence.runs["p"] > 9)]
    diverged, n = int(own["diverged"].sum()), len(own)
    low, high = stats.binomtest(diverged, n).proportion_ci(method="exact") if n else (0.0, 1.0)
    baseline = evidence.runs[(evidence.runs["variant"] == "baseline") & (evidence.runs["p"] > 9)]
    text = (
        f"{diverged} of {n} ENorm runs at p > 9 diverged (exact 95 % interval {100 * low:.0f} to {100 * high:.0f} %); "
        f"of the baseline's, {int(baseline['diverged'].sum())} of {len(baseline)}"
    )
    if diverged:
        return ("reproduced" if diverged < n else "not reproduced"), text
    return ("inconclusive" if high > 0.05 else "not reproduced"), text


def _cost(evidence: Evidence) -> tuple[Verdict, str]:
    hours = evidence.cost["seconds"].sum() / 3600
    devices = "; ".join(sorted(set(evidence.cost["device"])))
    text = f"{hours:.1f} hours for {int(evidence.cost['runs'].sum())} runs on {devices}"
    return "inconclusive", text + f"; {HOURS_IN_2019} hours in 2019, on Colab's GPUs: another device"


@dataclass(frozen=True)
class Claim:
    """One claim: what the 2019 report says, where, and how it is judged once all cells of `variants` are there."""

    number: int
    text: str
    place: str
    variants: tuple[str, ...]
    predicate: Callable[[Evidence], tuple[Verdict, str]]
    rule: str  # what the predicate asks for


def _ahead(share: float) -> str:
    return f"ahead at {100 * share:.0f} % of the depths or more, and the 95 % interval lies above 0"


CLAIMS = (
    Claim(1, "ENorm beats the baseline at almost every p", "section 3, on Figure 2", ("baseline", "enorm"),
          _pair("enorm", "baseline", _ALMOST_EVERY), _ahead(_ALMOST_EVERY)),
    Claim(2, "ENorm + BN is best at most p", "section 3, on Figure 2", _MAIN, _best_at_most_depths,
          "the highest mean at more than half of the depths"),
    Claim(3, "ENorm + BN beats BN alone consistently", "section 3, on Figure 2", ("batch_norm", "enorm_batch_norm"),
          _pair("enorm_batch_norm", "batch_norm", _CONSISTENTLY), _ahead(_CONSISTENTLY)),
    Claim(4, "The ranking is ENorm + BN, ENorm, BN, baseline", "section 4.1 and conclusion", _MAIN, _ranking,
          f"each {_ahead(_MOSTLY)}"),
    Claim(5, "Every scheme beats the baseline", "section 4.1", _MAIN, _all_beat_baseline, f"each {_ahead(_MOSTLY)}"),
    Claim(6, "ENorm + BN is relatively low at p = 19", "section 3 and conclusion", ("enorm_batch_norm",), _low_at_19,
          "below the 95 % prediction interval of a straight line through p < 19"),
    Claim(7, "With biases, ENorm gives NaN at every p > 9 within the first epoch, and trains at p ≤ 9",
          "section 3, on Figure 3", ("enorm_bias",), _bias_threshold, "so for every run of these depths"),
    Claim(8, "With biases, ENorm still beats the baseline where it trains", "section 3, on Figure 3",
          ("baseline_bias", "enorm_bias"), _pair("enorm_bias", "baseline_bias", _ALMOST_EVERY), _ahead(_ALMOST_EVERY)),
    Claim(9, "Biases raise the baseline's accuracy slightly, and ENorm's where it trains", "section 3, on Figure 3",
          ("baseline", "enorm", "baseline_bias", "enorm_bias"), _biases_help, f"each {_ahead(_MOSTLY)}"),
    Claim(10, "Without biases, ENorm diverges now and then at high p", "section 4.1", ("enorm",), _now_and_then,
          "some runs at p > 9 diverge, and not all"),
    Claim(11, f"The whole study takes about {HOURS_IN_2019} hours", "section 4.1", IN_2019, _cost,
          "nothing could, for the devices are not the same"),
)  # fmt: skip


def judge(evidence: Evidence, variants: Collection[str] = tuple(VARIANTS)) -> pd.DataFrame:
    """One row per claim that is about no other than these variants: number, claim, place, verdict, evidence, rule.

    Where cells are missing, the verdict is *inconclusive*, and the evidence is what there is so far.
    """
    rows = []
    for claim in (claim for claim in CLAIMS if set(claim.variants) <= set(variants)):
        missing, cells = evidence.missing(*claim.variants), len(claim.variants) * len(DEPTHS)
        lacking = f"{len(missing)} of {cells} cells not run yet"
        if len(missing) == cells:
            verdict, text = "inconclusive", "no cell has been run yet"
        elif missing and claim.number in (6, 7):  # these are about single depths, and say nothing without them
            verdict, text = "inconclusive", lacking
        else:
            verdict, text = claim.predicate(evidence)
            if missing:
                verdict, text = "inconclusive", f"{lacking}; so far: {text}"
        rows.append(
            {
                "number": claim.number,
                "claim": claim.text,
                "place": claim.place,
                "verdict": verdict,
                "evidence": text,
                "rule": claim.rule,
            }
        )
    return pd.DataFrame(rows, columns=["number", "claim", "place", "verdict", "evidence", "rule"])
