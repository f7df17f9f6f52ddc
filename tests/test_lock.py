"""requirements.lock on every platform and Python that it is for, worked out without installing anything."""

import importlib.metadata
import itertools
import re
import shutil
import subprocess

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from reproduction.checkout import REPOSITORY
from workflow import installed

PLATFORMS = {  # uv's name for each -> what markers ask for
    "x86_64-manylinux_2_28": ("linux", "Linux", "x86_64"),
    "aarch64-manylinux_2_28": ("linux", "Linux", "aarch64"),
    "aarch64-apple-darwin": ("darwin", "Darwin", "arm64"),
}
LOWEST, ABOVE = map(
    int, re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (REPOSITORY / "pyproject.toml").read_text()).groups()
)
LOCK = (REPOSITORY / "requirements.lock").read_text()
EVERYWHERE = list(itertools.product(range(LOWEST, ABOVE), PLATFORMS))


def marker_environments(minor: int, platform: str) -> list[dict[str, str]]:
    """What markers are evaluated with: for the first release of a Python, and for a late one."""
    system, name, machine = PLATFORMS[platform]
    fixed = {"os_name": "posix", "sys_platform": system, "platform_system": name, "platform_machine": machine}
    fixed |= {"implementation_name": "cpython", "platform_python_implementation": "CPython", "extra": ""}
    return [
        default_environment()
        | fixed
        | {"python_version": f"3.{minor}", "python_full_version": version, "implementation_version": version}
        for version in (f"3.{minor}.0", f"3.{minor}.25")
    ]


def pins(environment: dict[str, str]) -> dict[str, str]:
    """name -> version, of what the lock pins there. Each must be there once."""
    found = {}
    for pin in installed.of_lock(LOCK):
        if pin.marker is None or pin.marker.evaluate(environment):
            (specifier,) = pin.specifier
            assert specifier.operator == "==" and "*" not in specifier.version, pin
            name = canonicalize_name(pin.name)
            assert name not in found, f"{name} is pinned twice on {environment}"
            found[name] = specifier.version
    return found


def test_every_pin_has_its_checksums():
    blocks = re.split(r"\n(?=[A-Za-z0-9])", LOCK.strip())
    assert len(blocks) == len(installed.of_lock(LOCK)) > 100
    for block in blocks:
        first, *rest = block.split(" \\\n")
        assert rest and all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", line) for line in rest), first


def test_nothing_in_it_names_an_index():
    assert "//" not in LOCK and "--index" not in LOCK and "--find-links" not in LOCK


@pytest.mark.parametrize(("minor", "platform"), EVERYWHERE)
def test_all_that_is_needed_there_is_pinned_and_fits(minor, platform):
    """What packages need is read from those that are installed here in the version of the lock."""
    known = {}
    for distribution in importlib.metadata.distributions():
        known[canonicalize_name(distribution.name), distribution.version] = distribution.requires or []
    for environment in marker_environments(minor, platform):
        pinned = pins(environment)
        here = [name for name in pinned if (name, pinned[name]) in known]
        if len(here) < len(pinned) / 2:
            pytest.skip("needs an environment made from requirements.lock: the packages here are others")
        todo = installed.of_project(["suite", "batch", "dev"])
        done = set()
        while todo:
            requirement = todo.pop()
            name = canonicalize_name(requirement.name)
            assert name in pinned, f"{requirement} is needed on {platform}, Python 3.{minor}, and not pinned"
            assert requirement.specifier.contains(pinned[name], prereleases=True), (requirement, pinned[name])
            for extra in ("", *requirement.extras):
                if (name, extra) not in done:
                    done.add((name, extra))
                    needs = map(Requirement, known.get((name, pinned[name]), []))
                    todo += [r for r in needs if not r.marker or r.marker.evaluate(environment | {"extra": extra})]
        assert len(done) > 100


def test_the_backend_that_builds_what_has_no_wheel_is_in_it():
    for minor, platform in EVERYWHERE:
        for environment in marker_environments(minor, platform):
            assert "setuptools" in pins(environment)


@pytest.fixture(scope="module")
def uv(tmp_path_factory) -> str:
    uv = shutil.which("uv") or pytest.importorskip("uv").find_uv_bin()
    target = str(tmp_path_factory.mktemp("target"))
    command = [uv, "pip", "install", "--dry-run", "--no-deps", "--target", target, "packaging"]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs a package index, and none answers")
    return uv


# These come as source code: Snakemake's connection-pool everywhere; its immutables has wheels for Python up to 3.13.
WITHOUT_WHEELS = {"connection-pool": LOWEST, "immutables": 14}


@pytest.mark.parametrize(("minor", "platform"), EVERYWHERE)
def test_there_is_a_wheel_with_one_of_the_checksums_for_all_but_two_packages(
    minor, platform, uv, tmp_path, monkeypatch
):
    monkeypatch.setenv("MACOSX_DEPLOYMENT_TARGET", "14.0")  # PyTorch's wheels need it
    blocks = re.split(r"\n(?=[A-Za-z0-9])", LOCK)
    source = tuple(f"{name}==" for name, since in WITHOUT_WHEELS.items() if minor >= since)
    lock = tmp_path / "requirements.lock"
    lock.write_text("\n".join(block for block in blocks if not block.startswith(source)))
    command = [uv, "pip", "install", "--dry-run", "--target", str(tmp_path / "target"), "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--python-version", f"3.{minor}", "--python-platform", platform]
    done = subprocess.run([*command, "-r", str(lock)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_pins_for_ci_are_the_lowest_versions_and_those_of_colab():
    folder = REPOSITORY / "tests" / "constraints"
    pinned = {
        name: {canonicalize_name(pin.name): pin.specifier for pin in installed.of_lock((folder / name).read_text())}
        for name in ("lowest.txt", "colab.txt", "colab.in")
    }
    assert pinned["colab.in"].items() <= pinned["colab.txt"].items()
    raised = set()
    for requirement in installed.of_project(["suite", "batch", "dev"]):
        name = canonicalize_name(requirement.name)
        for pins in ("lowest.txt", "colab.txt"):
            (specifier,) = pinned[pins][name]
            assert requirement.specifier.contains(specifier.version), (pins, name)
        (lowest,) = requirement.specifier
        (specifier,) = pinned["lowest.txt"][name]
        if not lowest.contains(specifier.version) or Version(lowest.version) != Version(specifier.version):
            raised.add(name)
    assert raised == {"pydantic"}  # Snakemake's sqlmodel wants a newer one
