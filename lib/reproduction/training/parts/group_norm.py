"""GroupNorm (Wu & He, 2018) and the ReLU after it, for many runs at once.

The features of a layer are cut into groups of neighbours; each image is normalised by mean and variance over each of
its groups. Compiled with numba on a CPU, as `batch_norm` is, for the same reason.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version  # autograd does not see what is written through numpy
from torch.nn import functional

from equinorm.compiled import EXACT, SUMS, compiled
from reproduction.protocol.parameters import Parameters
from reproduction.training.linear import SGD

_EPSILON = 1e-5


class GroupNormReLU(nn.Module):
    """``nn.GroupNorm(groups, features)`` (eps 1e-5) and a ReLU, for ``[runs, features, batch]``.

    gamma and beta are ``[runs, features]``.
    """

    def __init__(self, runs: int, features: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.gamma = nn.Parameter(torch.ones(runs, features))
        self.beta = nn.Parameter(torch.zeros(runs, features))

    def forward(self, x: Tensor, sgd: SGD | None = None) -> Tensor:
        """With `sgd`, on a CPU, the backward pass makes the SGD step of gamma and beta; else they get gradients."""
        x = x.float()
        if x.device.type == "cpu" and (sgd is not None or not torch.is_grad_enabled()):
            return _GroupNormReLUSGD.apply(x, self, sgd)
        runs = len(x)
        images = x.flatten(0, 1).t()  # [batch, runs * features], each run with groups of its own
        y = functional.group_norm(images, runs * self.groups, self.gamma.flatten(), self.beta.flatten(), _EPSILON)
        return y.t().view_as(x).relu_()


def between(runs: int, features: int, parameters: Parameters) -> GroupNormReLU:
    return GroupNormReLU(runs, features, parameters.groups)


class _GroupNormReLUSGD(torch.autograd.Function):
    """`GroupNormReLU` on a CPU; backward passes the gradient on and then steps gamma and beta."""

    @staticmethod
    def forward(ctx, x: Tensor, layer: GroupNormReLU, sgd: SGD) -> Tensor:  # noqa: ANN001
        x = x.contiguous()
        y = torch.empty_like(x)
        statistics = np.empty((2, len(x) * layer.groups, x.shape[-1]), np.float32)
        _forward(_grouped(x, layer), _by_group(layer.gamma, layer), _by_group(layer.beta, layer), _grouped(y, layer),
                 statistics)  # fmt: skip
        ctx.layer, ctx.sgd, ctx.statistics = layer, sgd, statistics
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN001
        x, y = ctx.saved_tensors
        layer = ctx.layer
        stepped = layer.gamma, layer.beta
        passed_on = torch.empty_like(x)
        _backward(
            _grouped(gradient.contiguous(), layer), _grouped(x, layer), _grouped(y, layer), ctx.statistics,
            *(_by_group(tensor, layer) for tensor in stepped),
            np.float32(ctx.sgd.learning_rate), np.float32(ctx.sgd.shrinkage), _grouped(passed_on, layer),
        )  # fmt: skip
        increment_version(stepped)
        return passed_on, None, None


def _grouped(x: Tensor, layer: GroupNormReLU) -> np.ndarray:
    """``[runs, features, batch]`` as ``[runs * groups, features of a group, batch]``."""
    runs, features, batch = x.shape
    return x.detach().view(runs * layer.groups, features // layer.groups, batch).numpy()


def _by_group(x: Tensor, layer: GroupNormReLU) -> np.ndarray:
    """``[runs, features]`` as ``[runs * groups, features of a group]``."""
    return x.detach().view(len(x) * layer.groups, -1).numpy()


@compiled(**SUMS, **EXACT)
def _forward(x, gamma, beta, y, statistics):  # noqa: ANN001, ANN202
    """y <- relu(gamma (x - mean) / deviation + beta) group by group; statistics <- mean and 1 / deviation."""
    groups, features, batch = x.shape
    total = np.empty(batch, np.float32)
    for g in range(groups):
        mean, inverse_deviation = statistics[0, g], statistics[1, g]
        total[:] = 0
        for k in range(features):
            for j in range(batch):
                total[j] += x[g, k, j]
        for j in range(batch):
            mean[j] = total[j] / np.float32(features)
        total[:] = 0
        for k in range(features):
            for j in range(batch):
                centred = x[g, k, j] - mean[j]
                total[j] += centred * centred
        for j in range(batch):
            inverse_deviation[j] = np.float32(1) / np.sqrt(total[j] / np.float32(features) + np.float32(_EPSILON))
        for k in range(features):
            slope, shift = gamma[g, k], beta[g, k]
            for j in range(batch):
                value = (x[g, k, j] - mean[j]) * inverse_deviation[j] * slope + shift
                y[g, k, j] = np.float32(0) if value <= 0 else value  # NaN stays NaN


@compiled(**SUMS, **EXACT)
def _backward(gradient, x, y, statistics, gamma, beta, learning_rate, shrinkage, passed_on):  # noqa: ANN001, ANN202
    """passed_on <- the gradient with respect to x, given that with respect to y; then steps gamma and beta."""
    groups, features, batch = x.shape
    total, correlation = np.empty(batch, np.float32), np.empty(batch, np.float32)
    slopes = np.empty(features, np.float32)  # gamma as it was before its step
    for g in range(groups):
        mean, inverse_deviation = statistics[0, g], statistics[1, g]
        total[:] = 0
        correlation[:] = 0
        for k in range(features):
            slope = slopes[k] = gamma[g, k]
            beta_gradient, gamma_gradient = np.float32(0), np.float32(0)
            for j in range(batch):
                active = np.float32(0) if y[g, k, j] <= 0 else gradient[g, k, j]
                normal = (x[g, k, j] - mean[j]) * inverse_deviation[j]
                beta_gradient += active
                gamma_gradient += active * normal
                total[j] += active * slope
                correlation[j] += active * slope * normal
            beta[g, k] = beta[g, k] * shrinkage - learning_rate * beta_gradient
            gamma[g, k] = gamma[g, k] * shrinkage - learning_rate * gamma_gradient
        for j in range(batch):
            total[j] /= np.float32(features)
            correlation[j] /= np.float32(features)
        for k in range(features):
            slope = slopes[k]
            for j in range(batch):
                active = np.float32(0) if y[g, k, j] <= 0 else gradient[g, k, j]
                normal = (x[g, k, j] - mean[j]) * inverse_deviation[j]
                passed_on[g, k, j] = inverse_deviation[j] * (active * slope - total[j] - normal * correlation[j])
