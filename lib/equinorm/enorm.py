"""ENorm in any training loop: which layers of a model are balanced, and what goes along with their weights."""

import warnings

import torch
from torch import Tensor, nn

from equinorm import chain
from equinorm.algorithm import (
    bias_step_factors,
    check_c,
    check_numbers,
    checked_biases,
    equi_normalize_,
    layer_rate_factors,
)
from equinorm.function_change import relative_change


def parameter_groups(model: nn.Module, learning_rate: float, c: float = 1.2) -> list[dict]:
    """For ``torch.optim.SGD`` with ENorm: the parameters of `model`, the rate of each linear layer's bias times s_k^2.

    The layers are those that :class:`ENorm` balances, in the same order; see `algorithm.bias_step_factors`. Raises
    ValueError for a c that is not a finite number above 0.
    """
    check_c(c)
    layers = _linear(model)
    scaled = [
        {"params": [layer.bias], "lr": learning_rate * factor}
        for layer, factor in zip(layers, bias_step_factors(len(layers), c), strict=True)
        if layer.bias is not None
    ]
    return [{"params": _others(model, scaled), "lr": learning_rate}, *scaled]


def layer_rate_groups(model: nn.Module, learning_rate: float, c: float = 1.2, *, weight_decay: float) -> list[dict]:
    """For ``torch.optim.SGD`` without ENorm: the parameters of `model`, each linear layer's weight with the rate that
    ENorm with c amounts to, `learning_rate` times c^(L + 1 - 2k) for layer k = 1 ... L.

    Give `weight_decay` here, not to the optimizer: each group has its own, such that a step takes the same part off all
    weights. In deep networks let c grow over the first epochs, c^(1/4), c^(2/4), ...; with all of it at once they
    diverge (`algorithm.layer_rate_factors`). The layers are the model's ``nn.Linear`` modules, in the order of
    ``model.modules()``. Raises ValueError for a c that is not a finite number above 0.
    """
    check_c(c)
    layers = _linear(model)
    scaled = [
        {"params": [layer.weight], "lr": learning_rate * factor, "weight_decay": weight_decay / factor}
        for layer, factor in zip(layers, layer_rate_factors(len(layers), c), strict=True)
    ]
    rest = {"params": _others(model, scaled), "lr": learning_rate, "weight_decay": weight_decay}
    return [rest, *scaled] if rest["params"] else scaled


def _linear(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


def _others(model: nn.Module, groups: list[dict]) -> list[nn.Parameter]:
    """The parameters that are in none of the groups."""
    own = {id(parameter) for group in groups for parameter in group["params"]}
    return [parameter for parameter in model.parameters() if id(parameter) not in own]


class ENorm:
    """ENorm for a model whose ``nn.Linear`` layers follow each other, in two lines of any training loop.

    ::

        enorm = ENorm(model, c=1.2, optimizer=optimizer)   # once
        optimizer.step(); enorm.step()                     # after every SGD step

    Arguments:

    - model: its ``nn.Linear`` modules, in the order of ``model.modules()``, are the layers; between them only
      functions that take each unit by itself, with f(a x) = a f(x) for a > 0 (ReLU, dropout, ...), leave the function
      of the model as it is.
    - c, norm, cycles: see :func:`equi_normalize_`.
    - optimizer: a ``torch.optim.SGD`` with momentum. A gradient scales as the inverse of its weight, so the momentum
      buffers are divided where the weights are multiplied.

    What can be seen from outside is refused with a ValueError: fewer than two linear layers or some that do not fit,
    another kind of optimizer, and the cases of :func:`chain.linear_chain` (shared and computed weights, attention, Tanh
    or a convolution between the layers, ...). Of BatchNorm, and of what is not known, it warns.

    What cannot be seen is what `forward` does: residual connections, functional activations (``torch.tanh(x)``), layers
    that it uses twice, in another order, side by side (attention by hand) or not at all, and hooks. There a step
    changes what the model computes, and nothing says so. Measure it once, before training: `check`.
    """

    def __init__(
        self,
        model: nn.Module,
        c: float = 1.2,
        norm: float = 2,
        cycles: int = 1,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        if optimizer is not None and not isinstance(optimizer, torch.optim.SGD):
            raise ValueError(
                f"optimizer is of type {type(optimizer).__name__}; ENorm rescales the momentum of torch.optim.SGD only"
            )
        self.model, self.layers = model, chain.linear_chain(model)
        self.c, self.norm, self.cycles, self.optimizer = c, norm, cycles, optimizer
        checked_biases(*self._parameters(), names=list(self.layers))
        check_numbers(c, norm, cycles)
        doubts = chain.doubts(model, self.layers)
        if doubts:
            warnings.warn(
                f"{'; '.join(doubts)}: ENorm may change what this model computes; it does not where only functions "
                "with f(a x) = a f(x) for a > 0 are, such as ReLU. `check` measures by how much",
                stacklevel=2,
            )

    def step(self) -> None:
        """Rescale the model's weights, its biases, and the optimizer's momentum buffers, in place."""
        weights, biases = self._parameters()
        scales = equi_normalize_(weights, biases, c=self.c, norm=self.norm, cycles=self.cycles)
        if self.optimizer is None:
            return
        for k, scale in enumerate(scales):
            _scale_momentum_(self.optimizer, weights[k], scale.reciprocal().unsqueeze(-1))
            _scale_momentum_(self.optimizer, weights[k + 1], scale.unsqueeze(-2))
            if biases[k] is not None:
                _scale_momentum_(self.optimizer, biases[k], scale.reciprocal())

    def check(self, *inputs: object, **named_inputs: object) -> float:
        """By how much one `step` now would change ``model(*inputs)`` in eval mode: ‖after - before‖ / ‖before‖.

        The model, its mode and the optimizer are left exactly as they are. Call it before training, on inputs like
        those it will get: near ENorm's fixed point a cycle changes little, whatever the model does with its layers, and
        what it does with other inputs is not seen.

        Rounding gives about 1e-6 in float32 (5e-7 for 3 layers, 2e-6 for 40), 1e-14 in float64, and 1e-2 where products
        are taken in bfloat16. What is a hundred times as much is no rounding: tanh or GELU in `forward` gives about 0.1
        to 0.2, attention by hand 0.1, a residual connection 1 and more. With BatchNorm it is large too (1.8 with two
        of them), since in eval mode BN's running statistics are those of before the step.

        Raises ValueError where the model returns no floating-point numbers.
        """
        weights, biases = self._parameters()
        # By .data: autograd does not count it as a change, so that a backward pass may still follow.
        weights = [weight.data for weight in weights]
        biases = [None if bias is None else bias.data for bias in biases]
        return relative_change(
            self.model,
            lambda: equi_normalize_(weights, biases, c=self.c, norm=self.norm, cycles=self.cycles),
            [*weights, *(bias for bias in biases if bias is not None)],
            inputs,
            named_inputs,
        )

    def _parameters(self) -> tuple[list[Tensor], list[Tensor | None]]:
        for name, layer in self.layers.items():
            chain.refuse_computed(name, layer)  # weight_norm may come after ENorm was made
        return [layer.weight for layer in self.layers.values()], [layer.bias for layer in self.layers.values()]


@torch.no_grad()
def _scale_momentum_(optimizer: torch.optim.Optimizer, parameter: Tensor, factor: Tensor) -> None:
    buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
    if buffer is not None:
        buffer.mul_(factor)
