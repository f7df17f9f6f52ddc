"""Run all cells of a profile that have no valid result yet, then its summary.

Snakemake schedules the cells, one papermill job each; this script says which are needed, watches and reports. It can be
stopped at any moment: what is done is kept, and a cell that was cut off goes on from its last whole epoch.
"""

import argparse
import contextlib
import fcntl
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
from equinorm.results import CellFiles
from watch import Watcher


@dataclass(frozen=True)
class Where:
    """What depends on where the cells run."""

    options: list[str]  # for Snakemake
    threads: int  # for each cell
    seconds_to_stop: float  # a cluster must be told to cancel what it runs
    logs: str  # where a job says why it failed


def main() -> int:
    arguments = parse_arguments()
    try:
        profile = load_profile(arguments.profile)
        where = on_cluster(arguments) if arguments.cluster_profile else on_this_machine(arguments)
    except ValueError as error:
        return fail(str(error))
    outputs = Path(arguments.outputs or REPOSITORY / "outputs" / profile.name).resolve()
    grid = tables.collect(profile, outputs)
    needed = [cell for cell in profile.cells() if (cell.variant, cell.p) in grid.problems and not arguments.summary]
    summary_needed = bool(needed) or not tables.summary_is_current(grid, outputs)
    report_plan(profile, grid, shown(outputs))
    if arguments.dry_run:
        for cell in needed:
            print(f"  {cell.variant}, p = {cell.p}: {grid.problems[cell.variant, cell.p]}")
        print("would make the summary" if summary_needed else "the summary is up to date")
        return 0
    if not summary_needed:
        print(f"nothing to do; the report is {shown(outputs / 'report.md')}")
        return 0
    try:
        if needed:
            data.load(profile.dataset)  # downloads where needed, and finds damaged files, before anything starts
        os.environ["ENORM_OUTPUTS"] = str(outputs)  # for Snakemake profiles
        with locked(outputs) as lock:
            return run(arguments, grid, outputs, needed, lock, where)
    except data.DataError as error:
        return fail(str(error))
    except BlockingIOError:
        return fail(f"{shown(outputs)}: another run_all.sh is at work there; wait for it or give another --outputs")
    except OSError as error:
        return fail(f"{error.filename or outputs}: cannot be used for outputs ({error.strerror})")


@contextlib.contextmanager
def locked(outputs: Path) -> Iterator[int]:
    """Hold the outputs folder; the file descriptor given is handed to Snakemake, so that the lock lives as long as it.

    Raises BlockingIOError where another holds it, OSError where it cannot be written.
    """
    (outputs / "runs").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=outputs / "runs"), (outputs / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file.fileno()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run_all.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(sorted(path.stem for path in (REPOSITORY / "config").glob("*.yaml")))
    parser.add_argument("profile", help=f"what to run: {names} (config/*.yaml)")
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would run, and run nothing")
    parser.add_argument("--summary", action="store_true", help="only make tables, figures and report of what is there")
    parser.add_argument("--outputs", help="where results go (default: outputs/<profile>)")
    parser.add_argument("--device", default="auto", help="auto (a CUDA GPU where there is one), cpu, cuda, cuda:1, ...")
    parser.add_argument(
        "--jobs", type=whole_number, help="cells at once (default: one for each core, 2 GiB needed each)"
    )
    parser.add_argument(
        "--threads",
        type=whole_number,
        help="CPU threads for each cell, whatever OMP_NUM_THREADS says (default: cores / jobs)",
    )
    parser.add_argument("--timeout", type=whole_number, default=0, help="seconds a notebook cell may take")
    parser.add_argument(
        "--profile",
        dest="cluster_profile",
        metavar="NAME|FOLDER",
        help="a Snakemake profile, to run the cells on a cluster: slurm, kubernetes or your own (workflow/README.md)",
    )
    return parser.parse_args()


def whole_number(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"is {text!r}; allowed are whole numbers from 1")
    return int(text)


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


def run(arguments: argparse.Namespace, grid: tables.Grid, outputs: Path, needed: list, lock: int, where: Where) -> int:
    """Train what is needed, then make the summary of what there is; the exit status."""
    profile = grid.profile
    for cell in needed:  # what cannot be used makes room, and is kept; Snakemake makes what is not there
        for old in results.set_aside(CellFiles(outputs / "runs", cell.variant, cell.p)):
            print(f"kept as {shown(old)}: {grid.problems[cell.variant, cell.p]}")
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "workflow" / "Snakefile"),
        "--directory", str(outputs), *where.options,
        "--keep-going", "--nolock", "--rerun-triggers", "mtime",
        "--config", f"profile={profile.name}", f"outputs={path_for_notebooks(outputs)}", f"device={arguments.device}",
        f"timeout={arguments.timeout}", f"threads={where.threads}", f"python={sys.executable}",
    ]  # fmt: skip
    failed = 0
    if needed:
        targets = [f"runs/{cell.variant}/p{cell.p:02d}.csv" for cell in needed]
        (outputs / ".needed").write_text("\n".join(targets))  # a command line is too short for a large grid
        with Watcher(profile, outputs, needed) as watcher:
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
        return fail(f"the summary failed; see {shown(outputs / 'notebooks' / 'summary.ipynb')}")
    if failed or grid.problems:
        return fail(f"{len(grid.problems)} of {len(profile.cells())} cells are missing; see the notebooks in "
                    f"{shown(outputs / 'notebooks')}{where.logs}. "
                    "What is done is kept; the same command goes on")  # fmt: skip
    print(f"done; the report is {shown(outputs / 'report.md')}")
    return 0


def default_jobs(cores: int) -> int:
    """One cell for each core, as memory allows: single-threaded cells share a machine best (`benchmarks/`)."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(cores, int(gibibytes / 2)))


def call(command: list[str], where: Where, lock: int, watcher: Watcher | None = None) -> int:
    """Run Snakemake to its end; on Ctrl-C, SIGTERM or a closed terminal stop it with all its jobs, and end."""
    process = subprocess.Popen(command, start_new_session=True, pass_fds=[lock])
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.default_int_handler)
    try:
        while process.poll() is None:
            if watcher:
                watcher.look()
            time.sleep(0.5)
        return process.returncode
    except KeyboardInterrupt:
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, signal.SIG_IGN)  # once is enough
        stop(process, where.seconds_to_stop)
        raise SystemExit(fail("stopped; what is done is kept, and the same command goes on")) from None


def stop(process: subprocess.Popen, seconds: float) -> None:
    """End a process and all it started: asked first, then killed."""
    for sign, patience in ((signal.SIGINT, seconds), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sign)
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


def report_plan(profile: Profile, grid: tables.Grid, outputs: str) -> None:
    cells, missing = len(profile.cells()), len(grid.problems)
    print(
        f"{profile.name}: {profile.title}. {cells - missing} of {cells} cells are done in {outputs}, {missing} missing."
    )


def path_for_notebooks(outputs: Path) -> str:
    """Relative to the repository where it is inside, so that executed notebooks name no path of this machine."""
    return str(outputs.relative_to(REPOSITORY)) if outputs.is_relative_to(REPOSITORY) else str(outputs)


def shown(path: Path) -> str:
    """A path as the user would type it from where they are."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
