"""Pages of the site that are Markdown in the repository."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import mistune
from mistune.util import striptags

from reproduction.evidence import html


@dataclass(frozen=True)
class Links:
    """How a page reaches what it speaks of: each takes what stands in the Markdown and gives what stands in the page.

    - address: of a link
    - figure: the HTML of a figure, given its alternative text and address
    - source: the address of the table that numbers are from, given the heading they are under, the text they are in,
      and the row's name where they are in a table; None where there is none
    """

    address: Callable[[str], str]
    figure: Callable[[str, str], str]
    source: Callable[[str, str, str], str | None] = lambda heading, text, row: None


@dataclass
class Headings:
    """The headings of a page so far: level, id and text of each."""

    found: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, level: int, inner: str) -> str:
        """Note a heading; returns its id, made as code-hosting services make it."""
        text = striptags(inner)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        same = sum(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", name) is not None for _, name, _ in self.found)
        name = f"{slug}-{same}" if same else slug
        self.found.append((level, name, text))
        return name

    @property
    def last(self) -> str:
        return self.found[-1][1] if self.found else ""


class Renderer(html.Renderer):
    """Markdown as the body of a page; `headings` are then those of the text."""

    def __init__(self, links: Links) -> None:
        super().__init__()
        self.links = links
        self.headings = Headings()

    def heading(self, text: str, level: int, **attributes: object) -> str:
        return f'<h{level} id="{self.headings.add(level, text)}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, self.links.address(url), title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return self.links.figure(text, url)

    def paragraph(self, text: str) -> str:
        if text.startswith("<figure"):  # stands by itself
            return text + "\n"
        return f"<p>{self._sourced(text)}</p>\n"

    def list_item(self, text: str) -> str:
        return super().list_item(self._sourced(text))

    def table_row(self, text: str) -> str:
        cells = re.split(r"(?<=</td>)\n", text)
        row = striptags(cells[0])
        source = self.links.source(self.headings.last, "", row) if row and len(cells) > 2 else None
        if source:
            named = re.sub(r">([^<]+)<", rf'><a class="number" href="{source}">\1</a><', cells[0])
            cells = [named, *(linked(cell, source) for cell in cells[1:])]
        return "<tr>\n" + "\n".join(cells) + "</tr>\n"

    def table(self, text: str) -> str:
        return scrolling(f"<table>\n{text}</table>", f"Table under: {self.headings.last.replace('-', ' ')}")

    def _sourced(self, text: str) -> str:
        source = self.links.source(self.headings.last, striptags(text), "")
        return linked(text, source) if source else text


def body(markdown: str, links: Links) -> tuple[str, Headings]:
    """Markdown as HTML, and its headings."""
    renderer = Renderer(links)
    return rendered(markdown, renderer), renderer.headings


def rendered(markdown: str, renderer: Renderer) -> str:
    """Markdown as HTML; the renderer's headings go on."""
    return mistune.create_markdown(renderer=renderer, plugins=["table", "math"])(markdown)


def scrolling(table: str, name: str) -> str:
    """A table that scrolls in its own frame where the window is narrow, by keyboard too."""
    return f'<div class="table" tabindex="0" role="region" aria-label="{mistune.escape(name)}">{table}</div>\n'


_NUMBER = re.compile(
    r"(?<![\w/^.])(?:± |[+±-])?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s?±\s?\d+(?:\.\d+)?)?(?:\s?(?:points?|%))?"
)
_KEPT = re.compile(  # markup, links, code, equations; what a number is about (p = 1 to 9, c = 1.2); names; years
    r"(<(?:a|code|math)\b.*?</(?:a|code|math)>|<[^>]*>|&#?\w+;"
    r"|\b[pcL] (?:[=≤≥<>+-]|&[gl]t;) [\d.]*\d(?: (?:to|and) (?:p = )?[\d.]*\d)?"
    r"|\b(?:Table|Figure|section) \d+|\b(?:19|20)\d\d\b)",
    re.S,
)


def linked(text: str, source: str) -> str:
    """`text` (HTML) with each of its numbers a link to `source`; years, and those of "p = 19", are none."""
    pieces = _KEPT.split(text)
    for k in range(0, len(pieces), 2):  # the others are what is kept
        pieces[k] = _NUMBER.sub(rf'<a class="number" href="{source}">\g<0></a>', pieces[k])
    return "".join(pieces)
