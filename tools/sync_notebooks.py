#!/usr/bin/env python3
"""Write the notebooks of variants, and the cells that all notebooks share (Colab badge, what to do first, bootstrap).

The addresses of the badges in README.md are rewritten too.

    python tools/sync_notebooks.py            # after changing a variant, its text, the repository's address, a notebook
    python tools/sync_notebooks.py --check    # exit 1 where a notebook is not as it should be, and say why

The notebook of a variant is made whole (`variant_notebooks.py`). Of the others, outputs are stripped, and cells belong
to this tool by their tag: `badge`, `before` or `bootstrap`. The address stands in pyproject.toml, project.urls; times
and accuracies are those of the committed tables of outputs/paper.
"""

import argparse
import csv
import re
import sys
import tomllib
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from variant_notebooks import VARIANTS, P, notebook_of

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "tools"


def repository() -> str:
    """The repository's address."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def colab() -> str:
    """Where Colab opens the repository's files."""
    return repository().replace("https://github.com/", "https://colab.research.google.com/github/")


def sources(path: Path) -> dict[str, Path]:
    """The text of each shared cell of the notebook at `path`, by its tag."""
    shared = {"badge": TOOLS / "badge.md", "bootstrap": TOOLS / "bootstrap.py"}
    if path.parent.name == "studies":
        return shared | {"before": TOOLS / "before_a_study.md"}
    return shared | {"before": TOOLS / "before_training.md"} if path.stem in VARIANTS else shared


def measured(variant: str) -> dict[str, str]:
    """What a run of `variant` at P took and gave, as the committed tables have it."""

    def row(table: str) -> dict[str, str]:
        path = ROOT / "outputs" / "paper" / "tables" / f"{table}.csv"
        rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines() if path.exists() else [])
        return next((row for row in rows if row["variant"] == variant and row["p"] == str(P)), {})

    cost, accuracy = row("cost"), row("accuracy")
    if not cost or not accuracy:
        return {"P": str(P), "MEASURED": "; how long that takes was not measured yet"}
    minutes, threads = float(cost["seconds_per_run"]) / 60, cost["threads"]
    device = f"{cost['device']}, {threads} thread{'s' * (threads != '1')} (on a GPU: not measured)"
    end = f"{100 * float(accuracy['mean']):.0f} % test accuracy at the end"
    return {"P": str(P), "MEASURED": f": {minutes:.0f} minutes on {device}, with {end}"}


def synced(notebook: NotebookNode, path: Path) -> NotebookNode:
    """`notebook`, which lies at `path`, with its badge and bootstrap cells as they should be and without outputs."""
    fields = {
        "REPOSITORY": repository(),
        "COLAB": colab(),
        "NOTEBOOK": path.relative_to(ROOT).as_posix(),
        "TITLE": notebook.cells[1].source.splitlines()[0].lstrip("# ").partition(":")[0],
        **measured(path.stem),
    }
    seen, shared = [], sources(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        for tag in shared.keys() & set(cell.metadata.get("tags", [])):
            text = shared[tag].read_text(encoding="utf-8").strip()
            for name, value in fields.items():
                text = text.replace("{" + name + "}", value)
            cell.source = text
            seen.append(tag)
    missing = shared.keys() - set(seen)
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
    old = readme.read_text(encoding="utf-8")
    new = re.sub(r"https://colab\.research\.google\.com/github/[^/]+/[^/]+/", f"{colab()}/", old)
    if new != old:
        print("README.md: addresses of badges differ" if check else "README.md: written")
        wrong += check
        if not check:
            readme.write_text(new, encoding="utf-8")
    made = {ROOT / "notebooks" / f"{variant}.ipynb" for variant in VARIANTS}
    for path in sorted({*ROOT.glob("notebooks/**/*.ipynb"), *made}):
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        try:
            notebook = notebook_of(path.stem) if path in made else nbformat.reads(old, as_version=4)
            new = nbformat.writes(synced(notebook, path)) + "\n"
        except (ValueError, FileNotFoundError) as error:
            print(error, file=sys.stderr)
            wrong += 1
            continue
        if new != old:
            name = path.relative_to(ROOT)
            print(f"{name}: not as this tool makes it" if check else f"{name}: written")
            wrong += check
            if not check:
                path.write_text(new, encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
