"""The steps of an epoch as one CUDA graph, launched again and again: no kernel waits for Python."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_EAGER_STEPS = 3  # made as usual, so that libraries have set themselves up before the graph is captured


def run_steps(step: Callable[[Tensor], Tensor], batches: Sequence[Tensor]) -> Tensor:  # needs a GPU
    """Call `step` for every batch of indices ``[runs, batch]``; returns its losses ``[runs, steps]``.

    Batches of the size of the first are replayed from a graph captured here, since what a step does is fixed but for
    its batch; the last one, where it is smaller, and the first few are made as usual. Nothing waits for the GPU.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        losses = [step(batch) for batch in batches[:_EAGER_STEPS]]
        rest = batches[_EAGER_STEPS:]
        whole = [batch for batch in rest if batch.shape == batches[0].shape]
        if whole:
            losses.append(_replayed(step, whole))
        losses += [step(batch) for batch in rest[len(whole) :]]
    torch.cuda.current_stream().wait_stream(stream)
    return torch.cat([loss.view(len(loss), -1) for loss in losses], dim=1)


def _replayed(step: Callable[[Tensor], Tensor], batches: Sequence[Tensor]) -> Tensor:  # needs a GPU
    """`step` for batches of one size, from a graph; ``[runs, batches]``."""
    batch = batches[0].clone()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        loss = step(batch)
    losses = loss.new_empty(len(loss), len(batches))
    for k, indices in enumerate(batches):
        batch.copy_(indices)
        graph.replay()
        losses[:, k].copy_(loss)
    return losses
