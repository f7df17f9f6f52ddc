"""Executed notebooks as pages: text, code and what came out, with their pictures as files beside them."""

import base64
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from reproduction.evidence.site import text
from reproduction.pictures import smaller

_LEFT_OUT = ("badge", "bootstrap", "parameters")
"""Tags of cells that all notebooks share, or that a later cell overrides."""


class _Exporter(HTMLExporter):
    """HTML without a frame of its own; Markdown by `renderer`, as on the other pages of the site."""

    renderer: text.Renderer

    def default_filters(self) -> Iterator[tuple[str, Callable]]:
        yield from super().default_filters()
        yield "markdown2html", lambda source: text.rendered(source, self.renderer)
        yield "clean_html", lambda content: content  # notebooks of this repository: there is nothing to fear in them


@functools.cache
def _exporter() -> _Exporter:
    """One for all notebooks: its templates take longer to compile than a notebook to convert."""
    return _Exporter(template_name="basic")


def body(path: Path, links: text.Links) -> tuple[str, str, dict[str, bytes]]:
    """The title, the HTML, and the pictures of the notebook at `path`, by the name that the HTML has for each.

    Raises ValueError where it is not a notebook.
    """
    notebook = _read(path)
    overridden = any("injected-parameters" in _tags(cell) for cell in notebook.cells)
    left_out = _LEFT_OUT if overridden else _LEFT_OUT[:2]
    notebook.cells = [cell for cell in notebook.cells if not set(left_out) & set(_tags(cell))]
    pictures = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            _take_pictures(output, path.stem, pictures)
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    exporter = _exporter()
    exporter.renderer = text.Renderer(links)
    page, _ = exporter.from_notebook_node(notebook)
    return title(notebook, path.stem), _plain(page, notebook), pictures


def title(notebook: NotebookNode, default: str) -> str:
    """Its first heading, and what its parameters say of which cell of a grid it is."""
    headings = re.findall(
        r"^# (.+)$", "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown"), re.M
    )
    depth = re.search(r"_p(\d+)$", default)
    return (headings[0] if headings else default) + (f", p = {int(depth[1])}" if depth else "")


def cell_of(path: Path, wanted: str) -> str | None:
    """The anchor of the code cell that draws the figure `wanted` (a file's name without its ending): the first one
    below a heading that names it, or that writes it; None where there is none."""
    cells = _read(path).cells
    named = wanted.replace("_", " ").lower()
    below = False
    for cell in cells:
        if cell.cell_type == "markdown":
            below = bool(re.search(rf"^#+ .*\b{re.escape(named)}\b", cell.source, re.M | re.I))
        elif below or f'"{wanted}"' in cell.source:
            return _anchor(cell)
    writes = [
        cell for cell in cells if cell.cell_type == "code" and re.search(r"\b(report|answers)\.write\(", cell.source)
    ]
    return _anchor(writes[-1]) if writes else None


def _read(path: Path) -> NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, nbformat.ValidationError) as error:
        raise ValueError(f"{path}: not a notebook ({' '.join(str(error).split())[:100]})") from None


def _anchor(cell: NotebookNode) -> str:
    return f"cell-{cell.id}"


def _tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _take_pictures(output: NotebookNode, stem: str, pictures: dict[str, bytes]) -> None:
    """Put an output's picture aside: in its place comes an image with an address."""
    data = output.get("data", {})
    if "image/png" not in data:
        return
    name = f"{stem}_{len(pictures)}.png"
    pictures[name] = smaller(base64.b64decode(data.pop("image/png")))
    data["text/html"] = f'<img src="{name}" alt="">'
    data.pop("text/plain", None)


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """`outputs` with the pieces of one stream, which follow each other, as one."""
    joined: list[NotebookNode] = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream" and output.name == joined[-1].name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _plain(page: str, notebook: NotebookNode) -> str:
    """nbconvert's HTML without what only its own scripts and styles use; pictures say what they show."""
    page = re.sub(r"<div[^>]*class=\"[^\"]*prompt[^\"]*\"[^>]*>.*?</div>\s*", "", page, flags=re.S)
    page = re.sub(r"<style scoped>.*?</style>\s*", "", page, flags=re.S)
    page = page.replace('id="cell-id=', 'id="cell-').replace(' border="1" class="dataframe"', ' class="numbers"')
    page = re.sub(r'class="cell border-box-sizing[^"]*"', 'class="cell"', page)
    page = re.sub(
        r'<div class="output_area">', '<div class="output" tabindex="0" role="region" aria-label="Output">', page
    )
    return _described(page.replace("<pre>", '<pre tabindex="0">'))


def _described(page: str) -> str:
    """Each picture's alternative text: the heading that it is under, and the words below that."""
    pieces = re.split(r"(<h[1-6][^>]*>.*?</h[1-6]>(?:\s*<p>.*?</p>)?)", page, flags=re.S)
    said = "Figure"
    for k, piece in enumerate(pieces):
        if k % 2:
            said = " ".join(text.striptags(piece.replace("</h", ": </h", 1)).split()).rstrip(": ")
        else:
            pieces[k] = piece.replace('alt=""', f'alt="{text.mistune.escape(said)}"')
    return "".join(pieces)
