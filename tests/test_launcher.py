"""What `./run_all.sh` says of arguments and files that it cannot use."""

import sys

import pytest

from reproduction.evidence import answers
from reproduction.protocol.variants import DEPTHS, Variant
from workflow import __main__ as launcher
from workflow import arguments, run_all

pytestmark = pytest.mark.portable


def parsed(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["run_all.sh", *words])
    return arguments.parse_arguments()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["studies", "--summary"], "--summary is for a profile, not for studies"),
        (["precision", "--summary"], "--summary is for a profile, not for precision"),
        (["site", "--remake"], "--remake is for a profile or studies, not for site"),
    ],
)
def test_options_that_would_do_nothing_are_refused(words, said, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        parsed(monkeypatch, *words)
    assert stopped.value.code == 2 and said in capsys.readouterr().err


def test_a_profile_that_has_the_name_of_something_else_is_named(monkeypatch, capsys):
    stems = arguments.stems
    monkeypatch.setattr(
        arguments, "stems", lambda pattern: [*stems(pattern), *(["site"] if "config" in pattern else [])]
    )
    assert parsed(monkeypatch, "paper").profile == "paper"
    with pytest.raises(SystemExit) as stopped:
        parsed(monkeypatch, "site")
    assert stopped.value.code == 2 and "config/site.yaml: site is the word for" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["paper", "--summary"], ["paper", "--remake"], ["studies", "--remake"]])
def test_options_that_do_something_are_not(words, monkeypatch):
    assert parsed(monkeypatch, *words).profile == words[0]


def test_a_study_without_a_title_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.delitem(answers.STUDIES, "precision")
    assert launcher.run(parsed(monkeypatch, "precision", "-n", "--outputs", str(tmp_path))) == 1
    assert "notebooks/studies/precision.ipynb: has no title" in capsys.readouterr().err


def test_titles_that_are_not_yaml_and_answers_that_are_damaged_are_named(monkeypatch, capsys, tmp_path):
    def broken(*_):
        import yaml

        yaml.safe_load("rates: Which rates: those of Table 1")

    monkeypatch.setattr(run_all, "plan", broken)
    assert launcher.run(parsed(monkeypatch, "demo", "-n")) == 1
    assert capsys.readouterr().err == (
        "notebooks/studies/titles.yaml, line 1: not YAML; a title with a colon needs quotes\n"
    )
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / "contents.json").write_text("<<<<<<< HEAD")
    monkeypatch.setattr(run_all, "plan", lambda *_: answers.answers(tmp_path))
    assert launcher.run(parsed(monkeypatch, "demo", "-n")) == 1
    assert "contents.json: damaged, not the JSON that was written; " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["My_norm", "my-norm", "", "1_norm"])
def test_a_variants_name_fits_files_and_the_workflow(name):
    with pytest.raises(ValueError, match="a name is of small letters, digits and _, and begins with a letter"):
        Variant(name, "Mine", (0.1,) * len(DEPTHS))
