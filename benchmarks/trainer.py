"""The library's trainer, driven through its public functions alone: some steps, or an epoch with its evaluation."""

from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from reproduction.data.datasets import DeviceData
from reproduction.protocol.parameters import Parameters
from reproduction.training import loop
from reproduction.training.evaluation import evaluate


class Trainer:
    """One cell in training. With this learning rate and c the numbers stay finite however long it runs."""

    def __init__(
        self,
        variant: str,
        p: int,
        data: DeviceData,
        seeds: tuple[int, ...] = (0,),
        precision: str = "float32",
        learning_rate: float | None = 1e-3,
        c: float = 1.02,
    ) -> None:
        self.parameters = Parameters(
            variant=variant, p=p, seeds=seeds, precision=precision, learning_rate=learning_rate, c=c
        )
        self.data = data
        self.model = loop.initial_model(self.parameters).to(data.train_labels.device)
        self._start = 0

    def steps(self, count: int) -> Tensor:
        """Train on the next `count` batches' worth of images; the losses ``[runs, count]``."""
        images = count * self.parameters.batch_size
        if self._start + images > len(self.data.train_labels):
            self._start = 0
        some = slice(self._start, self._start + images)
        self._start += images
        return self._train(
            replace(self.data, train_images=self.data.train_images[some], train_labels=self.data.train_labels[some])
        )

    def train_epoch(self) -> Tensor:
        return self._train(self.data)

    def epoch(self) -> None:
        """A whole epoch, and the evaluation on the test images."""
        self._train(self.data)
        evaluate(self.model, self.data.test_images, self.data.test_labels, self.data)

    def _train(self, data: DeviceData) -> Tensor:
        return loop.train_epoch(self.model, data, self.parameters, list(self.parameters.seeds), epoch=1)


def precisions(device: torch.device) -> tuple[str, ...]:
    """The precisions that the library knows and that mean something on `device`."""
    known = get_args(Parameters.model_fields["precision"].annotation)
    return tuple(name for name in known if device.type == "cuda" or name != "tf32")
