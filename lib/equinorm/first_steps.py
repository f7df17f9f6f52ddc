"""Training step by step, for studies that look inside the first epoch."""

from collections.abc import Iterator

import torch
from torch import Tensor

from equinorm import numerics, randomness, training
from equinorm.data import DeviceData
from equinorm.experiments import Parameters
from equinorm.models import FullyConnected
from equinorm.products import SGD


def first_steps(
    parameters: Parameters, data: DeviceData, learning_rate_factor: float = 1.0
) -> Iterator[tuple[int, FullyConnected, Tensor | None]]:
    """The first epoch as `training` has it: (steps made, model, losses ``[runs]`` of the last of them).

    Before the first step too, where there is no loss yet. The model is one and the same; it is trained between two
    items, at `learning_rate_factor` times the initial learning rate.
    """
    device, images = data.train_labels.device, len(data.train_labels)
    numerics.set_up(parameters.precision, device)
    model = training.initial_model(parameters).to(device)
    sgd = SGD(learning_rate_factor * parameters.initial_learning_rate, parameters.weight_decay)
    orders = torch.stack([randomness.permutation(seed, 1, images) for seed in parameters.seeds]).to(device)
    yield 0, model, None
    for steps, batch in enumerate(orders.split(parameters.batch_size, dim=1), start=1):
        yield steps, model, training.train_step(model, data, batch, parameters, sgd)


def last_images(data: DeviceData, images: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The training images that the first epoch of `seed` comes to last: ``[pixels, images]``, and their labels."""
    last = randomness.permutation(seed, 1, len(data.train_labels))[-images:].to(data.train_labels.device)
    return data.normalise(data.train_images[last]).t(), data.train_labels[last]
