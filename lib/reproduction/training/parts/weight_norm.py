"""Weight normalisation (Salimans & Kingma, 2016): row i of a matrix is g_i v_i / ||v_i||, and g and v are stepped.

With G the gradient of the matrix, that of g_i is G_i v_i / ||v_i||, and that of v_i is
g_i / ||v_i|| (G_i - (G_i v_i) v_i / ||v_i||^2). Weight decay is on g and v, as plain PyTorch has it
(``torch.nn.utils.parametrizations.weight_norm``). At first g_i = ||v_i||, and v is the initial matrix.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version  # autograd does not see what is written through numpy

from equinorm.compiled import EXACT, SUMS, compiled
from reproduction.protocol.parameters import Parameters, Precision
from reproduction.training.linear import SGD, multiply, operand


class WeightNorm(nn.Module):
    """y = W x for activations ``[runs, in, batch]``; g is ``[runs, out]``, v and `weight`, W as it is now, are
    ``[runs, out, in]``."""

    def __init__(self, weight: Tensor, precision: Precision) -> None:
        super().__init__()
        self.precision = precision
        self.g = nn.Parameter(torch.linalg.vector_norm(weight, dim=-1))
        self.v = nn.Parameter(weight)
        self.register_buffer("weight", weight.clone())  # kept, so that a step computes it once, where v is at hand

    def forward(self, x: Tensor, sgd: SGD | None = None) -> Tensor:
        """With `sgd`, the backward pass makes the step of g and v; else they get their gradients."""
        if sgd is not None:
            return _WeightNormSGD.apply(x, self.v, self, sgd)
        weight = self.weight
        if torch.is_grad_enabled():
            weight = self.v * (self.g / torch.linalg.vector_norm(self.v, dim=-1)).unsqueeze(-1)
        return multiply(operand(weight, self.precision), operand(x, self.precision))


def layer(weight: Tensor, parameters: Parameters) -> WeightNorm:
    return WeightNorm(weight, parameters.precision)


class _WeightNormSGD(torch.autograd.Function):
    """`WeightNorm` in training; backward passes the gradient on and then steps g and v. v is an argument so that
    autograd calls backward for the first layer, too."""

    @staticmethod
    def forward(ctx, x: Tensor, v: Tensor, layer: WeightNorm, sgd: SGD) -> Tensor:  # noqa: ANN001
        ctx.layer, ctx.sgd = layer, sgd
        x, rounded = operand(x, layer.precision), operand(layer.weight, layer.precision)
        ctx.save_for_backward(x, rounded)
        return multiply(rounded, x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, None, None, None]:  # noqa: ANN001
        x, rounded = ctx.saved_tensors
        layer = ctx.layer
        gradient = operand(gradient, layer.precision)
        passed_on = multiply(rounded.transpose(1, 2), gradient) if ctx.needs_input_grad[0] else None
        _step(layer, multiply(gradient, x.transpose(1, 2)).float(), ctx.sgd)
        return passed_on, None, None, None


@torch.no_grad()
def _step(layer: WeightNorm, gradient: Tensor, sgd: SGD) -> None:
    """The SGD step of g and v, given the gradient of the matrix, and the matrix after it."""
    stepped = layer.g, layer.v, layer.weight
    if gradient.device.type == "cpu":
        arrays = [tensor.detach().numpy() for tensor in stepped]
        _step_rows(gradient.numpy(), *arrays, np.float32(sgd.learning_rate), np.float32(sgd.shrinkage))
        increment_version(stepped)
        return
    g, v, weight = stepped
    norm = torch.linalg.vector_norm(v, dim=-1)
    along = (gradient * v).sum(dim=-1) / norm  # the gradient of g
    of_v = (g / norm).unsqueeze(-1) * (gradient - (along / norm).unsqueeze(-1) * v)
    g.mul_(sgd.shrinkage).sub_(along, alpha=sgd.learning_rate)
    v.mul_(sgd.shrinkage).sub_(of_v, alpha=sgd.learning_rate)
    torch.mul(v, (g / torch.linalg.vector_norm(v, dim=-1)).unsqueeze(-1), out=weight)


@compiled(**SUMS, **EXACT)
def _step_rows(gradient, g, v, weight, learning_rate, shrinkage):  # noqa: ANN001, ANN202
    """Row by row, so that v and the gradient are read from memory once, and v and the matrix are written once."""
    runs, rows, columns = v.shape
    for r in range(runs):
        for i in range(rows):
            squares, product = 0.0, 0.0
            for j in range(columns):
                squares += np.float64(v[r, i, j] * v[r, i, j])
                product += np.float64(gradient[r, i, j] * v[r, i, j])
            norm = np.sqrt(squares)
            along = product / norm
            own = learning_rate * np.float32(g[r, i] / norm)
            kept = shrinkage + own * np.float32(along / norm)
            squares = 0.0
            for j in range(columns):
                value = v[r, i, j] * kept - own * gradient[r, i, j]
                v[r, i, j] = value
                squares += np.float64(value * value)
            g[r, i] = g[r, i] * shrinkage - learning_rate * np.float32(along)
            scale = np.float32(g[r, i] / np.sqrt(squares))
            for j in range(columns):
                weight[r, i, j] = v[r, i, j] * scale
