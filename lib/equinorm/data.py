"""Data sets as uint8 tensors, with a fingerprint that goes into every result.

CIFAR-10 is looked for under ``CIFAR10_ROOT`` (default: data/ in the repository), as torchvision's
``cifar-10-batches-py`` or the official binary layout ``cifar-10-batches-bin``; where neither is there, torchvision
downloads it. *digits* is scikit-learn's, resized, and needs no download.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.nn import functional

from equinorm.variations import PROTOCOL, Variation

_BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
_RECORD = 1 + 3072
_RECORDS = 10_000
# Which images a known inexact copy differs in, and digests of the others: see the file's own "about".
_CIFAR10_DIGESTS = Path(__file__).parent / "cifar10_digests.json"


class DataError(Exception):
    """The data is missing or not what it should be; the message says which file and what to do."""


@dataclass(frozen=True)
class Dataset:
    """Images and labels, all in memory.

    - train_images, test_images: uint8 ``[images, 3072]``, channel by channel, 32 x 32 pixels each
    - train_labels, test_labels: int64 ``[images]``
    - mean, std: of each channel, for pixels in [0, 1]
    - fingerprint: sha256 of all images and labels
    - canonical: whether they are known to be the published ones; None where that is not known
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str
    canonical: bool | None
    description: str

    def to(self, device: torch.device, variation: Variation = PROTOCOL) -> "DeviceData":
        """The data on `device`, ready to be gathered from. Raises ValueError for a split that leaves nothing."""
        images = len(self.train_images)
        train = variation.training_images or images
        if train > images or (train == images and variation.training_images):
            raise ValueError(f"training_images = {train}: allowed is less than the {images:,} of {self.name}")
        pixels = 3072 // 3
        mean = torch.tensor(self.mean).repeat_interleave(pixels)
        std = torch.tensor(self.std).repeat_interleave(pixels)
        return DeviceData(
            self.train_images[:train].to(device),
            self.train_labels[:train].to(device),
            self.test_images.to(device),
            self.test_labels.to(device),
            scale=(1 / (255 * std)).to(device),
            offset=(-mean / std).to(device),
            validation_images=self.train_images[train:].to(device),
            validation_labels=self.train_labels[train:].to(device),
            each_image_by_itself=variation.normalisation == "image",
        )


@dataclass(frozen=True)
class DeviceData:
    """A data set on a device, once, as uint8; pixels x become scale * x + offset when a batch is gathered."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    scale: Tensor
    offset: Tensor
    validation_images: Tensor | None = None  # training images that are kept out of training
    validation_labels: Tensor | None = None
    each_image_by_itself: bool = False

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 ``[..., 3072]`` -> float32 of the same shape: ((x / 255) - mean) / std for each channel."""
        if self.each_image_by_itself:
            channels = images.float().unflatten(-1, (3, -1))
            deviation, mean = torch.std_mean(channels, dim=-1, correction=0, keepdim=True)
            return ((channels - mean) / deviation.clamp_min(1)).flatten(-2)  # of 255 grey levels: a flat image stays 0
        return torch.addcmul(self.offset, images.float(), self.scale)


def load(name: str) -> Dataset:
    """The data set `name`, "cifar10" or "digits". Raises DataError."""
    return LOADERS[name]()


def cifar10_root() -> Path:
    """Where CIFAR-10 is looked for."""
    default = Path(__file__).resolve().parents[2] / "data"
    return Path(os.environ.get("CIFAR10_ROOT") or default)


def load_cifar10(root: Path | None = None) -> Dataset:
    """CIFAR-10 from `root` (default: `cifar10_root()`), downloaded where it is missing. Raises DataError."""
    root = root or cifar10_root()
    binary = root / "cifar-10-batches-bin"
    if binary.is_dir():
        arrays = _read_binary(binary)
        checked_by_torchvision = False
    else:
        arrays = _read_torchvision(root)
        checked_by_torchvision = True
    fingerprint = _fingerprint(*arrays)
    known = json.loads(_CIFAR10_DIGESTS.read_text())["fingerprints"]
    if checked_by_torchvision:
        canonical, description = True, "cifar10"
    elif fingerprint in known:
        canonical, description = False, f"cifar10, {known[fingerprint]}"
    else:
        canonical, description = None, "cifar10, at least 59,908 of 60,000 images bit-exact"
    return Dataset(
        "cifar10",
        *(torch.from_numpy(array) for array in arrays),
        # Of the training set, as the 2019 report gives them (its standard deviation is a mean over images).
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        fingerprint=fingerprint,
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
        fingerprint=_fingerprint(*arrays),
        canonical=True,
        description="digits (scikit-learn), not CIFAR-10",
    )


LOADERS: dict[str, Callable[[], Dataset]] = {"cifar10": load_cifar10, "digits": load_digits}


def _read_binary(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The official binary layout: per record 1 label byte, then 1024 red, 1024 green, 1024 blue bytes."""
    batches = [_read_binary_batch(folder / f"{name}.bin") for name in _BATCHES]
    images = [batch[:, 1:] for batch in batches]
    labels = [batch[:, 0].astype(np.int64) for batch in batches]
    train_images = np.concatenate(images[:5])
    return train_images, np.concatenate(labels[:5]), np.ascontiguousarray(images[5]), labels[5]


def _read_binary_batch(path: Path) -> np.ndarray:
    """One file as ``[10000, 3073]`` bytes, after checking it against the digest of its images."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); put the CIFAR-10 binary file there") from None
    if len(content) != _RECORD * _RECORDS:
        raise DataError(f"{path}: has {len(content):,} bytes instead of {_RECORD * _RECORDS:,}; fetch the file again")
    records = np.frombuffer(content, np.uint8).reshape(_RECORDS, _RECORD)
    if digest_of_exact_records(records, path.stem) != json.loads(_CIFAR10_DIGESTS.read_text())["files"][path.stem]:
        raise DataError(f"{path}: its images are not those of CIFAR-10 (sha256 differs); fetch the file again")
    return records


def digest_of_exact_records(records: np.ndarray, batch: str) -> str:
    """sha256 of a batch's labels and of its images, less those that a known inexact copy differs in."""
    inexact = json.loads(_CIFAR10_DIGESTS.read_text())["inexact"].get(batch, [])
    exact = np.delete(records, inexact, axis=0)
    return hashlib.sha256(records[:, 0].tobytes() + exact.tobytes()).hexdigest()


def _read_torchvision(root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """torchvision's layout, each file's md5 checked before it is unpickled; downloaded where it is missing."""
    from torchvision.datasets import CIFAR10

    try:
        try:
            train = CIFAR10(str(root), train=True)  # writes nothing: the folder may be read-only
        except RuntimeError:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / ".cifar10.lock"):  # torchvision downloads to the final path
                train = CIFAR10(str(root), train=True, download=True)
        test = CIFAR10(str(root), train=False)
    except (OSError, RuntimeError) as error:
        damaged = _damaged_files(root / CIFAR10.base_folder)
        found = (
            f"damaged (md5 differs): {', '.join(map(str, damaged))}" if damaged else f"{root}: CIFAR-10 is not there"
        )
        raise DataError(
            f"{found}, and could not be downloaded ({error}). Put the folder "
            "cifar-10-batches-py or cifar-10-batches-bin there, or set CIFAR10_ROOT to the folder that holds it"
        ) from None
    return *_arrays(train), *_arrays(test)


def _damaged_files(folder: Path) -> list[Path]:
    """The files of torchvision's layout that are there and not what they should be."""
    from torchvision.datasets import CIFAR10, utils

    files = [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
    return [
        folder / name
        for name, md5 in files
        if (folder / name).exists() and not utils.check_integrity(folder / name, md5)
    ]


def _arrays(dataset: object) -> tuple[np.ndarray, np.ndarray]:
    images = dataset.data.transpose(0, 3, 1, 2).reshape(-1, 3072)
    return np.ascontiguousarray(images), np.asarray(dataset.targets, np.int64)


def _fingerprint(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.astype(np.uint8, copy=False).tobytes())
    return digest.hexdigest()
