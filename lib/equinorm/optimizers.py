"""What an optimizer remembers of gradients, in the coordinates of the rescaled weights.

Where a weight is multiplied by f, its gradient is divided by f. So a mean of gradients is divided by f, a mean of their
squares by f^2, and a mean of gradients over roots of such squares (the buffer of RMSprop) stays as it is. Afterwards
the optimizer is where it would be, had it seen all gradients in the new coordinates. What weight decay adds to these
means (all but AdamW's) is taken for gradients, too.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

_ADAM = {"exp_avg": -1, "exp_avg_sq": -2, "max_exp_avg_sq": -2}
POWERS: dict[type[torch.optim.Optimizer], dict[str, int]] = {
    torch.optim.SGD: {"momentum_buffer": -1},
    torch.optim.Adam: _ADAM,
    torch.optim.AdamW: _ADAM,
    torch.optim.NAdam: _ADAM,
    torch.optim.RAdam: _ADAM,
    torch.optim.Adagrad: {"sum": -2},
    torch.optim.RMSprop: {"square_avg": -2, "grad_avg": -1, "momentum_buffer": 0},
}
"""By which power of f each of an optimizer's tensors is multiplied where the weight is multiplied by f."""


def check_optimizer(optimizer: torch.optim.Optimizer, rescaled: dict[str, Tensor]) -> None:
    """Raise ValueError for an optimizer of another kind, or one that lacks a parameter of `rescaled`."""
    powers = _powers(optimizer)
    if powers is None:
        raise ValueError(
            f"optimizer is of type {type(optimizer).__name__}; ENorm knows what to do with the state of "
            f"{', '.join(known.__name__ for known in POWERS)} only"
        )
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for name, parameter in rescaled.items():
        if id(parameter) not in held:
            raise ValueError(f"optimizer is not over {name}, which ENorm would rescale; give the one that trains it")


def state_to_scale(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Each tensor that the optimizer keeps for a parameter, in its shape, and the power of f to multiply it by.

    Raises ValueError for one that is not known.
    """
    powers = _powers(optimizer) or {}
    for key, value in optimizer.state.get(parameter, {}).items():
        if key in powers and value is not None:
            yield value, powers[key]
        elif isinstance(value, Tensor) and value.dim():
            raise ValueError(
                f"optimizer ({type(optimizer).__name__}) keeps {key!r} for each weight, and ENorm does not know how it "
                "changes where the weights are rescaled"
            )


def _powers(optimizer: torch.optim.Optimizer) -> dict[str, int] | None:
    return next((POWERS[kind] for kind in type(optimizer).__mro__ if kind in POWERS), None)
