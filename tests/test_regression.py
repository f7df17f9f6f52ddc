"""A data set brings its own sizes, loss and metric: a regression, on data that scikit-learn ships."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes

from reproduction.data import datasets
from reproduction.data.cifar10_files import fingerprint
from reproduction.data.datasets import Dataset
from reproduction.protocol.data_sets import DATA_SETS, DataSet
from reproduction.protocol.parameters import check_parameters
from reproduction.run import run as run_cell

pytestmark = pytest.mark.portable


def load() -> Dataset:
    """Ten numbers about a patient, and how ill each is a year later, less the mean and over the deviation."""
    x, y = (values.astype(np.float32) for values in load_diabetes(return_X_y=True))
    y = (y - y[:342].mean()) / y[:342].std()
    arrays = (x[:342], y[:342], x[342:], y[342:])
    return Dataset(
        "diabetes",
        *(torch.from_numpy(array) for array in arrays),
        mean=tuple(arrays[0].mean(axis=0).tolist()),
        std=tuple(arrays[0].std(axis=0).tolist()),
        fingerprint=fingerprint(arrays),
        canonical=True,
        description="diabetes (scikit-learn)",
        largest=1,
    )


@pytest.fixture
def diabetes(monkeypatch):
    monkeypatch.setitem(
        DATA_SETS,
        "diabetes",
        DataSet(10, 1, loss="squared_error", metric="absolute_error", learning_rate=0.01),
    )
    monkeypatch.setitem(datasets.LOADERS, "diabetes", load)
    return {"dataset": "diabetes", "p": 1, "width": 20, "batch_size": 32, "device": "cpu"}


@pytest.mark.parametrize("variant", ["baseline", "enorm_batch_norm", "group_norm"])
def test_a_regression_trains_and_its_metric_is_recorded(diabetes, tmp_path, variant):
    result = run_cell(variant=variant, seeds=[0, 1], epochs=20, outputs=tmp_path, **diabetes)
    assert list(result.frame.columns)[6:11] == [
        "train_loss", "test_loss", "test_absolute_error", "weight_norm", "diverged",
    ]  # fmt: skip
    guess = np.abs(load().test_labels.numpy()).mean()  # by who always says the mean
    first, last = (result.frame.groupby("seed")["test_absolute_error"].nth(k) for k in (0, -1))
    assert (last.to_numpy() < first.to_numpy()).all() and (last < guess).all()
    again = run_cell(variant=variant, seeds=[0, 1], epochs=20, outputs=tmp_path, **diabetes)
    assert again.frame.equals(result.frame)


def test_data_that_is_not_of_bytes_is_told_apart():
    arrays = load_diabetes(return_X_y=True)
    other = (arrays[0] + 1e-3, arrays[1])
    assert fingerprint(arrays) != fingerprint(other)
    assert fingerprint([np.array([3, 250])]) == fingerprint([np.array([3, 250], np.uint8)])
    assert len({fingerprint([np.array([number])]) for number in (3, 259, -253)}) == 3  # the same, modulo 256


def test_what_needs_classes_is_refused(diabetes):
    with pytest.raises(ValueError, match="softmax needs a data set with classes; diabetes has none"):
        check_parameters({"variant": "enorm", "p": 1, "dataset": "diabetes", "softmax": True})
