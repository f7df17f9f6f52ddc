"""Whether the files of a report or of a study's answer are all there: one that was deleted is to be made again.

This is for the launcher, and apart from `report` and `answers`: that those are of today's code and runs is asked there,
and what is written here has no part in it.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from reproduction.checkout import REPOSITORY

TABLES = ("runs", "status", "accuracy", "seed_spread", "cost", "comparisons")
"""Of every report; others, and all figures, are those that its texts lead to."""

_OF_TEXTS = re.compile(r"\]\(((?:figures|tables)/[^)#]+)\)")


def has_report(outputs: Path) -> bool:
    """Whether there are the texts of a profile's report under `outputs`, its tables and figures."""
    texts = [outputs / name for name in ("report.md", "appendix.md")]
    pages = [outputs / "report.html"]
    if outputs.resolve() == REPOSITORY / "outputs" / "paper":
        pages.append(REPOSITORY / "report.md")
    if not _are_files([*texts, *pages]):
        return False
    named = {name for text in texts for name in _OF_TEXTS.findall(text.read_text(encoding="utf-8"))}
    figures = [Path(name).stem for name in named if name.startswith("figures/")]
    tables = [Path(name).stem for name in named if name.startswith("tables/")]
    return _are_files(_figures_and_tables(outputs, figures, [*tables, *TABLES]))


def has_answer(outputs: Path) -> bool:
    """Whether there is the text of the study whose folder this is, with the figures and tables that it names."""
    try:
        contents = json.loads((outputs / "contents.json").read_text(encoding="utf-8"))
        named = _figures_and_tables(outputs, contents["figures"], contents["tables"])
    except (OSError, ValueError, KeyError):
        return False
    return _are_files([outputs / "answer.md", *named])


def _figures_and_tables(outputs: Path, figures: Iterable[str], tables: Iterable[str]) -> list[Path]:
    drawn = [outputs / "figures" / f"{name}{suffix}" for name in figures for suffix in (".svg", ".png")]
    return drawn + [outputs / "tables" / f"{name}.csv" for name in tables]


def _are_files(paths: Iterable[Path]) -> bool:
    return all(path.is_file() for path in paths)
