"""A threshold on one number, and how often it is right."""

import pandas as pd
import pytest

from reproduction.evidence import thresholds

pytestmark = pytest.mark.portable


def test_the_best_threshold_lies_between_the_runs_that_it_tells_apart():
    values, failed = pd.Series([1.0, 2.0, 4.0, 8.0]), pd.Series([False, False, True, True])
    assert thresholds.best(values, failed) == 3
    assert thresholds.right(values, failed, 3) == 1
    assert thresholds.right(values, failed, 5) == 0.75


def test_of_thresholds_that_are_right_as_often_one_is_taken_not_what_lies_between():
    values, failed = pd.Series([1.0, 2.0, 3.0, 4.0]), pd.Series([False, True, False, True])  # 1.5 and 3.5, not 2.5
    assert thresholds.right(values, failed, thresholds.best(values, failed)) == 0.75


@pytest.mark.parametrize(("failed", "above"), [(True, False), (False, True)])
def test_where_all_runs_end_alike_the_threshold_is_beyond_them(failed, above):
    values, ends = pd.Series([1.0, 2.0]), pd.Series([failed, failed])
    threshold = thresholds.best(values, ends)
    assert thresholds.right(values, ends, threshold) == 1
    assert (threshold > 2) == above


def test_a_value_at_the_threshold_does_not_fail():
    assert thresholds.right(pd.Series([2.0]), pd.Series([False]), 2.0) == 1
