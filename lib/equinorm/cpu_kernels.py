"""One pair of ENorm on a CPU, compiled with numba: each weight is read twice and written once.

PyTorch's column reductions and the number of small operations would make ENorm cost a tenth of a training step on a
CPU (`benchmarks/`). The arithmetic is that of `enorm.balance_pair`; a test holds the two together. One thread is enough
for memory-bound passes, and keeps the bits independent of the number of threads.
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.graph import increment_version  # autograd does not see what is written through numpy

# Lets the compiler vectorise sums, but keeps NaN and infinity what they are: diverged runs pass through here.
_SUM = {"fastmath": {"reassoc", "contract", "nsz"}, "cache": True}
# Division by zero gives infinity, as in PyTorch, and no exception.
_EXACT = {"error_model": "numpy", "cache": True}


def balance_pair(left: Tensor, right: Tensor, previous: Tensor, c: float) -> Tensor:
    """`enorm.balance_pair` with norm = 2 for contiguous tensors on the CPU."""
    scale = torch.empty(left.shape[:-1], dtype=torch.float64)
    _balance_pair(_matrices(left), _matrices(right), _vectors(previous), c, _vectors(scale))
    increment_version(left)
    return scale


def divide_columns_(weight: Tensor, divisors: Tensor) -> None:
    """weight[..., i, j] /= divisors[..., j] in place, for a contiguous weight on the CPU."""
    _divide_columns(_matrices(weight), _vectors(divisors))
    increment_version(weight)


def _matrices(weight: Tensor) -> np.ndarray:
    return weight.detach().view(-1, *weight.shape[-2:]).numpy()


def _vectors(values: Tensor) -> np.ndarray:
    return values.view(-1, values.shape[-1]).numpy()


# Not fastmath: inlining would spread it into _scale.
@njit(**_EXACT)
def _balance_pair(left, right, previous, c, scale):  # noqa: ANN001, ANN202
    runs, units, inputs = left.shape
    inverse = np.empty(inputs, left.dtype)
    inverse_squared = np.empty(inputs, np.float64)
    right_squared = np.empty(units, np.float64)
    for r in range(runs):
        for j in range(inputs):
            inverse[j] = 1.0 / previous[r, j]
            inverse_squared[j] = 1.0 / (previous[r, j] * previous[r, j])
        right_squared[:] = 0.0
        for i in range(right.shape[1]):
            _add_squares(right[r, i], right_squared)
        for i in range(units):
            left_norm = np.sqrt(_weighted_sum_of_squares(left[r, i], inverse_squared))
            d = np.sqrt(np.sqrt(right_squared[i]) / (c * left_norm))
            if not (np.isfinite(d) and d > 0):
                d = 1.0
            scale[r, i] = d
            _scale(left[r, i], inverse, left.dtype.type(d))


@njit(**_SUM)
def _add_squares(row, sums):  # noqa: ANN001, ANN202
    for j in range(row.size):
        value = np.float64(row[j])
        sums[j] += value * value


@njit(**_SUM)
def _weighted_sum_of_squares(row, weights):  # noqa: ANN001, ANN202
    total = 0.0
    for j in range(row.size):
        value = np.float64(row[j])
        total += value * value * weights[j]
    return total


@njit(**_EXACT)  # no reassociation: column_factor * row_factor may overflow where the result does not
def _scale(row, column_factors, row_factor):  # noqa: ANN001, ANN202
    for j in range(row.size):
        row[j] = (row[j] * column_factors[j]) * row_factor


@njit(**_EXACT)
def _divide_columns(weight, divisors):  # noqa: ANN001, ANN202
    for r in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                weight[r, i, j] = weight[r, i, j] / divisors[r, j]
