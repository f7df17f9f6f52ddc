"""What is timed: one cell in training, by the library's public functions."""

import itertools
from functools import partial

import torch
from torch import Tensor

from reproduction.data.datasets import Dataset
from reproduction.protocol.parameters import Parameters, has_effect
from reproduction.protocol.variants import VARIANTS
from reproduction.training import loop, numerics
from reproduction.training.epoch_rows import epoch_rows
from reproduction.training.network import FullyConnected
from reproduction.training.step import step_of


def random_images(train: int, test: int) -> Dataset:
    """Random pixels and labels in the shape of CIFAR-10: they take the same time."""
    random = partial(torch.randint, generator=torch.Generator().manual_seed(0))
    parts = [part for n in (train, test) for part in (random(256, (n, 3072), dtype=torch.uint8), random(10, (n,)))]
    return Dataset("random", *parts, (0.5,) * 3, (0.29,) * 3, "", None, "random pixels")


class Cell:
    """One cell in training. With its learning rate and c the numbers stay finite however long it runs."""

    def __init__(self, images: Dataset, variant: str, p: int, precision="float32", seeds=(0,), device="cpu") -> None:
        mild = {"learning_rate": 1e-3} | ({"c": 1.02} if has_effect("c", VARIANTS[variant].parts) else {})
        self.parameters = Parameters(variant=variant, p=p, precision=precision, seeds=seeds, **mild)
        numerics.set_up(precision, torch.device(device))
        self.data, self.seeds = images.to(torch.device(device)), list(seeds)
        self.network = FullyConnected(self.parameters).to(device)
        whole = loop.epoch_batches(self.data, self.parameters, self.seeds, 1)[:-1]  # the last may be smaller
        self._batches = itertools.cycle(whole)
        self._step = step_of(self.network, self.data, self.parameters, 1)

    def step(self) -> Tensor:
        """Train on the next batch; the losses ``[runs]``."""
        return self._step(next(self._batches))

    def train_epoch(self) -> Tensor:
        """An epoch without its evaluation; the losses ``[runs, steps]``."""
        return loop.train_epoch(self.network, self.data, self.parameters, self.seeds, 1)

    def epoch(self) -> None:
        """A whole epoch, with its evaluation on the test images."""
        epoch_rows(self.network, self.data, self.parameters, self.seeds, 1, self.train_epoch())
