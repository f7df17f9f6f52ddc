"""What a study measures after each epoch besides accuracy and loss: each measure gives columns of its own."""

from collections.abc import Callable

import torch
from torch import Tensor

from reproduction.data.datasets import DeviceData
from reproduction.protocol.data_sets import DATA_SETS
from reproduction.protocol.parameters import Measure, Parameters
from reproduction.training.evaluation import evaluate
from reproduction.training.losses import loss_of, metric_of
from reproduction.training.network import FullyConnected
from reproduction.training.parts.batch_norm import BatchNormReLU

_REESTIMATION_BATCH, _REESTIMATION_IMAGES = 1000, 10_000


def measure(network: FullyConnected, data: DeviceData, parameters: Parameters) -> dict[str, Tensor]:
    """The columns of all of `parameters.measures`: one value a run, ``[runs]``, on the CPU."""
    columns = {}
    for name in parameters.measures:
        columns |= {column: values.cpu() for column, values in _MEASURES[name](network, data, parameters).items()}
    return columns


def _validation(network: FullyConnected, data: DeviceData, parameters: Parameters) -> dict[str, Tensor]:
    """The metric on the training images that `training_images` keeps out of training."""
    loss, metric = loss_of(parameters), metric_of(parameters)
    _, scores = evaluate(network, data.validation_images, data.validation_labels, data, loss, metric)
    return {f"validation_{DATA_SETS[parameters.dataset].metric}": scores}


@torch.no_grad()
def _layer_norms(network: FullyConnected, data: DeviceData, parameters: Parameters) -> dict[str, Tensor]:
    """Frobenius norm of each weight matrix, from the first layer."""
    return {
        f"weight_norm_{k:02d}": torch.linalg.vector_norm(weight, dim=(-2, -1), dtype=torch.float64)
        for k, weight in enumerate(network.weights, start=1)
    }


@torch.no_grad()
def _reestimated(network: FullyConnected, data: DeviceData, parameters: Parameters) -> dict[str, Tensor]:
    """Test accuracy with BatchNorm's statistics estimated anew, as means over batches of training images."""
    kept = [buffer.clone() for buffer in network.buffers()]
    sums = [torch.zeros_like(buffer) for buffer in kept]
    parts = data.train_images[:_REESTIMATION_IMAGES].split(_REESTIMATION_BATCH)
    batches = [images for images in parts if len(images) > 1]  # a single image has no variance
    runs = network.runs
    layers = [part for part in network.between if isinstance(part, BatchNormReLU)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 1.0  # running statistics become those of the batch
    network.train()
    for images in batches:
        network(data.normalise(images).t().expand(runs, -1, -1))
        for total, buffer in zip(sums, network.buffers(), strict=True):
            total += buffer / len(batches)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    for buffer, mean in zip(network.buffers(), sums, strict=True):
        buffer.copy_(mean)
    _, accuracy = evaluate(network, data.test_images, data.test_labels, data)
    for buffer, before in zip(network.buffers(), kept, strict=True):
        buffer.copy_(before)
    return {"reestimated_accuracy": accuracy}


_MEASURES: dict[Measure, Callable[[FullyConnected, DeviceData, Parameters], dict[str, Tensor]]] = {
    "validation": _validation,
    "layer_norms": _layer_norms,
    "reestimated": _reestimated,
}
