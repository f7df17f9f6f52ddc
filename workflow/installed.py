"""Whether the Python that runs this has the packages that this repository needs.

    python workflow/installed.py [EXTRA ...]    what pyproject.toml asks for: its dependencies and these extras of it
    python workflow/installed.py --add          those and its extra `suite`: what is missing is installed, no more
    python workflow/installed.py --lock FILE    exactly what a lock file pins

Prints what is missing or of another version, one line each; exit status 1 where there is any.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]


def of_project(extras: list[str]) -> list[Requirement]:
    """The dependencies in pyproject.toml and those of its `extras`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [Requirement(line) for line in project["dependencies"] + optional]


def of_lock(text: str) -> list[Requirement]:
    """The pins of a lock file, without their hashes."""
    return [Requirement(line) for line in re.findall(r"^([A-Za-z0-9][^\\\n]*)", text, re.M)]


def unmet(requirements: list[Requirement]) -> dict[Requirement, str | None]:
    """Those that are not met here, each with the version that is installed, or None where there is none.

    Builds such as 2.12.0+cpu, and pre-releases such as 2.12.0a0+git1234, count as what they are: where the version is
    high enough they are accepted.
    """
    found = {}
    for requirement in requirements:
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            there = version(requirement.name)
        except PackageNotFoundError:
            there = None
        if not is_version(there) or not requirement.specifier.contains(there, prereleases=True):
            found[requirement] = there
    return found


def add(requirements: list[Requirement]) -> None:
    """Install those that are missing. Whatever is installed stays as it is, or SystemExit says why it cannot."""
    problems = unmet(requirements)
    old = {requirement: there for requirement, there in problems.items() if there}
    if old:
        named = "; ".join(f"{requirement} is needed, and {there} is installed" for requirement, there in old.items())
        raise SystemExit(
            f"{named}. Nothing was upgraded: choose a newer runtime, or run "
            f"`pip install {' '.join(repr(str(requirement)) for requirement in old)}` and start the kernel anew."
        )
    if not problems:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(f"{d.name}=={d.version}" for d in distributions() if is_version(d.version)))
        constraints.flush()
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", constraints.name]
        done = subprocess.run([*command, *map(str, problems)], capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise SystemExit(f"pip cannot add {', '.join(map(str, problems))} to what is here: {done.stderr.strip()}")


def is_version(text: str | None) -> bool:
    try:
        return bool(text and Version(text))
    except InvalidVersion:
        return False


if __name__ == "__main__":
    options = sys.argv[1:]
    if options == ["--add"]:
        sys.exit(add(of_project(["suite"])))
    of_a_lock = options[:1] == ["--lock"]
    needed = of_lock(Path(options[1]).read_text(encoding="utf-8")) if of_a_lock else of_project(options)
    problems = unmet(needed)
    for requirement, there in problems.items():
        print(f"{requirement.name}{requirement.specifier}" + (f" (here is {there})" if there else ""))
    sys.exit(bool(problems))
