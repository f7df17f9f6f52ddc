"""Data sets: what they hold, and that nothing but CIFAR-10 passes for it."""

import dataclasses
import hashlib
import io
import json
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import stand_in_cifar10
import torch
from PIL import Image
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import extract_archive

from reproduction.data import cifar10, cifar10_files, datasets
from reproduction.data.datasets import DataError

pytestmark = pytest.mark.portable

# --- digits


def test_digits_have_the_shapes_and_types_of_cifar10(digits):
    assert digits.train_images.shape == (1500, 3072)
    assert digits.test_images.shape == (297, 3072)
    assert digits.train_labels.shape == (1500,)
    assert digits.test_labels.shape == (297,)
    assert digits.train_images.dtype == digits.test_images.dtype == torch.uint8
    assert digits.train_labels.dtype == digits.test_labels.dtype == torch.int64
    assert set(digits.train_labels.tolist()) == set(digits.test_labels.tolist()) == set(range(10))


def test_digits_say_that_they_are_digits(digits):
    assert digits.name == "digits"
    assert "digits" in digits.description
    assert "not CIFAR-10" in digits.description


def test_digits_are_the_same_at_each_load(digits):
    again = datasets.load("digits")
    assert again.fingerprint == digits.fingerprint
    assert torch.equal(again.train_images, digits.train_images)
    assert torch.equal(again.test_labels, digits.test_labels)


def test_each_channel_of_the_digits_has_all_their_grey_levels(digits):
    channels = digits.train_images.view(-1, 3, 1024)
    assert torch.equal(channels[:, 0], channels[:, 1])
    assert torch.equal(channels[:, 0], channels[:, 2])
    assert (int(channels.min()), int(channels.max())) == (0, 255)


def test_normalised_digits_have_mean_0_and_deviation_1(digits):
    device_data = digits.to(torch.device("cpu"))
    x = device_data.normalise(device_data.train_images)
    assert float(x.mean()) == pytest.approx(0, abs=1e-4)
    assert float(x.std()) == pytest.approx(1, abs=1e-4)


def test_normalise_is_x_over_255_minus_the_mean_over_the_deviation_of_each_channel(digits):
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    device_data = dataclasses.replace(digits, mean=mean, std=std).to(torch.device("cpu"))
    images = torch.randint(256, (2, 5, 3072), dtype=torch.uint8)
    channels = images.view(2, 5, 3, 1024).double() / 255
    expected = (channels - torch.tensor(mean).view(3, 1)) / torch.tensor(std).view(3, 1)
    ours = device_data.normalise(images)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), expected.view(2, 5, 3072), rtol=1e-5, atol=1e-5)


# --- the binary layout, with made-up records

RECORDS = 20
BATCHES = [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]
INEXACT = 3  # of data_batch_2: the one record whose image may differ


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with six files of 20 random records, which the library is told to be CIFAR-10."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    digests = {}
    for name in BATCHES:
        records = generator.integers(256, size=(RECORDS, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (folder / f"{name}.bin").write_bytes(records.tobytes())
        exact = [r for k, r in enumerate(records) if (name, k) != ("data_batch_2", INEXACT)]
        content = bytes(records[:, 0]) + b"".join(r.tobytes() for r in exact)
        digests[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(cifar10_files, "_RECORDS", RECORDS)
    monkeypatch.setattr(cifar10_files, "_DIGESTS", tmp_path / "digests.json")
    write_digests(tmp_path, digests)
    return tmp_path


def write_digests(root, files, fingerprints=None):
    known = {"files": files, "inexact": {"data_batch_2": [INEXACT]}, "fingerprints": fingerprints or {}}
    (root / "digests.json").write_text(json.dumps(known))


def binary(root, name):
    return root / "cifar-10-batches-bin" / f"{name}.bin"


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_the_binary_layout_is_read_in_order(root):
    dataset = datasets.load_cifar10(root)
    contents = b"".join(binary(root, name).read_bytes() for name in BATCHES)
    records = torch.from_numpy(np.frombuffer(contents, np.uint8).copy()).view(-1, 3073)
    assert dataset.name == "cifar10"
    assert torch.equal(dataset.train_images, records[: 5 * RECORDS, 1:])
    assert torch.equal(dataset.train_labels, records[: 5 * RECORDS, 0].long())
    assert torch.equal(dataset.test_images, records[5 * RECORDS :, 1:])
    assert torch.equal(dataset.test_labels, records[5 * RECORDS :, 0].long())
    assert dataset.mean == (0.4914, 0.4822, 0.4465)
    assert dataset.std == (0.2023, 0.1994, 0.2010)


@pytest.mark.parametrize("name", ["data_batch_1", "data_batch_5", "test_batch"])
def test_a_missing_file_is_named(root, name):
    binary(root, name).unlink()
    with pytest.raises(DataError, match=rf"{name}\.bin: cannot be read"):
        datasets.load_cifar10(root)


@pytest.mark.parametrize("size", [0, 1000, RECORDS * 3073 - 1])
def test_a_truncated_file_is_named_with_its_size(root, size):
    path = binary(root, "data_batch_3")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=rf"data_batch_3\.bin: has {size:,} bytes instead of {RECORDS * 3073:,}"):
        datasets.load_cifar10(root)


def test_a_file_that_is_too_long_is_named(root):
    path = binary(root, "test_batch")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DataError, match=r"test_batch\.bin"):
        datasets.load_cifar10(root)


@pytest.mark.parametrize("position", [0, 1, 5 * 3073 + 77, RECORDS * 3073 - 1])
def test_a_file_with_a_changed_byte_is_named(root, position):
    flip(binary(root, "data_batch_4"), position)
    with pytest.raises(DataError, match=r"data_batch_4\.bin"):
        datasets.load_cifar10(root)


def test_only_the_image_of_a_record_known_as_inexact_may_differ(root):
    before, path = datasets.load_cifar10(root), binary(root, "data_batch_2")
    flip(path, INEXACT * 3073 + 100)
    assert datasets.load_cifar10(root).fingerprint != before.fingerprint
    flip(path, INEXACT * 3073)  # its label
    with pytest.raises(DataError, match=r"data_batch_2\.bin"):
        datasets.load_cifar10(root)


def test_a_known_inexact_copy_is_said_to_be_one(root):
    before = datasets.load_cifar10(root)
    assert before.canonical is None
    files = json.loads((root / "digests.json").read_text())["files"]
    write_digests(root, files, {before.fingerprint: "a known copy"})
    after = datasets.load_cifar10(root)
    assert after.canonical is False
    assert "a known copy" in after.description


# --- torchvision's layout


@pytest.fixture
def python(tmp_path, monkeypatch):
    """A folder in torchvision's layout, which the library is told to be CIFAR-10, and no network."""
    monkeypatch.delenv("CIFAR10_URL", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    description = stand_in_cifar10.write(tmp_path)
    for owner, name, value in stand_in_cifar10.changes(description, "http://127.0.0.1:9/gone"):
        monkeypatch.setattr(owner, name, value)
    extract_archive(tmp_path / CIFAR10.filename, tmp_path / "root")
    return tmp_path / "root" / CIFAR10.base_folder


class Code:
    """What runs as soon as it is unpickled."""

    def __init__(self, pwned):
        self.pwned = pwned

    def __reduce__(self):
        return Path.touch, (self.pwned,)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_changed_pickle_is_named_and_not_read(python, tmp_path, name):
    pwned = tmp_path / "pwned"
    before = datasets.load_cifar10(python.parent).fingerprint
    path = python / name
    good = path.read_bytes()
    for bad in (pickle.dumps(Code(pwned)), good[:-1], good[:100] + b"x" + good[101:]):
        path.write_bytes(bad)
        for root in (python.parent, python):
            with pytest.raises(DataError, match=re.escape(f"damaged (md5 differs): {path}")):
                datasets.load_cifar10(root)
        assert not pwned.exists()
    path.write_bytes(good)
    assert datasets.load_cifar10(python.parent).fingerprint == before
    pickle.loads(pickle.dumps(Code(pwned)))
    assert pwned.exists(), "the attack would not have worked"


def test_a_missing_pickle_is_named(python):
    (python / "data_batch_2").unlink()
    with pytest.raises(DataError, match=re.escape(f"missing: {python / 'data_batch_2'}")):
        datasets.load_cifar10(python.parent)


def test_torchvisions_layout_and_the_binary_one_are_the_same_data_set(python, tmp_path):
    extract_archive(tmp_path / "cifar-10-binary.tar.gz", tmp_path / "binary")
    ours, theirs = datasets.load_cifar10(python.parent), datasets.load_cifar10(tmp_path / "binary")
    assert ours.fingerprint == theirs.fingerprint
    assert torch.equal(ours.train_images, theirs.train_images) and torch.equal(ours.test_labels, theirs.test_labels)
    assert (ours.canonical, theirs.canonical) == (True, None)


# --- Parquet, as the Hub serves it

HUBS_ORDER = (4, 3, 2, 5, 1)


def png(pixels, height=32):
    content = io.BytesIO()
    Image.fromarray(pixels.reshape(3, height, -1).transpose(1, 2, 0)).save(content, format="PNG")
    return content.getvalue()


def write_parquet(path, records, image=lambda pixels: {"bytes": png(pixels), "path": None}):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow, which writes the Parquet that is read")
    from pyarrow import parquet

    path.parent.mkdir(exist_ok=True)
    columns = {"img": [image(record[1:]) for record in records], "label": records[:, 0].astype(np.int64)}
    parquet.write_table(pyarrow.table(columns), path)


@pytest.fixture
def hub(root):
    """The made-up records as Parquet, in two files for training and in the Hub's order, less the binary layout."""
    binary_fingerprint = datasets.load_cifar10(root).fingerprint
    batches = {name: np.frombuffer(binary(root, name).read_bytes(), np.uint8).reshape(-1, 3073) for name in BATCHES}
    train = np.concatenate([batches[f"data_batch_{k}"] for k in HUBS_ORDER])
    folder = root / "hub" / "plain_text"
    folder.parent.mkdir()
    write_parquet(folder / "train-00000-of-00002.parquet", train[:45])
    write_parquet(folder / "train-00001-of-00002.parquet", train[45:])
    write_parquet(folder / "test-00000-of-00001.parquet", batches["test_batch"])
    return folder, train, binary_fingerprint


def test_parquet_is_the_same_data_set_in_the_same_order(hub):
    folder, _, binary_fingerprint = hub
    for root in (folder.parent, folder):
        dataset = datasets.load_cifar10(root)
        assert dataset.fingerprint == binary_fingerprint
        assert dataset.canonical is None


@pytest.mark.parametrize("column", [0, 1, 3072])
def test_parquet_with_a_changed_label_or_pixel_is_named(hub, column):
    folder, train, _ = hub
    changed = train[45:].copy()
    changed[-1, column] ^= 1
    write_parquet(folder / "train-00001-of-00002.parquet", changed)
    with pytest.raises(DataError, match=r"train-00000-of-00002\.parquet: its images are not those of CIFAR-10"):
        datasets.load_cifar10(folder)


def test_parquet_of_too_few_images_says_how_many(hub):
    folder, train, _ = hub
    write_parquet(folder / "train-00001-of-00002.parquet", train[45:-1])
    with pytest.raises(DataError, match="99 images instead of 100"):
        datasets.load_cifar10(folder)


@pytest.mark.parametrize("split", ["train", "test"])
def test_parquet_of_one_split_only_says_which_is_missing(hub, split):
    folder, _, _ = hub
    for path in folder.glob(f"{split}-*.parquet"):
        path.unlink()
    with pytest.raises(DataError, match=re.escape(f"{folder}: {split}-*.parquet is missing")):
        datasets.load_cifar10(folder)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (lambda pixels: png(pixels), "its columns are not CIFAR-10's"),
        (lambda pixels: {"path": "x.png"}, "its columns are not CIFAR-10's"),
        (lambda pixels: {"bytes": None, "path": "x.png"}, "cannot be read"),
        (lambda pixels: {"bytes": b"no image", "path": None}, "cannot be read"),
        (lambda pixels: {"bytes": png(pixels)[:-30], "path": None}, "cannot be read"),
        (lambda pixels: {"bytes": png(pixels, 16), "path": None}, "64 x 16 pixels"),
        (lambda pixels: {"bytes": png(np.zeros_like(pixels)), "path": None}, "its images are not those"),
    ],
    ids=["bytes alone", "paths alone", "no bytes", "no image", "half an image", "of another shape", "another image"],
)
def test_parquet_that_holds_something_else_is_named(hub, image, said):
    folder, train, _ = hub
    write_parquet(folder / "train-00000-of-00002.parquet", train[:45], image)
    with pytest.raises(DataError, match=rf"train-00000-of-00002\.parquet: .*{said}"):
        datasets.load_cifar10(folder)


def test_a_damaged_parquet_file_is_named(hub):
    folder, _, _ = hub
    path = folder / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"test-00000-of-00001\.parquet: cannot be read"):
        datasets.load_cifar10(folder)


def test_without_pyarrow_a_sentence_says_how_to_read_parquet(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(b"")
    (tmp_path / "test-00000-of-00001.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"pyarrow, which reads Parquet, is not installed; `.* -m pip install pyarrow`"):
        datasets.load_cifar10(tmp_path)


# --- the real thing


@pytest.mark.skipif(
    cifar10_files.find(cifar10.root()) is None,
    reason="needs CIFAR-10: set CIFAR10_ROOT to the folder that holds it",
)
def test_cifar10_is_cifar10():
    dataset = datasets.load("cifar10")
    assert dataset.train_images.shape == (50_000, 3072)
    assert dataset.test_images.shape == (10_000, 3072)
    assert dataset.train_images.dtype == torch.uint8
    assert dataset.train_labels.bincount().tolist() == [5000] * 10
    assert dataset.test_labels.bincount().tolist() == [1000] * 10
    assert int(dataset.train_labels[0]) == 6
    assert dataset.train_images[0, :5].tolist() == [59, 43, 50, 68, 98]
    means = [float(dataset.train_images[:, c * 1024 : (c + 1) * 1024].sum()) / (50_000 * 1024 * 255) for c in range(3)]
    assert means == pytest.approx([0.49139965, 0.48215826, 0.44653075], abs=1e-5)
