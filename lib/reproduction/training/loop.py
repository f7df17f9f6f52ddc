"""Training: all runs of a cell together, epoch by epoch.

A run whose loss is no longer finite has diverged: it is recorded with its step, dropped from the batch of runs, and its
siblings go on.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from reproduction import provenance
from reproduction.data.datasets import Dataset, DeviceData
from reproduction.protocol.history import History
from reproduction.protocol.parameters import Parameters
from reproduction.training import checkpoints, cuda_graphs, devices, numerics, randomness
from reproduction.training.epoch_rows import epoch_rows
from reproduction.training.linear import SGD
from reproduction.training.network import FullyConnected
from reproduction.training.step import step_of


def train(
    parameters: Parameters,
    dataset: Dataset,
    device: torch.device,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[History], None] = lambda history: None,
) -> tuple[History, FullyConnected]:
    """Train all runs of `parameters`; returns their history and the network, which holds those that did not diverge.

    With `checkpoint`, the state is kept there after every epoch, and training goes on from it where it is that of the
    same parameters, data and code. `on_epoch` is called with the history after every epoch, and before the first.
    """
    numerics.set_up(parameters.precision, device)
    data = dataset.to(device, parameters.training_images, parameters.normalisation)
    network, seeds, history = FullyConnected(parameters), list(parameters.seeds), History()
    check_last_batch(network, data, parameters)
    identity = checkpoints.identity(parameters, dataset)
    saved = checkpoints.load(checkpoint, identity) if checkpoint else None
    if saved is not None:
        network.keep_runs([parameters.seeds.index(seed) for seed in saved["seeds"]])
        network.load_state_dict(saved["network"])
        seeds, history = saved["seeds"], History(saved["rows"], saved["epoch_seconds"], saved["made_with"])
    now = provenance.of_now(devices.describe_device(device))
    if now not in history.made_with[-1:]:
        history.made_with.append(now)
    network.to(device)
    on_epoch(history)
    for epoch in range(len(history.epoch_seconds) + 1, parameters.epochs + 1):
        if not seeds:
            break
        start = time.perf_counter()
        losses = train_epoch(network, data, parameters, seeds, epoch)
        rows = epoch_rows(network, data, parameters, seeds, epoch, losses)
        finite = [k for k, row in enumerate(rows) if not row["diverged"]]
        if len(finite) < len(seeds):
            network.keep_runs(finite)
            seeds = [seeds[k] for k in finite]
        history.rows += rows
        history.epoch_seconds.append(time.perf_counter() - start)
        if checkpoint:
            state = {"asked": list(parameters.seeds), "seeds": seeds, "network": network.state_dict()}
            checkpoints.save(checkpoint, identity, state | vars(history))
        on_epoch(history)
    return history, network


def train_epoch(
    network: FullyConnected, data: DeviceData, parameters: Parameters, seeds: list[int], epoch: int
) -> Tensor:
    """One epoch of all runs in `network`, whose seeds are `seeds`: the loss of every step, ``[runs, steps]``."""
    network.train()
    batches = epoch_batches(data, parameters, seeds, epoch)
    step = step_of(network, data, parameters, epoch)
    if data.train_labels.is_cuda and epoch > parameters.warmup:
        return cuda_graphs.run_steps(step, batches, network.zero_grad)
    losses = []
    for made, batch in enumerate(batches):
        if epoch <= parameters.warmup:
            step = step_of(network, data, parameters, epoch, warm_up(parameters, epoch, made, len(batches)))
        losses.append(step(batch))
        if not losses[-1].isfinite().any():  # the rest of the epoch would be NaN too
            losses += [losses[-1]] * (len(batches) - len(losses))
            break
    return torch.stack(losses, dim=1)


def warm_up(parameters: Parameters, epoch: int, made: int, steps: int) -> SGD:
    """The step that follows `made` of an epoch's `steps` while the learning rate still grows."""
    share = ((epoch - 1) * steps + made + 1) / (parameters.warmup * steps)
    return SGD(share * parameters.epoch_learning_rate(epoch), parameters.weight_decay)


def epoch_batches(data: DeviceData, parameters: Parameters, seeds: list[int], epoch: int) -> tuple[Tensor, ...]:
    """The training images of each step of an epoch, ``[runs, batch]``; the last batch may be smaller."""
    orders = [randomness.permutation(seed, epoch, len(data.train_labels), parameters.draws_of) for seed in seeds]
    return torch.stack(orders).to(data.train_labels.device).split(parameters.batch_size, dim=1)


def check_last_batch(network: FullyConnected, data: DeviceData, parameters: Parameters) -> None:
    """Raise ValueError where the last batch of an epoch is too small for what is between the layers."""
    images = len(data.train_labels) % parameters.batch_size or parameters.batch_size
    needed = max((getattr(part, "smallest_batch", 1) for part in network.between), default=1)
    if images < needed:
        raise ValueError(
            f"batch_size = {parameters.batch_size}: leaves a last batch of {images} image, "
            f"{parameters.variant} needs {needed} or more"
        )
