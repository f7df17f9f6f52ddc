"""From the repository's files to the pages of the site."""

import functools
import html
import os
import shutil
from collections import deque
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from reproduction.evidence import answers, figures
from reproduction.evidence.results import ResultError
from reproduction.evidence.site import files, interactive, layout, notebooks, text
from reproduction.evidence.site.places import COPIED, Places, profiles
from reproduction.evidence.site.sources import Sources

_MARK = "assets/style.css"  # a folder with it is a site, and may be written anew
_INTERACTIVE = {"figure_2": False, "figure_3": True}  # file's name: whether it shows variants with biases
_READ_IT = (
    '<span class="drawn-only">A dot is a run: point at it for what it is, click it for its notebook. '
    "A cross is one that did not train. </span>"
)
_STUDIES = PurePosixPath("outputs/studies")


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
        self._put(layout.STYLE, layout.style().encode())
        self._put(layout.SCRIPT, layout.script().encode())
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
            "Studies": _STUDIES,
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
        studies = [_STUDIES / name for name in answers.STUDIES]
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
            self._put(place, (self.repository / path).read_bytes())
        return place

    def _put(self, place: PurePosixPath, content: bytes) -> None:
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
        self._put(page, whole.encode())

    def _content(self, path: PurePosixPath, page: PurePosixPath) -> tuple[str, str]:
        """Title and body of the page of a file or folder."""
        file = self.repository / path
        if file.is_dir():
            return self._folder(path, page)
        if path.suffix == ".md":
            return self._text(path, page)
        if path.suffix == ".ipynb":
            return self._notebook(path, page)
        if path.suffix == ".csv":
            return self._table(path, page)
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
            self._put(page.with_name(name), picture)
        if "<h1" not in body:
            body = f"<h1>{html.escape(title)}</h1>\n{body}"
        about = f'<p class="muted">{html.escape(title)}. {path}{self._beside_a_notebook(path, page)}</p>'
        return title, body.replace("</h1>", f"</h1>\n{about}", 1)

    def _beside_a_notebook(self, path: PurePosixPath, page: PurePosixPath) -> str:
        """Links to the runs that a notebook of a cell made."""
        variant, _, p = path.stem.rpartition("_")
        csv = path.parents[1] / "runs" / variant / f"{p}.csv"
        return f"; its runs: {self._run_links(csv, page)}." if (self.repository / csv).is_file() else ""

    def _run_links(self, csv: PurePosixPath, page: PurePosixPath) -> str:
        links = self._of_a_run(csv, page).items()
        return ", ".join(f'<a href="{to}">{name}</a>' for name, to in links if "/" in to or to != page.name)

    def _of_a_run(self, csv: PurePosixPath, page: PurePosixPath) -> dict[str, str]:
        """What there is of a cell's runs, and where, seen from a page."""
        notebook = csv.parents[2] / "notebooks" / f"{csv.parent.name}_{csv.stem}.ipynb"
        found = {"notebook": self.need(notebook)} if (self.repository / notebook).is_file() else {}
        found |= {"epochs": self.need(csv), "CSV": self.copy(csv), "JSON": self.copy(csv.with_suffix(".json"))}
        return {name: layout.relative(place, page) for name, place in found.items()}

    def _table(self, path: PurePosixPath, page: PurePosixPath) -> tuple[str, str]:
        folder = path.parents[1] if path.parent.name == "tables" else None
        runs = folder / "runs" if folder else None

        def links(row: dict) -> dict[str, str]:
            csv = runs and runs / row.get("variant", "") / f"p{int(row.get('p') or 0):02d}.csv" if "p" in row else None
            if not csv or not (self.repository / csv).is_file():
                return {}
            of_run = self._of_a_run(csv, page)
            return {"variant": of_run.get("notebook", of_run["epochs"]), "p": of_run["epochs"]}

        said = [f'<a href="{layout.relative(self.copy(path), page)}">{path.name}</a> has all digits.']
        if runs and path.stem != "runs" and (self.repository / folder / "tables" / "runs.csv").is_file():
            made_of = layout.relative(self.need(folder / "tables" / "runs.csv"), page)
            said.append(f'Made of <a href="{made_of}">runs</a>, a row for each run.')
        if path.match("outputs/*/runs/*/*.csv"):
            said.append(f"Of these runs: {self._run_links(path, page)}.")
        title = str(path.relative_to("outputs")) if path.parts[0] == "outputs" else str(path)
        body = files.table(self.repository / path, links)
        return title, f"<h1>{html.escape(title)}</h1>\n<p>{' '.join(said)}</p>\n{body}"

    def _folder(self, path: PurePosixPath, page: PurePosixPath) -> tuple[str, str]:
        if path == _STUDIES:
            return "Studies", "<h1>Studies</h1>\n" + self._studies(page)
        profile = path.parent.name
        if path.name == "runs" and profile in profiles(self.repository):
            title = f"All runs of profile {profile}"
            return title, f"<h1>{title}</h1>\n" + self._all_runs(path.parent, page)
        inside = files.inside(self.repository / path)
        title, runs = f"{path}/", ""
        if path.parent == _STUDIES and path.name in answers.STUDIES:
            title = answers.STUDIES[path.name]
            of_runs = [name for name in inside if len(name.parts) > 2]  # <condition>/<variant>/pNN.csv and .json
            inside = [name for name in inside if name not in of_runs]
            runs = self._packed(path, of_runs, page) if of_runs else ""
        found = {name: layout.relative(self.need(path / name), page) for name in inside}
        return title, f'<h1>{html.escape(title)}</h1>\n<p class="muted">{path}/</p>\n{runs}{files.listing(found)}'

    def _packed(self, folder: PurePosixPath, names: list[PurePosixPath], page: PurePosixPath) -> str:
        """A study's runs as one archive, for they are hundreds of small files."""
        archive = self.places.raw(folder) / "runs.zip"
        self._put(archive, files.packed(self.repository / folder, names))
        to, count = layout.relative(archive, page), sum(name.suffix == ".csv" for name in names)
        return f'<p>All its runs, {count} CSVs and what they were made with: <a href="{to}">runs.zip</a>.</p>\n'

    def _all_runs(self, folder: PurePosixPath, page: PurePosixPath) -> str:
        frame = self._runs_of(folder)

        def links(run: dict) -> dict[str, str]:
            return self._of_a_run(folder / "runs" / run["variant"] / f"p{run['p']:02d}.csv", page)

        return files.runs(frame, links)

    def _studies(self, page: PurePosixPath) -> str:
        entries = []
        for name, title in answers.STUDIES.items():
            if not (self.repository / _STUDIES / name).is_dir():
                continue
            parts = {
                "answer": _STUDIES / name / "answer.md",
                "notebook": _STUDIES / "notebooks" / f"{name}.ipynb",
                "all its runs, tables and figures": _STUDIES / name,
            }
            there = {said: path for said, path in parts.items() if (self.repository / path).exists()}
            links = [f'<a href="{layout.relative(self.need(to), page)}">{said}</a>' for said, to in there.items()]
            entries.append(f"<h2>{html.escape(title)}</h2>\n<p>{', '.join(links)}</p>\n")
        return "".join(entries)

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
            figure=lambda said, url: self._figure(said, url, path, page),
            source=source,
        )

    def _sources(self, path: PurePosixPath) -> Sources | None:
        reports = ("report.md", "appendix.md")
        return Sources(self.repository, path.parent) if path.name in reports and path.parts[0] == "outputs" else None

    def _resolved(self, url: str, path: PurePosixPath) -> PurePosixPath:
        """The file of the repository that a link in the file `path` leads to."""
        whole = PurePosixPath(os.path.normpath(path.parent / unquote(urlsplit(url).path)))
        if whole.is_absolute() or whole.parts[:1] == ("..",) or not (self.repository / whole).exists():
            raise ValueError(f"{path}: leads to {url}, which is not there")
        return whole.with_suffix(".md") if whole.name == "report.html" else whole  # one file for mail: not in the site

    def _address(self, url: str, path: PurePosixPath, page: PurePosixPath) -> str:
        if urlsplit(url).scheme or url.startswith("#"):
            return url
        fragment = urlsplit(url).fragment
        to = layout.relative(self.need(self._resolved(url, path)), page)
        return f"{to}#{fragment}" if fragment else to

    def _figure(self, said: str, url: str, path: PurePosixPath, page: PurePosixPath) -> str:
        """A figure, interactive where it is Figure 2 or 3 of a profile, and the cell that drew it."""
        if urlsplit(url).scheme:  # the badge of a notebook
            return html.escape(said)
        file = self._resolved(url, path)
        image = f'<img src="{layout.relative(self.copy(file), page)}" alt="{html.escape(said)}">'
        chart = self._chart(file, page) if file.stem in _INTERACTIVE else None
        drawn_by = self._drawn_by(file, page)
        caption = f"<figcaption>{drawn_by}</figcaption>" if drawn_by else ""
        if chart is None:
            return f"<figure>{image}{caption}</figure>"
        colours = "".join(f"--curve-{k}: var(--{name});" for k, name in enumerate(self._shown(file), start=1))
        return (
            f'<figure class="interactive"><div class="legend" style="{colours}" role="group" aria-label="Curves"></div>'
            f'<div class="chart"></div>\n<script type="application/json">{chart}</script>\n'
            f"<details open><summary>As a picture, the same each time</summary>{image}</details>"
            f"<figcaption>{_READ_IT}"
            f'<a href="{layout.relative(self.need(file.parents[1] / "runs"), page)}">All runs as a table</a>. '
            f"{drawn_by}.</figcaption></figure>"
        )

    def _chart(self, file: PurePosixPath, page: PurePosixPath) -> str | None:
        folder = file.parents[1]
        runs = self._runs_of(folder)
        names = zip(runs["variant"], runs["p"], strict=True)
        to = {
            (variant, p): self._of_a_run(folder / "runs" / variant / f"p{p:02d}.csv", page)
            for variant, p in dict.fromkeys(names)
        }
        notebooks_of = {key: links.get("notebook", links["epochs"]) for key, links in to.items()}
        chart = interactive.accuracy_over_depth(runs, self._shown(file), notebooks_of)
        return chart and chart.replace("<", "\\u003c")

    def _shown(self, figure: PurePosixPath) -> list[str]:
        """The variants in Figure 2 or 3 of a profile."""
        there = set(self._runs_of(figure.parents[1])["variant"])
        return [name for name in figures.variants_with(biases=_INTERACTIVE[figure.stem]) if name in there]

    @functools.cache  # noqa: B019 (a site lives as long as it is written)
    def _runs_of(self, folder: PurePosixPath):  # noqa: ANN202
        try:
            return interactive.runs_of(self.repository / folder)
        except ResultError as error:
            raise ValueError(str(error)) from None

    def _drawn_by(self, file: PurePosixPath, page: PurePosixPath) -> str:
        """A link to the cell that drew a figure; nothing where it was no notebook."""
        folder = file.parents[1]
        of_study = folder.parent == _STUDIES
        notebook = (
            _STUDIES / "notebooks" / f"{folder.name}.ipynb" if of_study else folder / "notebooks" / "summary.ipynb"
        )
        if not (self.repository / notebook).is_file():
            return ""
        cell = notebooks.cell_of(self.repository / notebook, file.stem)
        to = layout.relative(self.need(notebook), page) + (f"#{cell}" if cell else "")
        return f'<a href="{to}">The cell that drew it</a>'
