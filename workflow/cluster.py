"""Snakemake profiles: how Snakemake is told to hand jobs to a cluster, by an executor plugin of its own."""

import contextlib
import importlib.util
import io
import sys
from pathlib import Path

from snakemake.cli import get_argument_parser, get_profile_dir
from snakemake.exceptions import CliException, WorkflowError

from reproduction.checkout import REPOSITORY
from reproduction.files import read_mapping
from reproduction.protocol.messages import unknown

PROFILES = REPOSITORY / "workflow" / "profiles"


def find_profile(name: str) -> Path:
    """The file of a profile: one of ours by its name, else what Snakemake finds (a path, or a name in its own folder).

    Raises ValueError, in one sentence, where there is none, Snakemake would refuse it, or its plugin is not installed.
    """
    ours = PROFILES / name
    found = get_profile_dir(str(ours if ours.is_dir() else Path(name).expanduser()))
    if found is None:
        known = sorted(path.name for path in PROFILES.iterdir())
        raise ValueError(f"{unknown('Snakemake profile', name, known)}, or a folder that holds a config.yaml")
    path = found[1].resolve()
    content = read_mapping(path, "options of Snakemake, without their dashes")
    executor = str(content.get("executor", "local"))
    if executor != "local" and not importlib.util.find_spec(f"snakemake_executor_plugin_{executor.replace('-', '_')}"):
        raise ValueError(
            f"{path}: executor {executor!r} is a plugin of Snakemake that is not installed; "
            f"{sys.executable} -m pip install snakemake-executor-plugin-{executor}"
        )
    check_options(path)
    return path


def check_options(path: Path) -> None:
    """Raise ValueError where a profile holds what is no option of Snakemake or of an installed plugin."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            get_argument_parser([str(path)]).parse_args([])
        return
    except SystemExit:  # the usage, hundreds of lines, then why
        reason = said.getvalue().strip().splitlines()[-1].partition("error: ")[2]
    except (CliException, WorkflowError) as error:
        reason = " ".join(error.args[0].split())
    raise ValueError(f"{path}: Snakemake refuses it ({reason})")
