"""Runs of a grid's cells out of the studies: which count."""

import shutil

import pytest

from reproduction.evidence import further_runs, tables
from reproduction.evidence.results import CellFiles
from reproduction.protocol.profiles import Profile
from reproduction.run import run as run_cell

PROFILE = Profile(
    name="small", title="a test", dataset="digits", epochs=1, learning_rate=0.01, depths=[0], repeats={"baseline": 2}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A grid with seeds 0 and 1, and studies with seeds 1 and 2, with another rate, and with further measures."""
    folder = tmp_path_factory.mktemp("outputs")
    own = PROFILE.cells()[0].model_dump()
    for where, change in {
        "small": {},
        "studies/a/again": {"seeds": (1, 2), "measures": ("layer_norms",)},
        "studies/a/other_rate": {"seeds": (3,), "learning_rate": 0.02},
        "studies/b/again": {"seeds": (2,)},
    }.items():
        run_cell(**(own | change), outputs=str(folder / where), device="cpu")
    return folder


def table(folder):
    grid = tables.collect(PROFILE, folder / "small")
    assert not grid.problems
    return further_runs.table(grid, folder / "studies")


def test_they_are_those_of_the_same_parameters_with_new_seeds_each_once(folder):
    found = table(folder)
    assert found[["variant", "p", "seed", "fate", "study"]].to_numpy().tolist() == [
        ["baseline", 0, 2, "trained", "a/again"]
    ]
    assert list(found.columns) == [*tables.final_runs(tables.collect(PROFILE, folder / "small")).columns, "study"]


def test_damaged_results_and_other_data_do_not_count(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "outputs")
    files = CellFiles(tmp_path / "outputs" / "studies" / "a" / "again" / "runs", "baseline", 0)
    files.csv.write_bytes(files.csv.read_bytes()[:-1])
    assert table(tmp_path / "outputs")["study"].tolist() == ["b/again"]
    grid = tables.collect(PROFILE, folder / "small")
    for result in grid.results.values():
        result.metadata["data"]["fingerprint"] = "of other images"
    assert further_runs.table(grid, folder / "studies").empty


def test_without_studies_there_are_none(folder, tmp_path):
    grid = tables.collect(PROFILE, folder / "small")
    assert further_runs.table(grid, tmp_path).empty and "study" in further_runs.table(grid, tmp_path)
