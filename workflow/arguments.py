"""The launcher's arguments. Nothing is imported here that would make `--help` wait."""

import argparse
from pathlib import Path

DESCRIPTION = """
Run all cells of a profile that have no valid result yet, then its summary.

It can be stopped at any moment: what is done is kept, and a cell that was cut off goes on from its last whole epoch,
where the code that trains is still the same.
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run_all.sh", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names, studies = stems("config/*.yaml"), stems("notebooks/studies/*.ipynb")
    parser.add_argument(
        "profile",
        help=f"what to run: {', '.join(names)} (config/*.yaml), studies (all of notebooks/studies), one of them: "
        f"{', '.join(studies)}; or site: pages for a browser of what there is",
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would run, and run nothing")
    parser.add_argument("--summary", action="store_true", help="only make tables, figures and report of what is there")
    parser.add_argument(
        "--remake", action="store_true", help="make results that cannot be used again; the old ones are put aside"
    )
    parser.add_argument("--outputs", type=folder, help="where results go (default: outputs/<profile>)")
    parser.add_argument("--device", default="auto", help="auto (a CUDA GPU where there is one), cpu, cuda, cuda:1, ...")
    parser.add_argument(
        "--jobs",
        type=whole_number,
        help="cells at once (default: one for each core, 2 GiB needed each; 1 on a GPU; on a cluster, what the "
        "Snakemake profile says)",
    )
    parser.add_argument(
        "--threads",
        type=whole_number,
        help="CPU threads for each cell, whatever OMP_NUM_THREADS says (default: cores / jobs; 1 on a cluster)",
    )
    parser.add_argument("--timeout", type=whole_number, default=0, help="seconds a notebook cell may take")
    parser.add_argument(
        "--cluster",
        metavar="NAME|FOLDER",
        help="a Snakemake profile, to run the cells on a cluster: slurm or your own (workflow/README.md)",
    )
    arguments = parser.parse_args()
    arguments.studies = [name for name in studies if arguments.profile in ("studies", name)]
    if arguments.studies and arguments.profile in names:
        parser.error(
            f"config/{arguments.profile}.yaml: has the name of notebooks in notebooks/studies; rename the file"
        )
    if arguments.profile == "site" and "site" in names:
        parser.error("config/site.yaml: site is the word for the pages of what there is; rename the file")
    for name, whose in (("summary", "a profile"), ("remake", "a profile or studies")):
        if getattr(arguments, name) and (arguments.profile == "site" or (name == "summary" and arguments.studies)):
            parser.error(f"--{name} is for {whose}, not for {arguments.profile}")
    return arguments


def stems(pattern: str) -> list[str]:
    """The names of the repository's files that fit, without their endings."""
    return sorted(path.stem for path in Path(__file__).parents[1].glob(pattern))


def folder(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; allowed is the path of a folder")
    return text


def whole_number(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"is {text!r}; allowed are whole numbers from 1")
    return int(text)
