"""Which environments are taken for good, and what the notebooks add to one: on Colab, nothing that is there changes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from package_index import Index

from reproduction.checkout import REPOSITORY
from workflow import installed

# Colab's packages; latex2mathml is not among them.
PINS = installed.of_lock((REPOSITORY / "tests" / "constraints" / "colab.in").read_text())
COLAB = {pin.name: str(pin.specifier).removeprefix("==") for pin in PINS} | {"torch": "2.11.0+cu128"}


def put(site: Path, name: str, version: str) -> None:
    """A stand-in: an installed package with nothing in it."""
    for old in site.glob(f"{name.replace('-', '_')}-*.dist-info"):
        shutil.rmtree(old)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("")


def versions(site: Path) -> dict[str, str]:
    names = (path.name.removesuffix(".dist-info").rsplit("-", 1) for path in site.glob("*.dist-info"))
    return {name.replace("_", "-"): version for name, version in names}


@pytest.fixture
def lacks(tmp_path):
    """What `installed.py` finds missing where the stand-ins are, and torch is of a given version."""
    site = tmp_path / "site"
    for name, version in (COLAB | {"latex2mathml": "3.78.0"}).items():
        put(site, name, version)

    def run(torch: str) -> str:
        put(site, "torch", torch)
        code = (
            "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_path(sys.argv[0], run_name='__main__')"
        )
        code = code.replace("sys.argv[0]", repr(str(REPOSITORY / "workflow" / "installed.py")))
        done = subprocess.run([sys.executable, "-c", code, str(site)], capture_output=True, text=True)
        assert done.stderr == ""
        assert done.returncode == bool(done.stdout)
        return done.stdout

    return run


@pytest.mark.parametrize(
    "torch", ["2.12.0", "2.12.0+cpu", "2.11.0+cu128", "2.13.0a0+git1234", "2.99.0.dev20270101+cpu"]
)
def test_builds_for_cpus_and_for_cuda_and_pre_releases_are_accepted(lacks, torch):
    assert lacks(torch) == ""


@pytest.mark.parametrize("torch", ["1.13.1", "1.13.1+cpu"])
def test_a_version_below_the_lowest_is_named(lacks, torch):
    assert lacks(torch).startswith("torch>=")
    assert lacks(torch).endswith(f" (here is {torch})\n")


@pytest.fixture
def colab(tmp_path):
    """A machine with Colab's packages as stand-ins, and an index that has newer ones of all of them."""
    machine = tmp_path / "machine"
    subprocess.run([sys._base_executable, "-m", "venv", machine], check=True)
    (site,) = machine.glob("lib/python*/site-packages")
    index = Index(tmp_path / "index")
    index.add_installed("packaging")
    shutil.unpack_archive(next(index.folder.rglob("packaging-*.whl")), site, "zip")
    for name, version in COLAB.items():
        put(site, name, version)
        index.add_wheel(name, "99.0")
    index.add_wheel("latex2mathml", "3.99", requires=("numpy>=1.20",))

    origin = tmp_path / "origin"
    (origin / "lib" / "equinorm").mkdir(parents=True)
    (origin / "workflow").mkdir()
    for name in ("pyproject.toml", "workflow/installed.py", "workflow/drive.py", "lib/equinorm/__init__.py"):
        shutil.copy(REPOSITORY / name, origin / name)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(origin)]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "stand-in"]):
        subprocess.run([*git, *arguments], check=True)
    cells = nbformat.read(REPOSITORY / "notebooks" / "enorm.ipynb", as_version=4).cells
    (bootstrap,) = (cell.source for cell in cells if "bootstrap" in cell.metadata.get("tags", []))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    environment |= {
        "COLAB_RELEASE_TAG": "x",
        "ENORM_REPOSITORY": origin.as_uri(),
        "ENORM_DRIVE": str(tmp_path / "none"),
    }
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index.url, "PIP_NO_CACHE_DIR": "1"}

    def run_cell() -> subprocess.CompletedProcess:
        command = [machine / "bin" / "python", "-c", bootstrap]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    return run_cell, site, index


def test_on_colab_only_what_is_missing_is_installed_and_what_is_too_old_is_named(colab):
    run_cell, site, index = colab
    before = versions(site)
    put(site, "numpy", "1.20.0")
    done = run_cell()
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("RuntimeError: numpy>=")
    assert "is needed, and 1.20.0 is installed. Nothing was upgraded: choose a newer runtime, or run `pip " in said
    assert versions(site) == before | {"numpy": "1.20.0"}

    put(site, "numpy", COLAB["numpy"])
    assert run_cell().returncode == 0
    assert versions(site) == before | {"latex2mathml": "3.99"}

    shutil.rmtree(site / "latex2mathml-3.99.dist-info")
    index.add_wheel("latex2mathml", "3.100", requires=("numpy>=50",))
    assert run_cell().returncode == 0  # with the older one, which goes with this numpy
    assert versions(site) == before | {"latex2mathml": "3.99"}
