"""Comparisons of variants: what is paired, the interval, the effect size, and which runs count."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reproduction.evidence import comparisons
from reproduction.evidence.outcomes import outcomes
from reproduction.protocol.data_sets import DATA_SETS, DataSet
from reproduction.protocol.variants import VARIANTS, Variant

pytestmark = pytest.mark.portable


def runs(*rows):
    frame = pd.DataFrame(rows, columns=["variant", "p", "seed", "test_accuracy"])
    frame["diverged"] = frame["test_accuracy"].isna()
    return frame.assign(fate=outcomes(frame))


def test_fates(monkeypatch):
    frame = pd.DataFrame({"test_accuracy": [0.5, 0.1, None, 0.12], "diverged": [False, False, True, False]})
    assert list(outcomes(frame)) == ["trained", "stuck", "diverged", "trained"]
    monkeypatch.setitem(DATA_SETS, "mine", DataSet(10, 5))  # whose chance nobody told
    assert list(outcomes(frame, "mine")) == ["trained", "trained", "diverged", "trained"]


def test_every_run_that_trained_counts_at_the_depths_that_both_have():
    frame = runs(
        ("enorm", 1, 0, 0.52), ("enorm", 1, 1, 0.60), ("baseline", 1, 0, 0.50),
        ("enorm", 3, 0, 0.55), ("baseline", 3, 1, 0.50), ("baseline", 3, 2, 0.52),
        ("enorm", 5, 0, 0.55),
        ("enorm", 7, 0, None), ("enorm", 7, 1, 0.1), ("baseline", 7, 0, 0.5), ("baseline", 7, 1, 0.5),  # none trained
    )  # fmt: skip
    compared = comparisons.compare(frame, "enorm", "baseline")
    assert {p: own.mean for p, own in compared.at.items()} == pytest.approx({1: 6.0, 3: 4.0})
    assert (compared.mean.mean, compared.ahead, compared.depths) == (pytest.approx(5.0), 2, 2)


def simulated(generator, depths, lead, seeds=2, deviation=lambda p: 0.005):
    """Runs of two variants whose true difference at p is lead(p)."""
    rows = [
        (variant, p, seed, 0.5 + level + generator.normal(0, deviation(p)))
        for p in depths
        for variant, level in (("enorm", lead(p)), ("baseline", 0.0))
        for seed in range(seeds)
    ]
    return runs(*rows)


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_interval_of_a_mean_over_depths_covers_the_truth_whatever_the_trend_and_where_deep_runs_spread_more(seeds):
    generator, depths, covered = np.random.default_rng(0), range(1, 20, 2), 0
    for _ in range(300):
        frame = simulated(generator, depths, lambda p: 0.002 * p, seeds, lambda p: 0.003 if p <= 9 else 0.008)
        low, high = comparisons.compare(frame, "enorm", "baseline").mean.interval
        covered += low <= 2.0 <= high
    assert 0.92 <= covered / 300 <= 0.98


def test_a_percentile_bootstrap_of_five_runs_a_cell_would_cover_less():
    """Why there is none: within a cell it resamples n runs, whose spread is too small by (n - 1) / n."""
    generator, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        cells = generator.normal(0, 1, (20, 5))
        drawn = generator.integers(5, size=(400, 20, 5))
        means = np.take_along_axis(cells[None], drawn, axis=2).mean(axis=(1, 2))
        low, high = np.quantile(means, [0.025, 0.975])
        covered += low <= 0 <= high
    assert covered / 1000 < 0.94


def test_with_one_depth_and_equal_spread_it_is_students_interval_for_two_samples():
    frame = runs(*(("enorm", 1, k, x) for k, x in enumerate((0.5, 0.52, 0.53))),
                 *(("baseline", 1, k, x) for k, x in enumerate((0.49, 0.5, 0.47, 0.48))))  # fmt: skip
    compared = comparisons.compare(frame, "enorm", "baseline")
    expected = stats.ttest_ind([50, 52, 53], [49, 50, 47, 48])
    assert compared.mean.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert compared.mean.p_value == pytest.approx(expected.pvalue)


def test_the_probability_of_being_ahead_at_so_many_depths_is_that_of_independent_coins():
    frame = runs(*((v, p, s, 0.5 + 0.01 * s) for v in ("enorm", "baseline") for p in (1, 3) for s in (0, 1)))
    compared = comparisons.compare(frame, "enorm", "baseline")  # equal: one half at each
    found = [compared.probability_ahead(least) for least in (0, 1, 2, 3)]
    assert found == pytest.approx([1, 0.75, 0.25, 0]) and compared.expected_ahead == pytest.approx(1)


def test_trend_is_the_slope_over_depth_for_ten_layers_and_leaves_out_0_where_it_is_steep():
    generator = np.random.default_rng(0)
    frame = simulated(generator, range(1, 20, 2), lambda p: 0.002 * p)
    compared = comparisons.compare(frame, "enorm", "baseline")
    at = {p: own.mean for p, own in compared.at.items()}
    assert compared.trend.mean == pytest.approx(10 * np.polyfit(list(at), list(at.values()), 1)[0])
    assert compared.trend.interval[0] > 0
    flat = comparisons.compare(simulated(generator, range(1, 20, 2), lambda p: 0.01), "enorm", "baseline")
    assert flat.trend.interval[0] < 0 < flat.trend.interval[1]


def test_no_trend_through_two_depths_and_no_interval_from_single_runs():
    frame = runs(*(("enorm", p, 0, 0.5) for p in (1, 3)), *(("baseline", p, 0, 0.4) for p in (1, 3)))
    compared = comparisons.compare(frame, "enorm", "baseline")
    assert compared.trend is None and np.isnan(compared.mean.half_width) and np.isnan(compared.mean.p_value)
    assert str(compared) == "+10.0 points (no interval), ahead at 2 of 2 depths"


def test_holms_correction():
    # The example of Holm's procedure: multiplied by how many are left, and never smaller than the one before.
    assert comparisons.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparisons.holm([0.5, float("nan"), 0.6])[0] == 1.0


def test_table_and_its_markdown_say_where_there_is_nothing():
    frame = comparisons.table(runs(("enorm", 1, 0, 0.52), ("baseline", 1, 0, 0.50)))
    assert list(zip(frame["variant"], frame["against"], strict=True)) == comparisons.pairs(VARIANTS)
    header, _, first, *others = comparisons.markdown(frame).splitlines()
    assert header.split("|")[-3].strip() == "depths ahead"
    assert "+2.0" in first and first.split("|")[-3].strip() == "1 of 1"
    assert all(line.split("|")[-3].strip() == "0 of 0" and "nan" not in line for line in others)


def test_only_pairs_of_the_variants_that_there_are():
    frame = comparisons.table(runs(("enorm", 1, 0, 0.52)), ["enorm", "baseline", "batch_norm"])
    pairs = {("enorm", "baseline"), ("batch_norm", "baseline"), ("enorm", "batch_norm")}
    assert set(zip(frame["variant"], frame["against"], strict=True)) == pairs
    assert comparisons.table(runs(("enorm", 1, 0, 0.52)), ["enorm"]).empty


def test_a_variant_that_no_claim_is_about_is_compared_with_its_baseline(monkeypatch):
    monkeypatch.setitem(VARIANTS, "mine", Variant("mine", "Mine", (0.1,) * 10))
    monkeypatch.setitem(VARIANTS, "mine_bias", Variant("mine_bias", "Mine with biases", (0.1,) * 10, biases=True))
    pairs = comparisons.pairs(["baseline", "enorm", "mine", "mine_bias"])
    assert pairs == [("enorm", "baseline"), ("mine", "baseline")]
    assert comparisons.pairs(["mine_bias", "baseline_bias"]) == [("mine_bias", "baseline_bias")]
