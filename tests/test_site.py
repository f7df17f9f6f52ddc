"""The static site of the committed results: its links, its size, what it holds, its colours; and what it refuses."""

import argparse
import html.parser
import itertools
import json
import re
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest
from pygments.styles import get_style_by_name

from reproduction.checkout import REPOSITORY
from reproduction.evidence import figures, site
from reproduction.evidence.site import colours, interactive, notebooks, text
from reproduction.protocol.profiles import load_profile
from workflow import run_site

PROFILES = sorted(path.stem for path in REPOSITORY.glob("config/*.yaml") if path.stem != "demo")
PROFILES = [name for name in PROFILES if (REPOSITORY / "outputs" / name / "report.md").exists()]


class Page(html.parser.HTMLParser):
    """What a page leads to (`href`), what it loads (`src`), its ids, and its headings' levels."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.leads, self.loads, self.ids, self.levels, self.without_alt = [], [], set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids |= {attributes["id"]} & set(attributes.values()) if "id" in attributes else set()
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "img" and not attributes.get("alt"):
            self.without_alt.append(attributes["src"])
        if "src" in attributes or tag == "link":
            self.loads.append(attributes.get("src") or attributes["href"])
        elif "href" in attributes:
            self.leads.append(attributes["href"])


@pytest.fixture(scope="module")
def pages(built_site):
    return {path.resolve(): Page(path) for path in sorted(built_site.rglob("*.html"))}


def test_every_link_leads_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for url in {*page.leads, *page.loads}:
            parts = urlsplit(url)
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme in ("http", "https", "data"):
                continue
            if not to.is_file() or (parts.fragment and to in pages and parts.fragment not in pages[to].ids):
                broken.append((path.name, url))
    assert not broken


def test_nothing_is_loaded_from_outside(pages, built_site):
    loaded = {urlsplit(url).scheme for page in pages.values() for url in page.loads}
    assert loaded <= {"", "data"}
    style = (built_site / "assets" / "style.css").read_text()
    assert "url(" not in style and "@import" not in style


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


FURTHER = [profile for profile in PROFILES if profile not in ("paper", "quick")]


def test_site_is_small(built_site):
    assert size(built_site) - sum(size(built_site / profile) for profile in FURTHER) < 15e6
    assert len(list(built_site.rglob("*.js"))) == len(list(built_site.rglob("*.css"))) == 1


@pytest.mark.parametrize("profile", FURTHER)
def test_a_further_grid_adds_little_to_it_for_each_cell(built_site, profile):
    assert size(built_site / profile) < 1e5 * len(load_profile(profile).cells())


def test_pages_have_one_title_headings_in_order_and_pictures_in_words(pages):
    for path, page in pages.items():
        assert page.levels[:1] == [1], path
        assert all(b - a <= 1 for a, b in itertools.pairwise(page.levels)), (path, page.levels)
        assert not page.without_alt, path


@pytest.mark.parametrize("profile", PROFILES)
def test_every_run_of_a_profile_is_there_and_so_is_every_notebook(built_site, profile):
    outputs = REPOSITORY / "outputs" / profile
    first = built_site / profile
    files = [*outputs.glob("runs/*/p*.csv"), *outputs.glob("runs/*/p*.json")]
    assert files
    assert all((first / file.relative_to(outputs)).read_bytes() == file.read_bytes() for file in files)
    assert all((first / "notebooks" / f"{nb.stem}.html").is_file() for nb in outputs.glob("notebooks/*.ipynb"))
    table = (first / "runs" / "index.html").read_text()
    assert table.count('<tr id="') == len(pd.read_csv(outputs / "tables" / "runs.csv"))


def test_every_run_of_a_study_is_there(built_site):
    outputs = REPOSITORY / "outputs" / "studies"
    archives = {path.parent.name: zipfile.ZipFile(path) for path in (built_site / "studies").glob("*/runs.zip")}
    files = [path.relative_to(outputs) for path in outputs.rglob("p[0-9][0-9].csv")]
    assert files
    for file in files:
        held = archives[file.parts[0]].read("/".join(file.parts[1:]))
        assert held == (outputs / file).read_bytes()


def test_numbers_of_a_sentence_lead_to_their_table_and_what_they_are_about_does_not():
    found = text.linked("At p = 19, <b>1.5 points</b> (± 0.5), as in 2019, at p = 1 to 9 by 20 %", "t.html")
    assert re.findall(r'<a class="number" href="t.html">(.*?)</a>', found) == ["1.5 points", "± 0.5", "20 %"]
    assert "number" not in text.linked("Table 1, lr · c^(L²/4) with L = p + 2, c > 1, p = 19.", "t.html")
    assert re.findall(r">(.*?)</a>", text.linked("of 1,200, 3 and 60,", "t.html")) == ["1,200", "3", "60"]
    assert text.linked('<a href="x">5</a> <code>7</code>', "t.html") == '<a href="x">5</a> <code>7</code>'


def test_figure_holds_each_run_with_what_it_is_and_where_it_leads():
    outputs = REPOSITORY / "outputs" / PROFILES[0]
    shown = figures.variants_with(biases=False)
    runs = interactive.runs_of(outputs)
    spec = interactive.accuracy_over_depth(runs, shown, {(run.variant, run.p): "n.html" for run in runs.itertuples()})
    rows = [row for data in json.loads(spec)["datasets"].values() for row in data if "href" in row]
    table = pd.read_csv(outputs / "tables" / "runs.csv")
    table = table[table["variant"].isin(shown)]
    assert sorted((r["variant"], r["p"], r["seed"]) for r in rows) == sorted(
        table[["variant", "p", "seed"]].itertuples(index=False, name=None)
    )
    trained = table[table["fate"] == "trained"].set_index(["variant", "p", "seed"])["test_accuracy"]
    drawn = {(r["variant"], r["p"], r["seed"]): r["y"] for r in rows if r["fate"] == "trained"}
    assert drawn == trained.to_dict()
    assert all(r["seconds"] >= 0 and r["learning_rate"] > 0 and r["href"] == "n.html" for r in rows)
    assert interactive.accuracy_over_depth(runs, [], {}) is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_read(theme):
    page = colours.PAGE[theme]
    for ink, ground in itertools.product(("ink", "muted", "link"), ("page", "soft")):
        assert colours.contrast(page[ink], page[ground]) >= 4.5
    for colour in figures.COLOURS.values():
        assert colours.contrast(colours.on_page(colour, theme), page["page"]) >= 3
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21)
    tokens = {style["color"] for _, style in get_style_by_name(colours.CODE[theme]) if style["color"]}
    assert all(colours.contrast(f"#{colour}", page["soft"]) >= 4.5 for colour in tokens - {"6e7681"})  # of line numbers


def small_repository(folder: Path, report: str) -> Path:
    (folder / "outputs" / "demo" / "tables").mkdir(parents=True)
    (folder / "outputs" / "demo" / "report.md").write_text(report)
    return folder


def test_first_page_is_the_only_report_there_is(tmp_path):
    repository = small_repository(tmp_path / "repository", "# A <report>\n\n[table](tables/a.csv)\n")
    (repository / "outputs" / "demo" / "tables" / "a.csv").write_text("name,value\nR1,0.123456789012\n")
    site.write(repository, tmp_path / "site")
    assert '<a href="demo/tables/a.html">' in (tmp_path / "site" / "index.html").read_text()
    table = (tmp_path / "site" / "demo" / "tables" / "a.html").read_text()
    assert '<tr id="R1">' in table and "<td>0.123457</td>" in table
    site.write(repository, tmp_path / "site")  # over the one that is there


def test_what_is_no_site_is_not_replaced(tmp_path):
    repository = small_repository(tmp_path / "repository", "# A\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("three years")
    (tmp_path / "mine" / "assets").mkdir()
    (tmp_path / "mine" / "assets" / "style.css").write_text("body {}")  # as any site may have
    with pytest.raises(ValueError, match="mine: holds files that are no site; name another folder"):
        site.write(repository, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "three years"


def test_command_says_in_a_sentence_why_not(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("three years")
    assert run_site.main(argparse.Namespace(outputs=str(tmp_path), dry_run=False)) == 1
    assert capsys.readouterr().err == f"{tmp_path}: holds files that are no site; name another folder\n"


def test_errors_say_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"no profile has a report yet; \./run_all\.sh demo makes one"):
        site.write(tmp_path, tmp_path / "site")
    repository = small_repository(tmp_path / "repository", "# A\n\n[b](tables/b.csv)\n")
    with pytest.raises(ValueError, match=r"outputs/demo/report\.md: leads to tables/b\.csv, which is not there"):
        site.write(repository, tmp_path / "site")
    (repository / "no.ipynb").write_text("{")
    with pytest.raises(ValueError, match=r"no\.ipynb: not a notebook"):
        notebooks.body(repository / "no.ipynb", text.Links(str, lambda said, url: said))
