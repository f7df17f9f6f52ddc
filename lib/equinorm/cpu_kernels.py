"""A cycle of ENorm on a CPU, compiled with numba: each weight is read twice and written once.

PyTorch's column reductions and the number of small operations would make ENorm cost a tenth of a training step on a
CPU (`benchmarks/`). The arithmetic of a pair is that of `algorithm.balance_pair`; a test holds the two together. One
thread keeps the bits independent of the number of threads.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import increment_version  # autograd does not see what is written through numpy

from equinorm.compiled import EXACT, SUMS, compiled

_BLOCK = 32  # rows whose norms are taken before the first is scaled: no row waits for its own; they stay in the cache


def cycle(weights: Sequence[Tensor], c: float) -> list[Tensor]:
    """One cycle with norm = 2 for contiguous tensors ``[..., out, in]`` on the CPU; returns d_k ``[..., out]``."""
    matrices = [weight.detach().view(-1, *weight.shape[-2:]).numpy() for weight in weights]
    previous = np.ones(matrices[0].shape[::2])
    scales = []
    for left, right in pairwise(matrices):
        scale = np.empty(left.shape[:2])
        _balance_pair(left, right, previous, c, scale)
        scales.append(scale)
        previous = scale
    _divide_columns(matrices[-1], previous)
    increment_version(weights)
    return [torch.from_numpy(d).view(weight.shape[:-1]) for d, weight in zip(scales, weights, strict=False)]


# Not fastmath: inlining would spread it into _scale.
@compiled(**EXACT)
def _balance_pair(left, right, previous, c, scale):  # noqa: ANN001, ANN202
    runs, units, inputs = left.shape
    inverse = np.empty(inputs, left.dtype)
    inverse_squared = np.empty(inputs, np.float64)
    right_squared = np.empty(units, np.float64)
    for r in range(runs):
        for j in range(inputs):
            inverse[j] = 1.0 / previous[r, j]
            inverse_squared[j] = 1.0 / (previous[r, j] * previous[r, j])
        _column_sums_of_squares(right[r], right_squared)
        for start in range(0, units, _BLOCK):
            block = range(start, min(start + _BLOCK, units))
            for i in block:
                scale[r, i] = np.sqrt(_weighted_sum_of_squares(left[r, i], inverse_squared))
            for i in block:
                d = np.sqrt(np.sqrt(right_squared[i]) / (c * scale[r, i]))
                scale[r, i] = d if np.isfinite(d) and d > 0 else 1.0
            for i in block:
                _scale(left[r, i], inverse, left.dtype.type(scale[r, i]))


@compiled(**EXACT)
def _column_sums_of_squares(matrix, sums):  # noqa: ANN001, ANN202
    """Four rows at a time: the sums go through memory a quarter as often."""
    rows, columns = matrix.shape
    sums[:] = 0.0
    together = rows - rows % 4
    for i in range(0, together, 4):
        for j in range(columns):
            first, second = np.float64(matrix[i, j]), np.float64(matrix[i + 1, j])
            third, fourth = np.float64(matrix[i + 2, j]), np.float64(matrix[i + 3, j])
            sums[j] = (((sums[j] + first * first) + second * second) + third * third) + fourth * fourth
    for i in range(together, rows):
        for j in range(columns):
            value = np.float64(matrix[i, j])
            sums[j] += value * value


@compiled(**SUMS)
def _weighted_sum_of_squares(row, weights):  # noqa: ANN001, ANN202
    total = 0.0
    for j in range(row.size):
        value = np.float64(row[j])
        total += value * value * weights[j]
    return total


@compiled(**EXACT)  # no reassociation: column_factor * row_factor may overflow where the result does not
def _scale(row, column_factors, row_factor):  # noqa: ANN001, ANN202
    for j in range(row.size):
        row[j] = (row[j] * column_factors[j]) * row_factor


@compiled(**EXACT)
def _divide_columns(weight, divisors):  # noqa: ANN001, ANN202
    for r in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                weight[r, i, j] = weight[r, i, j] / divisors[r, j]
