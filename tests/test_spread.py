"""How far apart seeds are, by depth: what is pooled."""

import numpy as np
import pandas as pd
import pytest

from reproduction.evidence import spread


def accuracy(*cells):
    return pd.DataFrame(cells, columns=["p", "n", "sd"])


def test_shallow_and_deep_networks_have_a_deviation_each():
    table = spread.by_depth(accuracy((1, 3, 0.1), (9, 3, 0.3), (9, 1, np.nan), (11, 2, 0.7), (19, 5, 0.8)))
    assert table[["lowest", "highest", "freedom"]].to_numpy().tolist() == [[1, 9, 4], [11, 19, 5]]
    expected = [np.sqrt((2 * 0.1**2 + 2 * 0.3**2) / 4), np.sqrt((0.7**2 + 4 * 0.8**2) / 5)]
    assert table["deviation"].tolist() == pytest.approx(expected)


def test_with_too_few_runs_for_two_all_depths_are_one_range():
    table = spread.by_depth(accuracy((1, 3, 0.1), (9, 3, 0.3), (11, 2, 0.7), (19, 1, np.nan)))
    assert table[["lowest", "highest", "freedom"]].to_numpy().tolist() == [[1, 19, 5]]
    assert table["deviation"].item() == pytest.approx(np.sqrt((2 * 0.1**2 + 2 * 0.3**2 + 0.7**2) / 5))


def test_single_runs_say_nothing():
    assert spread.by_depth(accuracy((1, 1, np.nan)))["deviation"].isna().all()
    assert spread.by_depth(accuracy()).empty
    assert np.isnan(spread.at(spread.by_depth(accuracy()), np.array([1.0, 3.0]))).all()


def test_each_depth_has_that_of_its_range_or_the_nearest():
    table = pd.DataFrame({"lowest": [1, 11], "highest": [9, 19], "deviation": [0.3, 0.8], "freedom": [4, 4]})
    assert spread.at(table, np.array([0, 1, 9, 9.5, 10.5, 11, 30])).tolist() == [0.3] * 4 + [0.8] * 3


def test_words_for_a_reader():
    table = pd.DataFrame({"lowest": [1, 11], "highest": [9, 19], "deviation": [0.0032, 0.01], "freedom": [10, 4]})
    assert spread.in_words(table) == "0.32 points at p = 1 to 9 and 1.00 points at p = 11 to 19"
    # Student's t of 10 and 4 degrees of freedom: 2.228 and 2.776
    assert spread.noise_in_words(table) == "± 1.0 points at p = 1 to 9 and ± 3.9 points at p = 11 to 19"
    assert spread.in_words(spread.by_depth(accuracy((1, 1, np.nan)))) == ""
