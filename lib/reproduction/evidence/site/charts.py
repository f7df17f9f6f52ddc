"""Figures of a page: interactive where they are Figure 2 or 3 of a profile, and each with the cell that drew it."""

import html
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reproduction.evidence import figures
from reproduction.evidence.site import interactive, layout, notebooks
from reproduction.evidence.site.places import STUDIES

if TYPE_CHECKING:
    from reproduction.evidence.site.pages import Site

_INTERACTIVE = {"figure_2": False, "figure_3": True}  # file's name: whether it shows variants with biases
_READ_IT = (
    '<span class="drawn-only">A dot is a run: point at it for what it is, click it for its notebook. '
    "A cross is one that did not train. </span>"
)


def figure(site: "Site", said: str, url: str, path: PurePosixPath, page: PurePosixPath) -> str:
    """A figure, interactive where it is Figure 2 or 3 of a profile, and the cell that drew it."""
    if urlsplit(url).scheme:  # the badge of a notebook
        return html.escape(said)
    file = site.resolved(url, path)
    image = f'<img src="{layout.relative(site.copy(file), page)}" alt="{html.escape(said)}">'
    chart = _chart(site, file, page) if file.stem in _INTERACTIVE else None
    drawn_by = _drawn_by(site, file, page)
    caption = f"<figcaption>{drawn_by}</figcaption>" if drawn_by else ""
    if chart is None:
        return f"<figure>{image}{caption}</figure>"
    colours = "".join(f"--curve-{k}: var(--{name});" for k, name in enumerate(_shown(site, file), start=1))
    return (
        f'<figure class="interactive"><div class="legend" style="{colours}" role="group" aria-label="Curves"></div>'
        f'<div class="chart"></div>\n<script type="application/json">{chart}</script>\n'
        f"<details open><summary>As a picture, the same each time</summary>{image}</details>"
        f"<figcaption>{_READ_IT}"
        f'<a href="{layout.relative(site.need(file.parents[1] / "runs"), page)}">All runs as a table</a>. '
        f"{drawn_by}.</figcaption></figure>"
    )


def _chart(site: "Site", file: PurePosixPath, page: PurePosixPath) -> str | None:
    folder = file.parents[1]
    runs = site.runs_of(folder)
    names = zip(runs["variant"], runs["p"], strict=True)
    to = {
        (variant, p): site.of_a_run(folder / "runs" / variant / f"p{p:02d}.csv", page)
        for variant, p in dict.fromkeys(names)
    }
    notebooks_of = {key: links.get("notebook", links["epochs"]) for key, links in to.items()}
    chart = interactive.accuracy_over_depth(runs, _shown(site, file), notebooks_of)
    return chart and chart.replace("<", "\\u003c")


def _shown(site: "Site", figure: PurePosixPath) -> list[str]:
    """The variants in Figure 2 or 3 of a profile."""
    there = set(site.runs_of(figure.parents[1])["variant"])
    return [name for name in figures.variants_with(biases=_INTERACTIVE[figure.stem]) if name in there]


def _drawn_by(site: "Site", file: PurePosixPath, page: PurePosixPath) -> str:
    """A link to the cell that drew a figure; nothing where it was no notebook."""
    folder = file.parents[1]
    of_study = folder.parent == STUDIES
    notebook = STUDIES / "notebooks" / f"{folder.name}.ipynb" if of_study else folder / "notebooks" / "summary.ipynb"
    if not (site.repository / notebook).is_file():
        return ""
    cell = notebooks.cell_of(site.repository / notebook, file.stem)
    to = layout.relative(site.need(notebook), page) + (f"#{cell}" if cell else "")
    return f'<a href="{to}">The cell that drew it</a>'
