"""Where a result comes from: code, versions, device."""

import ast
import functools
import hashlib
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

_LIBRARY = Path(__file__).parent
_NUMERICAL_MODULES = (
    "balancing",
    "batch_norm",
    "cpu_kernels",
    "cuda_graphs",
    "data",
    "enorm",
    "evaluation",
    "measures",
    "models",
    "products",
    "randomness",
    "training",
)


@functools.cache
def code_digest() -> str:
    """sha256 of the code that determines a run's numbers: not of comments, docstrings or layout."""
    digest = hashlib.sha256()
    for module in _NUMERICAL_MODULES:
        tree = ast.parse((_LIBRARY / f"{module}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(getattr(node, "body", None), list):
                node.body = [statement for statement in node.body if not _is_text(statement)]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:16]


def library_digest() -> str:
    """sha256 of every file of this library, as it is, and of the summary notebook."""
    digest = hashlib.sha256()
    files = [path for path in _LIBRARY.rglob("*") if path.suffix in (".py", ".j2", ".json")]
    for path in [*sorted(files), _LIBRARY.parents[1] / "notebooks" / "summary.ipynb"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def equivalent_code_digests(variant: str) -> set[str]:
    """The digests of all code that gives a variant's numbers of today: today's, and those in equivalent_code.json."""
    earlier = json.loads((_LIBRARY / "equivalent_code.json").read_text())["equivalent"].get(code_digest(), {})
    return {code_digest(), *(digest for digest, why in earlier.items() if variant not in why["but_for"])}


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
    """This checkout's commit, with "+changes" where tracked files of lib/ differ from it; "unknown" outside git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_LIBRARY), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
