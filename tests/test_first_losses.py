"""The losses of the first steps are those of the trainer, run by run, until a run diverges."""

from itertools import islice

import pytest
import torch

from reproduction.data import datasets
from reproduction.protocol.parameters import check_parameters
from reproduction.training.first_losses import first_losses
from reproduction.training.first_steps import first_steps

pytestmark = pytest.mark.portable

CELL = {"variant": "enorm_bias", "p": 1, "seeds": [0, 3], "epochs": 1, "learning_rate": 0.01, "dataset": "digits"}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def test_first_losses_are_those_of_each_run_whoever_it_is_trained_with(digits):
    parameters, data = check_parameters(CELL | {"seeds": [0, 3, 5]}), digits.to(torch.device("cpu"))
    losses = first_losses(parameters, data, 3, together=2)
    assert losses.shape == (3, 3)
    expected = torch.stack([own for _, _, own in islice(first_steps(parameters, data), 1, 4)], dim=1)
    torch.testing.assert_close(losses, expected.double())


def test_a_run_that_diverges_has_no_loss_from_there_on(digits):
    parameters = check_parameters(CELL | {"p": 9, "seeds": [0, 1, 2], "learning_rate": 5.0, "c": 1.5})
    losses = first_losses(parameters, digits.to(torch.device("cpu")), 5)
    assert losses[:, 0].isfinite().all()
    assert losses[:, -1].isnan().all()
    late = losses.isnan().int()
    assert (late.diff(dim=1) >= 0).all()


def test_more_steps_than_an_epoch_has_are_refused_in_a_sentence(digits):
    with pytest.raises(ValueError, match=r"^steps = 7: the first epoch has 6$"):
        first_losses(check_parameters(CELL), digits.to(torch.device("cpu")), 7)
