"""Where a result comes from: code, versions, device."""

import functools
import hashlib
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

_LIBRARY = Path(__file__).parent


@functools.cache
def code_digest() -> str:
    """sha256 of this library's code: a label, by which a reader finds results of one state of it. It decides nothing:
    whether code still computes the same is what `revisions` says."""
    digest = hashlib.sha256()
    for path in sorted(_LIBRARY.rglob("*.py")):
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """The versions that matter to a run's numbers."""
    packages = {name: version(name) for name in ("torch", "torchvision", "numpy", "numba")}
    return {"python": platform.python_version(), **packages}


def resolve_device(name: str) -> torch.device:
    """The device called `name`; "auto" is a CUDA GPU where there is one, else the CPU. Raises ValueError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise ValueError(f"device = {name!r}: allowed are auto, cpu, cuda, cuda:0, cuda:1, ...") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device = {name!r}: allowed are auto, cpu, cuda, cuda:0, cuda:1, ...")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device = {name!r}: this machine has {torch.cuda.device_count()} CUDA GPUs")
    return device


def describe_device(device: torch.device) -> dict[str, str | int]:
    """Name and threads of `device`."""
    if device.type == "cuda":
        return {"type": "cuda", "name": torch.cuda.get_device_name(device)}
    return {
        "type": "cpu",
        "name": _processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count() or 0,
    }


def git_commit() -> str:
    """This checkout's commit, with "+changes" where tracked files of lib/ differ from it; "unknown" where no repository
    tracks the library, such as a download inside another project's."""
    try:
        if not _git("ls-files", "--", "."):
            return "unknown"
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_LIBRARY), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
