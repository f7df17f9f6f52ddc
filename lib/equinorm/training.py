"""Algorithm 2 of Stock et al. (2019): SGD steps, each followed by a cycle of ENorm; all runs of a cell together.

The protocol's numbers are in `experiments`. A run whose loss is no longer finite has diverged: it is recorded with its
step, dropped from the batch of runs, and its siblings go on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from equinorm import checkpoints, cuda_graphs, numerics, randomness
from equinorm.balancing import balance_
from equinorm.data import Dataset, DeviceData
from equinorm.enorm import bias_step_factors
from equinorm.evaluation import evaluate, image_losses
from equinorm.experiments import VARIANTS, Parameters
from equinorm.measures import measure
from equinorm.models import FullyConnected
from equinorm.products import SGD

COLUMNS = (
    "variant",
    "p",
    "seed",
    "epoch",
    "step",
    "learning_rate",
    "train_loss",
    "test_loss",
    "test_accuracy",
    "weight_norm",
    "diverged",
)
"""One row per run and epoch. train_loss: mean over the epoch's images of the loss at the step that used them.
test_accuracy in [0, 1]. weight_norm: Euclidean norm of all weight matrices. step: SGD steps made so far; where diverged
is true, the first step (from 1) whose loss was not finite, and the run has no later rows. The columns of
`Parameters.measures` follow."""


@dataclass
class History:
    """What the runs did so far: `rows` as in COLUMNS, and the seconds each epoch took on this and earlier machines."""

    rows: list[dict] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)


def train(
    parameters: Parameters,
    dataset: Dataset,
    device: torch.device,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[History], None] = lambda history: None,
) -> tuple[History, FullyConnected]:
    """Train all runs of `parameters`; returns their history and the model, which holds the runs that did not diverge.

    With `checkpoint`, the state is kept there after every epoch, and training goes on from it where it is that of the
    same parameters, data and code. `on_epoch` is called with the history after every epoch, and before the first.
    """
    numerics.set_up(parameters.precision, device)
    data = dataset.to(device, parameters.variation)
    if VARIANTS[parameters.variant].batch_norm and len(data.train_labels) % parameters.batch_size == 1:
        raise ValueError(f"batch_size = {parameters.batch_size}: leaves a last batch of 1 image, BN needs 2 or more")
    model = initial_model(parameters)
    seeds, history = list(parameters.seeds), History()
    identity = checkpoints.identity(parameters, dataset)
    saved = checkpoints.load(checkpoint, identity) if checkpoint else None
    if saved is not None:
        model.keep_runs([parameters.seeds.index(seed) for seed in saved["seeds"]])
        model.load_state_dict(saved["model"])
        seeds, history = saved["seeds"], History(saved["rows"], saved["epoch_seconds"])
    model.to(device)
    on_epoch(history)
    for epoch in range(len(history.epoch_seconds) + 1, parameters.epochs + 1):
        if not seeds:
            break
        start = time.perf_counter()
        losses = train_epoch(model, data, parameters, seeds, epoch)
        rows = _epoch_rows(model, data, parameters, seeds, epoch, losses)
        finite = [k for k, row in enumerate(rows) if not row["diverged"]]
        if len(finite) < len(seeds):
            model.keep_runs(finite)
            seeds = [seeds[k] for k in finite]
        history.rows += rows
        history.epoch_seconds.append(time.perf_counter() - start)
        if checkpoint:
            checkpoints.save(
                checkpoint,
                identity,
                {
                    "asked": list(parameters.seeds),
                    "seeds": seeds,
                    "rows": history.rows,
                    "epoch_seconds": history.epoch_seconds,
                    "model": model.state_dict(),
                },
            )
        on_epoch(history)
    return history, model


def initial_model(parameters: Parameters) -> FullyConnected:
    """The network of `parameters` before training, on the CPU."""
    variant = VARIANTS[parameters.variant]
    return FullyConnected(
        parameters.p,
        parameters.seeds,
        batch_norm=variant.batch_norm,
        biases=variant.biases,
        initialization=parameters.initialization,
        precision=parameters.precision,
    )


def train_epoch(
    model: FullyConnected, data: DeviceData, parameters: Parameters, seeds: list[int], epoch: int
) -> Tensor:
    """One epoch of all runs in `model`, whose seeds are `seeds`: the loss of every step, ``[runs, steps]``."""
    model.train()
    images = len(data.train_labels)
    sgd = SGD(parameters.epoch_learning_rate(epoch), parameters.weight_decay)
    orders = torch.stack([randomness.permutation(seed, epoch, images) for seed in seeds])
    batches = orders.to(data.train_labels.device).split(parameters.batch_size, dim=1)

    def step(batch: Tensor) -> Tensor:
        return train_step(model, data, batch, parameters, sgd)

    if data.train_labels.is_cuda:
        return cuda_graphs.run_steps(step, batches)
    losses = []
    for batch in batches:
        losses.append(step(batch))
        if not losses[-1].isfinite().any():  # the rest of the epoch would be NaN too
            losses += [losses[-1]] * (len(batches) - len(losses))
            break
    return torch.stack(losses, dim=1)


def train_step(model: FullyConnected, data: DeviceData, batch: Tensor, parameters: Parameters, sgd: SGD) -> Tensor:
    """Steps 3 to 6 of Algorithm 2 for the training images `batch` ``[runs, batch]``; returns the loss ``[runs]``."""
    runs, size = batch.shape
    chosen = batch.flatten()
    images = data.normalise(data.train_images.index_select(0, chosen)).view(runs, size, -1)
    labels = data.train_labels.index_select(0, chosen).view(runs, size)
    logits = model(images.transpose(1, 2), sgd)
    losses = image_losses(logits, labels, parameters.variation.loss).mean(dim=1)
    losses.sum().backward()  # the gradient of a sum over runs is each run's own
    if parameters.variation.bias_step == "rescaled":
        _step_biases_rescaled(model, sgd, parameters.c)
    _step_small_parameters(model, sgd)
    if VARIANTS[parameters.variant].enorm:
        balance_(model, parameters)
    return losses.detach()


@torch.no_grad()
def _step_small_parameters(model: FullyConnected, sgd: SGD) -> None:
    """The SGD step of all that the backward pass did not step itself."""
    small = [parameter for parameter in model.small_parameters() if parameter.grad is not None]
    if not small:
        return
    torch._foreach_mul_(small, sgd.shrinkage)
    torch._foreach_add_(small, [parameter.grad for parameter in small], alpha=-sgd.learning_rate)
    for parameter in small:
        parameter.grad = None


@torch.no_grad()
def _step_biases_rescaled(model: FullyConnected, sgd: SGD, c: float) -> None:
    """The SGD step of each bias, times s_k^2."""
    for bias, factor in zip(model.biases, bias_step_factors(len(model.weights), c), strict=False):
        bias.sub_(bias.grad + sgd.weight_decay * bias, alpha=sgd.learning_rate * factor)
        bias.grad = None


def _weight_norm(model: FullyConnected, run: int) -> Tensor:
    """Euclidean norm of all weight matrices of one run, float64; one run at a time, so that siblings do not matter."""
    return torch.stack([torch.linalg.vector_norm(w[run].detach(), dtype=torch.float64) for w in model.weights]).norm()


def _epoch_rows(
    model: FullyConnected,
    data: DeviceData,
    parameters: Parameters,
    seeds: list[int],
    epoch: int,
    losses: Tensor,
) -> list[dict]:
    """The rows of one epoch, one for each run of the model, given its losses ``[runs, steps]``."""
    images, steps = len(data.train_labels), losses.shape[1]
    sizes = torch.full((steps,), parameters.batch_size, dtype=torch.float64)
    sizes[-1] = images - parameters.batch_size * (steps - 1)
    test_losses, accuracies = evaluate(model, data.test_images, data.test_labels, data, parameters.variation.loss)
    measured = measure(model, data, parameters)
    norms = torch.stack([_weight_norm(model, run) for run in range(len(seeds))])
    losses, test_losses, accuracies, norms = (t.cpu() for t in (losses, test_losses, accuracies, norms))
    rows = []
    for k, seed in enumerate(seeds):
        bad = (~losses[k].isfinite()).nonzero()
        # Where only the last step's update broke the weights, the evaluation is the first to see it.
        first_bad = int(bad[0]) if len(bad) else (steps - 1 if not test_losses[k].isfinite() else None)
        done = (epoch - 1) * steps
        row = {
            "variant": parameters.variant,
            "p": parameters.p,
            "seed": seed,
            "epoch": epoch,
            "step": done + (steps if first_bad is None else first_bad + 1),
            "learning_rate": parameters.epoch_learning_rate(epoch),
            "train_loss": None,
            "test_loss": None,
            "test_accuracy": None,
            "weight_norm": None,
            "diverged": first_bad is not None,
            **dict.fromkeys(measured),
        }
        if first_bad is None:
            row |= {
                "train_loss": float(losses[k].double() @ sizes / images),
                "test_loss": float(test_losses[k]),
                "test_accuracy": float(accuracies[k]),
                "weight_norm": float(norms[k]),
                **{column: float(values[k]) for column, values in measured.items()},
            }
        rows.append(row)
    return rows
