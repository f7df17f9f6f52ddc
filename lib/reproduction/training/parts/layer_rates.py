"""A learning rate for each layer: those that ENorm with c amounts to, without its rescaling.

At ENorm's fixed point each layer's norm is c times that of the one before it. Next to the network with c = 1 that
computes the same function, a step of layer k = 1 ... L then counts c^(L + 1 - 2k) as much. So this has the same effect
as c on how layers learn, and leaves the weights as they are. The decay of weights is the same for all layers.

ENorm comes to its fixed point slowly; here the exponent grows over the first epochs, for deep networks diverge with all
of it at once.
"""

from torch import nn

from equinorm.algorithm import layer_rate_factors
from reproduction.protocol.parameters import Parameters
from reproduction.training.linear import SGD

RAMP = 4
"""Epochs until the exponent is whole."""


def factors(layers: int, c: float, epoch: int) -> list[float]:
    """By what the learning rates of layers 1 ... L are multiplied in this epoch (from 1)."""
    share = min(1.0, epoch / RAMP)
    return layer_rate_factors(layers, c**share)


class LayerRates(nn.Module):
    def __init__(self, c: float) -> None:
        super().__init__()
        self.c = c

    def forward(self, network: nn.Module, sgd: SGD, epoch: int) -> list[SGD]:
        own = factors(len(network.layers), self.c, epoch)
        return [SGD(sgd.learning_rate * factor, sgd.weight_decay / factor) for factor in own]


def update(runs: int, parameters: Parameters) -> LayerRates:
    return LayerRates(parameters.rate_c or Parameters.model_fields["c"].default)
