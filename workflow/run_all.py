"""What `./run_all.sh` does: say which cells are needed, have Snakemake run them as papermill jobs, watch and report."""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from batch import Where, call, check_writable, command, fail, in_outputs, on_cluster, on_this_machine, shown
from reproduction.checkout import REPOSITORY
from reproduction.data import datasets
from reproduction.evidence import report, results, tables
from reproduction.evidence.results import CellFiles
from reproduction.protocol.parameters import Parameters
from reproduction.protocol.profiles import Profile, load_profile
from watch import Watcher

NOT_USED = (
    "results that do not fit are kept and not used, and no report is made without them (but by --summary); "
    "--remake puts them aside and makes them again; or give another --outputs"
)


def main(arguments: argparse.Namespace) -> int:
    try:
        profile = load_profile(arguments.profile)
        check_notebooks(profile.repeats)
        where = on_cluster(arguments) if arguments.cluster else on_this_machine(arguments)
    except ValueError as error:
        return fail(str(error))
    outputs = Path(arguments.outputs or REPOSITORY / "outputs" / profile.name).resolve()
    if arguments.dry_run:
        grid = plan(profile, outputs)
        for cell in profile.cells():
            if reason := grid.reason((cell.variant, cell.p)):
                print(f"  {cell.variant}, p = {cell.p}: {reason}")
        if grid.problems and not arguments.remake:
            print(NOT_USED)
        needed = cells_to_train(arguments, grid)
        print("would make the summary" if summary_needed(arguments, grid, outputs, needed) else "would make no summary")
        return 0

    def work(lock: int) -> int:
        grid = plan(profile, outputs)  # anew: another may just have made some
        needed = cells_to_train(arguments, grid)
        if not needed and not grid.problems and not summary_needed(arguments, grid, outputs, needed):
            print(f"nothing to do; the report is {shown(outputs / 'report.md')}")
            return 0
        check_writable(outputs, {outputs / "runs" / cell.variant for cell in needed})
        return run(arguments, grid, outputs, needed, lock, where)

    return in_outputs(outputs, work)


def check_notebooks(variants: Iterable[str], folder: Path = REPOSITORY / "notebooks") -> None:
    """Raise ValueError for a variant without a notebook, or whose notebook, a copy, trains the variant it was of."""
    for variant in variants:
        notebook = folder / f"{variant}.ipynb"
        if not notebook.is_file():
            raise ValueError(f"{shown(notebook)} is missing; the variant {variant} needs a notebook of that name")
        trained = re.findall(r'\bvariant=\\"(\w+)\\"', notebook.read_text(encoding="utf-8"))
        if trained and variant not in trained:
            raise ValueError(
                f"{shown(notebook)}: trains {trained[0]}; the variant in its training cell must be {variant}"
            )


def plan(profile: Profile, outputs: Path) -> tables.Grid:
    """What there is, said in a line."""
    grid = tables.collect(profile, outputs)
    done, missing = grid.runs_done, grid.runs_missing
    said = f"{done} of {done + missing} runs are done in {shown(outputs)}, {missing} missing"
    print(f"{profile.name}: {profile.title}. {said}.")
    return grid


def cells_to_train(arguments: argparse.Namespace, grid: tables.Grid) -> list[Parameters]:
    """The cells that have runs to train, each with the seeds of these; with --remake those that cannot be used too."""
    if arguments.summary:
        return []
    todo = dict(grid.missing)
    if arguments.remake:
        todo |= {(cell.variant, cell.p): cell.seeds for cell in grid.profile.cells()
                 if (cell.variant, cell.p) in grid.problems}  # fmt: skip
    return [
        cell.model_copy(update={"seeds": todo[cell.variant, cell.p]})
        for cell in grid.profile.cells()
        if (cell.variant, cell.p) in todo
    ]


def summary_needed(arguments: argparse.Namespace, grid: tables.Grid, outputs: Path, needed: list[Parameters]) -> bool:
    """Whether tables, figures and report are to be made. Never of part of what was there, unless that is asked for."""
    if arguments.summary or needed:
        return True
    return not grid.problems and not report.summary_is_current(grid, outputs)


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
    if arguments.remake and not arguments.summary:
        for key, problem in grid.problems.items():
            for old in results.set_aside(CellFiles(outputs / "runs", *key)):
                print(f"kept as {shown(old)}: {problem}")
    start = command("Snakefile", arguments, outputs, where, profile=profile.name)
    failed = 0
    if needed:
        targets = [f"runs/{cell.variant}/.p{cell.p:02d}.done" for cell in needed]
        for target in targets:
            (outputs / target).unlink(missing_ok=True)
        # A file, for a command line is too short for a large grid.
        (outputs / ".needed").write_text("\n".join(targets), encoding="utf-8")
        with Watcher(profile, outputs, needed, images) as watcher:
            failed = call([*start, "--", "needed"], where, lock, watcher)
        for target in targets:
            (outputs / target).unlink(missing_ok=True)
        grid = tables.collect(profile, outputs)
    if arguments.summary and not grid.results:
        return fail(f"{shown(outputs)}: no run there can be used, so nothing is made of it; what is there stays")
    if summary_needed(arguments, grid, outputs, []):
        (outputs / ".summary").unlink(missing_ok=True)
        failed = call([*start, "--", ".summary"], where, lock) or failed
    if arguments.summary and not failed:
        print(f"the report is {shown(outputs / 'report.md')}")
        return 0
    return say_how_it_ended(grid, outputs, where, failed)


def say_how_it_ended(grid: tables.Grid, outputs: Path, where: Where, failed: int) -> int:
    """Name what is missing; the exit status."""
    for variant, p in grid.missing:
        print(f"missing: {variant}, p = {p}: {grid.reason((variant, p))}", file=sys.stderr)
    for problem in grid.problems.values():
        print(f"not used: {problem}", file=sys.stderr)
    if grid.problems:
        print(NOT_USED, file=sys.stderr)
    if grid.missing:
        return fail(f"{len(grid.missing)} of {len(grid.profile.cells())} cells are not done; see the notebooks in "
                    f"{shown(outputs / 'notebooks')}{where.logs}. "
                    "What is done is kept; the same command goes on")  # fmt: skip
    if failed:
        return fail(f"all results are there, but a notebook failed; see {shown(outputs / 'notebooks')}")
    if grid.problems:
        return 1
    print(f"done; the report is {shown(outputs / 'report.md')}, to share it {shown(outputs / 'report.html')}")
    return 0


def count_images(name: str) -> tuple[int, int]:
    """How many images a data set has for training and for tests; it is downloaded where it is missing."""
    dataset = datasets.load(name)
    return len(dataset.train_labels), len(dataset.test_labels)
