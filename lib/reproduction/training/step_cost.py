"""What a step of training costs: its time, and the memory that it needs."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from reproduction.data.datasets import DeviceData
from reproduction.protocol.parameters import Parameters
from reproduction.training.first_steps import first_steps

_FIRST = 3
"""Steps that are not timed: compilation, and memory that is asked for the first time."""


@dataclass(frozen=True)
class Cost:
    """- seconds: the median over steps; on a CPU of the thread's own time, with one thread
    - network_bytes: of all that is kept between steps: weights, and what normalisation knows
    - activation_bytes: of what else the forward pass keeps for the backward pass
    """

    seconds: float
    network_bytes: int
    activation_bytes: int


def step_costs(cells: Sequence[Parameters], data: DeviceData, steps: int) -> list[Cost]:
    """The costs of each cell, timed over so many `steps`, or those of the first epoch if they are fewer; a step of one
    cell follows one of another, so that whatever slows the machine down slows all of them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        running = [islice(first_steps(cell, data), _FIRST + steps + 1) for cell in cells]
        kept = [_bytes(run) for run in running]
        times = [[] for _ in cells]
        for _ in range(_FIRST + steps - 1):
            for own, run in zip(times, running, strict=True):
                start = _now(data)
                if next(run, None):
                    own.append(_now(data) - start)
    finally:
        torch.set_num_threads(threads)
    timed = [own[_FIRST - 1 :] or own for own in times]
    return [Cost(statistics.median(own), *sizes) for own, sizes in zip(timed, kept, strict=True)]


def _bytes(run: islice) -> tuple[int, int]:
    """Make the first step of `run`: the bytes of its network, and what else autograd kept for the backward pass."""
    _, network, _ = next(run)
    own = {tensor.data_ptr(): tensor.nbytes for tensor in (*network.parameters(), *network.buffers())}
    saved: dict[int, Tensor] = {}  # all at once, so that no two have the same address

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        next(run)
    return sum(own.values()), sum(tensor.untyped_storage().nbytes() for at, tensor in saved.items() if at not in own)


def _now(data: DeviceData) -> float:
    """Seconds that this thread has worked; on a GPU, seconds, once it is done with all that it was given."""
    if data.train_labels.is_cuda:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.thread_time()
