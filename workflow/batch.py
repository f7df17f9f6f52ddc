"""Snakemake in an outputs folder: where its jobs run, what they are told, and what can go wrong with the folder."""

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from reproduction.checkout import REPOSITORY
from reproduction.data import datasets
from reproduction.training import devices
from workflow import processes, surroundings


@dataclass(frozen=True)
class Placement:
    """Where cells run, and what depends on that."""

    options: list[str]  # of Snakemake
    threads: int  # of each cell
    seconds_to_stop: int  # after Ctrl-C; a cluster must be told to cancel what it runs
    logs: str = ""  # where a job says why it failed, beside its notebook


def place(arguments: argparse.Namespace) -> Placement:
    """On a cluster where one is named, else on this machine. Raises ValueError where that cannot be."""
    return _on_cluster(arguments) if arguments.cluster else _on_this_machine(arguments)


def _on_this_machine(arguments: argparse.Namespace) -> Placement:
    gpu = devices.resolve_device(arguments.device).type == "cuda"
    cores = surroundings.cores()
    # Single-threaded cells share a machine best (`benchmarks/`).
    room = 1 if gpu else max(1, min(cores, int(surroundings.gibibytes() / 2)))
    jobs = arguments.jobs or room
    threads = arguments.threads or max(1, cores // jobs)
    options = ["--cores", str(jobs * threads), "--jobs", str(jobs), "--quiet", "all"]  # a job says itself why it failed
    return Placement(options, threads, seconds_to_stop=5)


def _on_cluster(arguments: argparse.Namespace) -> Placement:
    from workflow.cluster import find_profile  # takes seconds: it imports Snakemake

    profile = find_profile(arguments.cluster)
    if not arguments.device.startswith("cuda"):  # whether there is a GPU is for each job to see on its node
        devices.resolve_device(arguments.device)
    jobs = ["--jobs", str(arguments.jobs)] if arguments.jobs else []
    options = ["--workflow-profile", str(profile), *jobs, "--quiet", "host", "progress"]
    logs = " and the logs in .snakemake beside it"
    return Placement(options, arguments.threads or 1, seconds_to_stop=60, logs=logs)


@dataclass(frozen=True)
class Snakemake:
    """Calls of Snakemake in an outputs folder that this process holds."""

    snakefile: str
    arguments: argparse.Namespace
    placement: Placement
    outputs: Path
    lock: int

    def make(self, markers: list[str], meanwhile: Callable[[], None] = lambda: None, **config: object) -> int:
        """Run the jobs that leave these `markers`, files in the outputs folder; Snakemake's exit status.

        The jobs are told `config` in a file, since a command line is too short for a large grid. `meanwhile` is called
        twice a second. Raises SystemExit where Snakemake was killed.
        """
        for marker in markers:
            (self.outputs / marker).unlink(missing_ok=True)
        seconds = self.placement.seconds_to_stop
        config_file = self.outputs / ".jobs.json"
        config |= {"needed": markers, "launcher": os.getpid(), "seconds_to_stop": seconds} | self._for_notebooks()
        config_file.write_text(json.dumps(config), encoding="utf-8")
        command = [
            sys.executable, "-P", "-m", "snakemake", "--snakefile", str(REPOSITORY / "workflow" / self.snakefile),
            "--directory", str(self.outputs), "--configfile", str(config_file), *self.placement.options,
            "--keep-going", "--keep-incomplete", "--nolock", "--rerun-triggers", "mtime", "--", "needed",
        ]  # fmt: skip
        status = processes.run_group(command, self.lock, seconds, meanwhile)
        if status < 0:
            killed_by = signal.Signals(-status).name
            said = f"Snakemake was killed ({killed_by}); what is done is kept, and the same command goes on"
            raise SystemExit(fail(said))
        return status

    def _for_notebooks(self) -> dict[str, object]:
        """How all jobs run their notebooks. A path inside the repository is relative to it, so that executed notebooks
        name no path of this machine."""
        inside = self.outputs.is_relative_to(REPOSITORY)
        runner = [sys.executable, str(REPOSITORY / "workflow" / "run_notebook.py")]
        return {
            "run_notebook": shlex.join([*runner, "--stop-with-parent", "--timeout", str(self.arguments.timeout)]),
            "outputs": str(self.outputs.relative_to(REPOSITORY) if inside else self.outputs),
            "device": self.arguments.device,
            "threads": self.placement.threads,
        }


def outputs_folder(arguments: argparse.Namespace, name: str) -> Path:
    return Path(arguments.outputs or REPOSITORY / "outputs" / name).resolve()


def in_outputs(outputs: Path, work: Callable[[int], int]) -> int:
    """Call `work` with the lock of the outputs folder; its exit status, or 1 after saying in a sentence what failed."""
    try:
        with processes.locked(outputs) as lock:
            os.environ["ENORM_OUTPUTS"] = str(outputs)  # for Snakemake profiles
            return work(lock)
    except datasets.DataError as error:
        return fail(str(error))
    except BlockingIOError:
        return fail(f"{shown(outputs)}: another run_all.sh is at work there; wait for it or give another --outputs")
    except OSError as error:
        if error.filename is None:  # not about a file: no more file handles, a full or closed standard output, ...
            raise
        return fail(f"{error.filename}: cannot be used for outputs ({error.strerror})")


def check_writable(folders: Iterable[Path]) -> None:
    """Raise OSError naming the first folder that cannot be written, before hours of work go into it."""
    for folder in sorted(folders):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder)) from error


def shown(path: Path) -> str:
    """A path as the user would type it from where they are."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def say_what_data_is_missing(dataset: str, of_what_is_there: Callable[[], int] = lambda: 0) -> int:
    """For a dry run; the exit status, 1 where it could not be had, and where it is at hand that of the function."""
    try:
        missing = datasets.what_is_missing(dataset)
        if not missing:
            return of_what_is_there()
    except datasets.DataError as error:
        return fail(str(error))
    print(missing)
    return 0


def fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1
