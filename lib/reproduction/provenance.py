"""Where a result comes from: code, versions, device."""

import functools
import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

_LIBRARY = Path(__file__).parents[1]


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


def of_now(device: dict) -> dict[str, object]:
    """What a run that is trained now, on this `device` (`devices.describe_device`), is made with."""
    made = {"versions": versions(), "git_commit": git_commit(), "code_digest": code_digest()}
    return {"device": device, **made}


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_LIBRARY), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout.strip()
