"""How a network does on examples that it was not trained on."""

import torch
from torch import Tensor

from reproduction.data.datasets import DeviceData
from reproduction.training.losses import Measured, accuracy, cross_entropy
from reproduction.training.network import FullyConnected

EVALUATION_BATCH = 1000  # activations of this many images stay in a CPU's cache; the result does not depend on it


@torch.no_grad()
def evaluate(
    network: FullyConnected,
    images: Tensor,
    expected: Tensor,
    data: DeviceData,
    loss: Measured = cross_entropy,
    metric: Measured = accuracy,
) -> tuple[Tensor, Tensor]:
    """Means of loss and metric over raw `images` ``[images, inputs]``: two tensors ``[runs]``, float64."""
    network.eval()
    losses = torch.zeros(network.runs, dtype=torch.float64, device=expected.device)
    totals = torch.zeros_like(losses)
    for some, wanted in zip(images.split(EVALUATION_BATCH), expected.split(EVALUATION_BATCH), strict=True):
        outputs = network(data.normalise(some).t().expand(network.runs, -1, -1))
        wanted = wanted.expand(network.runs, -1)
        losses += loss(outputs, wanted).sum(dim=1)
        totals += metric(outputs, wanted).sum(dim=1)
    return losses / len(expected), totals / len(expected)
