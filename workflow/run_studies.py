"""What `./run_all.sh studies` does: have Snakemake execute the notebook of each study that has no answer of today."""

import argparse
from pathlib import Path

from batch import call, check_writable, command, fail, in_outputs, on_cluster, on_this_machine, shown
from reproduction.checkout import REPOSITORY
from reproduction.data import datasets
from reproduction.evidence import answers


def main(arguments: argparse.Namespace) -> int:
    try:
        where = on_cluster(arguments) if arguments.cluster else on_this_machine(arguments)
    except ValueError as error:
        return fail(str(error))
    outputs = Path(arguments.outputs or REPOSITORY / "outputs" / "studies").resolve()
    if arguments.dry_run:
        for name in plan(outputs):
            print(f"  {name}")
        return 0

    def work(lock: int) -> int:
        needed = plan(outputs)
        if not needed:
            return 0
        check_writable(outputs, {outputs / name for name in needed})
        datasets.load("cifar10")  # finds missing and damaged data before anything starts
        for name in needed:
            (outputs / name / ".executed").unlink(missing_ok=True)
        start = command("studies.smk", arguments, outputs, where, remake=str(arguments.remake).lower())
        failed = call([*start, "--", *(f"{name}/.executed" for name in needed)], where, lock)
        left = [name for name in needed if not answers.is_current(outputs / name)]
        if failed or left:
            names, notebooks = ", ".join(left) or "a study", shown(outputs / "notebooks")
            hint = f"see the notebooks in {notebooks}{where.logs}. What is done is kept; the same command goes on"
            return fail(f"{names}: no answer; {hint}")
        print(f"done; the answers are {shown(outputs)}/*/answer.md")
        return 0

    return in_outputs(outputs, work)


def plan(outputs: Path) -> list[str]:
    """The studies to execute, cheap ones first; what there is, said in a line."""
    needed = [name for name in answers.STUDIES if not answers.is_current(outputs / name)]
    done = len(answers.STUDIES) - len(needed)
    print(
        f"studies: {done} of {len(answers.STUDIES)} are done in {shown(outputs)}, {len(needed)} missing or out of date."
    )
    return needed
