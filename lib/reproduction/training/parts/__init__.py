"""The parts that variants are made of (`protocol.variants.Variant`): one file each, found by its name.

A part is a module with one function, called once, when a network is built. What that returns does the work of a step:

- what stands between two linear layers: ``between(runs, features, parameters) -> nn.Module``, called with activations
  ``[runs, features, batch]`` and the step to make of its own parameters (an `SGD`, or None)
- how a layer's matrix is made: ``layer(weight, parameters) -> nn.Module``, given the initial weights
  ``[runs, out, in]``; it has them as they are now as `weight`, and is called with activations and a step
- how the matrices are stepped: ``update(parameters) -> f``, with ``f(network, sgd, epoch)`` a list of one `SGD` a layer
- what follows a step: ``after_step(parameters) -> f``, with ``f(network)``
"""

from collections.abc import Callable
from importlib import import_module


def find(part: str, kind: str) -> Callable:
    """The function called `kind` of the part of this name. Raises ValueError where there is none."""
    try:
        return getattr(import_module(f"{__name__}.{part}"), kind)
    except (ModuleNotFoundError, AttributeError):
        raise ValueError(f"part {part!r}: {__name__}.{part} has no function {kind}") from None
