"""The parts that variants are made of (`protocol.variants.Variant`): one file each, found by its name.

A part is a module with one function, called once, when a network is built. What that returns does the work of a step:

- what stands between two linear layers: ``between(runs, features, parameters) -> nn.Module``, called with activations
  ``[runs, features, batch]`` and the step to make of its own parameters (an `SGD`, or None)
- how a layer's matrix is made: ``layer(weight, parameters) -> nn.Module``, given the initial weights
  ``[runs, out, in]``; it has them as they are now as `weight`, and is called with activations and a step
- how the matrices are stepped: ``update(runs, parameters) -> nn.Module``, called before every step with the network,
  the epoch's `SGD` and the epoch's number; it returns the `SGD` of each layer. Where it has
  ``on_first_gradients(network)``, that is called once, in the first step, with the gradients in the matrices' `grad`
- what follows a step: ``after_step(parameters) -> f``, with ``f(network)``
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path


def find(part: str, kind: str) -> Callable:
    """The function called `kind` of the part of this name. Raises ValueError where there is none."""
    name = f"{__name__}.{part}"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # the part is there, and what it imports is not
            raise
        raise ValueError(f"part {part!r}: there is no {Path(__file__).parent.name}/{part}.py") from None
    if not hasattr(module, kind):
        raise ValueError(f"part {part!r}: {part}.py has no function {kind}")
    return getattr(module, kind)
