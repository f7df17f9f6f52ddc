"""Data sets as uint8 tensors, with a fingerprint that goes into every result.

CIFAR-10 comes from `cifar10`, which downloads it where it is missing. *digits* is scikit-learn's, resized, and needs no
download.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from reproduction.data.cifar10_files import DataError, fingerprint

__all__ = ["LOADERS", "DataError", "Dataset", "DeviceData", "load", "load_cifar10", "load_digits"]


@dataclass(frozen=True)
class Dataset:
    """Examples and what is expected of them, all in memory. Most are images.

    - train_images, test_images: ``[images, inputs]``, channel by channel; uint8 where they are pixels, else float32
    - train_labels, test_labels: ``[images]``, int64 classes or float32 targets
    - mean, std: of each channel, for inputs divided by `largest`
    - largest: the input that stands for 1
    - fingerprint: sha256 of all images and labels
    - canonical: whether they are known to be the published ones; None where that is not known
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    canonical: bool | None
    description: str
    largest: int = 255

    def about(self) -> dict[str, object]:
        """What a result says of its data."""
        return {name: getattr(self, name) for name in ("name", "description", "fingerprint", "canonical")}

    def to(
        self, device: torch.device, training_images: int | None = None, normalisation: str = "dataset"
    ) -> "DeviceData":
        """The data on `device`, ready to be gathered from; training_images and normalisation as in `Parameters`.
        Raises ValueError for a split that leaves nothing."""
        images = len(self.train_images)
        train = training_images or images
        if train > images or (train == images and training_images):
            raise ValueError(f"training_images = {train}: allowed is less than the {images:,} of {self.name}")
        pixels = self.train_images.shape[1] // len(self.mean)
        mean = torch.tensor(self.mean).repeat_interleave(pixels)
        std = torch.tensor(self.std).repeat_interleave(pixels)
        return DeviceData(
            self.train_images[:train].to(device),
            self.train_labels[:train].to(device),
            self.test_images.to(device),
            self.test_labels.to(device),
            scale=(1 / (self.largest * std)).to(device),
            offset=(-mean / std).to(device),
            validation_images=self.train_images[train:].to(device),
            validation_labels=self.train_labels[train:].to(device),
            channels=len(self.mean) if normalisation == "image" else None,
        )


@dataclass(frozen=True)
class DeviceData:
    """A data set on a device, once, as it is stored; pixels x become scale * x + offset when a batch is gathered."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    scale: Tensor
    offset: Tensor
    validation_images: Tensor | None = None  # training images that are kept out of training
    validation_labels: Tensor | None = None
    channels: int | None = None  # given where each image is normalised by itself

    def normalise(self, images: Tensor) -> Tensor:
        """Stored ``[..., inputs]`` -> float32 of the same shape: ((x / largest) - mean) / std for each channel."""
        if self.channels:
            channels = images.float().unflatten(-1, (self.channels, -1))
            deviation, mean = torch.std_mean(channels, dim=-1, correction=0, keepdim=True)
            return ((channels - mean) / deviation.clamp_min(1)).flatten(-2)  # of 255 grey levels: a flat image stays 0
        return torch.addcmul(self.offset, images.float(), self.scale)


def load(name: str) -> Dataset:
    """The data set `name`, one of LOADERS. Raises DataError."""
    return LOADERS[name]()


def what_is_missing(name: str) -> str:
    """What `load` would have to fetch first, in a sentence; empty where nothing. Raises DataError if it could not."""
    if name != "cifar10":
        return ""
    from reproduction.data import cifar10

    return cifar10.what_is_missing(cifar10.root())


def load_cifar10(root: Path | None = None) -> Dataset:
    """CIFAR-10 from `root` (default: `cifar10.root()`), downloaded where it is missing. Raises DataError."""
    from reproduction.data import cifar10  # imports torchvision, which takes seconds

    arrays, canonical, description = cifar10.read(root or cifar10.root())
    return Dataset(
        "cifar10",
        *(torch.from_numpy(array) for array in arrays),
        # Of the training set, as the 2019 report gives them (its standard deviation is a mean over images).
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        fingerprint=fingerprint(arrays),
        canonical=canonical,
        description=description,
    )


def load_digits() -> Dataset:
    """scikit-learn's digits, 8 x 8, resized to 3 x 32 x 32 and split 1500 / 297: small, and always at hand."""
    from sklearn.datasets import load_digits as sklearn_digits
    from sklearn.model_selection import train_test_split

    digits = sklearn_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) * (255 / 16)
    images = functional.interpolate(images, size=(32, 32), mode="bilinear").round().to(torch.uint8)
    images = images.expand(-1, 3, -1, -1).reshape(len(images), 3072).numpy()
    labels = digits.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=297, random_state=0, stratify=labels)
    arrays = (images[train], labels[train], images[test], labels[test])
    mean, std = float(arrays[0].mean() / 255), float(arrays[0].std() / 255)
    return Dataset(
        "digits",
        *(torch.from_numpy(array) for array in arrays),
        mean=(mean,) * 3,
        std=(std,) * 3,
        fingerprint=fingerprint(arrays),
        canonical=True,
        description="digits (scikit-learn), not CIFAR-10",
    )


LOADERS: dict[str, Callable[[], Dataset]] = {"cifar10": load_cifar10, "digits": load_digits}
