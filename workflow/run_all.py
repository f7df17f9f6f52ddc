"""What `./run_all.sh` does: say which cells are needed, have Snakemake run them as papermill jobs, watch and report."""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from batch import Where, call, check_writable, command, fail, in_outputs, on_cluster, on_this_machine, shown
from equinorm import data, results, tables
from equinorm.config import REPOSITORY, Profile, load_profile
from equinorm.experiments import Parameters
from equinorm.results import CellFiles
from watch import Watcher


def main(arguments: argparse.Namespace) -> int:
    try:
        profile = load_profile(arguments.profile)
        check_notebooks(profile.repeats)
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

    def work(lock: int) -> int:
        grid, needed, summary_needed = plan(arguments, profile, outputs)  # anew: another may just have made some
        if not summary_needed:
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
        trained = re.findall(r'\bvariant=\\"(\w+)\\"', notebook.read_text())
        if trained and variant not in trained:
            raise ValueError(
                f"{shown(notebook)}: trains {trained[0]}; the variant in its training cell must be {variant}"
            )


def plan(arguments: argparse.Namespace, profile: Profile, outputs: Path) -> tuple[tables.Grid, list[Parameters], bool]:
    """What there is, said in a line; the cells to train, and whether the summary has to be made."""
    grid = tables.collect(profile, outputs)
    needed = [cell for cell in profile.cells() if (cell.variant, cell.p) in grid.problems and not arguments.summary]
    cells, missing = len(profile.cells()), len(grid.problems)
    done = f"{cells - missing} of {cells} cells are done in {shown(outputs)}, {missing} missing"
    print(f"{profile.name}: {profile.title}. {done}.")
    return grid, needed, bool(needed) or not tables.summary_is_current(grid, outputs)


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
    start = command("Snakefile", arguments, outputs, where, profile=profile.name)
    failed = 0
    if needed:
        targets = [f"runs/{cell.variant}/p{cell.p:02d}.csv" for cell in needed]
        (outputs / ".needed").write_text("\n".join(targets))  # a command line is too short for a large grid
        with Watcher(profile, outputs, needed, images) as watcher:
            failed = call([*start, "--", "needed"], where, lock, watcher)
    (outputs / ".summary").unlink(missing_ok=True)
    failed = call([*start, "--", ".summary"], where, lock) or failed
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
