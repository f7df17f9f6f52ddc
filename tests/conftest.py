"""What several test files need: a small data set, and how many threads there are."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from reproduction.checkout import REPOSITORY
from reproduction.data import datasets
from reproduction.data.datasets import Dataset

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
    return datasets.load("digits")


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
def built_site(tmp_path_factory) -> Path:
    """The folder of the site of the committed results; made once in each process."""
    from reproduction.evidence import site  # takes seconds

    target = tmp_path_factory.mktemp("site") / "site"
    site.write(REPOSITORY, target)
    return target
