"""One step of SGD, for all runs of a network: steps 3 to 6 of Algorithm 2 of Stock et al. (2019)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from equinorm.algorithm import bias_step_factors
from reproduction.data.datasets import DeviceData
from reproduction.protocol.parameters import Parameters
from reproduction.training.linear import SGD
from reproduction.training.losses import Measured, loss_of
from reproduction.training.network import FullyConnected


def step_of(
    network: FullyConnected, data: DeviceData, parameters: Parameters, epoch: int, sgd: SGD | None = None
) -> Callable[[Tensor], Tensor]:
    """A function that makes a step on the training images `batch` ``[runs, batch]`` and returns their mean loss
    ``[runs]``; in epoch number `epoch`, at whose learning rate `sgd` is by default."""
    sgd = sgd or SGD(parameters.epoch_learning_rate(epoch), parameters.weight_decay)
    loss, trainable = loss_of(parameters), list(network.parameters())
    rescaled = bias_step_factors(len(network.layers), parameters.c) if parameters.bias_step == "rescaled" else []

    def step(batch: Tensor) -> Tensor:
        runs, size = batch.shape
        chosen = batch.flatten()
        images = data.normalise(data.train_images.index_select(0, chosen)).view(runs, size, -1)
        labels = data.train_labels.index_select(0, chosen).view(runs, size)
        images = images.transpose(1, 2)
        if epoch == 1 and network.untouched:
            _before_the_first(network, images, labels, loss)
        outputs = network(images, network.update(network, sgd, epoch), sgd)
        losses = loss(outputs, labels).mean(dim=1)
        losses.sum().backward()  # the gradient of a sum over runs is each run's own
        for bias, factor in zip(network.biases, rescaled, strict=False):
            _step_bias(bias, sgd, factor)
        _step_rest(trainable, sgd)
        for after_step in network.after_steps:
            after_step(network)
        return losses.detach()

    return step


def _before_the_first(network: FullyConnected, images: Tensor, labels: Tensor, loss: Measured) -> None:
    """Let the part that steps the matrices see the gradients of the first step, where it asks for them."""
    network.untouched = False
    if hasattr(network.update, "on_first_gradients"):
        loss(network(images), labels).mean(dim=1).sum().backward()
        network.update.on_first_gradients(network)
        network.zero_grad()


@torch.no_grad()
def _step_rest(trainable: list[nn.Parameter], sgd: SGD) -> None:
    """The SGD step of all that the backward pass did not step itself."""
    left = [parameter for parameter in trainable if parameter.grad is not None]
    if not left:
        return
    torch._foreach_mul_(left, sgd.shrinkage)
    torch._foreach_add_(left, [parameter.grad for parameter in left], alpha=-sgd.learning_rate)
    for parameter in left:
        parameter.grad = None


@torch.no_grad()
def _step_bias(bias: nn.Parameter, sgd: SGD, factor: float) -> None:
    """The SGD step of a bias, times `factor`."""
    bias.sub_(bias.grad + sgd.weight_decay * bias, alpha=sgd.learning_rate * factor)
    bias.grad = None
