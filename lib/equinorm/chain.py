"""Which linear layers of a model follow each other, and what can be seen of a model that ENorm would do harm to.

Modules, parameters and their memory can be seen; what `forward` does with them cannot.
"""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules import activation

HOMOGENEOUS = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Dropout, nn.Dropout1d, nn.Flatten, nn.Unflatten, nn.Identity,
)  # fmt: skip
"""Modules that take each unit by itself, with f(a x) = a f(x) for a > 0."""


def linear_chain(model: nn.Module) -> dict[str, nn.Linear]:
    """The ``nn.Linear`` modules of `model` by name, in the order of ``model.modules()``.

    Raises ValueError, in one sentence that names the layer, for

    - a layer that is there twice, or shares its weight or bias with another module
    - a weight or bias that is computed from other parameters, or not there yet (``nn.LazyLinear``)
    - a layer that is part of ``nn.MultiheadAttention``
    - a module of PyTorch's between the layers that is neither one of HOMOGENEOUS nor BatchNorm
    """
    layers: dict[str, nn.Linear] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, nn.Linear):
            _refuse_second(name, module, layers)
            _refuse_lazy(name, module)
            refuse_computed(name, module)
            layers[name] = module
    _refuse_attention(model, layers)
    _refuse_shared_memory(model, layers)
    for name, module in _between(model, layers):
        if not _is_allowed(module) and type(module).__module__.startswith("torch."):
            allowed = ", ".join(known.__name__ for known in HOMOGENEOUS)
            raise ValueError(
                f"{name} ({type(module).__name__}) is between the linear layers {_ends(layers)}, and ENorm would "
                f"change what the model computes; allowed there are {allowed}, and BatchNorm with a warning"
            )
    return layers


def refuse_computed(name: str, layer: nn.Linear) -> None:
    """Raise ValueError where a layer's weight or bias is not a parameter of its own, but computed from others.

    So it is with all parametrizations, the older `weight_norm` and `spectral_norm`, and pruning: what is written there
    is lost.
    """
    own = dict(layer.named_parameters(recurse=False))
    for kind in ("weight", "bias"):
        if getattr(layer, kind) is not None and kind not in own:
            raise ValueError(
                f"the {kind} of the linear layer {name} is computed from other parameters (as weight_norm, "
                "spectral_norm and pruning do), and what ENorm writes there would be lost"
            )


def doubts(model: nn.Module, layers: dict[str, nn.Linear]) -> list[str]:
    """What may change the model's function under ENorm, in a few words each; nothing for a plain chain.

    - BatchNorm, with which the paper uses ENorm nevertheless
    - modules and linear layers of classes that are not PyTorch's: what they do is not known
    - modules around the layers with a `forward` of their own, which may use modules in another order than they are in,
      and do anything between them; activations and parameters that it may use
    """
    between = _between(model, layers)
    names = {type(module).__name__ for _, module in between if not _is_homogeneous(module)}
    names |= {type(layer).__name__ for layer in layers.values() if type(layer).forward is not nn.Linear.forward}
    found = [f"{', '.join(sorted(names))} between the linear layers"] if names else []
    around = _smallest_around(model, layers)
    if all(type(module).forward is nn.Sequential.forward for module in around.modules() if _has_children(module)):
        return found  # modules are used in the order that they are in
    seen = {name for name, _ in between}
    beside = {type(module).__name__ for name, module in _leaves(model) if name not in seen and _is_bent(module)}
    if beside:
        found.append(f"{', '.join(sorted(beside))} beside the linear layers")
    for name, module in around.named_modules():
        parameters = [parameter for parameter, _ in module.named_parameters(recurse=False)]
        if _has_children(module) and parameters:
            found.append(f"parameters beside the linear layers ({', '.join(parameters)} of {name or 'the model'})")
    listing = {nn.Sequential.forward, nn.ModuleList.forward, nn.ModuleDict.forward}  # the latter two have none
    own = {
        type(module).__name__
        for module in around.modules()
        if _has_children(module) and type(module).forward not in listing
    } or {type(model).__name__}
    found.append(f"what the forward of {', '.join(sorted(own))} does is not seen without an example")
    return found


def _refuse_second(name: str, layer: nn.Linear, earlier: dict[str, nn.Linear]) -> None:
    for known, other in earlier.items():
        if other is layer:
            raise ValueError(
                f"the linear layers {known} and {name} are the same one; ENorm rescales a layer for its place "
                "between two others, so that each needs weights of its own"
            )


def _refuse_lazy(name: str, layer: nn.Linear) -> None:
    if nn.parameter.is_lazy(layer.weight):
        raise ValueError(f"the linear layer {name} has no weight yet; call the model once before ENorm is made")


def _refuse_attention(model: nn.Module, layers: dict[str, nn.Linear]) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            inside = next(own for own, layer in layers.items() if layer in set(module.modules()))
            raise ValueError(
                f"the linear layer {inside} is part of attention ({name or 'the model'}, MultiheadAttention), where "
                "layers do not follow each other one by one, so that ENorm would change what the model computes"
            )


def _refuse_shared_memory(model: nn.Module, layers: dict[str, nn.Linear]) -> None:
    everything = chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
    spans = {name: place for name, tensor in everything if (place := span(tensor)) is not None}
    for own in (f"{name}.{kind}" for name in layers for kind in ("weight", "bias")):
        if own not in spans:
            continue
        device, first, last = spans[own]
        for other, (its_device, its_first, its_last) in spans.items():
            if other != own and its_device == device and its_first <= last and first <= its_last:
                raise ValueError(
                    f"{own} and {other} are the same numbers in memory; ENorm rescales a layer for its place between "
                    "two others, so that each needs weights of its own"
                )


def span(tensor: Tensor) -> tuple[torch.device, int, int] | None:
    """Where in memory a tensor's numbers are: device, first and last byte; None where it has none."""
    if nn.parameter.is_lazy(tensor) or tensor.layout != torch.strided or not tensor.numel() or tensor.is_meta:
        return None
    extent = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)) + 1
    return tensor.device, tensor.data_ptr(), tensor.data_ptr() + extent * tensor.element_size() - 1


def _between(model: nn.Module, layers: dict[str, nn.Linear]) -> list[tuple[str, nn.Module]]:
    """The leaves of `model` between the first and the last of `layers`, without these."""
    leaves = _leaves(model)
    places = [place for place, (name, _) in enumerate(leaves) if name in layers]
    return [leaf for leaf in leaves[min(places, default=0) : max(places, default=0)] if leaf[0] not in layers]


def _leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules without others in them, by name, as often as they are there."""
    named = model.named_modules(remove_duplicate=False)
    return [(name, module) for name, module in named if not _has_children(module)]


def _smallest_around(module: nn.Module, layers: dict[str, nn.Linear]) -> nn.Module:
    """The innermost module that holds all of `layers`."""
    for child in module.children():
        if set(layers.values()) <= set(child.modules()):
            return _smallest_around(child, layers)
    return module


def _ends(layers: dict[str, nn.Linear]) -> str:
    return f"{next(iter(layers))} and {next(reversed(layers))}"


def _has_children(module: nn.Module) -> bool:
    return any(True for _ in module.children())


def _is_homogeneous(module: nn.Module) -> bool:
    return type(module).forward in {known.forward for known in HOMOGENEOUS}  # a subclass may have another one


def _is_allowed(module: nn.Module) -> bool:
    return _is_homogeneous(module) or isinstance(module, (nn.BatchNorm1d, nn.SyncBatchNorm))


def _is_bent(module: nn.Module) -> bool:
    """Whether it is an activation of PyTorch's that is not homogeneous, such as Tanh."""
    return type(module).__module__ == activation.__name__ and not _is_homogeneous(module)
