"""Training step by step, for studies that look inside the first epoch."""

from collections.abc import Iterator

from torch import Tensor

from reproduction.data.datasets import DeviceData
from reproduction.protocol.parameters import Parameters
from reproduction.training import loop, numerics, randomness
from reproduction.training.linear import SGD
from reproduction.training.network import FullyConnected
from reproduction.training.step import step_of


def first_steps(
    parameters: Parameters, data: DeviceData, learning_rate_factor: float = 1.0
) -> Iterator[tuple[int, FullyConnected, Tensor | None]]:
    """The first epoch as `loop` has it: (steps made, network, losses ``[runs]`` of the last of them).

    Before the first step too, where there is no loss yet. The network is one and the same; it is trained between two
    items, at `learning_rate_factor` times the initial learning rate.
    """
    device = data.train_labels.device
    numerics.set_up(parameters.precision, device)
    network = FullyConnected(parameters).to(device)
    sgd = SGD(learning_rate_factor * parameters.initial_learning_rate, parameters.weight_decay)
    step = step_of(network, data, parameters, 1, sgd)
    yield 0, network, None
    for steps, batch in enumerate(loop.epoch_batches(data, parameters, list(parameters.seeds), 1), start=1):
        yield steps, network, step(batch)


def last_images(data: DeviceData, images: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The training images that the first epoch of `seed` comes to last: ``[pixels, images]``, and their labels."""
    last = randomness.permutation(seed, 1, len(data.train_labels))[-images:].to(data.train_labels.device)
    return data.normalise(data.train_images[last]).t(), data.train_labels[last]
