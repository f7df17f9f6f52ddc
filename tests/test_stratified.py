"""Means over fixed depths: what the interval covers, and that a trend over depth is no noise."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reproduction.evidence.stratified import estimate

pytestmark = pytest.mark.portable


def test_a_trend_over_the_strata_does_not_widen_the_interval():
    noise = np.array([0.1, -0.1, 0.2, -0.2, 0.1, -0.1])
    strata = pd.Series([1, 1, 3, 3, 5, 5])
    flat, steep = (estimate(pd.Series(noise + slope * strata), strata) for slope in (0.0, 10.0))
    assert steep.half_width == pytest.approx(flat.half_width)
    assert steep.mean == pytest.approx(flat.mean + 30)


def test_one_stratum_is_students_interval():
    values = pd.Series([1.0, 2.0, 4.0])
    own = estimate(values, pd.Series([1, 1, 1]))
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert (own.mean - own.half_width, own.mean + own.half_width) == pytest.approx((low, high))


def test_strata_count_alike_whatever_their_size_and_missing_values_do_not_count():
    values = pd.Series([-1.0, 0.0, 1.0, np.nan, 3.0])
    own = estimate(values, pd.Series([1, 1, 1, 1, 2]))
    assert (own.mean, own.freedom) == (1.5, 2)


def test_without_repetitions_there_is_no_interval():
    own = estimate(pd.Series([1.0, 2.0]), pd.Series([1, 2]))
    assert own.mean == 1.5 and np.isnan(own.half_width) and str(own) == "+1.5"


def test_the_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    strata = pd.Series(np.repeat([1, 3, 5, 7], [2, 3, 2, 5]))
    truth = {1: 0.0, 3: 2.0, 5: -1.0, 7: 4.0}
    covered = 0
    for _ in range(2000):
        values = strata.map(truth) + generator.normal(0, 0.5, len(strata))
        own = estimate(values, strata)
        covered += abs(own.mean - 1.25) <= own.half_width
    assert 0.935 <= covered / 2000 <= 0.965
