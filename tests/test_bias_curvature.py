"""The largest curvature along the biases is that of the Hessian."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from reproduction.training.bias_curvature import largest_curvature

pytestmark = pytest.mark.portable


def network(sizes=(6, 5, 4, 3)):
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = [draw(out, in_) for in_, out in pairwise(sizes)]
    biases = [draw(out) for out in sizes[1:]]
    return weights, biases, draw(sizes[0], 20), torch.arange(20) % sizes[-1]


def hessian(weights, biases, x, labels, scales):
    def loss(flat):
        y = x
        parts = flat.split([len(bias) for bias in biases])
        for k, (weight, bias, part) in enumerate(zip(weights, biases, parts, strict=True)):
            y = weight @ y + (bias + scales[k] * part).unsqueeze(-1)
            y = y.relu() if k < len(weights) - 1 else y
        return functional.cross_entropy(y.t(), labels)

    return torch.autograd.functional.hessian(loss, torch.zeros(sum(map(len, biases)), dtype=torch.float64))


@pytest.mark.parametrize("scales", [[1.0, 1.0, 1.0], [3.0, 10.0, 1.0]])
def test_it_is_the_largest_eigenvalue_of_the_hessian_which_has_no_negative_one(scales):
    weights, biases, x, labels = network()
    eigenvalues = torch.linalg.eigvalsh(hessian(weights, biases, x, labels, scales))
    assert eigenvalues[0] > -1e-9
    found = largest_curvature(weights, biases, x, torch.tensor([scales]), iterations=500)
    torch.testing.assert_close(found, eigenvalues[-1:])


def test_cases_do_not_change_each_other():
    weights, biases, x, _ = network()
    scales = torch.tensor([[1.0, 1.0, 1.0], [3.0, 10.0, 1.0]])
    together = largest_curvature(weights, biases, x, scales)
    torch.testing.assert_close(together[1:], largest_curvature(weights, biases, x, scales[1:]))
    assert together[1] > together[0]
