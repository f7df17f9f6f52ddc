"""What is minimised and what is measured, example by example. Outputs are ``[runs, outputs, examples]``."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from reproduction.protocol.data_sets import DATA_SETS
from reproduction.protocol.parameters import Parameters

Measured = Callable[[Tensor, Tensor], Tensor]
"""Of outputs and what was expected, ``[runs, examples]`` (classes, or targets of the one output): a number for each."""


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    return functional.cross_entropy(logits, classes, reduction="none")


def softmax_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """With a softmax before the cross-entropy, which has one in it."""
    return cross_entropy(logits.softmax(dim=1), classes)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.squeeze(1) - targets).square()


def accuracy(logits: Tensor, classes: Tensor) -> Tensor:
    """1 where the largest logit is that of the class, else 0."""
    return logits.argmax(dim=1) == classes


def absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.squeeze(1) - targets).abs()


_LOSSES = {"cross_entropy": cross_entropy, "squared_error": squared_error}
_METRICS = {"accuracy": accuracy, "absolute_error": absolute_error}


def loss_of(parameters: Parameters) -> Measured:
    return softmax_cross_entropy if parameters.softmax else _LOSSES[DATA_SETS[parameters.dataset].loss]


def metric_of(parameters: Parameters) -> Measured:
    return _METRICS[DATA_SETS[parameters.dataset].metric]
