"""What `./run_all.sh studies` does: have Snakemake execute the notebooks of studies without an up-to-date answer."""

import argparse
from pathlib import Path

from reproduction.data import datasets
from reproduction.evidence import answers, whole
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


def main(arguments: argparse.Namespace) -> int:
    for name in arguments.studies:
        if name not in answers.STUDIES:
            return fail(f"notebooks/studies/{name}.ipynb: has no title; add one to notebooks/studies/titles.yaml")
    if len(arguments.studies) == 1:  # one notebook, which trains several cells at once
        arguments.jobs = arguments.jobs or 1
    try:
        placement = place(arguments)
    except ValueError as error:
        return fail(str(error))
    outputs = outputs_folder(arguments, "studies")
    if arguments.dry_run:
        needed = plan(outputs, arguments.studies)
        for name in needed:
            print(f"  {name}")
        return say_what_data_is_missing("cifar10") if needed else 0

    def work(lock: int) -> int:
        needed = plan(outputs, arguments.studies)
        if not needed:
            return 0
        check_writable(outputs / name for name in ["notebooks", *needed])
        datasets.load("cifar10")  # finds missing and damaged data before anything starts
        snakemake = Snakemake("studies.smk", arguments, placement, outputs, lock)
        failed = snakemake.make([f"{name}/.executed" for name in needed], remake=arguments.remake)
        left = [name for name in needed if not is_done(outputs / name)]
        if failed or left:
            names, notebooks = ", ".join(left) or "a study", shown(outputs / "notebooks")
            hint = f"see the notebooks in {notebooks}{placement.logs}. What is done is kept; the same command goes on"
            return fail(f"{names}: no answer; {hint}")
        print(f"done; the answers are {shown(outputs)}/*/answer.md")
        return 0

    return in_outputs(outputs, work)


def plan(outputs: Path, studies: list[str]) -> list[str]:
    """Those of the studies to execute, cheap ones first; what there is, said in a line."""
    asked = [name for name in answers.STUDIES if name in studies]
    needed = [name for name in asked if not is_done(outputs / name)]
    total = len(asked)
    done = f"{total - len(needed)} of {total} are done in {shown(outputs)}"
    print(f"studies: {done}, {len(needed)} missing or out of date.")
    return needed


def is_done(folder: Path) -> bool:
    """Whether the study whose folder this is has an answer of today, with all of its files."""
    return whole.has_answer(folder) and answers.is_current(folder)
