"""The steps of an epoch as one CUDA graph, launched again and again: no kernel waits for Python."""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_EAGER_STEPS = 3  # made as usual, so that libraries have set themselves up before the graph is captured


def run_steps(
    step: Callable[[Tensor], Tensor], batches: Sequence[Tensor], forget_gradients: Callable[[], None]
) -> Tensor:
    """Call `step` for every batch of indices ``[runs, batch]``; returns its losses ``[runs, steps]``.

    Batches of the size of the first are replayed from a graph captured here, since what a step does is fixed but for
    its batch; the last one, where it is smaller, and the first few are made as usual. Nothing waits for the GPU. Where
    the capture fails, all are made as usual after a warning; `forget_gradients` drops those that it left.
    """
    with torch.cuda.device(batches[0].device):  # streams and graphs are of the current one, and there may be several
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = [step(batch) for batch in batches[:_EAGER_STEPS]]
            rest = batches[_EAGER_STEPS:]
            whole = [batch for batch in rest if batch.shape == batches[0].shape]
            captured = _capture(step, whole[0], forget_gradients) if whole else None
            if captured:
                losses.append(_replayed(*captured, whole))
                rest = rest[len(whole) :]
            losses += [step(batch) for batch in rest]
        torch.cuda.current_stream().wait_stream(stream)
    return torch.cat([loss.view(len(loss), -1) for loss in losses], dim=1)


def _capture(
    step: Callable[[Tensor], Tensor], batch: Tensor, forget_gradients: Callable[[], None]
) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor] | None:
    """A graph of `step`, the batch that it reads and the loss that it writes; nothing of it has run yet. None where it
    cannot be captured. An empty graph, whose replays would train nothing, is an error."""
    batch, graph = batch.clone(), torch.cuda.CUDAGraph()
    try:
        with warnings.catch_warnings(), torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            warnings.filterwarnings("error", "The CUDA Graph is empty")  # raised when the capture ends
            loss = step(batch)
    except RuntimeError as error:
        forget_gradients()
        why = str(error).splitlines()[0]
        warnings.warn(f"no CUDA graph, so that steps take longer: {why}", RuntimeWarning, stacklevel=3)
        return None
    return graph, batch, loss


def _replayed(graph: torch.cuda.CUDAGraph, batch: Tensor, loss: Tensor, batches: Sequence[Tensor]) -> Tensor:
    """The losses ``[runs, batches]`` of the graph, launched for each of `batches`."""
    losses = loss.new_empty(len(loss), len(batches))
    for k, indices in enumerate(batches):
        batch.copy_(indices)
        graph.replay()
        losses[:, k].copy_(loss)
    return losses
