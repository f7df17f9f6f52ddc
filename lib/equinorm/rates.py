"""Learning rates for each layer: of biases under ENorm, and of weights instead of ENorm."""

from torch import nn
from torch.nn.modules.conv import _ConvNd

from equinorm.algorithm import bias_step_factors, check_c, layer_rate_factors


def parameter_groups(model: nn.Module, learning_rate: float, c: float = 1.2) -> list[dict]:
    """For ``torch.optim.SGD`` with ENorm: the parameters of `model`, the rate of each layer's bias times s_k^2.

    The layers are the model's ``nn.Linear`` and convolutions, in the order of ``model.modules()``, taken as one chain;
    see `algorithm.bias_step_factors`. Raises ValueError for a c that is not a finite number above 0.
    """
    check_c(c)
    layers = _layers(model)
    scaled = [
        {"params": [layer.bias], "lr": learning_rate * factor}
        for layer, factor in zip(layers, bias_step_factors(len(layers), c), strict=True)
        if layer.bias is not None
    ]
    return [{"params": _others(model, scaled), "lr": learning_rate}, *scaled]


def layer_rate_groups(model: nn.Module, learning_rate: float, c: float = 1.2, *, weight_decay: float) -> list[dict]:
    """For ``torch.optim.SGD`` without ENorm: the parameters of `model`, each layer's weight with the rate that ENorm
    with c amounts to, `learning_rate` times c^(L + 1 - 2k) for layer k = 1 ... L.

    Give `weight_decay` here, not to the optimizer: each group has its own, such that a step takes the same part off all
    weights. In deep networks let c grow over the first epochs, c^(1/4), c^(2/4), ...; with all of it at once they
    diverge (`algorithm.layer_rate_factors`). The layers are the model's ``nn.Linear`` and convolutions, in the
    order of ``model.modules()``, taken as one chain. Raises ValueError for a c that is not a finite number above 0.
    """
    check_c(c)
    layers = _layers(model)
    scaled = [
        {"params": [layer.weight], "lr": learning_rate * factor, "weight_decay": weight_decay / factor}
        for layer, factor in zip(layers, layer_rate_factors(len(layers), c), strict=True)
    ]
    rest = {"params": _others(model, scaled), "lr": learning_rate, "weight_decay": weight_decay}
    return [rest, *scaled] if rest["params"] else scaled


def _layers(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, (nn.Linear, _ConvNd))]


def _others(model: nn.Module, groups: list[dict]) -> list[nn.Parameter]:
    """The parameters that are in none of the groups."""
    own = {id(parameter) for group in groups for parameter in group["params"]}
    return [parameter for parameter in model.parameters() if id(parameter) not in own]
