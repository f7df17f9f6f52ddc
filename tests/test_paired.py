"""Conditions in pairs: means and slopes over depth, the words for them, and what counts as missing."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reproduction.evidence import paired, paired_figure
from reproduction.evidence.best_epoch import best_epoch
from reproduction.evidence.stratified import Estimate

pytestmark = pytest.mark.portable


def by_depth(**values):
    """A series by (p, seed): p3=[1.0, 2.0] are the values of seeds 0 and 1 at p = 3."""
    pairs = {(int(p[1:]), seed): value for p, own in values.items() for seed, value in enumerate(own)}
    return pd.Series(pairs, pd.MultiIndex.from_tuples(pairs, names=["p", "seed"]), dtype=float)


def test_accuracy_is_in_per_cent_and_missing_where_a_run_diverged():
    runs = pd.DataFrame(
        {
            "condition": ["a", "a", "b", "b"],
            "p": [3, 3, 3, 3],
            "seed": [0, 1, 0, 1],
            "test_accuracy": [0.5, 0.6, 0.7, np.nan],
            "diverged": [False, False, False, True],
        }
    )
    table = paired.accuracy(runs, ["condition"])
    assert table["a"].tolist() == [50, 60]
    assert (table["b"] - table["a"]).dropna().to_dict() == {(3, 0): pytest.approx(20)}
    assert paired.diverged(runs) == "b: 1"
    assert paired.diverged(runs[:3]) == "none"


def test_a_condition_of_which_every_run_diverged_stays_in_the_table():
    runs = pd.DataFrame({"condition": ["a", "b"], "p": 3, "seed": 0, "test_accuracy": [0.5, None],
                         "diverged": [False, True]})  # fmt: skip
    assert paired.accuracy(runs, ["condition"])["b"].isna().all()


def test_mean_counts_every_depth_alike_and_leaves_missing_pairs_out():
    assert paired.mean(by_depth(p1=[1.0, np.nan], p3=[2.0, 4.0])).mean == 2


def test_slope_is_that_of_the_line_and_its_error_that_of_pairs_of_the_same_depth():
    values = by_depth(p1=[1.1, 0.9], p3=[3.2, 2.8], p5=[4.9, 5.1])
    own = paired.slope(values)
    assert own.mean == pytest.approx(10)  # per ten layers
    pooled = np.sqrt(np.mean([values[p].var() for p in (1, 3, 5)]))
    x = values.index.get_level_values("p").to_numpy(dtype=float)
    error = 10 * pooled / np.sqrt(((x - x.mean()) ** 2).sum())
    assert (own.error, own.freedom) == (pytest.approx(error), 3)
    assert own.half_width == pytest.approx(stats.t.ppf(0.975, 3) * error)
    assert own.mean == pytest.approx(10 * stats.linregress(x, values).slope)


def test_where_depths_do_not_lie_on_a_line_that_is_no_noise():
    bent = by_depth(p1=[0.1, -0.1], p3=[9.1, 8.9], p5=[0.1, -0.1])
    straight = by_depth(p1=[0.1, -0.1], p3=[0.1, -0.1], p5=[0.1, -0.1])
    assert paired.slope(bent).error == pytest.approx(paired.slope(straight).error)


def test_one_depth_has_no_slope():
    assert np.isnan(paired.slope(by_depth(p1=[1.0, 2.0])).mean)


@pytest.mark.parametrize(("mean", "freedom", "word"), [(2.0, 5, "up"), (-2.0, 5, "down"), (0.2, 5, "?"), (2.0, 0, "?")])
def test_the_word_follows_the_interval(mean, freedom, word):
    assert paired.direction(Estimate(mean, 0.5, freedom), "up", "down", "?") == word


def test_a_line_of_a_table_has_the_mean_at_each_depth_with_pairs():
    assert paired.by_stratum(by_depth(p1=[1.0, 2.0], p3=[np.nan, np.nan])) == {"p = 1": "+1.5"}


def test_the_figure_has_a_dot_for_each_pair_and_a_line_through_means():
    _, axis = plt.subplots()
    paired_figure.draw(axis, {"a": by_depth(p1=[1.0, 3.0], p3=[2.0, np.nan])})
    line, dots = axis.lines[:2]
    assert line.get_ydata().tolist() == [2, 2]
    assert dots.get_ydata().tolist() == [1, 3, 2]
    plt.close()


def test_the_best_epoch_is_that_of_the_validation_set_and_a_run_that_diverged_has_its_last():
    rows = pd.DataFrame(
        {
            "condition": "a", "variant": "enorm", "p": 3, "seed": [0, 0, 0, 1, 1], "epoch": [1, 2, 3, 1, 2],
            "validation_accuracy": [0.3, 0.5, 0.5, 0.9, None], "test_accuracy": [0.8, 0.4, 0.6, 0.9, None],
            "diverged": [False, False, False, False, True],
        }
    )  # fmt: skip
    best = best_epoch(rows)
    assert best["epoch"].tolist() == [2, 2]
    assert best["diverged"].tolist() == [False, True]


def test_a_contrast_weighs_the_means_of_strata():
    values = by_depth(p1=[1.0, 3.0], p3=[4.0, 6.0], p5=[8.0, 8.0])
    own = paired.contrast(values, {1: 0.5, 3: 0.5, 5: -1})
    assert own.mean == -4.5
    pooled = np.sqrt((2 + 2 + 0) / 3)
    assert own.error == pytest.approx(pooled * np.sqrt(0.25 / 2 + 0.25 / 2 + 1 / 2))
    assert np.isnan(paired.contrast(values, {1: 1, 9: -1}).mean)  # no runs there


def test_a_line_has_the_style_that_is_given_for_it():
    _, axis = plt.subplots()
    values = {"a": by_depth(p1=[1.0], p3=[2.0]), "b": by_depth(p1=[1.0], p3=[2.0])}
    paired_figure.draw(axis, values, styles={"b": {"color": "red", "linestyle": ":"}})
    lines = {line.get_label(): line for line in axis.lines}
    assert (lines["b"].get_color(), lines["b"].get_linestyle()) == ("red", ":")
    assert lines["a"].get_linestyle() == "-"
    plt.close()
