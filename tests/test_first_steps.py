"""Step by step, the first epoch is the trainer's."""

from itertools import islice

import pytest
import torch

from reproduction.data import datasets
from reproduction.protocol.parameters import check_parameters
from reproduction.training import loop
from reproduction.training.first_steps import first_steps, last_images
from reproduction.training.network import FullyConnected

pytestmark = pytest.mark.portable

CELL = {"variant": "enorm_bias", "p": 1, "seeds": [0, 3], "epochs": 1, "learning_rate": 0.01, "dataset": "digits"}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def test_all_steps_make_the_trainers_first_epoch(digits):
    parameters, cpu = check_parameters(CELL), torch.device("cpu")
    history, expected = loop.train(parameters, digits, cpu)
    steps, models, losses = zip(*first_steps(parameters, digits.to(cpu)), strict=True)
    assert steps == tuple(range(history.rows[-1]["step"] + 1))
    assert [loss is None for loss in losses] == [True] + [False] * steps[-1]
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(models[-1].state_dict()[name], tensor, rtol=0, atol=0)


def test_the_learning_rate_is_the_initial_one_times_the_factor(digits):
    parameters = check_parameters(CELL | {"variant": "baseline"})
    initial = FullyConnected(parameters).weights[0]
    for factor, same in ((0.0, True), (0.5, False)):
        _, model, _ = list(islice(first_steps(parameters, digits.to(torch.device("cpu")), factor), 2))[-1]
        assert torch.equal(model.weights[0], initial) == same


def test_last_images_are_those_of_the_last_batch(digits):
    device_data = digits.to(torch.device("cpu"))
    order = loop.randomness.permutation(3, 1, 1500)
    x, labels = last_images(device_data, 5, seed=3)
    assert torch.equal(x, device_data.normalise(digits.train_images[order[-5:]]).t())
    assert torch.equal(labels, digits.train_labels[order[-5:]])
