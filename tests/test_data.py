"""Data sets: what they hold, and that nothing but CIFAR-10 passes for it."""

import dataclasses
import hashlib
import http.server
import io
import json
import pickle
import re
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import stand_in_cifar10
import torch
from torchvision.datasets import CIFAR10

from equinorm import data
from equinorm.data import DataError

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
    again = data.load("digits")
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
    monkeypatch.setattr(data, "_RECORDS", RECORDS)
    monkeypatch.setattr(data, "_CIFAR10_DIGESTS", tmp_path / "digests.json")
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
    dataset = data.load_cifar10(root)
    contents = b"".join(binary(root, name).read_bytes() for name in BATCHES)
    records = torch.from_numpy(np.frombuffer(contents, np.uint8).copy()).view(-1, 3073)
    assert dataset.name == "cifar10"
    assert torch.equal(dataset.train_images, records[: 5 * RECORDS, 1:])
    assert torch.equal(dataset.train_labels, records[: 5 * RECORDS, 0].long())
    assert torch.equal(dataset.test_images, records[5 * RECORDS :, 1:])
    assert torch.equal(dataset.test_labels, records[5 * RECORDS :, 0].long())


def test_cifar10_is_looked_for_where_the_environment_says(root, monkeypatch):
    monkeypatch.setenv("CIFAR10_ROOT", str(root))
    assert data.cifar10_root() == root
    assert data.load("cifar10").fingerprint == data.load_cifar10(root).fingerprint


@pytest.mark.parametrize("name", ["data_batch_1", "data_batch_5", "test_batch"])
def test_a_missing_file_is_named(root, name):
    binary(root, name).unlink()
    with pytest.raises(DataError, match=rf"{name}\.bin: cannot be read"):
        data.load_cifar10(root)


@pytest.mark.parametrize("size", [0, 1000, RECORDS * 3073 - 1])
def test_a_truncated_file_is_named_with_its_size(root, size):
    path = binary(root, "data_batch_3")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=rf"data_batch_3\.bin: has {size:,} bytes instead of {RECORDS * 3073:,}"):
        data.load_cifar10(root)


def test_a_file_that_is_too_long_is_named(root):
    path = binary(root, "test_batch")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DataError, match=r"test_batch\.bin"):
        data.load_cifar10(root)


@pytest.mark.parametrize("position", [0, 1, 5 * 3073 + 77, RECORDS * 3073 - 1])
def test_a_file_with_a_changed_byte_is_named(root, position):
    flip(binary(root, "data_batch_4"), position)
    with pytest.raises(DataError, match=r"data_batch_4\.bin"):
        data.load_cifar10(root)


def test_only_the_image_of_a_record_known_as_inexact_may_differ(root):
    before, path = data.load_cifar10(root), binary(root, "data_batch_2")
    flip(path, INEXACT * 3073 + 100)
    assert data.load_cifar10(root).fingerprint != before.fingerprint
    flip(path, INEXACT * 3073)  # its label
    with pytest.raises(DataError, match=r"data_batch_2\.bin"):
        data.load_cifar10(root)


def test_a_known_inexact_copy_is_said_to_be_one(root):
    before = data.load_cifar10(root)
    assert before.canonical is None
    files = json.loads((root / "digests.json").read_text())["files"]
    write_digests(root, files, {before.fingerprint: "a known copy"})
    after = data.load_cifar10(root)
    assert after.canonical is False
    assert "a known copy" in after.description


# --- no network


@pytest.fixture
def no_network(monkeypatch):
    asked = []

    def refuse(*arguments, **options):
        asked.append(arguments)
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return asked


def test_without_network_the_error_says_where_to_put_the_data(tmp_path, no_network):
    with pytest.raises(DataError, match="CIFAR10_ROOT") as error:
        data.load_cifar10(tmp_path)
    assert no_network, "the download was not tried"
    assert str(tmp_path) in str(error.value)
    assert "no route to host" in str(error.value)


def test_a_failed_download_leaves_nothing_that_a_later_load_trusts(tmp_path, no_network):
    for _ in range(2):
        with pytest.raises(DataError):
            data.load_cifar10(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".cifar10.lock"] == []


def test_a_download_of_something_else_is_not_trusted(tmp_path, monkeypatch):
    class Page(io.BytesIO):
        url, length = None, 4

    monkeypatch.setattr(urllib.request, "urlopen", lambda *arguments, **options: Page(b"page"))
    for _ in range(2):
        with pytest.raises(DataError, match="CIFAR10_ROOT"):
            data.load_cifar10(tmp_path)
    assert not (tmp_path / "cifar-10-batches-py").exists()


def test_half_a_download_is_not_trusted(tmp_path, no_network):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"half an archive")
    (tmp_path / "cifar-10-batches-py").mkdir()
    for name in (*BATCHES[:5], "test_batch", "batches.meta"):
        (tmp_path / "cifar-10-batches-py" / name).write_bytes(b"half a file")
    with pytest.raises(DataError, match="CIFAR10_ROOT"):
        data.load_cifar10(tmp_path)


def test_a_root_that_cannot_be_made_is_named(tmp_path, no_network):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file"):
        data.load_cifar10(tmp_path / "file" / "folder")


# --- torchvision's layout, from a server on this machine


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves `server.content`, and lists the downloads in `server.downloads`; a download waits for `server.gate`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked_where = self.headers.get("Method") == "HEAD"  # torchvision asks for redirections first, like this
            if not asked_where:
                server.downloads.append(self.path)
                server.gate.wait(60)
            self.send_response(200)
            self.send_header("Content-Length", str(len(server.content)))
            self.end_headers()
            if not asked_where:
                self.wfile.write(server.content[: server.sent])

        def log_message(self, *arguments):
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    description = stand_in_cifar10.write(tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.description, server.content = description, (tmp_path / CIFAR10.filename).read_bytes()
    server.downloads, server.gate, server.sent = [], threading.Event(), None
    server.gate.set()
    server.url = f"http://127.0.0.1:{server.server_address[1]}/{CIFAR10.filename}"
    for name, value in stand_in_cifar10.attributes(description, server.url).items():
        monkeypatch.setattr(CIFAR10, name, value)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_two_processes_that_download_at_once_download_once(server, tmp_path):
    script = Path(stand_in_cifar10.__file__)
    command = [sys.executable, str(script), str(server.description), str(tmp_path / "root"), server.url]
    server.gate.clear()
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    while not server.downloads:
        time.sleep(0.05)
    time.sleep(0.5)  # for the other one to come as far
    server.gate.set()
    fingerprints = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert fingerprints == {data.load_cifar10(tmp_path / "root").fingerprint + "\n"}
    assert len(server.downloads) == 1


def test_a_download_that_is_cut_off_is_an_error_and_the_next_one_starts_anew(server, tmp_path):
    server.sent = len(server.content) // 2
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "root"))):
        data.load_cifar10(tmp_path / "root")
    assert not (tmp_path / "root" / CIFAR10.base_folder).exists()
    server.sent = None
    assert data.load_cifar10(tmp_path / "root").train_images.shape == (100, 3072)
    assert len(server.downloads) == 2


def test_an_archive_that_is_not_cifar10s_is_not_unpacked(server, tmp_path):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name in ("../pwned", "pwned"):
            tar.addfile(tarfile.TarInfo(name))
    server.content = content.getvalue()
    with pytest.raises(DataError):
        data.load_cifar10(tmp_path / "root")
    assert not list(tmp_path.rglob("pwned"))


class Code:
    """What runs as soon as it is unpickled."""

    def __init__(self, pwned):
        self.pwned = pwned

    def __reduce__(self):
        return Path.touch, (self.pwned,)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_changed_pickle_is_named_and_not_read(server, tmp_path, name):
    root, pwned = tmp_path / "root", tmp_path / "pwned"
    before = data.load_cifar10(root).fingerprint
    path = root / CIFAR10.base_folder / name
    good = path.read_bytes()
    server.content = b""  # it cannot be had again
    for bad in (pickle.dumps(Code(pwned)), good[:-1], good[:100] + b"x" + good[101:]):
        path.write_bytes(bad)
        (root / CIFAR10.filename).unlink(missing_ok=True)
        with pytest.raises(DataError, match=re.escape(str(path))):
            data.load_cifar10(root)
        assert not pwned.exists()
    path.write_bytes(good)
    assert data.load_cifar10(root).fingerprint == before
    pickle.loads(pickle.dumps(Code(pwned)))
    assert pwned.exists(), "the attack would not have worked"


def test_where_all_is_there_nothing_is_written_or_downloaded(server, tmp_path):
    root = tmp_path / "root"
    data.load_cifar10(root)
    (root / ".cifar10.lock").unlink(missing_ok=True)
    (root / ".cifar10.lock").mkdir()  # a lock cannot be taken, as in a folder that may not be written
    assert data.load_cifar10(root).train_images.shape == (100, 3072)
    assert len(server.downloads) == 1


# --- the real thing


@pytest.mark.skipif(
    not (data.cifar10_root() / "cifar-10-batches-bin").is_dir(),
    reason="needs CIFAR-10: set CIFAR10_ROOT to the folder that holds cifar-10-batches-bin",
)
def test_cifar10_is_cifar10():
    dataset = data.load("cifar10")
    assert dataset.train_images.shape == (50_000, 3072)
    assert dataset.test_images.shape == (10_000, 3072)
    assert dataset.train_images.dtype == torch.uint8
    assert dataset.train_labels.bincount().tolist() == [5000] * 10
    assert dataset.test_labels.bincount().tolist() == [1000] * 10
    assert int(dataset.train_labels[0]) == 6
    assert dataset.train_images[0, :5].tolist() == [59, 43, 50, 68, 98]
    means = [float(dataset.train_images[:, c * 1024 : (c + 1) * 1024].sum()) / (50_000 * 1024 * 255) for c in range(3)]
    assert means == pytest.approx([0.49139965, 0.48215826, 0.44653075], abs=1e-5)
    assert dataset.mean == (0.4914, 0.4822, 0.4465)
    assert dataset.std == (0.2023, 0.1994, 0.2010)
