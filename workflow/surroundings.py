"""What a batch run has around it: made here, not inherited, where it could change numbers, figures or the interpreter.

The rest of the environment is left as it is: clusters and GPUs need it.
"""

import atexit
import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LEFT_OUT = re.compile(
    r"ONEDNN|DNNL|MKL|ATEN|KMP_(?!DUPLICATE)|CUBLAS|TORCH|NVIDIA_TF32|NUMBA_(?!CACHE_DIR)"
    r"|PYTHON(?!(?:PATH|NOUSERSITE|USERBASE)$)|IPYTHON|JUPYTER|JPY|MPL|MATPLOTLIB"
)
"""Variables that begin so lower the precision of products, choose other kernels of a library, or configure Python,
Jupyter and matplotlib for their user. What says where packages are stays: a kernel finds those of its launcher."""

_SOCKET_PATH = 103  # bytes of a Unix socket's path: on macOS; on Linux 107
_BELOW = len("/enorm-12345678/kernel-12")


def clean(environment: dict[str, str]) -> dict[str, str]:
    """`environment` without what has no place in a batch run, and with text in UTF-8 whatever the locale."""
    kept = {name: value for name, value in environment.items() if not _LEFT_OUT.match(name)}
    return kept | {"PYTHONUTF8": "1"}


def for_notebook(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """`clean`, with IPython's and Jupyter's settings in `folder`, an empty one, so that none of their user's count."""
    settings = {"IPYTHONDIR": "ipython", "JUPYTER_CONFIG_DIR": "jupyter", "JUPYTER_DATA_DIR": "jupyter"}
    return clean(environment) | {name: str(folder / place) for name, place in settings.items()}


def cores() -> int:
    """How many cores this process may use: less than the machine has under taskset, cgroups and `docker --cpus`."""
    from joblib import cpu_count  # takes a tenth of a second; comes with scikit-learn

    return cpu_count()


def gibibytes() -> float:
    """How much memory this process may use: the machine's, or what a cgroup allows."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_memory_limits(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))]) / 2**30


def _memory_limits(mounted: Path, own: Path) -> list[int]:
    """The limits in bytes of this process's cgroup and those above it (version 2, or the controller of version 1)."""
    limits = []
    with contextlib.suppress(OSError):
        for line in own.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            root = mounted / "memory" if "memory" in controllers.split(",") else mounted
            place = root / path.lstrip("/")
            for folder in (place, *place.parents):
                for name in ("memory.max", "memory.limit_in_bytes"):
                    with contextlib.suppress(OSError, ValueError):  # not there, or "max"
                        limits.append(int((folder / name).read_text(encoding="utf-8")))
    return limits


def with_home(environment: dict[str, str]) -> dict[str, str]:
    """`environment` with a home, for what keeps caches there: a new temporary folder where the user has none that can
    be written, as in containers that run as another user."""
    home = Path(environment.get("HOME", ""))
    if environment.get("HOME") and home.is_dir() and os.access(home, os.W_OK | os.X_OK):
        return environment
    folder = tempfile.mkdtemp(prefix="enorm-home-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return environment | {"HOME": folder, "XDG_CACHE_HOME": str(Path(folder) / ".cache")}


def temporary_root() -> tuple[Path, bool]:
    """Where temporary folders go, and whether a socket's path fits below them (`temporary_folder`)."""
    usual = tempfile.gettempdir()
    for root in (usual, "/tmp", "/var/tmp"):
        if len(os.fsencode(root)) + _BELOW <= _SOCKET_PATH and os.access(root, os.W_OK | os.X_OK):
            return Path(root), True
    return Path(usual), False


@contextlib.contextmanager
def temporary_folder() -> Iterator[tuple[Path, bool]]:
    """A new temporary folder, and whether its path is short enough for sockets; those of runners that were killed,
    whose locks nobody holds, are removed first."""
    root, fits = temporary_root()
    for left in root.glob("enorm-*/.lock"):
        with contextlib.suppress(OSError), left.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent)
    with tempfile.TemporaryDirectory(prefix="enorm-", dir=root) as name:
        folder = Path(name)
        with (folder / ".unlocked").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / ".unlocked").rename(folder / ".lock")
            yield folder, fits
