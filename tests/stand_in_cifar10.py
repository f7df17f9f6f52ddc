"""A small archive of random images in the layout of CIFAR-10's, and torchvision told that it is CIFAR-10.

python tests/stand_in_cifar10.py <description.json> <root> <url>    loads it, and prints its fingerprint
"""

import hashlib
import io
import json
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np
from torchvision.datasets import CIFAR10

from equinorm import data

BATCHES = [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]


def write(folder: Path, images: int = 20) -> Path:
    """Write the archive to `folder`, and what `install` needs to a JSON beside it, whose path is returned."""
    generator = np.random.default_rng(0)
    files = {"batches.meta": {"label_names": list("abcdefghij")}}
    for name in BATCHES:
        pixels = generator.integers(256, size=(images, 3072), dtype=np.uint8)
        files[name] = {"data": pixels, "labels": generator.integers(10, size=images).tolist()}
    contents = {name: pickle.dumps(content) for name, content in files.items()}
    archive = folder / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    md5["archive"] = hashlib.md5(archive.read_bytes()).hexdigest()
    description = folder / "description.json"
    description.write_text(json.dumps(md5))
    return description


def attributes(description: Path, url: str) -> dict:
    """The class attributes of torchvision's CIFAR10 that make it this archive, to be had from `url`."""
    md5 = json.loads(description.read_text())
    return {
        "url": url,
        "tgz_md5": md5["archive"],
        "train_list": [[name, md5[name]] for name in BATCHES[:5]],
        "test_list": [["test_batch", md5["test_batch"]]],
        "meta": CIFAR10.meta | {"md5": md5["batches.meta"]},
    }


if __name__ == "__main__":
    for attribute, value in attributes(Path(sys.argv[1]), sys.argv[3]).items():
        setattr(CIFAR10, attribute, value)
    print("ready", flush=True)
    print(data.load_cifar10(Path(sys.argv[2])).fingerprint)
