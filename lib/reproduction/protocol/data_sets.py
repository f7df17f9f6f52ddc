"""What a network must know of the data sets. Their loading is in `reproduction.data`."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DataSet:
    """A task.

    - inputs: numbers in an image (or whatever an example is), the network's input
    - outputs: classes, or targets of a regression: the network's output
    - loss: what is minimised
    - metric: what is reported besides, a mean over examples; the columns test_<metric>, validation_<metric> hold it
    - learning_rate: the initial one, where Table 1 is not for this data
    - chance: the metric of a guess: a run that ends there learned nothing; -inf where it is not known: no run does
    """

    inputs: int
    outputs: int
    loss: Literal["cross_entropy", "squared_error"] = "cross_entropy"
    metric: Literal["accuracy", "absolute_error"] = "accuracy"
    learning_rate: float | None = None
    chance: float = -math.inf


DATA_SETS = {
    "cifar10": DataSet(inputs=3 * 32 * 32, outputs=10, chance=0.1),
    # At Table 1's rates the baseline diverges on digits.
    "digits": DataSet(inputs=3 * 32 * 32, outputs=10, learning_rate=0.01, chance=0.1),
}
"""To add one: an entry here, and its loader in `reproduction.data.datasets.LOADERS`."""
