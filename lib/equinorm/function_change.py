"""By how much something changes what a model computes, with the model left as it was."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from equinorm import calls


@torch.no_grad()
def relative_change(
    model: nn.Module, change: Callable[[], object], changed: Sequence[Tensor], inputs: tuple, named_inputs: dict
) -> float:
    """The relative change of ``model(*inputs, **named_inputs)`` by `change`: ‖after - before‖ / ‖before‖.

    ‖ ‖ is the Euclidean norm over all floating-point numbers of the output, which is a tensor, or tuples, lists, dicts
    and dataclasses of such. The model computes in eval mode, both times with the same buffers, inputs and random
    numbers. Afterwards `changed`, the
    tensors that `change` writes to, the model's buffers, its training flags and the generators are what they were.

    Raises ValueError for an output without such numbers.
    """
    cuda = sorted({tensor.device for tensor in changed if tensor.is_cuda}, key=str)
    with _kept(changed), in_mode(model, training=False):
        outputs = []
        for prepare in (lambda: None, change):
            prepare()
            torch.clear_autocast_cache()  # it holds weights in bfloat16 as they were
            args, kwargs = calls.map_tensors(Tensor.clone, (inputs, named_inputs))  # a model may write to its input
            with buffers_kept(model), torch.random.fork_rng(devices=cuda):
                outputs.append(_numbers(model(*args, **kwargs)))
    before, after = outputs
    if not len(before):
        raise ValueError("the model's output holds no floating-point numbers, so that no change of it can be measured")
    difference = torch.linalg.vector_norm(torch.where(after == before, 0, after - before))  # -inf stays, where masked
    return float(difference / torch.linalg.vector_norm(before[before.abs() != torch.inf])) if difference else 0.0


def said_of_change(change: float, alone: float, allowed: float) -> str:
    """Why the output on the example changes by so much as layers are rescaled, and by `alone` between two mere runs."""
    if not math.isfinite(alone):
        return "the model's output on the example holds NaN or infinity, so that it shows no change"
    if alone > allowed:
        return (
            f"two runs of the model on the example differ by {alone:.1g} of the output's norm with the same weights "
            "and generators (random numbers that are not PyTorch's, or a state that is in no buffer), so that it "
            "does not show whether rescaling changes the function"
        )
    what = f"by {change:.1g} of its norm" if math.isfinite(change) else "to NaN or infinity"
    return (
        f"rescaling the layers that were seen changes the model's output on the example {what}, so that something in "
        "the model takes activations unseen (torch.jit, or code that is not PyTorch's)"
    )


def _numbers(output: object) -> Tensor:
    """All floating-point numbers of a model's output, copied, in float64 on the CPU."""
    numbers = (tensor for tensor in calls.tensors(output) if tensor.is_floating_point())
    parts = [tensor.detach().flatten().cpu().to(torch.float64, copy=True) for tensor in numbers]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)


@contextmanager
def _kept(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Put back the values of `tensors`.

    By ``.data``, which autograd does not count as a change: a backward pass may still follow.
    """
    values = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        for tensor, value in zip(tensors, values, strict=True):
            tensor.data.copy_(value)
        torch.clear_autocast_cache()


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Put back the model's buffers, those that `forward` replaced by others too."""
    held = [(module, dict(module._buffers)) for module in model.modules()]  # those that are None, too
    with _kept([buffer for _, buffers in held for buffer in buffers.values() if buffer is not None]):
        try:
            yield
        finally:
            for module, buffers in held:
                for name, buffer in buffers.items():
                    setattr(module, name, buffer)


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """In training or eval mode; back not by `model.train()`, for parts of a model may differ (a frozen BatchNorm)."""
    flags = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training
