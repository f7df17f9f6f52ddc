"""The points that probabilities are counted over."""

import numpy as np
import pytest

from reproduction.evidence import draws

pytestmark = pytest.mark.portable


def test_points_are_uniform_and_independent_in_many_dimensions():
    points = draws.uniform(1024, 40)
    assert points.min() > 0 and points.max() < 1
    assert np.allclose(points.mean(axis=0), 0.5, atol=5 * 12**-0.5 / 32)
    others = np.corrcoef(points.T)[~np.eye(40, dtype=bool)]
    assert abs(others).max() < 5 / 32  # five standard errors


def test_points_are_the_same_on_every_machine():
    assert draws.uniform(2, 2).round(6).tolist() == [[0.1447, 0.442214], [0.340293, 0.968739]]
