"""Copies of this repository, as someone else would get it."""

import os
import subprocess
import sys
from pathlib import Path

from reproduction.checkout import REPOSITORY


def copy_checkout(folder: Path) -> Path:
    """Copy the repository's files to `folder`, less the outputs that are kept in it."""
    for name in _files():
        source, target = REPOSITORY / name, folder / name
        if source.is_file() and not name.startswith("outputs/"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)
    return folder


def _files() -> list[str]:
    """Those that git knows or would add; without git, as in an archive of the repository, those that it came with."""
    if (REPOSITORY / ".git").exists():
        listed = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(listed, capture_output=True, encoding="utf-8", check=True)
        return done.stdout.rstrip("\0").split("\0")
    made = {".venv", ".pytest_cache", ".ruff_cache", "__pycache__", "data", "outputs", "site"}
    relative = (path.relative_to(REPOSITORY) for path in REPOSITORY.rglob("*"))
    return [path.as_posix() for path in relative if not made & set(path.parts)]


def environment() -> dict[str, str]:
    """For starting a copy's ./run_all.sh: with this interpreter, without this repository's library, in plain ASCII."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ascii_locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return inherited | ascii_locale | {"PATH": path}


def run_all(checkout: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run the copy's ./run_all.sh to its end, from `cwd` (default: beside the copy)."""
    command = ["bash", str(checkout / "run_all.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=cwd or checkout.parent)


_NAMESPACE = ["unshare", "--map-root-user", "--mount", "bash", "-euc"]


def can_mount() -> bool:
    """Whether `with_mounts` works here: Linux, and user namespaces."""
    try:
        return subprocess.run([*_NAMESPACE, "mount -t tmpfs tmpfs /mnt"], capture_output=True).returncode == 0
    except OSError:
        return False


def with_mounts(script: str, **environment_: str) -> subprocess.CompletedProcess:
    """Run `script` where it can mount what it likes; the mounts end with it."""
    return subprocess.run(
        [*_NAMESPACE, script], capture_output=True, text=True, env=environment() | environment_, cwd="/"
    )
