"""The loss of images, and how a model does on images it was not trained on."""

import torch
from torch import Tensor
from torch.nn import functional

from equinorm.data import DeviceData
from equinorm.models import FullyConnected

EVALUATION_BATCH = 1000  # activations of this many images stay in a CPU's cache; the result does not depend on it


def image_losses(logits: Tensor, labels: Tensor, loss: str = "cross_entropy") -> Tensor:
    """The loss of each image, ``[runs, images]``, of logits ``[runs, classes, images]``; `loss` as in `Variation`."""
    if loss == "softmax_cross_entropy":
        logits = logits.softmax(dim=1)
    return functional.cross_entropy(logits, labels, reduction="none")


@torch.no_grad()
def evaluate(
    model: FullyConnected, images: Tensor, labels: Tensor, data: DeviceData, loss: str = "cross_entropy"
) -> tuple[Tensor, Tensor]:
    """Mean loss and accuracy on uint8 `images` ``[images, 3072]``, for each run: two tensors ``[runs]``, float64."""
    model.eval()
    runs = len(model.weights[0])
    losses = torch.zeros(runs, dtype=torch.float64, device=labels.device)
    correct = torch.zeros(runs, dtype=torch.int64, device=labels.device)
    for some_images, some_labels in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        x = data.normalise(some_images).t().expand(runs, -1, -1)
        logits = model(x)
        expected = some_labels.expand(runs, -1)
        losses += image_losses(logits, expected, loss).sum(dim=1)
        correct += (logits.argmax(dim=1) == expected).sum(dim=1)
    return losses / len(labels), correct.double() / len(labels)
