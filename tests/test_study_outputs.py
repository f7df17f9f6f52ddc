"""Integrity of the committed studies: each answer is of today's notebook and code, and of whole runs."""

import json

import pytest

from reproduction.checkout import REPOSITORY
from reproduction.evidence import answers, results
from reproduction.evidence.results import CellFiles

OUTPUTS = answers.OUTPUTS
ANSWERS = [answer.name for answer in answers.answers(OUTPUTS)]


@pytest.fixture(params=ANSWERS)
def name(request):
    return request.param


def test_the_answer_is_of_todays_notebook_and_library(name):
    assert answers.is_current(OUTPUTS / name)


def test_the_executed_notebook_is_kept_ran_through_and_has_the_parameters_of_the_source(name):
    executed = json.loads((OUTPUTS / "notebooks" / f"{name}.ipynb").read_text())
    assert executed["metadata"]["papermill"]["exception"] is None
    assert set(executed["metadata"]["papermill"]["parameters"]) <= {"outputs", "device", "remake"}


def test_every_run_of_a_study_is_whole_fits_and_is_of_the_grids_data(name):
    fingerprints = set()
    for path in (OUTPUTS / name).glob("*/runs/*/p*.csv"):  # not the progress of one that runs
        files = CellFiles(path.parents[1], path.parent.name, int(path.stem[1:]))
        result = results.read(files)
        assert not results.find(files, result.parameters).problem
        for _, run in result.frame.groupby("seed"):
            assert len(run) == result.parameters.epochs or run["diverged"].iloc[-1]
        fingerprints.add(result.metadata["data"]["fingerprint"])
    assert len(fingerprints) <= 1  # none: it trained no run of its own


def test_the_answer_is_in_the_appendix(name):
    answer = (OUTPUTS / name / "answer.md").read_text().strip()
    assert answer in (REPOSITORY / "outputs" / "paper" / "appendix.md").read_text()
