"""Algorithm 1 of Stock et al. (2019), Equi-normalization of Neural Networks, on weight tensors.

`reference` is the text to read; here it is checked, batched, and reads each weight twice and writes it once. Notation,
as in the paper: W_k is the weight matrix of layer k, stored as PyTorch does, ``[out, in]``; for hidden unit i between
W_k and W_{k+1}, L_i = ||row i of W_k|| and R_i = ||column i of W_{k+1}||, and

    d_i = sqrt(R_i / (c L_i)),   row i of W_k and bias i times d_i,   column i of W_{k+1} over d_i.

At the fixed point R_i = c L_i for every unit; with c = 1 it has the smallest norm of all networks that are the same up
to such rescalings (Theorem 1).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

try:
    from equinorm import cpu_kernels
except ImportError:  # numba makes it faster, no more
    cpu_kernels = None

DTYPES = (torch.float32, torch.float64)


@torch.no_grad()
def equi_normalize_(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None] | None = None,
    *,
    c: float = 1.2,
    norm: float = 2,
    cycles: int = 1,
) -> list[Tensor]:
    """Rescale the weights of a ReLU network in place by Algorithm 1.

    Arguments:

    - weights: at least two tensors ``[..., out, in]`` in network order, float32 or float64. Leading axes (say, runs)
      hold independent networks.
    - biases: one tensor ``[..., out]`` or None per layer. The last layer's bias is not touched: its units are the
      network's outputs.
    - c: how much larger each layer's norm shall be than the one before it (the paper's asymmetric scaling).
    - norm: the p of the p-norms L and R.
    - cycles: how many times to go through the pairs.

    A unit whose row or column is all zero, or holds a value that is not finite, is left as it is.

    Returns, for each hidden layer, the factors ``[..., out]`` (float64) its rows were multiplied by in all.

    Raises ValueError where neighbouring layers do not fit, weights and biases are on several devices, a tensor is there
    twice, or an argument is out of range; TypeError for other dtypes. Nothing is changed then.
    """
    weights = list(weights)  # to index an nn.ParameterList is slow
    biases = checked_biases(weights, biases)
    _check_one_device(weights, biases)
    _check_distinct(weights, biases)
    check_numbers(c, norm, cycles)
    c = float(c)
    totals = _cycle(weights, biases, c, norm)
    for _ in range(cycles - 1):
        for total, scale in zip(totals, _cycle(weights, biases, c, norm), strict=True):
            total.mul_(scale)
    return totals


def _cycle(weights: Sequence[Tensor], biases: Sequence[Tensor | None], c: float, norm: float) -> list[Tensor]:
    """One cycle; returns d_k ``[..., out]`` for each pair. Weights are read twice and written once (see below)."""
    if cpu_kernels and norm == 2 and all(w.device.type == "cpu" and w.is_contiguous() for w in weights):
        scales = cpu_kernels.cycle(weights, c)
    else:
        scales = []
        previous = torch.ones_like(weights[0][..., 0, :], dtype=torch.float64)
        for left, right in pairwise(weights):
            previous = balance_pair(left, right, previous, c, norm)
            scales.append(previous)
        weights[-1].div_(previous.unsqueeze(-2))
    for bias, scale in zip(biases, scales, strict=False):
        if bias is not None:
            bias.mul_(scale)
    return scales


def balance_pair(left: Tensor, right: Tensor, previous: Tensor, c: float, norm: float) -> Tensor:
    """Finish `left` = W_k and return d_k ``[..., out]``, float64; `right` = W_{k+1} is only read.

    What a cycle does to W_k is to divide its columns by d_{k-1} = `previous` and to multiply its rows by d_k. Both are
    applied together here, once d_k is known, so that a weight is written once. The division of the columns of W_{k+1}
    by d_k follows when that matrix is `left`.
    """
    dtype = torch.float64 if left.device.type == "cpu" else left.dtype
    after_previous = left.to(dtype) / previous.unsqueeze(-2).to(dtype)
    scale = unit_scales(norms(after_previous, -1, norm), norms(right, -2, norm), c)
    left.copy_(after_previous * scale.unsqueeze(-1).to(dtype))
    return scale


def norms(x: Tensor, dim: int, norm: float = 2) -> Tensor:
    """The p-norms of `x` along `dim`, float64: squares of 1e-30 and 1e30 stay in range."""
    if x.device.type == "cpu":
        return torch.linalg.vector_norm(x, ord=norm, dim=dim, dtype=torch.float64)
    return scaled_norms(x, dim, norm)


def scaled_norms(x: Tensor, dim: int, norm: float = 2) -> Tensor:
    """`norms` without float64 sums, which many GPUs are slow at (a T4 by 32 times): numbers are divided by the largest
    of them first, so that no power leaves the range of float32."""
    largest = x.abs().amax(dim, keepdim=True)
    ratios = x / torch.where(largest > 0, largest, 1.0)
    return torch.linalg.vector_norm(ratios, ord=norm, dim=dim).double() * largest.squeeze(dim)


def unit_scales(left_norms: Tensor, right_norms: Tensor, c: float) -> Tensor:
    """d = sqrt(R / (c L)) of each unit, 1 where that is not a finite number above 0."""
    scales = (right_norms / (c * left_norms)).sqrt()
    return torch.where(scales.isfinite() & (scales > 0), scales, 1.0)


def bias_step_factors(layers: int, c: float) -> list[float]:
    """s_k^2 for layers k = 1 ... L: by what to multiply the SGD step of layer k's bias under ENorm with c != 1.

    At ENorm's fixed point each layer's norm is c times that of the one before it. Next to the network with c = 1 that
    computes the same function, the activations of layer k are then s_k = c^(k (k - L) / 2) as large, and so is its
    bias; a gradient with respect to that bias is 1 / s_k as large. A step lr * gradient thus moves the bias of the
    network with c = 1 by lr / s_k^2 times its own gradient, in the middle of a deep network millions of times too much.
    The factor s_k^2 undoes it: the biases then learn as they would with c = 1. This assumes that the weights are near
    the fixed point, and all units of a layer alike. (The weights' rates differ too, but by c^(L - 1) at most.)
    """
    return [c ** (k * (k - layers)) for k in range(1, layers + 1)]


def layer_rate_factors(layers: int, c: float) -> list[float]:
    """c^(L + 1 - 2k) for layers k = 1 ... L: by how much more a step of layer k counts under ENorm with c != 1, next to
    the network with c = 1 that computes the same function (derived as in `bias_step_factors`).

    So these rates, without ENorm, are what c does to how the layers learn. Deep networks diverge where they get all of
    it at once: c^(e / 4) for c in the first epochs e = 1 ... 4 works for the networks of the paper.
    """
    return [c ** (layers + 1 - 2 * k) for k in range(1, layers + 1)]


def checked_biases(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None] | None,
    names: Sequence[str] | None = None,
    dtypes: Sequence[torch.dtype] = DTYPES,
) -> Sequence[Tensor | None]:
    """One bias or None per layer, after checking that all shapes fit and that weights are of one of the `dtypes`;
    `names` are those of the layers.

    Raises ValueError and TypeError, in one sentence that names the weight or bias.
    """
    if len(weights) < 2:
        raise ValueError(f"{len(weights)} weight matrices given; ENorm balances pairs and needs at least 2")
    called = [f"weights[{k}]" if names is None else f"{names[k]}.weight" for k in range(len(weights))]
    for name, weight in zip(called, weights, strict=True):
        if weight.dtype not in dtypes:
            *others, last = map(str, dtypes)
            raise TypeError(f"{name} is {weight.dtype}; allowed are {', '.join(others)} and {last}")
        if weight.dim() < 2:
            raise ValueError(f"{name} has shape {tuple(weight.shape)}; needed is [..., out, in]")
    for (left_name, left), (right_name, right) in pairwise(zip(called, weights, strict=True)):
        if left.shape[:-2] != right.shape[:-2] or left.shape[-2] != right.shape[-1]:
            raise ValueError(
                f"{left_name} with shape {tuple(left.shape)} and {right_name} with shape {tuple(right.shape)} "
                "are not adjacent layers: the out of the first must be the in of the second"
            )
    if biases is None:
        return [None] * len(weights)
    if len(biases) != len(weights):
        raise ValueError(f"{len(biases)} biases given for {len(weights)} weights; give one (or None) for each")
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if bias is not None and not bias.is_floating_point():
            raise TypeError(f"biases[{k}] is {bias.dtype}; allowed are floating-point numbers")
        if bias is not None and bias.shape != weight.shape[:-1]:
            raise ValueError(
                f"biases[{k}] has shape {tuple(bias.shape)}, weights[{k}] {tuple(weight.shape)}: "
                f"needed is {tuple(weight.shape[:-1])}"
            )
    return biases


def _check_one_device(weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> None:
    device = weights[0].device
    for kind, tensors in (("weights", weights), ("biases", biases)):
        for k, tensor in enumerate(tensors):
            if tensor is not None and tensor.device != device:
                raise ValueError(
                    f"{kind}[{k}] is on {tensor.device}, weights[0] on {device}; needed is one device for all"
                )


def _check_distinct(weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> None:
    """A tensor that is there twice would be rescaled for one of its places and for the other."""
    first: dict[int, str] = {}
    for kind, tensors in (("weights", weights), ("biases", biases)):
        for k, tensor in enumerate(tensors):
            if tensor is not None and first.setdefault(id(tensor), f"{kind}[{k}]") != f"{kind}[{k}]":
                raise ValueError(f"{first[id(tensor)]} and {kind}[{k}] are the same tensor; each layer needs its own")


def check_c(c: float) -> None:
    if not _is_finite_above_0(c):
        raise ValueError(f"c is {c!r}; allowed are finite numbers above 0")


def check_numbers(c: float, norm: float, cycles: int) -> None:
    check_c(c)
    if not _is_finite_above_0(norm):
        raise ValueError(f"norm is {norm!r}; allowed are finite numbers above 0")
    if isinstance(cycles, bool) or not isinstance(cycles, int) or cycles < 1:
        raise ValueError(f"cycles is {cycles!r}; allowed are whole numbers from 1")


def _is_finite_above_0(number: float) -> bool:
    try:
        return math.isfinite(number) and bool(number > 0)
    except (TypeError, ValueError, OverflowError):  # not a number, several, or too large a whole one
        return False
