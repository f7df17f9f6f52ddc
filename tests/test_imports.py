"""Every module of the repository can be read and imported by this Python, with these versions of packages."""

import importlib
import sys
import warnings

import pytest

from equinorm.config import REPOSITORY

pytestmark = pytest.mark.portable

SOURCES = sorted(
    path for path in REPOSITORY.glob("*/**/*.py") if not path.relative_to(REPOSITORY).parts[0].startswith(".")
)
LIBRARY = sorted((REPOSITORY / "lib" / "equinorm").glob("*.py"))
WORKFLOW = sorted(path for path in (REPOSITORY / "workflow").glob("*.py") if path.stem != "__main__")


def test_nothing_is_written_in_a_way_that_is_to_be_dropped_from_the_language():
    assert len(SOURCES) > len(LIBRARY) > 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in SOURCES:
            compile(path.read_text(), str(path), "exec")


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_modules_of_the_library_can_be_imported(path):
    importlib.import_module(f"equinorm.{path.stem}" if path.stem != "__init__" else "equinorm")


@pytest.mark.parametrize("path", WORKFLOW, ids=lambda path: path.stem)
def test_modules_of_the_workflow_can_be_imported(path, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "workflow")
    monkeypatch.setattr(sys, "argv", [str(path)])
    importlib.import_module(path.stem)
