"""Comparisons of variants: what is paired, the interval, the effect size, and which runs count."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reproduction.evidence import comparisons
from reproduction.evidence.outcomes import outcomes
from reproduction.protocol.variants import VARIANTS, Variant

pytestmark = pytest.mark.portable


def runs(*rows):
    frame = pd.DataFrame(rows, columns=["variant", "p", "seed", "test_accuracy"])
    frame["diverged"] = frame["test_accuracy"].isna()
    return frame.assign(fate=outcomes(frame))


def test_fates():
    frame = pd.DataFrame({"test_accuracy": [0.5, 0.1, None, 0.12], "diverged": [False, False, True, False]})
    assert list(outcomes(frame)) == ["trained", "stuck", "diverged", "trained"]


def test_pairs_share_p_and_seed():
    frame = runs(
        ("enorm", 1, 0, 0.52), ("enorm", 1, 1, 0.60), ("baseline", 1, 0, 0.50),  # seed 0 is shared: + 2 points
        ("enorm", 3, 0, 0.55), ("baseline", 3, 1, 0.50), ("baseline", 3, 2, 0.52),  # none is: means, + 4 points
        ("enorm", 5, 0, 0.55),  # no pair
        ("enorm", 7, 0, None), ("enorm", 7, 1, 0.1), ("baseline", 7, 0, 0.5), ("baseline", 7, 1, 0.5),  # none trained
    )  # fmt: skip
    compared = comparisons.compare(frame, "enorm", "baseline")
    assert compared.differences.to_dict() == pytest.approx({1: 0.02, 3: 0.04})
    assert (compared.wins, compared.n) == (2, 2)


def test_interval_is_that_of_a_paired_t_test_and_the_effect_size_is_its_t_over_root_n():
    rng = np.random.default_rng(0)
    accuracies = {variant: 0.5 + 0.02 * rng.standard_normal(10) for variant in ("enorm", "baseline")}
    frame = runs(*((v, p, 0, value) for v, values in accuracies.items() for p, value in enumerate(values)))
    compared = comparisons.compare(frame, "enorm", "baseline")
    test = stats.ttest_rel(accuracies["enorm"], accuracies["baseline"])
    assert compared.interval == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert compared.effect_size == pytest.approx(test.statistic / np.sqrt(10))


def test_trend_is_the_slope_over_depth_and_its_interval_leaves_out_0_where_a_t_test_does():
    depths = np.arange(1, 20, 2)
    straight = runs(*(("enorm", p, 0, 0.5 + 0.001 * p) for p in depths), *(("baseline", p, 0, 0.5) for p in depths))
    assert comparisons.compare(straight, "enorm", "baseline").trend == pytest.approx((0.001,) * 3)
    assert comparisons.table(straight)["trend"].iloc[0] == pytest.approx(1)  # point per 10 layers

    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(40):
        differences = 0.0008 * depths + 0.01 * rng.standard_normal(len(depths))
        noisy = zip(depths, differences, strict=True)
        frame = runs(*(("enorm", p, 0, 0.5 + value) for p, value in noisy), *(("baseline", p, 0, 0.5) for p in depths))
        slope, low, high = comparisons.compare(frame, "enorm", "baseline").trend
        assert (low + high) / 2 == pytest.approx(slope) == pytest.approx(np.polyfit(depths, differences, 1)[0])
        significant = stats.pearsonr(depths, differences).pvalue < 0.05
        assert (low > 0 or high < 0) == significant
        outcomes.add(significant)
    assert outcomes == {True, False}


def test_no_trend_through_two_depths():
    frame = runs(*(("enorm", p, 0, 0.5) for p in (1, 3)), *(("baseline", p, 0, 0.4) for p in (1, 3)))
    assert np.isnan(comparisons.compare(frame, "enorm", "baseline").trend).all()


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
