"""Pages of tables and folders: one row, or one link, for each thing that is in them."""

import html
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from reproduction.evidence import answers
from reproduction.evidence.site import files, layout
from reproduction.evidence.site.places import STUDIES, profiles

if TYPE_CHECKING:
    from reproduction.evidence.site.pages import Site


def table(site: "Site", path: PurePosixPath, page: PurePosixPath) -> tuple[str, str]:
    """Title and body of the page of a CSV; rows of runs lead to their notebooks."""
    profile = path.parents[1] if path.parent.name == "tables" else None
    runs = profile / "runs" if profile else None

    def links(row: dict) -> dict[str, str]:
        csv = runs and runs / row.get("variant", "") / f"p{int(row.get('p') or 0):02d}.csv" if "p" in row else None
        if not csv or not (site.repository / csv).is_file():
            return {}
        of_run = site.of_a_run(csv, page)
        return {"variant": of_run.get("notebook", of_run["epochs"]), "p": of_run["epochs"]}

    said = [f'<a href="{layout.relative(site.copy(path), page)}">{path.name}</a> has all digits.']
    if runs and path.stem != "runs" and (site.repository / profile / "tables" / "runs.csv").is_file():
        made_of = layout.relative(site.need(profile / "tables" / "runs.csv"), page)
        said.append(f'Made of <a href="{made_of}">runs</a>, a row for each run.')
    if path.match("outputs/*/runs/*/*.csv"):
        said.append(f"Of these runs: {site.run_links(path, page)}.")
    title = str(path.relative_to("outputs")) if path.parts[0] == "outputs" else str(path)
    body = files.table(site.repository / path, links)
    return title, f"<h1>{html.escape(title)}</h1>\n<p>{' '.join(said)}</p>\n{body}"


def folder(site: "Site", path: PurePosixPath, page: PurePosixPath) -> tuple[str, str]:
    """Title and body of the page of a folder."""
    if path == STUDIES:
        return "Studies", "<h1>Studies</h1>\n" + _studies(site, page)
    profile = path.parent.name
    if path.name == "runs" and profile in profiles(site.repository):
        title = f"All runs of profile {profile}"
        return title, f"<h1>{title}</h1>\n" + _all_runs(site, path.parent, page)
    inside = files.inside(site.repository / path)
    title, runs = f"{path}/", ""
    if path.parent == STUDIES and path.name in answers.STUDIES:
        title = answers.STUDIES[path.name]
        of_runs = [name for name in inside if len(name.parts) > 2]  # <condition>/<variant>/pNN.csv and .json
        inside = [name for name in inside if name not in of_runs]
        runs = _packed(site, path, of_runs, page) if of_runs else ""
    found = {name: layout.relative(site.need(path / name), page) for name in inside}
    return title, f'<h1>{html.escape(title)}</h1>\n<p class="muted">{path}/</p>\n{runs}{files.listing(found)}'


def _packed(site: "Site", folder: PurePosixPath, names: list[PurePosixPath], page: PurePosixPath) -> str:
    """A study's runs as one archive, for they are hundreds of small files."""
    archive = site.places.raw(folder) / "runs.zip"
    site.put(archive, files.packed(site.repository / folder, names))
    to, count = layout.relative(archive, page), sum(name.suffix == ".csv" for name in names)
    return f'<p>All its runs, {count} CSVs and what they were made with: <a href="{to}">runs.zip</a>.</p>\n'


def _all_runs(site: "Site", folder: PurePosixPath, page: PurePosixPath) -> str:
    frame = site.runs_of(folder)

    def links(run: dict) -> dict[str, str]:
        return site.of_a_run(folder / "runs" / run["variant"] / f"p{run['p']:02d}.csv", page)

    return files.runs(frame, links)


def _studies(site: "Site", page: PurePosixPath) -> str:
    entries = []
    for name, title in answers.STUDIES.items():
        if not (site.repository / STUDIES / name).is_dir():
            continue
        parts = {
            "answer": STUDIES / name / "answer.md",
            "notebook": STUDIES / "notebooks" / f"{name}.ipynb",
            "all its runs, tables and figures": STUDIES / name,
        }
        there = {said: path for said, path in parts.items() if (site.repository / path).exists()}
        links = [f'<a href="{layout.relative(site.need(to), page)}">{said}</a>' for said, to in there.items()]
        entries.append(f"<h2>{html.escape(title)}</h2>\n<p>{', '.join(links)}</p>\n")
    return "".join(entries)
