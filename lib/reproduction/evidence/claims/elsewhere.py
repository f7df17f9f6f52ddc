"""Predicates about what the studies found, what was published, and cost."""

import numpy as np
from scipy import stats

from reproduction.evidence import paired, published
from reproduction.evidence.claims.evidence import Evidence
from reproduction.evidence.claims.finding import SURE, Finding, by_interval
from reproduction.evidence.stratified import contrast

HOURS_IN_2019, RUNS_IN_2019 = 24, 80
"""Section 4.1 of the report; its runs, restarted ones not counted (they are not given)."""

_NOT_RUN = Finding("not tested", "the study has not been run yet")


def nan_for_want_of_an_output_activation(evidence: Evidence) -> Finding:
    """With the same output layer, nothing else would spare runs that end in NaN. The claim is about runs without
    biases; the study has those of the baseline at a smaller rate, too."""
    runs = evidence.of_study("early_nan", "early")
    if runs is None or not {"baseline", "baseline_slower"} <= set(runs["setting"]):
        return _NOT_RUN
    ends = runs.pivot(index=["p", "seed"], columns="setting", values="nan").astype(bool)
    spared = int((ends["baseline"] & ~ends["baseline_slower"]).sum())
    lost = int((ends["baseline_slower"] & ~ends["baseline"]).sum())
    p_value = stats.binomtest(spared, spared + lost).pvalue if spared + lost else 1.0
    text = (
        f"with the same output layer, half the learning rate spares {spared} of {int(ends['baseline'].sum())} runs of "
        f"the baseline that end in NaN, of {len(ends)}, and costs {lost} (sign test: p = {p_value:.2f})"
    )
    return Finding("not reproduced" if spared > lost and p_value <= 1 - SURE else "inconclusive", text)


def softmax_prevents_nan(evidence: Evidence) -> Finding:
    runs = evidence.of_study("details", "runs")
    if runs is None:
        return _NOT_RUN
    own = runs[runs["condition"].isin(["softmax", "full_softmax"])]
    others = runs[runs["condition"].isin(["protocol", "full_protocol"]) & runs["variant"].isin(own["variant"])]
    own, others = own["diverged"], others["diverged"]
    counts = [[own.sum(), (~own).sum()], [others.sum(), (~others).sum()]]
    p_value = float(stats.fisher_exact(counts).pvalue)
    text = (
        f"{own.sum()} of {len(own)} runs with a softmax before the cross-entropy diverged, {others.sum()} of "
        f"{len(others)} without (Fisher's exact test: p = {p_value:.2f})"
    )
    if own.any():
        return Finding("not reproduced", text)
    return Finding("reproduced" if p_value <= 1 - SURE else "inconclusive", text)


def softmax_learns_nothing(evidence: Evidence) -> Finding:
    runs = evidence.of_study("details", "runs")
    if runs is None:
        return _NOT_RUN
    own = runs[runs["condition"] == "softmax"]
    lowest, highest = 100 * own["test_accuracy"].min(), 100 * own["test_accuracy"].max()
    text = f"{lowest:.0f} to {highest:.0f} % after {own['epoch'].max()} epochs, in {len(own)} runs"
    verdict = "reproduced" if highest <= 20 else "inconclusive"
    return Finding("not reproduced" if lowest > 20 else verdict, text)


def smaller_rate_is_better(evidence: Evidence) -> Finding:
    runs = evidence.of_study("rate_of_enorm_bn", "runs")
    if runs is None:
        return _NOT_RUN
    accuracy = paired.accuracy(runs, ["condition"])
    lead = accuracy["rate_of_2019"] - accuracy["rate_of_authors"]
    found = paired.mean(lead)
    depths = lead.dropna().index.get_level_values("p").nunique()
    text = f"0.05 less 0.1: {found} points over {depths} depths, in {' and '.join(runs['precision'].unique())}"
    return Finding(by_interval(found, found.p_value), text, found)


def batch_norm_needs_large_batches(evidence: Evidence) -> Finding:
    """Of the accuracies with fewer than 16 images in a batch, and with 32 or more."""
    runs = evidence.of_study("small_batches", "runs")
    if runs is None:
        return _NOT_RUN
    accuracy = paired.accuracy(runs, ["variant"], strata="batch")
    sizes = sorted(set(runs["batch"]))
    small, large = [size for size in sizes if size < 16], [size for size in sizes if size >= 32]
    if not small or not large:
        return Finding("not tested", "the study has no batches of fewer than 16 images, or none of 32 or more")
    weights = dict.fromkeys(large, 1 / len(large)) | dict.fromkeys(small, -1 / len(small))
    lead, other = (paired.contrast(accuracy[name], weights) for name in ("batch_norm", "enorm"))
    text = (
        f"BN with {' to '.join(str(size) for size in (large[0], large[-1]))} images in a batch less BN with "
        f"{' and '.join(map(str, small))}: {lead} points; ENorm: {other}"
    )
    return Finding(by_interval(lead, lead.p_value), text)


def takes_less_memory_than_batch_norm(evidence: Evidence) -> Finding:
    """Memory is counted, so there is no noise: weights, and what the forward pass keeps for the backward pass."""
    costs = evidence.of_study("small_batches", "costs")
    if costs is None:
        return _NOT_RUN
    memory = costs.pivot_table(index="batch", columns="variant", values="MB")
    ratio = memory["batch_norm"] / memory["enorm"]
    text = (
        f"BN needs {ratio.iloc[-1]:.2f} times the memory of ENorm with {ratio.index[-1]} images in a batch, "
        f"{ratio.iloc[0]:.2f} times with {ratio.index[0]}, for one run and no optimizer state"
    )
    return Finding("reproduced" if (ratio > 1).all() else "not reproduced", text)


def a_point_above_the_paper(evidence: Evidence) -> Finding:
    """The baseline is 0.5 to 1.5 points more accurate than the paper's."""
    curve = published.curve("paper_2019", "baseline")
    cells = {p: cell for p, cell in evidence.cells.get("baseline", {}).items() if p in curve}
    if not cells:
        return Finding("inconclusive", "no run of the baseline yet")
    here = contrast((100 / len(cells), cell) for cell in cells.values())
    lead = here.mean - 100 * sum(curve[p] for p in cells) / len(cells)
    low, high = lead - here.half_width, lead + here.half_width
    verdict = "reproduced" if low > 0 and 0.5 <= lead <= 1.5 else "inconclusive"
    if high < 0.5 or low > 1.5:
        verdict = "not reproduced"
    text = f"{lead:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}), the paper's mean of 5 runs taken as exact"
    return Finding(verdict, text)


def batch_norm_takes_a_fifth_of_the_time(evidence: Evidence) -> Finding:
    """By the seconds of whole runs, whose noise is that of a shared machine: never a verdict."""
    seconds = evidence.cost.pivot_table(index="p", columns="variant", values="seconds_per_run")
    if not {"baseline", "batch_norm", "enorm"} <= set(seconds):
        return Finding("not tested", "not all of the baseline, BN and ENorm have times yet")
    shares = {name: 1 - seconds["baseline"] / seconds[name] for name in ("batch_norm", "enorm")}
    low, mid, high = np.nanquantile(shares["batch_norm"], [0, 0.5, 1])
    text = (
        f"BN took {100 * mid:.0f} % of a run's time here (median over depths; {100 * low:.0f} to {100 * high:.0f}), "
        f"ENorm {100 * np.nanmedian(shares['enorm']):.0f} %: on a shared CPU instead of a GPU"
    )
    return Finding("not tested", text)


def takes_a_day(evidence: Evidence) -> Finding:
    hours = evidence.cost["seconds"].sum() / 3600
    devices = "; ".join(sorted(set(evidence.cost["device"])))
    text = f"{hours:.1f} hours for {int(evidence.cost['runs'].sum())} runs on {devices}"
    return Finding("not tested", f"{text}; {HOURS_IN_2019} hours in 2019, on Colab's GPUs: another device")
