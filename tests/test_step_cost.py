"""The costs of a step: what is kept grows with the batch, and the network's size does not."""

import pytest
import torch

from reproduction.data import datasets
from reproduction.protocol.parameters import check_parameters
from reproduction.training.step_cost import step_costs

pytestmark = pytest.mark.portable


def cell(**changed):
    given = {"variant": "baseline", "p": 1, "width": 100, "dataset": "digits", "batch_size": 8}
    return check_parameters(given | changed)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits").to(torch.device("cpu"))


def test_memory_is_that_of_the_weights_and_of_what_the_backward_pass_needs(digits):
    small, large = step_costs([cell(), cell(batch_size=16)], digits, steps=3)
    assert small.network_bytes == large.network_bytes == 4 * (3072 * 100 + 100 * 100 + 100 * 10)
    assert large.activation_bytes == pytest.approx(2 * small.activation_bytes, rel=0.02)
    layers = 4 * 8 * (3072 + 2 * 100 + 10)  # float32: what each layer gets, and the logits
    assert layers <= small.activation_bytes <= 1.5 * layers
    assert min(small.seconds, large.seconds) > 0


def test_batch_norm_keeps_more(digits):
    plain, normalised = step_costs([cell(), cell(variant="batch_norm")], digits, steps=1)
    assert normalised.network_bytes == plain.network_bytes + 4 * 4 * 200  # gamma, beta and two statistics
    assert normalised.activation_bytes > plain.activation_bytes


def test_threads_are_as_before(digits):
    before = torch.get_num_threads()
    step_costs([cell()], digits, steps=1)
    assert torch.get_num_threads() == before


def test_an_epoch_of_fewer_steps_is_timed_as_far_as_it_goes(digits):
    (cost,) = step_costs([cell(batch_size=500)], digits, steps=100)
    assert cost.seconds > 0
