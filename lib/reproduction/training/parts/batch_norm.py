"""BatchNorm (Ioffe & Szegedy, 2015) and the ReLU after it, for many runs at once: every run has its own statistics.

On a CPU PyTorch's BatchNorm, the ReLU, their gradients and the steps of gamma and beta are some 30 small operations a
layer, a tenth of a training step at p = 19 (`benchmarks/`). Compiled with numba, forward and backward read each
activation from memory once, and the backward pass steps gamma and beta itself, as `linear.LinearSGD` does weights.
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


class BatchNormReLU(nn.Module):
    """``nn.BatchNorm1d`` (eps 1e-5) and a ReLU, for ``[runs, features, batch]``.

    gamma and beta, running_mean and running_variance are ``[runs, features]``; of the latter, a batch replaces the
    fraction `momentum`.
    """

    smallest_batch = 2

    def __init__(self, runs: int, features: int) -> None:
        super().__init__()
        self.momentum = 0.1
        self.gamma = nn.Parameter(torch.ones(runs, features))
        self.beta = nn.Parameter(torch.zeros(runs, features))
        self.register_buffer("running_mean", torch.zeros(runs, features))
        self.register_buffer("running_variance", torch.ones(runs, features))

    def forward(self, x: Tensor, sgd: SGD | None = None) -> Tensor:
        """With `sgd`, on a CPU, the backward pass makes the SGD step of gamma and beta; else they get gradients."""
        x = x.float()
        if sgd is not None and self.training and x.device.type == "cpu":
            return _BatchNormReLUSGD.apply(x, self, sgd)
        channels = functional.batch_norm(
            x.flatten(0, 1).unsqueeze(0),
            self.running_mean.view(-1),
            self.running_variance.view(-1),
            self.gamma.flatten(),
            self.beta.flatten(),
            training=self.training,
            momentum=self.momentum,
            eps=_EPSILON,
        )
        return channels.view_as(x).relu_()


def between(runs: int, features: int, parameters: Parameters) -> BatchNormReLU:
    return BatchNormReLU(runs, features)


class _BatchNormReLUSGD(torch.autograd.Function):
    """`BatchNormReLU` in training mode on a CPU; backward passes the gradient on and then steps gamma and beta."""

    @staticmethod
    def forward(ctx, x: Tensor, layer: BatchNormReLU, sgd: SGD) -> Tensor:  # noqa: ANN001
        x = x.contiguous()
        y = torch.empty_like(x)
        statistics = np.empty((2, layer.gamma.numel()), np.float32)
        running = layer.running_mean, layer.running_variance
        _forward(
            _rows(x), *map(_flat, (layer.gamma, layer.beta, *running)), np.float32(layer.momentum), _rows(y), statistics
        )
        increment_version(running)
        ctx.layer, ctx.sgd, ctx.statistics = layer, sgd, statistics
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN001
        x, y = ctx.saved_tensors
        stepped = ctx.layer.gamma, ctx.layer.beta
        passed_on = torch.empty_like(x)
        _backward(
            _rows(gradient.contiguous()),
            _rows(x),
            _rows(y),
            ctx.statistics,
            *map(_flat, stepped),
            np.float32(ctx.sgd.learning_rate),
            np.float32(ctx.sgd.shrinkage),
            _rows(passed_on),
        )
        increment_version(stepped)
        return passed_on, None, None


def _rows(x: Tensor) -> np.ndarray:
    """``[runs, features, batch]`` as ``[runs * features, batch]``."""
    return x.detach().view(-1, x.shape[-1]).numpy()


def _flat(x: Tensor) -> np.ndarray:
    return x.detach().view(-1).numpy()


@compiled(**SUMS, **EXACT)
def _forward(x, gamma, beta, running_mean, running_variance, momentum, y, statistics):  # noqa: ANN001, ANN202
    """y <- relu(gamma (x - mean) / deviation + beta) row by row; statistics <- mean and 1 / deviation."""
    channels, batch = x.shape
    for k in range(channels):
        total = 0.0
        for j in range(batch):
            total += np.float64(x[k, j])
        mean = np.float32(total / batch)
        squares = 0.0
        for j in range(batch):
            centred = np.float64(x[k, j] - mean)
            squares += centred * centred
        inverse_deviation = np.float32(1 / np.sqrt(squares / batch + _EPSILON))
        statistics[0, k], statistics[1, k] = mean, inverse_deviation
        running_mean[k] += momentum * (mean - running_mean[k])
        running_variance[k] += momentum * (np.float32(squares / (batch - 1)) - running_variance[k])
        slope, shift = gamma[k] * inverse_deviation, beta[k]
        for j in range(batch):
            value = (x[k, j] - mean) * slope + shift
            y[k, j] = np.float32(0) if value <= 0 else value  # NaN stays NaN


@compiled(**SUMS, **EXACT)
def _backward(gradient, x, y, statistics, gamma, beta, learning_rate, shrinkage, passed_on):  # noqa: ANN001, ANN202
    """passed_on <- the gradient with respect to x, given that with respect to y; then steps gamma and beta."""
    channels, batch = x.shape
    for k in range(channels):
        mean, inverse_deviation = statistics[0, k], statistics[1, k]
        total, correlation = 0.0, 0.0
        for j in range(batch):
            active = np.float32(0) if y[k, j] <= 0 else gradient[k, j]
            total += np.float64(active)
            correlation += np.float64(active * (x[k, j] - mean))
        beta_gradient, gamma_gradient = np.float32(total), np.float32(correlation * inverse_deviation)
        slope = gamma[k] * inverse_deviation
        offset, tilt = np.float32(total / batch), np.float32(gamma_gradient * inverse_deviation / batch)
        for j in range(batch):
            active = np.float32(0) if y[k, j] <= 0 else gradient[k, j]
            passed_on[k, j] = slope * (active - offset - (x[k, j] - mean) * tilt)
        gamma[k] = gamma[k] * shrinkage - learning_rate * gamma_gradient
        beta[k] = beta[k] * shrinkage - learning_rate * beta_gradient
