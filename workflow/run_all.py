"""What `./run_all.sh` does: say which cells are needed, have Snakemake run them as papermill jobs, watch and report."""

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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from equinorm import data, provenance, results, tables
from equinorm.config import REPOSITORY, Profile, load_profile
from equinorm.experiments import Parameters
from equinorm.results import CellFiles
from watch import Watcher

_SECONDS_TO_STOP = 10


@dataclass(frozen=True)
class Where:
    """What depends on where the cells run."""

    options: list[str]  # for Snakemake
    threads: int  # for each cell
    seconds_to_stop: int  # a cluster must be told to cancel what it runs
    logs: str  # where a job says why it failed


def main(arguments: argparse.Namespace) -> int:
    try:
        profile = load_profile(arguments.profile)
        where = on_cluster(arguments) if arguments.cluster_profile else on_this_machine(arguments)
    except ValueError as error:
        return fail(str(error))
    outputs = Path(arguments.outputs or REPOSITORY / "outputs" / profile.name).resolve()
    if arguments.dry_run:
        grid, needed, summary_needed = plan(arguments, profile, outputs)
        for cell in needed:
            print(f"  {cell.variant}, p = {cell.p}: {grid.problems[cell.variant, cell.p]}")
        print("would make the summary" if summary_needed else "the summary is up to date")
        return 0
    try:
        with locked(outputs) as lock:  # first, so that what another has just made is seen
            remove_leftovers(outputs)
            grid, needed, summary_needed = plan(arguments, profile, outputs)
            if not summary_needed:
                print(f"nothing to do; the report is {shown(outputs / 'report.md')}")
                return 0
            check_writable(outputs, {outputs / "runs" / cell.variant for cell in needed})
            os.environ["ENORM_OUTPUTS"] = str(outputs)  # for Snakemake profiles
            return run(arguments, grid, outputs, needed, lock, where)
    except data.DataError as error:
        return fail(str(error))
    except BlockingIOError:
        return fail(f"{shown(outputs)}: another run_all.sh is at work there; wait for it or give another --outputs")
    except BrokenPipeError:
        raise
    except OSError as error:
        return fail(f"{error.filename or outputs}: cannot be used for outputs ({error.strerror})")


def plan(arguments: argparse.Namespace, profile: Profile, outputs: Path) -> tuple[tables.Grid, list[Parameters], bool]:
    """What there is, said in a line; the cells to train, and whether the summary has to be made."""
    grid = tables.collect(profile, outputs)
    needed = [cell for cell in profile.cells() if (cell.variant, cell.p) in grid.problems and not arguments.summary]
    cells, missing = len(profile.cells()), len(grid.problems)
    done = f"{cells - missing} of {cells} cells are done in {shown(outputs)}, {missing} missing"
    print(f"{profile.name}: {profile.title}. {done}.")
    return grid, needed, bool(needed) or not tables.summary_is_current(grid, outputs)


@contextlib.contextmanager
def locked(outputs: Path) -> Iterator[int]:
    """Hold the outputs folder; the file descriptor given is handed to Snakemake, so that the lock lives as long as it.

    Raises BlockingIOError where another holds it, OSError where it cannot be written.
    """
    (outputs / "runs").mkdir(parents=True, exist_ok=True)
    with (outputs / ".lock").open("w") as file:
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


def on_this_machine(arguments: argparse.Namespace) -> Where:
    """As many cells at once as it has room for. Raises ValueError where it has no such device."""
    gpu = provenance.resolve_device(arguments.device).type == "cuda"
    cores = os.cpu_count() or 1
    jobs = arguments.jobs or (1 if gpu else default_jobs(cores))
    threads = arguments.threads or max(1, cores // jobs)
    options = ["--cores", str(jobs * threads), "--jobs", str(jobs), "--quiet", "all"]  # a job says itself why it failed
    return Where(options, threads, seconds_to_stop=5, logs="")


def on_cluster(arguments: argparse.Namespace) -> Where:
    """What a Snakemake profile says, but for what the user says here. Raises ValueError where it cannot be used."""
    from cluster import find_profile  # takes seconds: it imports Snakemake

    profile = find_profile(arguments.cluster_profile)
    if not arguments.device.startswith("cuda"):  # whether there is a GPU is for each job to see on its node
        provenance.resolve_device(arguments.device)
    jobs = ["--jobs", str(arguments.jobs)] if arguments.jobs else []
    options = ["--workflow-profile", str(profile), *jobs, "--quiet", "host", "progress"]
    logs = " and the logs in .snakemake beside it"
    return Where(options, arguments.threads or 1, seconds_to_stop=60, logs=logs)


def run(
    arguments: argparse.Namespace,
    grid: tables.Grid,
    outputs: Path,
    needed: list[Parameters],
    lock: int,
    where: Where,
) -> int:
    """Train what is needed, then make the summary of what there is; the exit status."""
    profile = grid.profile
    images = count_images(profile.dataset) if needed else None  # finds missing and damaged data before anything starts
    for cell in needed:  # what cannot be used makes room, and is kept; Snakemake makes what is not there
        for old in results.set_aside(CellFiles(outputs / "runs", cell.variant, cell.p)):
            print(f"kept as {shown(old)}: {grid.problems[cell.variant, cell.p]}")
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "workflow" / "Snakefile"),
        "--directory", str(outputs), *where.options,
        "--keep-going", "--keep-incomplete", "--nolock", "--rerun-triggers", "mtime",
        "--config", f"profile={profile.name}", f"outputs={as_it_is(path_for_notebooks(outputs))}",
        f"device={arguments.device}", f"timeout={arguments.timeout}", f"threads={where.threads}",
        f"python={as_it_is(sys.executable)}", f"launcher={os.getpid()}", f"seconds_to_stop={where.seconds_to_stop}",
    ]  # fmt: skip
    failed = 0
    if needed:
        targets = [f"runs/{cell.variant}/p{cell.p:02d}.csv" for cell in needed]
        (outputs / ".needed").write_text("\n".join(targets))  # a command line is too short for a large grid
        with Watcher(profile, outputs, needed, images) as watcher:
            failed = call([*command, "--", "needed"], where, lock, watcher)
    (outputs / ".summary").unlink(missing_ok=True)
    failed = call([*command, "--", ".summary"], where, lock) or failed
    grid = tables.collect(profile, outputs)
    if arguments.summary and not failed:
        print(f"the report is {shown(outputs / 'report.md')}")
        return 0
    for problem in grid.problems.values():
        print(f"missing: {problem}", file=sys.stderr)
    if failed and not grid.problems:
        return fail(f"all results are there, but a notebook failed; see {shown(outputs / 'notebooks')}")
    if failed or grid.problems:
        return fail(f"{len(grid.problems)} of {len(profile.cells())} cells are missing; see the notebooks in "
                    f"{shown(outputs / 'notebooks')}{where.logs}. "
                    "What is done is kept; the same command goes on")  # fmt: skip
    print(f"done; the report is {shown(outputs / 'report.md')}")
    return 0


def count_images(name: str) -> tuple[int, int]:
    """How many images a data set has for training and for tests; it is downloaded where it is missing."""
    dataset = data.load(name)
    return len(dataset.train_labels), len(dataset.test_labels)


def default_jobs(cores: int) -> int:
    """One cell for each core, as memory allows: single-threaded cells share a machine best (`benchmarks/`)."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(cores, int(gibibytes / 2)))


def call(command: list[str], where: Where, lock: int, watcher: Watcher | None = None) -> int:
    """Run Snakemake to its end; whatever ends this, Snakemake and all its jobs end too."""
    process = subprocess.Popen(command, start_new_session=True, pass_fds=[lock])
    try:
        while process.poll() is None:
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
