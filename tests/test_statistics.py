"""Intervals of differences with the deviation of all groups."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from reproduction.evidence.statistics import pooled_deviation

pytestmark = pytest.mark.portable

ACCURACIES = st.lists(st.integers(0, 100), min_size=2, max_size=9)


@given(ACCURACIES, ACCURACIES)
def test_with_two_groups_the_interval_is_that_of_students_test(first, second):
    assume(len(set(first)) > 1 and len(set(second)) > 1)
    expected = stats.ttest_ind(first, second).confidence_interval(0.95)
    noise = pooled_deviation([len(first), len(second)], [np.std(first, ddof=1), np.std(second, ddof=1)])
    half = noise.half_width(len(first), len(second))
    assert half == pytest.approx((expected.high - expected.low) / 2, abs=1e-9)


def test_a_group_of_one_value_says_nothing_about_the_deviation():
    noise = pooled_deviation([2, 1, 2], [math.sqrt(2), math.nan, 0])
    assert (noise.deviation, noise.freedom) == (pytest.approx(1), 2)


def test_without_two_values_anywhere_there_is_no_interval():
    assert math.isnan(pooled_deviation([1, 1], [math.nan, math.nan]).half_width(1, 1))
