#!/usr/bin/env python3
"""Write the Colab badge and the bootstrap cell, the same but for the path, into every notebook; strip all outputs.

The addresses of the badges in README.md are rewritten too.

    python tools/sync_notebooks.py            # after changing the repository's address in pyproject.toml, or a notebook
    python tools/sync_notebooks.py --check    # exit 1 where a notebook is not as it should be, and say why

A cell belongs to this tool by its tag, `badge` or `bootstrap`. The address stands in pyproject.toml, project.urls.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {"badge": ROOT / "tools" / "badge.md", "bootstrap": ROOT / "tools" / "bootstrap.py"}


def repository() -> str:
    """The repository's address."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def colab() -> str:
    """Where Colab opens the repository's files."""
    return repository().replace("https://github.com/", "https://colab.research.google.com/github/")


def synced(notebook: NotebookNode, path: Path) -> NotebookNode:
    """`notebook`, which lies at `path`, with its badge and bootstrap cells as they should be and without outputs."""
    fields = {
        "REPOSITORY": repository(),
        "COLAB": colab(),
        "NOTEBOOK": path.relative_to(ROOT).as_posix(),
    }
    seen = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        for tag in SOURCES.keys() & set(cell.metadata.get("tags", [])):
            text = SOURCES[tag].read_text().strip()
            for name, value in fields.items():
                text = text.replace("{" + name + "}", value)
            cell.source = text
            seen.append(tag)
    missing = SOURCES.keys() - set(seen)
    if missing:
        raise ValueError(f"{path}: has no cell tagged {', '.join(sorted(missing))}")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(notebook)
    return notebook


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where something would change")
    check = parser.parse_args().check
    wrong = 0
    readme = ROOT / "README.md"
    old = readme.read_text()
    new = re.sub(r"https://colab\.research\.google\.com/github/[^/]+/[^/]+/", f"{colab()}/", old)
    if new != old:
        print("README.md: addresses of badges differ" if check else "README.md: written")
        wrong += check
        if not check:
            readme.write_text(new)
    for path in sorted(ROOT.glob("notebooks/**/*.ipynb")):
        old = path.read_text()
        try:
            new = nbformat.writes(synced(nbformat.reads(old, as_version=4), path)) + "\n"
        except ValueError as error:
            print(error, file=sys.stderr)
            wrong += 1
            continue
        if new != old:
            name = path.relative_to(ROOT)
            print(f"{name}: badge, bootstrap cell or outputs differ" if check else f"{name}: written")
            wrong += check
            if not check:
                path.write_text(new)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
