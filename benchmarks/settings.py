"""What a run of the benchmarks works with: the images, and how much of everything."""

from dataclasses import dataclass, replace

import torch

from reproduction.data import cifar10, cifar10_files
from reproduction.data.datasets import DataError, Dataset, load

_QUICK_IMAGES = (8 * 256 + 80, 500)  # like the whole training set, no multiple of the batch size


class Skipped(Exception):
    """This machine cannot run a benchmark; the message says why."""


@dataclass(frozen=True)
class Settings:
    """- dataset: CIFAR-10, or random images of its shape; fewer of them where `quick`
    - quick: a smoke run, whose numbers mean little
    - full_epochs: time whole epochs of the plain way
    """

    dataset: Dataset
    quick: bool = False
    full_epochs: bool = False

    def rounds(self, full: int) -> int:
        """How often to repeat what a full run repeats `full` times."""
        return 1 if self.quick else full

    def steps(self, full: int) -> int:
        """How many steps to time where a full run times `full`."""
        return min(full, 4) if self.quick else full


def images(quick: bool) -> Dataset:
    """CIFAR-10 where it is at hand, else random pixels, which take the same time; nothing is downloaded."""
    dataset = random_images()
    if cifar10_files.find(cifar10.root()):
        try:
            dataset = load("cifar10")
        except DataError as error:
            dataset = replace(dataset, description=f"{dataset.description} ({error})")
    if not quick:
        return dataset
    train, test = _QUICK_IMAGES
    return replace(
        dataset,
        train_images=dataset.train_images[:train],
        train_labels=dataset.train_labels[:train],
        test_images=dataset.test_images[:test],
        test_labels=dataset.test_labels[:test],
        description=f"{dataset.description}, only {train:,} training and {test:,} test images",
    )


def random_images(train: int = 50_000, test: int = 10_000) -> Dataset:
    """Random uint8 pixels and labels in the shape of CIFAR-10."""
    generator = torch.Generator().manual_seed(0)
    return Dataset(
        name="random",
        train_images=torch.randint(256, (train, 3072), generator=generator, dtype=torch.uint8),
        train_labels=torch.randint(10, (train,), generator=generator),
        test_images=torch.randint(256, (test, 3072), generator=generator, dtype=torch.uint8),
        test_labels=torch.randint(10, (test,), generator=generator),
        mean=(0.5, 0.5, 0.5),
        std=(0.29, 0.29, 0.29),
        fingerprint="",
        canonical=None,
        description="random pixels in the shape of CIFAR-10, not CIFAR-10",
    )
