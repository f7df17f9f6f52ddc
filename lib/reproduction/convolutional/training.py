"""A plain training loop with ENorm's two lines in it, epoch by epoch."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

import equinorm
from reproduction import up_to_date
from reproduction.convolutional.crops import Crops, middle
from reproduction.convolutional.network import fully_convolutional, weights
from reproduction.convolutional.parameters import Parameters
from reproduction.data.datasets import Dataset, DeviceData
from reproduction.training import checkpoints, numerics, randomness
from reproduction.training.evaluation import EVALUATION_BATCH

Rows = list[dict[str, int | float | bool | None]]
"""One for each epoch: epoch, learning_rate, train_loss (a mean over the images, each at the step that used it),
test_loss, test_accuracy in [0, 1], weight_norm (Euclidean, of all convolutions), norm_1 ... norm_9 (of each), seconds,
diverged. A run whose loss is not finite has diverged: it ends there, and its last row has no numbers."""


@dataclass
class Training:
    """What is trained, and what trains it. `enorm` is None in variants without it."""

    model: nn.Sequential
    optimizer: torch.optim.SGD
    enorm: equinorm.ENorm | None


def set_up(parameters: Parameters, data: DeviceData) -> Training:
    """The untrained network on the data's device, with what a training needs."""
    device = data.train_images.device
    # On a CPU, channels last take a quarter less time; on GPUs, products of float32 are made for channels first.
    memory = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    model = fully_convolutional(parameters.width, parameters.batch_norm_everywhere, parameters.seed)
    model.to(device=device, memory_format=memory)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=parameters.learning_rate,
        momentum=parameters.momentum,
        weight_decay=parameters.weight_decay,
    )
    enorm = None
    if parameters.enorm:
        example = middle(images_of(data, data.train_images[:2]))
        enorm = equinorm.ENorm(
            model, c=parameters.c, optimizer=optimizer, example=example, batch_norm=parameters.batch_norm_rescaling
        )
    return Training(model, optimizer, enorm)


def train(
    parameters: Parameters,
    dataset: Dataset,
    device: torch.device,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Rows], None] = lambda rows: None,
) -> tuple[Rows, Training]:
    """Train a run to its end, or until it diverges.

    With `checkpoint`, the state is kept there after every epoch, and training goes on from it where it is that of the
    same parameters, data and code. `on_epoch` is called with all rows after every epoch, and before the first.
    """
    numerics.set_up("float32", device)
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
    # Newer versions of PyTorch can round on a CPU, too; and on a GPU what `allow_tf32` leaves there, "none", follows a
    # setting for all of PyTorch, which may be TF32. Both kinds: where they differ, `allow_tf32` cannot be read.
    for backend in (torch.backends.mkldnn, torch.backends.cudnn):
        for kind in ("conv", "rnn"):
            if hasattr(backend, kind):
                getattr(backend, kind).fp32_precision = "ieee"
    data = dataset.to(device)
    training, rows = set_up(parameters, data), []
    identity = _identity(parameters, dataset)
    saved = checkpoints.load(checkpoint, identity) if checkpoint else None
    if saved is not None:
        training.model.load_state_dict(saved["model"])
        training.optimizer.load_state_dict(saved["optimizer"])
        rows = saved["rows"]
    on_epoch(rows)
    for epoch in range(len(rows) + 1, parameters.epochs + 1):
        if rows and rows[-1]["diverged"]:
            break
        start = time.perf_counter()
        train_loss = train_epoch(training, data, parameters, epoch)
        test_loss, accuracy = evaluate(training.model, data)
        norms = [float(torch.linalg.vector_norm(w.detach(), dtype=torch.float64)) for w in weights(training.model)]
        diverged = not torch.tensor([train_loss, test_loss]).isfinite().all()
        measured = {"train_loss": train_loss, "test_loss": test_loss, "test_accuracy": accuracy}
        measured |= {"weight_norm": sum(norm**2 for norm in norms) ** 0.5}
        measured |= {f"norm_{k}": norm for k, norm in enumerate(norms, start=1)}
        rows.append(
            {"epoch": epoch, "learning_rate": parameters.epoch_learning_rate(epoch)}
            | (dict.fromkeys(measured) if diverged else measured)
            | {"seconds": time.perf_counter() - start, "diverged": diverged}
        )
        if checkpoint:
            state = {"model": training.model.state_dict(), "optimizer": training.optimizer.state_dict(), "rows": rows}
            checkpoints.save(checkpoint, identity, state)
        on_epoch(rows)
    return rows, training


def train_epoch(training: Training, data: DeviceData, parameters: Parameters, epoch: int) -> float:
    """One epoch: the mean loss over its images; not finite where the loss of a step was not, which ends the epoch."""
    model, optimizer, enorm = training.model, training.optimizer, training.enorm
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = parameters.epoch_learning_rate(epoch)
    images = len(data.train_labels)
    device = data.train_images.device
    order = randomness.permutation(parameters.seed, epoch, images).to(device)
    size = images_of(data, data.train_images[:1]).shape[-1]
    crops = Crops.draw(parameters.seed, epoch, images, size, device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    for batch in order.split(parameters.batch_size):
        inputs = crops.cut(images_of(data, data.train_images[batch]), batch)
        loss = functional.cross_entropy(model(inputs), data.train_labels[batch])
        total += loss.detach() * len(batch)
        if not total.isfinite():
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if enorm is not None:
            enorm.step()
    return float(total) / images


@torch.no_grad()
def evaluate(model: nn.Module, data: DeviceData) -> tuple[float, float]:
    """Mean loss and accuracy on the middle of the test images."""
    model.eval()
    loss = torch.zeros((), dtype=torch.float64, device=data.test_labels.device)
    right = torch.zeros_like(loss)
    for some, labels in zip(
        data.test_images.split(EVALUATION_BATCH), data.test_labels.split(EVALUATION_BATCH), strict=True
    ):
        logits = model(middle(images_of(data, some)))
        loss += functional.cross_entropy(logits, labels, reduction="sum")
        right += (logits.argmax(dim=1) == labels).sum()
    return float(loss) / len(data.test_labels), float(right) / len(data.test_labels)


def images_of(data: DeviceData, stored: Tensor) -> Tensor:
    """Stored ``[images, 3 * size * size]`` -> normalised ``[images, 3, size, size]``, float32."""
    side = round((stored.shape[1] / 3) ** 0.5)
    return data.normalise(stored).view(-1, 3, side, side)


def _identity(parameters: Parameters, dataset: Dataset) -> dict[str, str]:
    """What a checkpoint must share with a training that goes on from it."""
    code = up_to_date.training_code("from reproduction.convolutional import training")
    return {"parameters": parameters.model_dump_json(), "data": dataset.fingerprint, "code": code}
