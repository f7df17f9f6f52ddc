"""`./run_all.sh`: its arguments, how it is stopped, its exit status. The work is in the modules run_*.py."""

import argparse
import contextlib
import os
import sys

from workflow import processes, surroundings
from workflow.arguments import parse_arguments

KEPT = "what is done is kept, and the same command goes on"


def main() -> int:
    open_closed_streams()
    arguments = parse_arguments()
    processes.heed_stop_signals()
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            sys.stdout.flush()  # what was said before comes first
        print(f"stopped; {KEPT}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read this has seen enough: `| head`
        drop_output()
        if not arguments.dry_run:
            print(f"stopped; {KEPT}", file=sys.stderr)
        return 1
    except OSError as error:  # batch.py has named those about files of the outputs folder
        drop_output()
        what = error.filename or "standard output, or the limits of this machine"
        print(f"{what}: {error.strerror}; {KEPT}", file=sys.stderr)
        return 1


def run(arguments: argparse.Namespace) -> int:
    """The exit status of the work, or 1 after a sentence where the titles of studies cannot be read."""
    import yaml

    try:
        return work(arguments)
    except yaml.YAMLError as error:  # a profile that is none is named by `load_profile`
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        print(f"notebooks/studies/titles.yaml{line}: not YAML; a title with a colon needs quotes", file=sys.stderr)
        return 1


def work(arguments: argparse.Namespace) -> int:
    """The exit status. What does it is imported here since that takes seconds, and mistakes are named at once."""
    try:
        if arguments.studies:
            from workflow.run_studies import main
        elif arguments.profile == "site":
            from workflow.run_site import main
        else:
            from workflow.run_all import main
    except ValueError as error:  # a variant that cannot be; the message names it
        print(error, file=sys.stderr)
        return 1
    from reproduction.evidence.results import ResultError
    from reproduction.up_to_date import NotebookError

    os.environ.update(surroundings.with_home(dict(os.environ)))
    try:
        return main(arguments)
    except (ResultError, NotebookError) as error:  # of a study, whose answer a report shows
        print(error, file=sys.stderr)
        return 1


def open_closed_streams() -> None:
    """Lead closed standard streams to /dev/null. Otherwise the next file that is opened would take their place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False, encoding="utf-8"))  # noqa: SIM115


def drop_output() -> None:
    """Send what is left in the buffer of a standard output that failed to /dev/null, or it would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
