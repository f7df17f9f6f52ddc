"""What several test files need: a small data set, and ENorm written down a second time."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import settings

from equinorm import data
from equinorm.data import Dataset

settings.register_profile("equinorm", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("equinorm")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The products here are small; on busy cores, threads that wait for each other take longer than one alone."""
    torch.set_num_threads(1)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """For tests of bits, which may depend on how threads share the work."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return data.load("digits")


@pytest.fixture(scope="session")
def small_digits(digits: Dataset) -> Dataset:
    """The first 300 training and 100 test images."""
    return dataclasses.replace(
        digits,
        train_images=digits.train_images[:300],
        train_labels=digits.train_labels[:300],
        test_images=digits.test_images[:100],
        test_labels=digits.test_labels[:100],
    )


@pytest.fixture(scope="session")
def algorithm_1() -> Callable:
    """The paper's Algorithm 1 in plain loops over float64 arrays; shares nothing with the library."""

    def rescale(weights, biases, c=1.2, norm=2, cycles=1):
        """Returns new weights, new biases, and the product of each hidden unit's factors."""
        weights = [as_float64(weight) for weight in weights]
        biases = [None if bias is None else as_float64(bias) for bias in biases or [None] * len(weights)]
        factors = [np.ones(len(weight)) for weight in weights[:-1]]
        for _ in range(cycles):
            for k in range(len(weights) - 1):
                for i in range(len(weights[k])):
                    left = (np.abs(weights[k][i, :]) ** norm).sum() ** (1 / norm)
                    right = (np.abs(weights[k + 1][:, i]) ** norm).sum() ** (1 / norm)
                    with np.errstate(all="ignore"):
                        d = np.sqrt(right / (c * left))
                    if not (np.isfinite(d) and d > 0):
                        continue
                    weights[k][i, :] *= d
                    weights[k + 1][:, i] /= d
                    if biases[k] is not None:
                        biases[k][i] *= d
                    factors[k][i] *= d
        return weights, biases, factors

    return rescale


def as_float64(values: torch.Tensor) -> np.ndarray:
    return values.detach().double().numpy().copy()
