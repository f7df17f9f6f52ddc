"""What `./run_all.sh` does: say which cells are needed, have Snakemake run them as papermill jobs, watch and report."""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from reproduction.checkout import REPOSITORY
from reproduction.data import datasets
from reproduction.evidence import results, tables, whole
from reproduction.evidence.results import CellFiles
from reproduction.protocol.parameters import Parameters
from reproduction.protocol.profiles import Profile, load_profile
from workflow.batch import (
    Snakemake,
    check_writable,
    fail,
    in_outputs,
    outputs_folder,
    place,
    say_what_data_is_missing,
    shown,
)
from workflow.watch import Watcher, done_marker

NOT_USED = (
    "results that do not fit are kept and not used, and no report is made without them (but by --summary); "
    "--remake puts them aside and makes them again; or give another --outputs"
)


def main(arguments: argparse.Namespace) -> int:
    try:
        profile = load_profile(arguments.profile)
        check_notebooks(profile.repeats)
        placement = place(arguments)
    except ValueError as error:
        return fail(str(error))
    outputs = outputs_folder(arguments, profile.name)
    if arguments.dry_run:
        return say_what_would_run(arguments, plan(profile, outputs), outputs)

    def work(lock: int) -> int:
        grid = plan(profile, outputs)
        needed = cells_to_train(arguments, grid)
        if not needed and not grid.problems and not summary_needed(arguments, grid, outputs, needed):
            print(f"nothing to do; the report is {shown(outputs / 'report.md')}")
            return 0
        folders = {"runs", "notebooks", "tables", "figures"} | {f"runs/{cell.variant}" for cell in needed}
        check_writable(outputs / name for name in folders)
        return run(Snakemake("Snakefile", arguments, placement, outputs, lock), grid, needed)

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


def say_what_would_run(arguments: argparse.Namespace, grid: tables.Grid, outputs: Path) -> int:
    """Name each cell that has no valid result, and why; the exit status, 1 where the data could not be had."""
    for cell in grid.profile.in_order():
        if reason := grid.reason((cell.variant, cell.p)):
            print(f"  {cell.variant}, p = {cell.p}: {reason}")
    if grid.problems and not arguments.remake:
        print(NOT_USED)
    needed = cells_to_train(arguments, grid)
    print("would make the summary" if summary_needed(arguments, grid, outputs, needed) else "would make no summary")
    if not needed:
        return 0
    return say_what_data_is_missing(grid.profile.dataset, lambda: say_whether_data_is_other(grid, outputs))


def cells_to_train(arguments: argparse.Namespace, grid: tables.Grid) -> list[Parameters]:
    """The cells that have runs to train, each with the seeds of these; with --remake those that cannot be used too."""
    needed = []
    for cell in [] if arguments.summary else grid.profile.cells():
        key = (cell.variant, cell.p)
        seeds = cell.seeds if arguments.remake and key in grid.problems else grid.missing.get(key)
        if seeds:
            needed.append(cell.model_copy(update={"seeds": seeds}))
    return needed


def summary_needed(arguments: argparse.Namespace, grid: tables.Grid, outputs: Path, needed: list[Parameters]) -> bool:
    """Whether tables, figures and report are to be made. Never of part of what was there, unless that is asked for."""
    if arguments.summary or needed:
        return True
    from reproduction.evidence import report  # imports what draws figures, which takes a second

    is_there = whole.has_report(outputs) and report.summary_is_current(grid, outputs)
    return not grid.problems and not is_there


def run(snakemake: Snakemake, grid: tables.Grid, needed: list[Parameters]) -> int:
    """Train what is needed, then make the summary of what there is; the exit status."""
    arguments, outputs = snakemake.arguments, snakemake.outputs
    failed = 0
    if needed:
        dataset = datasets.load(grid.profile.dataset)  # finds missing and damaged data before anything starts
        images = len(dataset.train_labels), len(dataset.test_labels)
        if other := of_other_data(grid, dataset, outputs):
            return fail(other)
        if arguments.remake:
            put_aside(grid, outputs)
        with Watcher(grid.profile, outputs, needed, images) as watcher:
            failed = snakemake.make([done_marker(cell) for cell in needed], watcher.look, profile=grid.profile.name)
        grid = tables.collect(grid.profile, outputs)
    if arguments.summary and not grid.results:
        return fail(f"{shown(outputs)}: no run there can be used, so nothing is made of it; what is there stays")
    if summary_needed(arguments, grid, outputs, []):
        failed = snakemake.make([".summary"], profile=grid.profile.name) or failed
    if arguments.summary and not failed:
        print(f"the report is {shown(outputs / 'report.md')}")
        return 0
    return say_how_it_ended(grid, snakemake, failed)


def of_other_data(grid: tables.Grid, dataset: datasets.Dataset, outputs: Path) -> str:
    """A sentence where runs that are there are of other data than `dataset`; else empty."""
    others = {result.data for result in grid.results.values() if not result.is_of(dataset.about())}
    if not others:
        return ""
    return (
        f"{shown(outputs)}: its runs are of other data ({'; '.join(sorted(others))}; at hand: {dataset.description}), "
        "and no table mixes two; give another --outputs"
    )


def say_whether_data_is_other(grid: tables.Grid, outputs: Path) -> int:
    """For a dry run, where data is at hand; the exit status, 1 where runs that are there are of other data."""
    if not grid.results:
        return 0
    other = of_other_data(grid, datasets.load(grid.profile.dataset), outputs)
    return fail(other) if other else 0


def put_aside(grid: tables.Grid, outputs: Path) -> None:
    """Make room for new results in place of those that cannot be used; say where the old ones are."""
    for key, problem in grid.problems.items():
        for old in results.set_aside(CellFiles(outputs / "runs", *key)):
            print(f"kept as {shown(old)}: {problem}")


def say_how_it_ended(grid: tables.Grid, snakemake: Snakemake, failed: int) -> int:
    """Name what is missing; the exit status."""
    outputs = snakemake.outputs
    for variant, p in grid.missing:
        print(f"missing: {variant}, p = {p}: {grid.reason((variant, p))}", file=sys.stderr)
    for problem in grid.problems.values():
        print(f"not used: {problem}", file=sys.stderr)
    if grid.problems:
        print(NOT_USED, file=sys.stderr)
    if grid.missing:
        return fail(f"{len(grid.missing)} of {len(grid.profile.cells())} cells are not done; see the notebooks in "
                    f"{shown(outputs / 'notebooks')}{snakemake.placement.logs}. "
                    "What is done is kept; the same command goes on")  # fmt: skip
    if failed:
        return fail(f"all results are there, but a notebook failed; see {shown(outputs / 'notebooks')}")
    if grid.problems:
        return 1
    print(f"done; the report is {shown(outputs / 'report.md')}, to share it {shown(outputs / 'report.html')}")
    return 0
