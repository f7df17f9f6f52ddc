"""Algorithm 1 of Stock et al. (2019) as one reads it. Everything faster is tested against this.

W_k is the matrix of layer k, ``[out, in]``. Hidden unit i is row i of W_k and column i of W_{k+1}; its two norms are
L_i and R_i. One cycle goes through the pairs of layers, from the input to the output.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def equi_normalize(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None] | None = None,
    c: float = 1.2,
    norm: float = 2,
    cycles: int = 1,
) -> tuple[list[Tensor], list[Tensor | None], list[Tensor]]:
    """New weights ``[out, in]`` and biases ``[out]`` in float64, and by how much each hidden unit's row was multiplied.

    A unit that has no finite d_i above 0 is left as it is.
    """
    weights = [weight.detach().double().clone() for weight in weights]
    biases = [None if bias is None else bias.detach().double().clone() for bias in biases or [None] * len(weights)]
    factors = [torch.ones(len(weight), dtype=torch.float64) for weight in weights[:-1]]
    for _ in range(cycles):
        for k in range(len(weights) - 1):
            for i in range(len(weights[k])):
                row, column = weights[k][i], weights[k + 1][:, i]
                left, right = (torch.linalg.vector_norm(vector, ord=norm) for vector in (row, column))
                d = (right / (c * left)).sqrt()
                if not (d.isfinite() and d > 0):
                    continue
                row *= d
                column /= d
                if biases[k] is not None:
                    biases[k][i] *= d
                factors[k][i] *= d
    return weights, biases, factors
