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
from pathlib import Path

from equinorm import data, provenance, results, tables
from equinorm.config import REPOSITORY, Profile, load_profile
from equinorm.experiments import Parameters
from equinorm.results import CellFiles
from watch import Watcher

_SECONDS_TO_STOP = 10


def main(arguments: argparse.Namespace) -> int:
    try:
        profile = load_profile(arguments.profile)
        device = provenance.resolve_device(arguments.device)
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
            return run(arguments, grid, outputs, needed, lock, gpu=device.type == "cuda")
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


def run(
    arguments: argparse.Namespace, grid: tables.Grid, outputs: Path, needed: list[Parameters], lock: int, *, gpu: bool
) -> int:
    """Train what is needed, then make the summary of what there is; the exit status."""
    profile = grid.profile
    images = count_images(profile.dataset) if needed else None  # finds missing and damaged data before anything starts
    cores = os.cpu_count() or 1
    jobs = arguments.jobs or (1 if gpu else default_jobs(cores))
    threads = arguments.threads or max(1, cores // jobs)
    for cell in needed:  # what cannot be used makes room, and is kept; Snakemake makes what is not there
        for old in results.set_aside(CellFiles(outputs / "runs", cell.variant, cell.p)):
            print(f"kept as {shown(old)}: {grid.problems[cell.variant, cell.p]}")
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "workflow" / "Snakefile"),
        "--directory", str(outputs), "--cores", str(jobs * threads), "--jobs", str(jobs),
        "--keep-going", "--keep-incomplete", "--nolock", "--rerun-triggers", "mtime", "--quiet", "all",
        "--config", f"profile={profile.name}", f"outputs={as_it_is(path_for_notebooks(outputs))}",
        f"device={arguments.device}", f"timeout={arguments.timeout}", f"threads={threads}",
        f"gpu={int(gpu)}", f"python={as_it_is(sys.executable)}", f"launcher={os.getpid()}",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    failed = 0
    if needed:
        targets = [f"runs/{cell.variant}/p{cell.p:02d}.csv" for cell in needed]
        with Watcher(profile, outputs, needed, images) as watcher:
            failed = call([*command, "--", *targets], environment, lock, watcher)
    (outputs / ".summary").unlink(missing_ok=True)
    failed = call([*command, "--", ".summary"], environment, lock) or failed
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
                    f"{shown(outputs / 'notebooks')}. What is done is kept; the same command goes on")  # fmt: skip
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


def call(command: list[str], environment: dict[str, str], lock: int, watcher: Watcher | None = None) -> int:
    """Run Snakemake to its end; whatever ends this, Snakemake and all its jobs end too."""
    process = subprocess.Popen(command, env=environment, start_new_session=True, pass_fds=[lock])
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
        stop(process)


def stop(process: subprocess.Popen) -> None:
    """End a process and all that is left of its group: asked first, then killed."""
    with contextlib.suppress(ProcessLookupError):  # raised once the group is empty
        for sign in (signal.SIGINT, signal.SIGKILL):
            os.killpg(process.pid, sign)
            for _ in range(50):
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
