"""How to cite this suite, and under which licence it may be used: whole, and the same wherever it is said."""

import tomllib

import yaml

from reproduction.checkout import REPOSITORY

CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_citation_has_what_its_format_requires():
    assert CITATION["cff-version"] == "1.2.0"
    for key in ("message", "title"):
        assert isinstance(CITATION[key], str) and CITATION[key]
    for authors in [CITATION["authors"], *(reference["authors"] for reference in CITATION["references"])]:
        assert authors and all(author.get("name") or author.get("family-names") for author in authors)
    for reference in CITATION["references"]:
        assert reference["type"] and reference["title"] and reference["year"] == 2019


def test_the_paper_and_the_2019_report_are_cited():
    paper, report = CITATION["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Stock", "Graham", "Gribonval", "Jégou"]
    said = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert paper["title"] in said and paper["url"] in said
    assert report["title"] in (REPOSITORY / "lib/reproduction/evidence/templates/appendix.md.j2").read_text(
        encoding="utf-8"
    )


def test_version_and_licence_are_those_of_the_package():
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"] == "MIT"
    (name,) = PROJECT["license-files"]
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    assert text.startswith("MIT License") and "2026 the authors of the ENorm reproducibility suite" in text
