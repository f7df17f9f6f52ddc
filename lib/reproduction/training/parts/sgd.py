"""Every matrix is stepped alike, unless `rate_c` gives each layer a rate of its own."""

from torch import nn

from reproduction.protocol.parameters import Parameters
from reproduction.training.linear import SGD
from reproduction.training.parts.layer_rates import LayerRates


class Alike(nn.Module):
    def forward(self, network: nn.Module, sgd: SGD, epoch: int) -> list[SGD]:
        return [sgd] * len(network.layers)


def update(runs: int, parameters: Parameters) -> nn.Module:
    return Alike() if parameters.rate_c is None else LayerRates(parameters.rate_c)
