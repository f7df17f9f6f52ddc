"""One call of Snakemake in an outputs folder: where its jobs run, the folder's lock, and how all of it is stopped."""

import argparse
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import stopping
import surroundings
from reproduction.checkout import REPOSITORY
from reproduction.data import datasets
from reproduction.training import devices
from watch import Watcher

_SECONDS_TO_STOP = 10


@dataclass(frozen=True)
class Where:
    """What depends on where the cells run."""

    options: list[str]  # for Snakemake
    threads: int  # for each cell
    seconds_to_stop: int  # a cluster must be told to cancel what it runs
    logs: str  # where a job says why it failed


def on_this_machine(arguments: argparse.Namespace) -> Where:
    """As many cells at once as it has room for. Raises ValueError where it has no such device."""
    gpu = devices.resolve_device(arguments.device).type == "cuda"
    cores = surroundings.cores()
    jobs = arguments.jobs or (1 if gpu else default_jobs(cores))
    threads = arguments.threads or max(1, cores // jobs)
    options = ["--cores", str(jobs * threads), "--jobs", str(jobs), "--quiet", "all"]  # a job says itself why it failed
    return Where(options, threads, seconds_to_stop=5, logs="")


def on_cluster(arguments: argparse.Namespace) -> Where:
    """What a Snakemake profile says, but for what the user says here. Raises ValueError where it cannot be used."""
    from cluster import find_profile  # takes seconds: it imports Snakemake

    profile = find_profile(arguments.cluster)
    if not arguments.device.startswith("cuda"):  # whether there is a GPU is for each job to see on its node
        devices.resolve_device(arguments.device)
    jobs = ["--jobs", str(arguments.jobs)] if arguments.jobs else []
    options = ["--workflow-profile", str(profile), *jobs, "--quiet", "host", "progress"]
    logs = " and the logs in .snakemake beside it"
    return Where(options, arguments.threads or 1, seconds_to_stop=60, logs=logs)


def default_jobs(cores: int) -> int:
    """One cell for each core, as memory allows: single-threaded cells share a machine best (`benchmarks/`)."""
    return max(1, min(cores, int(surroundings.gibibytes() / 2)))


def in_outputs(outputs: Path, work: Callable[[int], int]) -> int:
    """Call `work` with the lock of the outputs folder; its exit status, or 1 after saying in a sentence what failed."""
    try:
        with locked(outputs) as lock:
            remove_leftovers(outputs)
            os.environ["ENORM_OUTPUTS"] = str(outputs)  # for Snakemake profiles
            return work(lock)
    except datasets.DataError as error:
        return fail(str(error))
    except BlockingIOError:
        return fail(f"{shown(outputs)}: another run_all.sh is at work there; wait for it or give another --outputs")
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None:  # not about a file: no more file handles, a full standard output, ...
            raise
        return fail(f"{error.filename}: cannot be used for outputs ({error.strerror})")


@contextlib.contextmanager
def locked(outputs: Path) -> Iterator[int]:
    """Hold the outputs folder; the file descriptor given is handed to Snakemake, so that the lock lives as long as it.

    Raises BlockingIOError where another holds it, OSError where it cannot be written.
    """
    (outputs / "runs").mkdir(parents=True, exist_ok=True)
    with (outputs / ".lock").open("w", encoding="utf-8") as file:
        for attempt in range(_SECONDS_TO_STOP, -1, -1):  # of a launcher that was killed, Snakemake is still stopping
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not attempt:
                    raise
                time.sleep(1)
        yield file.fileno()


def remove_leftovers(outputs: Path) -> None:
    """Remove what writers that were killed had not finished (`files.atomically`)."""
    for path in outputs.rglob(".*.tmp"):
        path.unlink()


def check_writable(outputs: Path, folders: set[Path]) -> None:
    """Raise OSError naming the first folder that cannot be written, before hours of work go into it."""
    for folder in sorted(folders | {outputs / name for name in ("runs", "notebooks", "tables", "figures")}):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder)) from error


def command(snakefile: str, arguments: argparse.Namespace, outputs: Path, where: Where, **config: str) -> list[str]:
    """Snakemake's command line for `snakefile`, up to its targets."""
    return [
        sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "workflow" / snakefile),
        "--directory", str(outputs), *where.options,
        "--keep-going", "--keep-incomplete", "--nolock", "--rerun-triggers", "mtime",
        "--config", *(f"{name}={value}" for name, value in config.items()),
        f"outputs={as_it_is(path_for_notebooks(outputs))}", f"device={arguments.device}",
        f"timeout={arguments.timeout}", f"threads={where.threads}", f"python={as_it_is(sys.executable)}",
        f"launcher={os.getpid()}", f"seconds_to_stop={where.seconds_to_stop}",
    ]  # fmt: skip


def call(command: list[str], where: Where, lock: int, watcher: Watcher | None = None) -> int:
    """Run Snakemake to its end; whatever ends this, Snakemake and all its jobs end too."""
    process = subprocess.Popen(command, start_new_session=True, pass_fds=[lock])
    try:
        while process.poll() is None:
            if stopping.requested:
                raise KeyboardInterrupt
            if watcher:
                watcher.look()
            time.sleep(0.5)
        if process.returncode < 0:
            killed_by = signal.Signals(-process.returncode).name
            raise SystemExit(
                fail(f"Snakemake was killed ({killed_by}); what is done is kept, and the same command goes on")
            )
        return process.returncode
    except KeyboardInterrupt:
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, signal.SIG_IGN)  # once is enough
        raise
    finally:
        stop(process, where.seconds_to_stop)


def stop(process: subprocess.Popen, seconds: int) -> None:
    """End a process and all that is left of its group: asked first, then killed."""
    with contextlib.suppress(ProcessLookupError):  # raised once the group is empty
        for sign, patience in ((signal.SIGINT, seconds), (signal.SIGKILL, 5)):
            os.killpg(process.pid, sign)
            for _ in range(10 * patience):
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(0.1)


def as_it_is(text: str) -> str:
    """`text` for Snakemake's --config, which reads values as YAML less their quotes ("a #1" would be "a"): a list."""
    return json.dumps([text], ensure_ascii=False)


def path_for_notebooks(outputs: Path) -> str:
    """Relative to the repository where it is inside, so that executed notebooks name no path of this machine."""
    return str(outputs.relative_to(REPOSITORY)) if outputs.is_relative_to(REPOSITORY) else str(outputs)


def shown(path: Path) -> str:
    """A path as the user would type it from where they are."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1
