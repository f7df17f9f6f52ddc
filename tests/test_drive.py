"""Results on Colab go to Drive once it is mounted, whenever that is, and it is said where they go."""

import shutil

import pytest

from workflow.drive import FOLDER, keep_results


@pytest.fixture
def drive(tmp_path):
    folder = tmp_path / "drive"
    folder.mkdir()
    return folder


@pytest.fixture
def results(tmp_path):
    return tmp_path / "outputs" / "interactive"


def write(folder, text="1"):
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    (folder / "runs" / "p01.csv").write_text(text)
    (folder / "runs" / ".lock").touch()  # it stays when results have been written


def test_without_drive_it_is_said_loudly_that_results_are_lost_with_the_machine(tmp_path, results):
    said = keep_results(results, tmp_path / "no drive")
    assert "RESULTS STAY ON THIS MACHINE" in said and "mount Drive" in said
    assert not results.exists()


def test_with_drive_results_go_there_however_often_the_cell_is_run(drive, results):
    for _ in range(2):
        assert keep_results(results, drive) == f"Results go to Drive: {drive / FOLDER}."
    write(results)
    assert (drive / FOLDER / "runs" / "p01.csv").read_text() == "1"


def test_what_was_trained_before_drive_was_mounted_moves_there(drive, results):
    write(results)
    assert "1 files that were in" in keep_results(results, drive)
    assert (drive / FOLDER / "runs" / "p01.csv").read_text() == "1"
    assert (results / "runs" / "p01.csv").read_text() == "1"


def test_results_join_those_of_other_cells_that_are_on_drive(drive, results):
    write(drive / FOLDER)
    write(results)
    (results / "runs" / "p01.csv").rename(results / "runs" / "p03.csv")
    keep_results(results, drive)
    assert sorted(path.name for path in (results / "runs").glob("p*.csv")) == ["p01.csv", "p03.csv"]


def test_what_is_on_drive_already_is_not_replaced(drive, results):
    write(drive / FOLDER, "on Drive")
    write(results, "here")
    keep_results(results, drive)
    assert (results / "runs" / "p01.csv").read_text() == "on Drive"
    assert [path.read_text() for path in drive.glob(f"{FOLDER}/from_this_machine_*/runs/p01.csv")] == ["here"]


def test_a_folder_on_drive_that_was_deleted_is_made_anew(drive, results):
    keep_results(results, drive)
    shutil.rmtree(drive / FOLDER)
    keep_results(results, drive)
    write(results)
    assert (drive / FOLDER / "runs" / "p01.csv").exists()


def test_drive_that_is_not_mounted_any_more_is_said(drive, results):
    keep_results(results, drive)
    shutil.rmtree(drive)
    assert "RESULTS STAY ON THIS MACHINE" in keep_results(results, drive)
    write(results)
    assert (results / "runs" / "p01.csv").exists()
