"""Make .venv from requirements.lock, once: what run_all.sh and run_tests.sh do where no environment is active.

    python -Es workflow/set_up.py            make it, unless it is there
    python -Es workflow/set_up.py --check    exit status 0 where it is there

Needs nothing but the standard library.
"""

import contextlib
import fcntl
import platform
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # with -E, PYTHONPATH does not count

from workflow.install_lock import InstallError, install, last_words

LOCK = ROOT / "requirements.lock"
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
DONE = ENVIRONMENT / "requirements.lock"  # a copy of the lock, written last: without it .venv is not used
LOG = ENVIRONMENT / "set_up.log"  # written first: a .venv without it is somebody else's
PLATFORMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}


class SetUpError(Exception):
    """Why there is no .venv, in sentences."""


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        return not is_ready()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup has it ignored
            signal.signal(number, signal.default_int_handler)
    try:
        with locked() as lock:
            if not is_ready():  # anew: another start may just have made it
                make(lock)
        return 0
    except InstallError as error:
        reason = f"{error} All that was said is in {ROOT / '.venv.log'}."
    except SetUpError as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "stopped. The next start begins anew."
    except OSError as error:
        reason = f"{error.filename or ROOT}: {error.strerror}. Without .venv, an environment that has the packages of "
        reason += "pyproject.toml must be active."
    say(f"No .venv was made: {reason}")
    return 1


def is_ready() -> bool:
    """Whether .venv was made from this lock to the end, and its interpreter is still there and finds its packages."""
    try:
        if DONE.read_bytes() != LOCK.read_bytes():
            return False
        return subprocess.run([PYTHON, "-Ic", "import packaging"], capture_output=True).returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def locked() -> Iterator[int]:
    """Hold the set-up. The file descriptor given is for pip to hold, too: it may outlive a killed set-up."""
    with (ROOT / ".venv.lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another start is setting up .venv; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def make(lock: int) -> None:
    """Make .venv, with uv where it is on the PATH; with pip where it is not, or fails."""
    here = (platform.system(), platform.machine())
    if here not in PLATFORMS:
        raise SetUpError(
            f"requirements.lock is for Linux (x86_64, aarch64) and macOS (arm64); this is {' '.join(here)}, for which "
            "there is no current PyTorch. Activate an environment that has the packages of pyproject.toml."
        )
    make_room()
    uv = shutil.which("uv")
    tools = f"Python {platform.python_version()}{' and uv' if uv else ''}"
    say(f"Setting up .venv from requirements.lock with {tools}, once: some minutes, and about 6 GB on Linux.")
    start = time.monotonic()
    try:
        if not (uv and filled_by(uv, lock)):
            make_empty_environment()
            add_pip()
            install(LOCK, PYTHON, None, LOG, lock)
        DONE.write_bytes(LOCK.read_bytes())
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.copy(LOG, ROOT / ".venv.log")
        with contextlib.suppress(OSError):
            clear()  # half an environment is of no use, and gigabytes
        raise
    say(f"Done in {time.monotonic() - start:.0f} s: {ENVIRONMENT}")


def filled_by(uv: str, lock: int) -> bool:
    """Whether uv could do it; pip is then added, where there is one, for whoever wants to install more."""
    make_empty_environment()
    try:
        install(LOCK, PYTHON, uv, LOG, lock)
    except InstallError as error:
        say(f"{error} Now with pip.")
        return False
    with contextlib.suppress(SetUpError):
        add_pip()
    return True


def make_room() -> None:
    """Have .venv be empty or not there. What others made is kept, and what a symbolic link leads to is not touched."""
    if ENVIRONMENT.is_symlink():
        target = ENVIRONMENT.resolve()
        if not target.is_dir() or any(target.iterdir()):
            raise SetUpError(
                f"{ENVIRONMENT} is a symbolic link to {target}, which is neither an environment of this "
                "requirements.lock nor an empty folder. Nothing there is touched: remove the link or empty the folder."
            )
    elif LOG.exists():
        clear()
    elif ENVIRONMENT.exists() and not (ENVIRONMENT.is_dir() and not any(ENVIRONMENT.iterdir())):
        kept = next(path for n in range(1, 1000) if not (path := ROOT / f".venv.{n}").exists())
        ENVIRONMENT.rename(kept)
        say(f"{ENVIRONMENT} was not made by run_all.sh, or not to its end; it is kept as {kept.name}.")


def clear() -> None:
    """Empty .venv, which this program made or found empty; the log goes last, since it says whose the rest is."""
    for path in ENVIRONMENT.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != LOG:
            path.unlink()
    LOG.unlink(missing_ok=True)


def make_empty_environment() -> None:
    """An environment without any package in place of what this program had in .venv."""
    ENVIRONMENT.mkdir(exist_ok=True)
    clear()
    LOG.touch()
    try:
        venv.EnvBuilder(symlinks=True).create(ENVIRONMENT.resolve())  # not a link, which it would refuse
    except ValueError as error:  # a colon in its path
        raise SetUpError(f"{error}.") from error


def add_pip() -> None:
    """Install the pip that this Python brings. Raises SetUpError where it brings none."""
    done = subprocess.run(
        [PYTHON, "-Im", "ensurepip", "--default-pip"], capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode:
        missing = "No module named" in done.stderr
        mend = f" On Debian and Ubuntu, `apt install python3.{sys.version_info.minor}-venv` mends that." * missing
        raise SetUpError(f"{sys.executable} cannot install pip: {last_words(done.stdout + done.stderr)}{mend}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
