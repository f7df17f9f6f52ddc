"""The fully connected network of the experiments, made of a variant's parts, many runs at once.

Activations are ``[runs, features, batch]``: a layer is then one product ``[out, in] @ [in, batch]`` per run, and
BatchNorm sees ``runs * features`` channels without a copy.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from equinorm import equi_normalize_
from reproduction.protocol.parameters import Initialization, Parameters
from reproduction.protocol.variants import VARIANTS
from reproduction.training import parts, randomness
from reproduction.training.linear import SGD


class FullyConnected(nn.Module):
    """inputs -> width, then p layers width -> width, then width -> outputs; after all but the last, what the variant
    has between layers, a ReLU at least.

    Arguments:

    - parameters: variant, p (the network has p + 2 weight matrices), seeds (one run for each), initialization (He et
      al. (2015), variance 2 / in, uniform as in the 2019 report's code or normal as in the authors'), precision (of the
      matrix products; everything else is float32), and what the variant's parts know of.
    - sizes: numbers of units from the input to the output (default: those of `parameters`).

    A run's initial weights depend on its seed, the layer sizes, initialization and draws, so variants with the same
    seed and p start from the same ones; with initial_cycles, on the variant and its c, too. Weights are
    ``[runs, out, in]``, biases ``[runs, out]`` and 0 at first, all float32.
    """

    def __init__(self, parameters: Parameters, sizes: Sequence[int] | None = None) -> None:
        super().__init__()
        sizes, runs, variant = sizes or parameters.sizes(), len(parameters.seeds), VARIANTS[parameters.variant]
        generators = [randomness.initialization(seed, parameters.draws_of) for seed in parameters.seeds]
        layer, between = parts.find(variant.layer, "layer"), parts.find(variant.between, "between")
        self.layers = nn.ModuleList(
            layer(torch.stack([_he(out, in_, parameters.initialization, g) for g in generators]), parameters)
            for in_, out in pairwise(sizes)
        )
        self.biases = nn.ParameterList(torch.zeros(runs, out) for out in sizes[1:] if variant.biases)
        self.between = nn.ModuleList(between(runs, size, parameters) for size in sizes[1:-1])
        self.update = parts.find(variant.update, "update")(runs, parameters)
        if parameters.initial_cycles:
            c = parameters.c if "enorm" in variant.parts else 1.0
            with torch.no_grad():
                equi_normalize_(self.weights, c=c, cycles=parameters.initial_cycles)
        after_step = parts.find(variant.after_step, "after_step")(parameters) if variant.after_step else None
        self.untouched = True  # by any step
        self.after_steps = [after_step] if after_step else []

    @property
    def weights(self) -> list[Tensor]:
        """The matrix ``[runs, out, in]`` of each layer."""
        return [layer.weight for layer in self.layers]

    @property
    def runs(self) -> int:
        return len(self.layers[0].weight)

    def forward(self, x: Tensor, steps: Sequence[SGD] | None = None, others: SGD | None = None) -> Tensor:
        """Outputs ``[runs, outputs, batch]`` of x ``[runs, inputs, batch]``.

        With `steps`, one for each layer, the backward pass makes the SGD step of the weight matrices; with `others`,
        where the part between layers has a way to do so, that of its parameters. What it does not step gets its
        gradient.
        """
        last = len(self.layers) - 1
        for k, layer in enumerate(self.layers):
            x = layer(x, None if steps is None else steps[k])
            if self.biases:
                x = x + self.biases[k].unsqueeze(-1)
            if k < last:
                x = self.between[k](x, others)
        return x.float()

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
