"""Every module of the repository can be read and imported by this Python, with these versions of packages."""

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
import warnings

import pytest

from reproduction.checkout import REPOSITORY

pytestmark = pytest.mark.portable

ROOMS = ("benchmarks", "lib", "tests", "tools", "workflow")  # not what else is there, such as an environment
SOURCES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))
LIBRARY = sorted((REPOSITORY / "lib").rglob("*.py"))
ABOVE = ("reproduction.training", "reproduction.data", "reproduction.run", "reproduction.studies")
WORKFLOW = sorted(path for path in (REPOSITORY / "workflow").glob("*.py"))


def test_nothing_is_written_in_a_way_that_is_to_be_dropped_from_the_language():
    assert len(SOURCES) > len(LIBRARY) > 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in SOURCES:
            compile(path.read_text(), str(path), "exec")


def module_of(path):
    return ".".join(path.relative_to(REPOSITORY / "lib").with_suffix("").parts).removesuffix(".__init__")


def imported(path):
    """The names of the modules that a file imports, those of a package's names too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("equinorm", ("reproduction", "numpy", "pandas", "pydantic")),
        ("reproduction/protocol", ("torch", "reproduction.training", "reproduction.evidence", "reproduction.data")),
        ("reproduction/evidence", ("torch", "numba", "equinorm", *ABOVE)),
        ("reproduction/training", ("reproduction.evidence", "reproduction.run", "reproduction.studies")),
        ("reproduction/data", ("reproduction.training", "reproduction.evidence", "reproduction.run")),
    ],
)
def test_rooms_import_only_what_is_below_them(folder, forbidden):
    files = sorted((REPOSITORY / "lib" / folder).rglob("*.py"))
    assert files
    for path in files:
        reached = {
            name
            for name in imported(path)
            if name.startswith(tuple(f"{other}." for other in forbidden)) or name in forbidden
        }
        allowed = {"numpy"} if path.stem == "cpu_kernels" else set()
        assert reached <= allowed, f"{path} imports {', '.join(reached)}"


@pytest.mark.parametrize("path", LIBRARY, ids=module_of)
def test_modules_of_the_library_can_be_imported(path):
    importlib.import_module(module_of(path))


@pytest.mark.parametrize("path", WORKFLOW, ids=lambda path: path.stem)
def test_modules_of_the_workflow_can_be_imported(path):
    importlib.import_module(f"workflow.{path.stem}")


ALONE = """
import sys
for name in ("numba", "numpy", "pandas", "pydantic", "reproduction"):
    sys.modules[name] = None
import torch, equinorm
from equinorm import reference
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)).double()
weights, _, _ = reference.equi_normalize([model[0].weight, model[2].weight])
equinorm.ENorm(model, c=1.2, example=torch.ones(1, 4).double()).step()
assert all(torch.allclose(ours.weight, theirs) for ours, theirs in zip((model[0], model[2]), weights))
"""


def test_the_method_needs_pytorch_alone():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert [re.match(r"[\w-]+", line).group() for line in project["project"]["dependencies"]] == ["torch"]
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == ["equinorm*"]
    subprocess.run([sys.executable, "-c", ALONE], check=True, env=os.environ | {"PYTHONPATH": str(REPOSITORY / "lib")})
