"""The fully connected network of the experiments, many runs at once.

Activations are ``[runs, features, batch]``: a layer is then one product ``[out, in] @ [in, batch]`` per run, and
BatchNorm sees ``runs * features`` channels without a copy.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from equinorm import randomness
from equinorm.batch_norm import BatchNormReLU
from equinorm.experiments import Initialization, Precision
from equinorm.products import SGD, LinearSGD, multiply, operand


class FullyConnected(nn.Module):
    """`inputs` -> width, then p layers width -> width, then width -> `classes`; ReLU after all but the last.

    Arguments:

    - p: number of intermediary layers, from 0; the network has p + 2 weight matrices.
    - seeds: one run per seed. A run's initial weights depend on its seed and the layer sizes alone, so variants
      with the same seed and p start from the same weights.
    - batch_norm: BatchNorm after each linear layer but the last, before the ReLU (gamma = 1, beta = 0 at first).
    - biases: a bias for each linear layer, 0 at first.
    - initialization: He et al. (2015), variance 2 / in, uniform (the 2019 report's code) or normal (the authors').
    - precision: of the matrix products; everything else is float32.

    Weights are ``[runs, out, in]``, biases ``[runs, out]``, gamma and beta ``[runs, width]``, all float32.
    """

    def __init__(
        self,
        p: int,
        seeds: Sequence[int],
        *,
        inputs: int = 3072,
        width: int = 500,
        classes: int = 10,
        batch_norm: bool = False,
        biases: bool = False,
        initialization: Initialization = "he_uniform",
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        sizes = [inputs] + [width] * (p + 1) + [classes]
        runs = len(seeds)
        generators = [randomness.initialization(seed) for seed in seeds]
        self.precision = precision
        self.weights = nn.ParameterList(
            torch.stack([_he(out, in_, initialization, generator) for generator in generators])
            for in_, out in pairwise(sizes)
        )
        self.biases = nn.ParameterList(torch.zeros(runs, out) for out in sizes[1:] if biases)
        hidden = sizes[1:-1] if batch_norm else []
        self.batch_norms = nn.ModuleList(BatchNormReLU(runs, size) for size in hidden)

    def forward(self, x: Tensor, sgd: SGD | None = None) -> Tensor:
        """Logits ``[runs, classes, batch]`` of x ``[runs, inputs, batch]``.

        With `sgd`, the backward pass makes the SGD step of the weight matrices (see `products`), and on a CPU that of
        gamma and beta (see `batch_norm`); what it does not step gets its gradient as usual.
        """
        last = len(self.weights) - 1
        for k, weight in enumerate(self.weights):
            if sgd is None:
                x = multiply(operand(weight, self.precision), operand(x, self.precision)).float()
            else:
                x = LinearSGD.apply(x, weight, sgd, self.precision)
            if self.biases:
                x = x + self.biases[k].unsqueeze(-1)
            if k < last:
                x = self.batch_norms[k](x, sgd) if self.batch_norms else x.relu_()
        return x

    def small_parameters(self) -> list[nn.Parameter]:
        """All parameters but the weight matrices: biases, gamma and beta."""
        return [*self.biases, *self.batch_norms.parameters()]

    @torch.no_grad()
    def keep_runs(self, indices: Sequence[int]) -> None:
        """Drop all runs but those at `indices` of the runs axis."""
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.data = tensor.data[list(indices)].clone()
            tensor.grad = None


def _he(out: int, in_: int, initialization: Initialization, generator: torch.Generator) -> Tensor:
    """One matrix ``[out, in]`` of variance 2 / in."""
    if initialization == "he_normal":
        return torch.randn(out, in_, generator=generator) * (2 / in_) ** 0.5
    bound = (6 / in_) ** 0.5
    return torch.rand(out, in_, generator=generator) * (2 * bound) - bound
