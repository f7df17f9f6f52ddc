"""When a summary or a study's answer counts as out of date, and what makes no difference."""

import json
import shutil

import pytest

from reproduction import up_to_date
from reproduction.checkout import REPOSITORY

NOTEBOOK = REPOSITORY / "notebooks" / "summary.ipynb"


@pytest.fixture
def digest_with(tmp_path, monkeypatch):
    """The digest of the summary with one file of the library, or the notebook, changed."""

    def digest(name=None, change=lambda text: text, runs=("a", "b"), others=()):
        library = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(REPOSITORY / "lib", library, ignore=shutil.ignore_patterns("__pycache__"))
        notebook = library / "summary.ipynb"
        shutil.copy(NOTEBOOK, notebook)
        if name:
            (path,) = library.rglob(name)
            text = path.read_text(encoding="utf-8")
            assert change(text) != text
            path.write_text(change(text), encoding="utf-8")
        monkeypatch.setattr(up_to_date, "_LIB", library)
        return up_to_date.digest(notebook, runs, *others)

    return digest


def in_notebook(change):
    """A change of the cells of a notebook."""

    def changed(text):
        content = json.loads(text)
        change(content["cells"])
        return json.dumps(content)

    return changed


def test_comments_docstrings_imports_and_layout_make_no_difference(digest_with):
    before = digest_with()
    assert digest_with("figures.py", lambda text: f"# a comment\n\n\n{text}# another\n") == before
    assert digest_with("statistics.py", lambda text: text.replace("Half the width", "A half of the width")) == before
    assert digest_with("tables.py", lambda text: text.replace("import os\n", "import os\nimport sys\n")) == before
    assert digest_with("figures.py", lambda text: text.replace("\n", "\r\n")) == before


def test_what_the_notebook_reaches_makes_one(digest_with):
    before = digest_with()
    assert digest_with("statistics.py", lambda text: text.replace("0.95", "0.9")) != before
    assert digest_with("comparisons.py", lambda text: text.replace("own.mean > 0", "own.mean >= 0")) != before


def test_what_only_training_reaches_makes_none_for_its_revision_speaks_for_it(digest_with):
    before = digest_with()
    assert digest_with("step.py", lambda text: text.replace("losses.sum()", "losses.mean()")) == before
    assert digest_with("variants.py", lambda text: text + '\nNEW = "a variant"\n') == before


def test_the_notebooks_code_makes_one_but_not_its_text_and_its_bootstrap_cell(digest_with):
    before = digest_with()

    def change(kind, tag=None):
        def changed(cells):
            cell = next(
                c for c in cells if c["cell_type"] == kind and (not tag or tag in c["metadata"].get("tags", []))
            )
            cell["source"] = [*cell["source"], "\n1 + 1"]

        return in_notebook(changed)

    assert digest_with("summary.ipynb", change("markdown")) == before
    assert digest_with("summary.ipynb", change("code", "bootstrap")) == before
    assert digest_with("summary.ipynb", change("code", "parameters")) != before


def test_a_magic_counts_and_what_is_no_python_or_no_notebook_is_named(digest_with, tmp_path):
    def adds(line):
        return in_notebook(lambda cells: cells[-1].update(source=f"if True:\n    {line}\n    pass"))

    digests = {digest_with("summary.ipynb", adds(line)) for line in ("pass", "%matplotlib inline", "!ls", "%run a.py")}
    assert len(digests) == 4
    with pytest.raises(up_to_date.NotebookError, match=r"summary\.ipynb: invalid syntax in the line 'a b'$"):
        digest_with("summary.ipynb", adds("a b"))
    with pytest.raises(up_to_date.NotebookError, match=r"summary\.ipynb: damaged, not a notebook"):
        digest_with("summary.ipynb", lambda text: text[:100])


def test_runs_and_what_else_is_read_make_one(digest_with):
    before = digest_with()
    assert digest_with(runs=("b", "a")) == before
    assert len({before, digest_with(runs=("a",)), digest_with(runs=("a", "c")), digest_with(others=["title"])}) == 4


def test_code_text_is_the_code_alone():
    source = '''"""A module."""
import os
from pathlib import (  # why
    Path,
)

def f(a):  # a comment
    """What it does."""
    text = "# no comment"  # but this is

    return f"{a}#{text}"
"""About it."""
'''
    assert up_to_date.code_text(source) == 'def f(a):\n    text = "# no comment"\n    return f"{a}#{text}"'


def test_the_code_of_a_training_is_found_by_its_imports():
    names = {path.stem for path in up_to_date._reached("from reproduction.training import loop")}
    assert {
        "loop",
        "step",
        "enorm",
        "algorithm",
        "cpu_kernels",
        "network",
        "linear",
        "datasets",
        "parameters",
        "group_norm",
    } <= names
    assert names.isdisjoint({"figures", "tables", "report"})
