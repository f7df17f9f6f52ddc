"""The losses of the first steps of many runs, for studies of how often those end in NaN."""

from itertools import islice

import torch
from torch import Tensor

from reproduction.data.datasets import DeviceData
from reproduction.protocol.parameters import Parameters
from reproduction.training.first_steps import first_steps


def first_losses(
    parameters: Parameters, data: DeviceData, steps: int, learning_rate_factor: float = 1.0, together: int = 10
) -> Tensor:
    """The losses ``[runs, steps]`` of the first steps, float64 on the CPU; from where a run has diverged on, NaN.

    So many runs train `together`: their weights are in memory at the same time. Raises ValueError where the first epoch
    has fewer steps.
    """
    found = []
    for start in range(0, len(parameters.seeds), together):
        chunk = parameters.seeds[start : start + together]
        losses = torch.full((len(chunk), steps), float("nan"), dtype=torch.float64)
        runs = first_steps(parameters.model_copy(update={"seeds": chunk}), data, learning_rate_factor)
        for made, _, own in islice(runs, 1, steps + 1):
            if not own.isfinite().any():
                break
            losses[:, made - 1] = own.double().cpu()
        else:
            if made < steps:
                raise ValueError(f"steps = {steps}: the first epoch has {made}")
        diverged = (~losses.isfinite()).cummax(dim=1).values
        found.append(losses.masked_fill(diverged, float("nan")))
    return torch.cat(found)
