"""BatchNorm and ReLU of many runs: torch.nn's, and the compiled path with its SGD step against autograd's."""

import pytest
import torch
from torch import nn

from reproduction.training.linear import SGD
from reproduction.training.parts.batch_norm import BatchNormReLU

pytestmark = pytest.mark.portable

RUNS, FEATURES, BATCH = 2, 5, 17  # 17: no multiple of a vector's length
STATE = ("gamma", "beta", "running_mean", "running_variance")


def layer(seed=0):
    """gamma of either sign, so that units are active on either side of their mean."""
    generator = torch.Generator().manual_seed(seed)
    made = BatchNormReLU(RUNS, FEATURES)
    for parameter in (made.gamma, made.beta):
        parameter.data = torch.randn(RUNS, FEATURES, generator=generator)
    return made


def images(seed=1):
    return torch.randn(RUNS, FEATURES, BATCH, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def compiled_and_plain_step(x, gradient, sgd):
    """(y, gradient of x, state after the step) of the compiled path, and of PyTorch's operations and a plain step."""
    results = []
    for fused in (True, False):
        made, x_ = layer(), x.clone().requires_grad_()
        y = made(x_, sgd if fused else None)
        y.backward(gradient)
        if fused:
            assert made.gamma.grad is None
        else:
            with torch.no_grad():
                for parameter in (made.gamma, made.beta):
                    parameter.mul_(sgd.shrinkage).sub_(sgd.learning_rate * parameter.grad)
        results.append((y.detach(), x_.grad, *(getattr(made, name).detach() for name in STATE)))
    return results


@pytest.mark.parametrize("with_sgd", [False, True])
def test_it_is_batch_norm_1d_and_a_relu_for_each_run(with_sgd):
    ours = layer()
    theirs = [nn.BatchNorm1d(FEATURES) for _ in range(RUNS)]
    for r in range(RUNS):
        theirs[r].weight.data, theirs[r].bias.data = ours.gamma.data[r].clone(), ours.beta.data[r].clone()
    for step, training_mode in enumerate((True, True, False)):
        x = images(step)
        y = ours.train(training_mode)(x, SGD(0.1) if with_sgd else None)
        for r in range(RUNS):
            torch.testing.assert_close(y[r].t(), theirs[r].train(training_mode)(x[r].t()).relu())
            torch.testing.assert_close(ours.running_mean[r], theirs[r].running_mean)
            torch.testing.assert_close(ours.running_variance[r], theirs[r].running_var)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_the_compiled_step_is_that_of_autograd_and_sgd(weight_decay):
    x, gradient = images(), images(2)
    compiled, plain = compiled_and_plain_step(x, gradient, SGD(0.1, weight_decay))
    for ours, theirs in zip(compiled, plain, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_inputs_and_gradients_need_not_be_contiguous():
    x, gradient = images().mT.contiguous().mT, images(2).mT.contiguous().mT
    compiled, plain = compiled_and_plain_step(x, gradient, SGD(0.1))
    for ours, theirs in zip(compiled, plain, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_constant_feature_has_deviation_eps_and_hands_on_no_nan():
    x = images()
    x[1, 2] = 4.0
    compiled, plain = compiled_and_plain_step(x, images(2), SGD(0.1))
    for ours, theirs in zip(compiled, plain, strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)  # 1 / sqrt(eps) = 316 magnifies rounding


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_run_that_diverged_stays_so_and_leaves_its_sibling_alone(bad):
    x = images()
    x[1, :, 3] = bad
    (y, passed_on, *state), _ = compiled_and_plain_step(x, images(2), SGD(0.1))
    expected, _ = compiled_and_plain_step(images(), images(2), SGD(0.1))
    assert y[1].isnan().any(dim=1).all()
    for ours, theirs in zip((y, passed_on, *state), expected, strict=True):
        assert torch.equal(ours[0], theirs[0])
