"""Bodies of pages that show a file as it is: a table, code, a folder, the runs of a profile."""

import html
import io
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pandas as pd
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

from reproduction.evidence.site.text import scrolling

_HIDDEN = ("__pycache__", "set_aside")

_LONG = ' class="long"'
"""Of a cell with a sentence, which needs some width to be read."""

ROWS = 200
"""The most of a table that its page shows: whoever wants more takes the CSV."""


def table(path: Path, links: Callable[[dict], dict[str, str]]) -> str:
    """A CSV for a reader: its first ROWS rows, numbers to six digits, a row's id from its name, or from its variant, p
    and seed.

    `links` gives for a row (column: text) the addresses that some of its columns lead to.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in frame)
    rows = []
    for row in frame.head(ROWS).to_dict("records"):
        to = links(row)
        cells = [
            f"<td{_LONG * (len(text) > 40)}>{_linked(html.escape(_short(text)), to.get(name))}</td>"
            for name, text in row.items()
        ]
        rows.append(f"<tr{_id(row)}>{''.join(cells)}</tr>")
    content = f'<table class="numbers"><thead><tr>{head}</tr></thead>\n<tbody>\n' + "\n".join(rows) + "</tbody></table>"
    left = len(frame) - ROWS
    more = f'<p class="muted">{left} more rows are in the CSV.</p>\n' if left > 0 else ""
    return scrolling(content, path.name) + more


def _id(row: dict) -> str:
    if "epoch" in row and "fate" not in row:  # a row of many of one run
        return ""
    named = [row[name] for name in ("variant", "p", "seed", "against", "condition") if name in row]
    name = row.get("name") or "-".join(named)
    return f' id="{html.escape(name.replace(" ", "-"))}"' if row.get("name") or "seed" in row else ""


def _short(text: str) -> str:
    try:
        return f"{float(text):.6g}" if len(text) > 8 else text
    except ValueError:
        return text


def _linked(text: str, address: str | None) -> str:
    return f'<a href="{address}">{text}</a>' if address else text


def code(path: Path) -> str:
    """A text file with its syntax highlighted. Raises ValueError where it is not text."""
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: neither text nor a picture, so the site cannot show it") from None
    try:
        lexer = get_lexer_for_filename(path.name)
    except ClassNotFound:
        lexer = TextLexer()
    return highlight(content, lexer, HtmlFormatter()).replace("<pre>", f'<pre tabindex="0" aria-label="{path.name}">')


def inside(folder: Path) -> list[PurePosixPath]:
    """All files in a folder, and in those below it, relative to it; hidden ones, caches, pictures that are there as
    .svg too, and reports in one file for mail, which the site's own pages show, are left out."""
    paths = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    twice = {path.with_suffix(".png") for path in paths if path.suffix == ".svg"}
    twice |= {path.with_suffix(".html") for path in paths if path.suffix == ".md"}
    return [PurePosixPath(path.as_posix()) for path in paths if path not in twice and not _hidden(path)]


def _hidden(path: Path) -> bool:
    return path.suffix == ".pt" or any(part.startswith(".") or part in _HIDDEN for part in path.parts)


def packed(folder: Path, names: list[PurePosixPath]) -> bytes:
    """Some files of a folder as a zip, with the same bytes whenever it is made."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(str(name)), (folder / name).read_bytes(), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def listing(files: dict[PurePosixPath, str]) -> str:
    """Names of files, each with its address, in a list for each folder."""
    folders: dict[PurePosixPath, list[str]] = {}
    for name, address in files.items():
        folders.setdefault(name.parent, []).append(f'<li><a href="{address}">{html.escape(name.name)}</a></li>')
    return "".join(
        (f"<h2>{folder}/</h2>\n" if str(folder) != "." else "") + f'<ul class="contents">{"".join(entries)}</ul>\n'
        for folder, entries in folders.items()
    )


def runs(frame: pd.DataFrame, links: Callable[[dict], dict[str, str]]) -> str:
    """All runs of a profile, as `interactive.runs_of` gives them, each with what it leads to (name: address)."""
    columns = ["variant", "p", "seed", "test accuracy", "ended", "learning rate", "precision", "seconds", "see"]
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    rows = []
    for run in frame.to_dict("records"):
        trained = run["fate"] == "trained"
        see = ", ".join(f'<a href="{address}">{name}</a>' for name, address in links(run).items())
        accuracy = f"{100 * run['test_accuracy']:.2f} %" if trained else "–"
        shown = [run["title"], run["p"], run["seed"], accuracy]
        shown += [run["fate"] if trained else f"{run['fate']} in epoch {run['epoch']}"]
        shown += [f"{run['learning_rate']:g}", run["precision"], f"{run['seconds']:,}"]
        cells = "".join(f"<td>{html.escape(str(text))}</td>" for text in shown)
        rows.append(f'<tr id="{run["variant"]}-{run["p"]}-{run["seed"]}">{cells}<td>{see}</td></tr>')
    content = (
        f'<table class="numbers runs"><thead><tr>{head}</tr></thead>\n<tbody>\n' + "\n".join(rows) + "</tbody></table>"
    )
    return scrolling(content, "All runs")
