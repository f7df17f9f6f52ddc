"""What `./run_all.sh site` does: make a static site of the reports, studies and runs that there are."""

import argparse
from pathlib import Path

from reproduction.checkout import REPOSITORY
from reproduction.evidence import site
from workflow.batch import fail, shown


def main(arguments: argparse.Namespace) -> int:
    target = Path(arguments.outputs or REPOSITORY / "outputs" / "site")
    if arguments.dry_run:
        print(f"site: would be written to {shown(target)}")
        return 0
    try:
        count = site.write(REPOSITORY, target)
    except ValueError as error:
        return fail(str(error))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
    print(f"done; {count} files, {size:.1f} MB; open {shown(target / 'index.html')}")
    return 0
