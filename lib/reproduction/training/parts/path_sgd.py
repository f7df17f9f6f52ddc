"""Path-SGD (Neyshabur, Salakhutdinov & Srebro, 2015) for p = 2: steps that rescalings of the network do not change.

A weight w steps by -(learning rate / kappa) dL/dw. kappa is the sum, over all paths from the input to the output
through w, of the product of the squares of the other weights on the path. With W^2 the squares of a matrix, v_0 = 1,
v_k = W_k^2 v_{k-1}, u_L = 1 and u_{k-1} = (W_k^2)^T u_k, that of W_k is the product u_k v_{k-1}^T: of rank one, so that
it is applied to the two operands of the product that gives the gradient.

kappa is 2^p at first, or so. To give learning rates a common scale, all steps are multiplied by the ratio
||g|| / ||g / kappa|| of the first step, g being the gradient of all matrices: that step is then as long as SGD's. (The
code of its authors has such a ratio, too; `path_ratio = "none"` leaves it out.) Weight decay is SGD's, not divided by
kappa.
"""

import numpy as np
import torch
from torch import Tensor, nn

from equinorm.compiled import EXACT, SUMS, compiled
from reproduction.protocol.parameters import Parameters
from reproduction.training.linear import SGD


class PathSGD(nn.Module):
    """`ratio` is ``[runs]``; 1 until `on_first_gradients` sets it."""

    def __init__(self, runs: int) -> None:
        super().__init__()
        self.register_buffer("ratio", torch.ones(runs, dtype=torch.float64))

    @torch.no_grad()
    def forward(self, network: nn.Module, sgd: SGD, epoch: int) -> list[SGD]:
        rate = (sgd.learning_rate * self.ratio).unsqueeze(-1)
        steps = []
        for v, u in zip(*path_sums(network.weights), strict=True):
            scale = v.mean(dim=-1, keepdim=True)  # neither factor leaves the range of float32 alone
            rows, columns = _inverse(u) * (rate / scale), _inverse(v) * scale
            steps.append(SGD(1.0, sgd.learning_rate * sgd.weight_decay, rows.float(), columns.float()))
        return steps


class PathSGDWithRatio(PathSGD):
    @torch.no_grad()
    def on_first_gradients(self, network: nn.Module) -> None:
        """Set the ratio, given the gradients of the network's matrices in its first step."""
        plain, scaled = torch.zeros_like(self.ratio), torch.zeros_like(self.ratio)
        for weight, v, u in zip(network.weights, *path_sums(network.weights), strict=True):
            for run, gradient in enumerate(weight.grad.double()):  # one at a time, so that siblings do not matter
                plain[run] += gradient.square().sum()
                scaled[run] += (gradient * torch.outer(_inverse(u[run]), _inverse(v[run]))).square().sum()
        self.ratio.copy_((plain / scaled).sqrt())


def update(runs: int, parameters: Parameters) -> PathSGD:
    return PathSGDWithRatio(runs) if parameters.path_ratio == "first_step" else PathSGD(runs)


def _inverse(sums: Tensor) -> Tensor:
    """1 over the sums; 0 where no path leads, for the gradient is 0 there, too."""
    return torch.where(sums > 0, 1 / sums, 0.0)


@torch.no_grad()
def path_sums(weights: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """For each matrix W_k ``[runs, out, in]`` v_{k-1} ``[runs, in]`` and u_k ``[runs, out]``, float64."""
    forward = torch.ones_like(weights[0][:, 0], dtype=torch.float64)
    backward = torch.ones_like(weights[-1][:, :, 0], dtype=torch.float64)
    incoming, outgoing = [forward], [backward]
    for weight in weights[:-1]:
        incoming.append(_row_sums(weight, incoming[-1]))
    for weight in reversed(weights[1:]):
        outgoing.append(_column_sums(weight, outgoing[-1]))
    return incoming, outgoing[::-1]


def _row_sums(weight: Tensor, v: Tensor) -> Tensor:
    """W^2 v."""
    if weight.device.type != "cpu":
        return (weight.double().square() @ v.unsqueeze(-1)).squeeze(-1)
    sums = torch.empty_like(weight[:, :, 0], dtype=torch.float64)
    _weighted_row_sums(weight.detach().numpy(), v.numpy(), sums.numpy())
    return sums


def _column_sums(weight: Tensor, u: Tensor) -> Tensor:
    """(W^2)^T u."""
    if weight.device.type != "cpu":
        return (u.unsqueeze(-2) @ weight.double().square()).squeeze(-2)
    sums = torch.empty_like(weight[:, 0], dtype=torch.float64)
    _weighted_column_sums(weight.detach().numpy(), u.numpy(), sums.numpy())
    return sums


@compiled(**SUMS, **EXACT)
def _weighted_row_sums(weight, factors, sums):  # noqa: ANN001, ANN202
    runs, rows, columns = weight.shape
    for r in range(runs):
        for i in range(rows):
            total = 0.0
            for j in range(columns):
                value = np.float64(weight[r, i, j])
                total += value * value * factors[r, j]
            sums[r, i] = total


@compiled(**EXACT)
def _weighted_column_sums(weight, factors, sums):  # noqa: ANN001, ANN202
    runs, rows, columns = weight.shape
    for r in range(runs):
        sums[r, :] = 0.0
        for i in range(rows):
            for j in range(columns):
                value = np.float64(weight[r, i, j])
                sums[r, j] += value * value * factors[r, i]
