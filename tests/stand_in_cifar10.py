"""Small archives of random images in the layouts of CIFAR-10's, and the library told that they are CIFAR-10.

python tests/stand_in_cifar10.py <description.json> <root> <url>    loads it, and prints its fingerprint
"""

import hashlib
import io
import json
import pickle
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torchvision.datasets import CIFAR10

from reproduction.data import cifar10, cifar10_files, datasets

BATCHES = [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]
BINARY_ARCHIVE = "cifar-10-binary.tar.gz"


def write(folder: Path, images: int = 20) -> Path:
    """Write both archives to `folder`, and what `changes` needs to a JSON beside them, whose path is returned."""
    generator = np.random.default_rng(0)
    python, binary = {"batches.meta": pickle.dumps({"label_names": list("abcdefghij")})}, {}
    for name in BATCHES:
        pixels = generator.integers(256, size=(images, 3072), dtype=np.uint8)
        labels = generator.integers(10, size=images, dtype=np.uint8)
        python[name] = pickle.dumps({"data": pixels, "labels": labels.tolist()})
        binary[f"{name}.bin"] = np.concatenate([labels[:, None], pixels], axis=1).tobytes()
    _tar(folder / CIFAR10.filename, CIFAR10.base_folder, python)
    _tar(folder / BINARY_ARCHIVE, "cifar-10-batches-bin", binary)
    digests = {}
    for name in BATCHES:
        content = binary[f"{name}.bin"]
        digests[name] = hashlib.sha256(content[::3073] + content).hexdigest()  # the labels, then all records
    description = folder / "description.json"
    known = {"files": digests, "inexact": {}, "fingerprints": {}}
    (folder / "digests.json").write_text(json.dumps(known), encoding="utf-8")
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in python.items()}
    for name in (CIFAR10.filename, BINARY_ARCHIVE):
        md5[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    description.write_text(json.dumps({"images": images, "md5": md5}), encoding="utf-8")
    return description


def _tar(archive: Path, folder: str, files: dict[str, bytes]) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def changes(description: Path, url: str) -> Iterator[tuple[object, str, object]]:
    """What to set, as (object, name, value), for the archive to be CIFAR-10, and to be had from `url` alone."""
    described = json.loads(description.read_text(encoding="utf-8"))
    md5 = described["md5"]
    yield CIFAR10, "url", url
    yield CIFAR10, "tgz_md5", md5[CIFAR10.filename]
    yield CIFAR10, "train_list", [[name, md5[name]] for name in BATCHES[:5]]
    yield CIFAR10, "test_list", [["test_batch", md5["test_batch"]]]
    yield CIFAR10, "meta", CIFAR10.meta | {"md5": md5["batches.meta"]}
    yield cifar10, "_MIRRORS", ()
    yield cifar10, "_BINARY_MD5", md5[BINARY_ARCHIVE]
    yield cifar10_files, "_RECORDS", described["images"]
    yield cifar10_files, "_DIGESTS", description.parent / "digests.json"


if __name__ == "__main__":
    for owner, name, value in changes(Path(sys.argv[1]), sys.argv[3]):
        setattr(owner, name, value)
    print("ready", flush=True)
    print(datasets.load_cifar10(Path(sys.argv[2])).fingerprint)
