"""What an epoch leaves in the history: one row for each run (`protocol.history.columns`)."""

import torch
from torch import Tensor

from reproduction.data.datasets import DeviceData
from reproduction.protocol.data_sets import DATA_SETS
from reproduction.protocol.parameters import Parameters
from reproduction.training.evaluation import evaluate
from reproduction.training.losses import loss_of, metric_of
from reproduction.training.measures import measure
from reproduction.training.network import FullyConnected


def epoch_rows(
    network: FullyConnected, data: DeviceData, parameters: Parameters, seeds: list[int], epoch: int, losses: Tensor
) -> list[dict]:
    """The rows of one epoch, one for each run of the network, given its losses ``[runs, steps]``."""
    steps, losses = losses.shape[1], losses.cpu()
    loss, metric = loss_of(parameters), metric_of(parameters)
    test_losses, scores = evaluate(network, data.test_images, data.test_labels, data, loss, metric)
    always = {
        "train_loss": _mean_over_images(losses, parameters.batch_size, len(data.train_labels)),
        "test_loss": test_losses.cpu(),
        f"test_{DATA_SETS[parameters.dataset].metric}": scores.cpu(),
        "weight_norm": torch.stack([_weight_norm(network, run) for run in range(network.runs)]).cpu(),
    }
    besides = measure(network, data, parameters)
    rows = []
    for k, seed in enumerate(seeds):
        bad = _first_bad_step(losses[k], always["test_loss"][k])
        sound = bad is None
        rows.append(
            {
                "variant": parameters.variant,
                "p": parameters.p,
                "seed": seed,
                "epoch": epoch,
                "step": (epoch - 1) * steps + (steps if sound else bad),
                "learning_rate": parameters.epoch_learning_rate(epoch),
                **_of_run(k, always, sound),
                "diverged": not sound,
                **_of_run(k, besides, sound),
            }
        )
    return rows


def _of_run(k: int, columns: dict[str, Tensor], sound: bool) -> dict[str, float | None]:
    """The values of the k-th run; None where it diverged."""
    return {column: float(values[k]) if sound else None for column, values in columns.items()}


def _mean_over_images(losses: Tensor, batch_size: int, images: int) -> Tensor:
    """Of the losses of all steps ``[runs, steps]``; the last batch may be smaller."""
    steps = losses.shape[1]
    sizes = torch.full((steps,), batch_size, dtype=torch.float64)
    sizes[-1] = images - batch_size * (steps - 1)
    return torch.stack([own.double() @ sizes / images for own in losses])


def _first_bad_step(losses: Tensor, test_loss: Tensor) -> int | None:
    """The first step of the epoch (from 1) whose loss is not finite; None where the run did not diverge.

    Where only the last step's update broke the weights, the evaluation is the first to see it."""
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        return int(bad[0]) + 1
    return None if test_loss.isfinite() else len(losses)


def _weight_norm(network: FullyConnected, run: int) -> Tensor:
    """Euclidean norm of all weight matrices of one run, float64; one run at a time, so that siblings do not matter."""
    norms = [torch.linalg.vector_norm(w[run].detach(), dtype=torch.float64) for w in network.weights]
    return torch.stack(norms).norm()
