"""From the repository's files to the pages of the site."""

import functools
import html
import os
import shutil
from collections import deque
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import pandas as pd

from reproduction.evidence import answers
from reproduction.evidence.results import ResultError
from reproduction.evidence.site import charts, files, interactive, layout, listings, notebooks, text
from reproduction.evidence.site.places import COPIED, STUDIES, Places, profiles
from reproduction.evidence.site.sources import Sources

_MARK = PurePosixPath("assets/enorm-reproducibility.txt")
_MARKED = "Made by ./run_all.sh site, which replaces all that is in this site's folder.\n"


def write(repository: Path, target: Path) -> int:
    """Write the site of what is under `repository`/outputs to the folder `target`; returns how many files it has.

    A site that is there is replaced. Raises ValueError where there is no report, where a page leads to a file that is
    not there, or where `target` holds something that is no site; OSError where it cannot be written.
    """
    if not profiles(repository):
        raise ValueError(f"{repository / 'outputs'}: no profile has a report yet; ./run_all.sh demo makes one")
    if target.is_dir() and any(target.iterdir()):
        if not (target / _MARK).is_file():
            raise ValueError(f"{target}: holds files that are no site; name another folder")
        shutil.rmtree(target)
    return Site(repository, target).write()


class Site:
    """A site while it is written: pages that are linked to wait in a queue."""

    def __init__(self, repository: Path, target: Path) -> None:
        self.repository, self.target = repository, target
        self.places = Places(repository)
        self.waiting: deque[PurePosixPath] = deque()
        self.known: dict[PurePosixPath, PurePosixPath] = {}  # the site's file: the repository's
        self.written = 0

    def write(self) -> int:
        """Write all of it; see the function `write`."""
        self.put(_MARK, _MARKED.encode())
        self.put(layout.STYLE, layout.style().encode())
        self.put(layout.SCRIPT, layout.script().encode())
        for path in [*self.menu.values(), *self._runs()]:
            self.need(path)
        while self.waiting:
            path = self.waiting.popleft()
            self._write_page(path, self.places.page(path))
        return self.written

    @functools.cached_property
    def menu(self) -> dict[str, PurePosixPath]:
        """What the header of every page leads to: text, and the repository's file or folder."""
        first, *others = profiles(self.repository)
        folder = PurePosixPath("outputs") / first
        entries = {
            "Report": folder / "report.md",
            "Appendix": folder / "appendix.md",
            "Runs": folder / "runs",
            "Notebooks": folder / "notebooks",
            "Studies": STUDIES,
            **{f"Profile {name}": PurePosixPath("outputs") / name / "report.md" for name in others},
        }
        return {title: path for title, path in entries.items() if (self.repository / path).exists()}

    def _runs(self) -> list[PurePosixPath]:
        """The folders of runs that no page may leave out."""
        profiled = [
            PurePosixPath("outputs") / name / part
            for name in profiles(self.repository)
            for part in ("runs", "notebooks")
        ]
        studies = [STUDIES / name for name in answers.STUDIES]
        return [path for path in (*profiled, *studies) if (self.repository / path).is_dir()]

    def need(self, path: PurePosixPath) -> PurePosixPath:
        """The page of a file or folder of the repository, which is written in its turn."""
        page = self.places.page(path)
        if page not in self.known:
            self.known[page] = path
            self.waiting.append(path)
        return page

    def copy(self, path: PurePosixPath) -> PurePosixPath:
        """The site's copy of a file."""
        place = self.places.raw(path)
        if not (self.target / place).exists():
            self.put(place, (self.repository / path).read_bytes())
        return place

    def put(self, place: PurePosixPath, content: bytes) -> None:
        """Write a file of the site."""
        file = self.target / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self.written += 1

    def _write_page(self, path: PurePosixPath, page: PurePosixPath) -> None:
        file = self.repository / path
        if path.suffix in COPIED and file.is_file():
            self.copy(path)
            return
        title, body = self._content(path, page)
        menu = {name: self.places.page(to) for name, to in self.menu.items()}
        whole = layout.frame(page, title, body, menu, scripted='class="interactive"' in body)
        self.put(page, whole.encode())

    def _content(self, path: PurePosixPath, page: PurePosixPath) -> tuple[str, str]:
        """Title and body of the page of a file or folder."""
        file = self.repository / path
        if file.is_dir():
            return listings.folder(self, path, page)
        if path.suffix == ".md":
            return self._text(path, page)
        if path.suffix == ".ipynb":
            return self._notebook(path, page)
        if path.suffix == ".csv":
            return listings.table(self, path, page)
        return path.name, f'<h1>{path.name}</h1>\n<p class="muted">{path}</p>\n{files.code(file)}'

    def _text(self, path: PurePosixPath, page: PurePosixPath) -> tuple[str, str]:
        body, headings = text.body((self.repository / path).read_text(encoding="utf-8"), self._links(path, page))
        sections = [(name, title) for level, name, title in headings.found if level == 2]
        title = headings.found[0][2] if headings.found else path.stem
        if len(sections) > 6 and path.name != "report.md":
            entries = "".join(f'<li><a href="#{name}">{html.escape(title)}</a></li>' for name, title in sections)
            contents = f'<nav aria-label="Contents"><ul class="contents">{entries}</ul></nav>\n'
            body = body.replace("</h1>\n", f"</h1>\n{contents}", 1)
        if not headings.found:
            body = f"<h1>{html.escape(answers.STUDIES.get(path.parent.name, title))}</h1>\n{body}"
        return title, body

    def _notebook(self, path: PurePosixPath, page: PurePosixPath) -> tuple[str, str]:
        title, body, pictures = notebooks.body(self.repository / path, self._links(path, page))
        for name, picture in pictures.items():
            self.put(page.with_name(name), picture)
        if "<h1" not in body:
            body = f"<h1>{html.escape(title)}</h1>\n{body}"
        about = f'<p class="muted">{html.escape(title)}. {path}{self._beside_a_notebook(path, page)}</p>'
        return title, body.replace("</h1>", f"</h1>\n{about}", 1)

    def _beside_a_notebook(self, path: PurePosixPath, page: PurePosixPath) -> str:
        """Links to the runs that a notebook of a cell made."""
        variant, _, p = path.stem.rpartition("_")
        csv = path.parents[1] / "runs" / variant / f"{p}.csv"
        return f"; its runs: {self.run_links(csv, page)}." if (self.repository / csv).is_file() else ""

    def run_links(self, csv: PurePosixPath, page: PurePosixPath) -> str:
        """Links to all that there is of a cell's runs but the page itself."""
        links = self.of_a_run(csv, page).items()
        return ", ".join(f'<a href="{to}">{name}</a>' for name, to in links if "/" in to or to != page.name)

    def of_a_run(self, csv: PurePosixPath, page: PurePosixPath) -> dict[str, str]:
        """What there is of a cell's runs, and where, seen from a page."""
        notebook = csv.parents[2] / "notebooks" / f"{csv.parent.name}_{csv.stem}.ipynb"
        found = {"notebook": self.need(notebook)} if (self.repository / notebook).is_file() else {}
        found |= {"epochs": self.need(csv), "CSV": self.copy(csv), "JSON": self.copy(csv.with_suffix(".json"))}
        return {name: layout.relative(place, page) for name, place in found.items()}

    def _links(self, path: PurePosixPath, page: PurePosixPath) -> text.Links:
        """How the page of a text or notebook leads to other files."""
        sources = self._sources(path)

        def source(heading: str, said: str, row: str) -> str | None:
            found = sources.of(heading, said, row) if sources else None
            if found is None or not (self.repository / found[0]).exists():
                return None
            return layout.relative(self.need(found[0]), page) + (f"#{found[1]}" if found[1] else "")

        return text.Links(
            address=lambda url: self._address(url, path, page),
            figure=lambda said, url: charts.figure(self, said, url, path, page),
            source=source,
        )

    def _sources(self, path: PurePosixPath) -> Sources | None:
        reports = ("report.md", "appendix.md")
        return Sources(self.repository, path.parent) if path.name in reports and path.parts[0] == "outputs" else None

    def resolved(self, url: str, path: PurePosixPath) -> PurePosixPath:
        """The file of the repository that a link in the file `path` leads to."""
        whole = PurePosixPath(os.path.normpath(path.parent / unquote(urlsplit(url).path)))
        if whole.is_absolute() or whole.parts[:1] == ("..",) or not (self.repository / whole).exists():
            raise ValueError(f"{path}: leads to {url}, which is not there")
        return whole.with_suffix(".md") if whole.name == "report.html" else whole  # one file for mail: not in the site

    def _address(self, url: str, path: PurePosixPath, page: PurePosixPath) -> str:
        if urlsplit(url).scheme or url.startswith("#"):
            return url
        fragment = urlsplit(url).fragment
        to = layout.relative(self.need(self.resolved(url, path)), page)
        return f"{to}#{fragment}" if fragment else to

    @functools.cache  # noqa: B019 (a site lives as long as it is written)
    def runs_of(self, folder: PurePosixPath) -> pd.DataFrame:
        """The runs of a profile, as `interactive.runs_of` gives them."""
        try:
            return interactive.runs_of(self.repository / folder)
        except ResultError as error:
            raise ValueError(str(error)) from None
