"""The layouts that CIFAR-10 is read from, each held to what it should be.

They are torchvision's ``cifar-10-batches-py``, the official binary layout ``cifar-10-batches-bin``, and Parquet as the
Hugging Face Hub serves it. Whichever it is, the images are the same and in the same order: the files of the first are
held to torchvision's md5 sums before they are unpickled, the images and labels of the others to
``cifar10_digests.json``. So nothing here changes a run's numbers.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

PYTHON, BINARY, PARQUET = "cifar-10-batches-py", "cifar-10-batches-bin", "plain_text"
_TRAIN = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
_TEST = "test_batch"
_RECORD = 1 + 3072  # a label, then 1024 red, 1024 green, 1024 blue bytes
_RECORDS = 10_000
# Which images a known inexact copy differs in, and digests of the others: see the file's own "about".
_DIGESTS = Path(__file__).parent / "cifar10_digests.json"

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training images uint8 ``[images, 3072]`` and their labels int64 ``[images]``, test images and labels."""


class DataError(Exception):
    """The data is missing or not what it should be; the message says which file and what to do."""


def find(root: Path) -> tuple[Callable[[Path], Arrays], Path] | None:
    """How to read what is in `root`, and the folder it is in: one of `root`'s or itself. None where nothing is."""
    batches = (*_TRAIN, _TEST)
    for folder in (root / BINARY, root):
        if (folder.name == BINARY and folder.is_dir()) or any((folder / f"{name}.bin").exists() for name in batches):
            return read_binary, folder
    for folder in (root / PYTHON, root):
        if (folder.name == PYTHON and folder.is_dir()) or any((folder / name).exists() for name in batches):
            return read_python, folder
    for folder in (root / PARQUET, root):
        if any(folder.glob("train-*.parquet")) or any(folder.glob("test-*.parquet")):
            return read_parquet, folder
    return None


def read_binary(folder: Path) -> Arrays:
    """The official binary layout: six files of 10,000 records. Raises DataError."""
    batches = {}
    for name in (*_TRAIN, _TEST):
        path = folder / f"{name}.bin"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); put the CIFAR-10 binary file there") from None
        if len(content) != _RECORD * _RECORDS:
            raise DataError(
                f"{path}: has {len(content):,} bytes instead of {_RECORD * _RECORDS:,}; fetch the file again"
            )
        batches[name] = np.frombuffer(content, np.uint8).reshape(_RECORDS, _RECORD)
        if _batch(batches[name], (name,)) is None:
            raise DataError(f"{path}: its images are not those of CIFAR-10 (sha256 differs); fetch the file again")
    return _arrays(batches)


def read_parquet(folder: Path) -> Arrays:
    """The Hub's Parquet: whole batches, in the order 4, 3, 2, 5, 1 there; in any order here. Raises DataError."""
    batches = {}
    for split, names in (("train", _TRAIN), ("test", (_TEST,))):
        paths = sorted(folder.glob(f"{split}-*.parquet"))
        if not paths:
            raise DataError(f"{folder}: {split}-*.parquet is missing; put it there too")
        records = np.concatenate([_parquet_records(path) for path in paths])
        images, needed = len(records), len(names) * _RECORDS
        if images != needed:
            raise DataError(f"{paths[0]}: {images:,} images instead of {needed:,}; fetch {split}-*.parquet again")
        for batch in np.split(records, len(names)):
            name = _batch(batch, [name for name in names if name not in batches])
            if name is None:
                raise DataError(f"{paths[0]}: its images are not those of CIFAR-10 (sha256 differs); fetch it again")
            batches[name] = batch
    return _arrays(batches)


def _parquet_records(path: Path) -> np.ndarray:
    """The rows of one file as ``[rows, 3073]`` bytes, as in the binary layout."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            f"{path}: pyarrow, which reads Parquet, is not installed; `{sys.executable} -m pip install pyarrow`, "
            f"or set CIFAR10_ROOT to the folder that holds {PYTHON} or {BINARY}"
        ) from None
    from PIL import Image

    try:
        columns = parquet.read_table(path).to_pydict()
        records = np.empty((len(columns["label"]), _RECORD), np.uint8)
        for record, image, label in zip(records, columns["img"], columns["label"], strict=True):
            with Image.open(BytesIO(image["bytes"]), formats=["PNG"]) as png:
                if png.size != (32, 32):
                    raise ValueError(f"an image of {png.width} x {png.height} pixels instead of 32 x 32")
                record[0], record[1:] = label, np.asarray(png.convert("RGB")).transpose(2, 0, 1).ravel()
    except (KeyError, TypeError):
        raise DataError(
            f"{path}: its columns are not CIFAR-10's; needed are img, with PNG as bytes, and label"
        ) from None
    except (OSError, ValueError, OverflowError, SyntaxError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch the file again") from None
    return records


def read_python(folder: Path) -> Arrays:
    """torchvision's layout, in a folder of any name; each file's md5 is checked before it is unpickled.

    Raises DataError.
    """
    from torchvision.datasets import CIFAR10

    class InFolder(CIFAR10):
        base_folder = ""

    try:
        train, test = InFolder(str(folder), train=True), InFolder(str(folder), train=False)
    except RuntimeError:
        raise DataError(f"{describe_damage(folder)}; put the files of {PYTHON} there again") from None
    images = [np.ascontiguousarray(part.data.transpose(0, 3, 1, 2).reshape(-1, 3072)) for part in (train, test)]
    labels = [np.asarray(part.targets, np.int64) for part in (train, test)]
    return images[0], labels[0], images[1], labels[1]


def describe_damage(folder: Path) -> str:
    """Which files of torchvision's layout are missing or not what they should be; empty where all is well."""
    from torchvision.datasets import CIFAR10, utils

    files = [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
    bad = [folder / name for name, md5 in files if not utils.check_integrity(folder / name, md5)]
    damaged = ", ".join(str(path) for path in bad if path.exists())
    missing = ", ".join(str(path) for path in bad if not path.exists())
    return "; ".join(filter(None, [damaged and f"damaged (md5 differs): {damaged}", missing and f"missing: {missing}"]))


def known_copy(fingerprint: str) -> str | None:
    """What is known of the inexact copy with this fingerprint."""
    return _digests()["fingerprints"].get(fingerprint)


def fingerprint(arrays: Arrays) -> str:
    """sha256 of all images and labels: each value as a byte, where all of an array are bytes or labels below 256; else
    the array as it is, with its type and shape."""
    digest = hashlib.sha256()
    for array in arrays:
        if array.dtype.kind in "biu" and (not array.size or 0 <= array.min() <= array.max() <= 255):
            digest.update(array.astype(np.uint8, copy=False).tobytes())
        else:
            digest.update(f"{array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _batch(records: np.ndarray, names: Sequence[str]) -> str | None:
    """Which of the batches `names` these records are; None where their images or labels are those of none.

    The digests are of a batch's labels and of its images, less those that a known inexact copy differs in.
    """
    known = _digests()
    for name in names:
        exact = np.delete(records, known["inexact"].get(name, []), axis=0)
        if hashlib.sha256(records[:, 0].tobytes() + exact.tobytes()).hexdigest() == known["files"][name]:
            return name
    return None


def _digests() -> dict:
    return json.loads(_DIGESTS.read_text(encoding="utf-8"))


def _arrays(batches: dict[str, np.ndarray]) -> Arrays:
    train, test = np.concatenate([batches[name] for name in _TRAIN]), batches[_TEST]
    images = [np.ascontiguousarray(records[:, 1:]) for records in (train, test)]
    labels = [records[:, 0].astype(np.int64) for records in (train, test)]
    return images[0], labels[0], images[1], labels[1]
