"""Studies: conditions are trained once, compared in pairs, and their answers are known to be of today or not."""

import dataclasses
import json
import math
import re
import subprocess
import sys

import joblib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from reproduction import studies
from reproduction.checkout import REPOSITORY
from reproduction.data import datasets
from reproduction.evidence import answers, effects, results, whole
from reproduction.evidence.results import CellFiles, ResultError
from reproduction.protocol import revisions
from reproduction.run import run as run_cell
from workflow import run_studies

TINY = {"variant": "enorm", "p": 0, "seeds": [0, 1], "epochs": 1, "learning_rate": 0.01, "dataset": "digits"}


def runs(**accuracies):
    """One row per run: for each condition the accuracies of seeds 0, 1, ...; None diverged."""
    return pd.DataFrame(
        [
            {"condition": condition, "variant": "enorm", "p": 3, "seed": seed, "test_accuracy": accuracy,
             "diverged": accuracy is None}
            for condition, values in accuracies.items()
            for seed, accuracy in enumerate(values)
        ]
    )  # fmt: skip


def test_there_is_a_notebook_for_every_study():
    assert {path.stem for path in (REPOSITORY / "notebooks" / "studies").glob("*.ipynb")} == set(answers.STUDIES)


def test_conditions_are_trained_once_and_changed_ones_again(tmp_path):
    cells = [("plain", TINY), ("c1", TINY | {"c": 1.0, "measures": ["layer_norms"]})]
    rows = studies.train(cells, tmp_path, "cpu")
    assert rows[["condition", "c", "seed"]].values.tolist() == [
        ["plain", 1.2, 0], ["plain", 1.2, 1], ["c1", 1.0, 0], ["c1", 1.0, 1],
    ]  # fmt: skip
    assert rows["weight_norm_01"].notna().tolist() == [False, False, True, True]
    kept = tmp_path / "plain" / "runs" / "enorm" / "p00.json"
    written = kept.stat().st_mtime_ns
    pd.testing.assert_frame_equal(studies.train(cells, tmp_path, "cpu"), rows)
    assert kept.stat().st_mtime_ns == written
    changed = [("plain", TINY | {"c": 1.1}), cells[1]]
    with pytest.raises(ResultError, match=r"c = 1.2 \(asked for: 1.1\)"):
        studies.train(changed, tmp_path, "cpu")
    assert kept.stat().st_mtime_ns == written
    again = studies.train(changed, tmp_path, "cpu", remake=True)
    assert again["c"].tolist() == [1.1, 1.1, 1.0, 1.0]
    assert not list(tmp_path.glob("c1/set_aside"))
    assert list(tmp_path.glob("plain/set_aside/*/enorm/p00.csv"))


def test_runs_of_the_grid_are_not_trained_again(tmp_path):
    run_cell(**TINY | {"seeds": [0, 1, 2]}, outputs=str(tmp_path / "grid"), device="cpu")
    rows = studies.train([("plain", TINY), ("c1", TINY | {"c": 1.0})], tmp_path / "study", "cpu", tmp_path / "grid")
    assert rows[["condition", "seed"]].values.tolist() == [["plain", 0], ["plain", 1], ["c1", 0], ["c1", 1]]
    assert [path.parts[-4] for path in (tmp_path / "study").glob("*/runs/enorm/p00.csv")] == ["c1"]
    more = studies.train([("plain", TINY | {"seeds": [2, 3]})], tmp_path / "study", "cpu", tmp_path / "grid")
    assert more["seed"].tolist() == [2, 3]
    own = results.read(CellFiles(tmp_path / "study" / "plain" / "runs", "enorm", 0))
    assert own.frame["seed"].tolist() == [3]


def test_runs_of_other_data_are_no_partners(tmp_path, small_digits, monkeypatch):
    grid, outputs = tmp_path / "grid", tmp_path / "study"
    run_cell(**TINY, outputs=str(grid), device="cpu")
    other = dataclasses.replace(small_digits, fingerprint="another", description="other digits")
    with monkeypatch.context() as patch, joblib.parallel_backend("sequential"):
        patch.setattr(datasets, "load", lambda name: other)
        rows = studies.train([("plain", TINY), ("c1", TINY | {"c": 1.0})], outputs, "cpu", grid)
    assert results.read(CellFiles(outputs / "plain" / "runs", "enorm", 0)).data == "other digits"
    again = studies.train([("plain", TINY), ("c1", TINY | {"c": 1.0})], outputs, "cpu", grid)
    pd.testing.assert_frame_equal(again, rows)  # nothing is to be trained, so it does not matter what is at hand
    monkeypatch.setattr("reproduction.run.train", None)  # nothing is trained first
    with joblib.parallel_backend("sequential"), pytest.raises(ResultError, match="made with other data"):
        studies.train([("c2", TINY | {"c": 2.0}), ("plain", TINY)], outputs, "cpu", tmp_path / "no grid")


def test_where_several_cells_are_trained_at_once_each_has_one_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with joblib.parallel_backend("loky", inner_max_num_threads=2):  # as on a machine with four cores
        studies.train([("plain", TINY), ("c1", TINY | {"c": 1.0})], tmp_path, "cpu")
    for condition in ("plain", "c1"):
        (device,) = results.read(CellFiles(tmp_path / condition / "runs", "enorm", 0)).devices
        assert device["threads"] == 1


def test_the_further_seed_of_a_cell_of_the_grid_that_diverged_comes_with_it(tmp_path):
    diverging = TINY | {"variant": "enorm_bias", "p": 9, "seeds": [0], "learning_rate": 5.0, "c": 1.5}
    kept = run_cell(**diverging, outputs=str(tmp_path / "grid"), device="cpu").frame
    assert kept["seed"].tolist() == [0, 1]
    rows = studies.train([("plain", diverging)], tmp_path / "study", "cpu", tmp_path / "grid")
    assert rows[["seed", "diverged"]].values.tolist() == [[0, True], [1, True]]


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_condition_that_diverged_is_tried_with_as_many_further_seeds_as_asked(tmp_path, restarts):
    diverging = TINY | {"variant": "enorm_bias", "p": 9, "seeds": [0], "learning_rate": 5.0, "c": 1.5}
    for _ in ("trained", "kept"):
        rows = studies.train([("plain", diverging)], tmp_path, "cpu", restarts=restarts)
        assert rows["seed"].tolist() == [0, 1][: 1 + restarts]


def test_answers_are_those_of_the_studies_that_have_one(tmp_path):
    assert answers.answers(tmp_path) == []
    figure, _ = plt.subplots()
    answers.write(tmp_path / "biases", "An answer.", {"map": (figure, "A map.")}, {"runs": pd.DataFrame({"a": [1]})})
    (answer,) = answers.answers(tmp_path)
    assert (answer.name, answer.text) == ("biases", "An answer.")
    assert (answer.figures, answer.tables) == ({"map": "A map."}, ["runs"])


def test_what_a_study_wrote_and_was_damaged_is_named(tmp_path):
    (tmp_path / "biases").mkdir()
    damaged = tmp_path / "biases" / "contents.json"
    damaged.write_text("<<<<<<< HEAD")
    assert not answers.is_current(tmp_path / "biases")
    with pytest.raises(ResultError, match=rf"{re.escape(str(damaged))}: damaged, "):
        answers.answers(tmp_path)


def test_final_is_the_last_row_of_each_run():
    rows = pd.concat([runs(a=[0.1, 0.2]).assign(epoch=1), runs(a=[0.3, 0.4]).assign(epoch=2)])
    assert results.last_rows(rows)["test_accuracy"].tolist() == [0.3, 0.4]


def test_differences_are_paired_by_seed_and_leave_out_runs_that_diverged():
    frame = runs(protocol=[0.50, 0.60, 0.40], other=[0.51, 0.63, None])
    (row,) = effects.differences(frame, "protocol", ["variant"]).to_dict("records")
    assert row["difference"] == pytest.approx(2)
    assert row["half_width"] == pytest.approx(12.706, rel=1e-4)  # t of 1 degree of freedom times 1.41 / sqrt(2)
    assert (row["pairs"], row["diverged"], row["verdict"]) == (2, 1, "not known")


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ([0.520, 0.621, 0.419], "matters"),
        ([0.501, 0.601, 0.401], "matters"),
        ([0.501, 0.599, 0.400], "does not"),
        ([0.560, 0.580, 0.400], "not known"),
        ([None, None, None], "diverges"),
    ],
)
def test_verdict_follows_from_the_interval(accuracies, verdict):
    table = effects.differences(runs(protocol=[0.50, 0.60, 0.40], other=accuracies), "protocol", ["variant"])
    assert table["verdict"].tolist() == [verdict]


def test_a_mean_over_depths_has_the_noise_of_the_pairs_of_each_depth_and_none_from_how_depths_differ():
    pair = {"variant": "enorm", "diverged": False}
    accuracies = {(3, 0): (0.50, 0.51), (3, 1): (0.50, 0.53), (9, 0): (0.50, 0.60), (9, 1): (0.50, 0.62)}
    rows = [
        pair | {"condition": condition, "p": p, "seed": seed, "test_accuracy": accuracy}
        for (p, seed), both in accuracies.items()
        for condition, accuracy in zip(("protocol", "other"), both, strict=True)
    ]
    (row,) = effects.differences(pd.DataFrame(rows), "protocol", ["variant"], over_depths=True).to_dict("records")
    assert (row["difference"], row["verdict"]) == (pytest.approx(6.5), "matters")
    assert row["half_width"] == pytest.approx(4.303 * 2**0.5 * (1 / 8 + 1 / 8) ** 0.5, rel=1e-3)  # t with 2 degrees
    other = [row | {"condition": "calm"} for row in rows if row["condition"] == "protocol"]  # its pairs are equal
    both = effects.differences(pd.DataFrame(rows + other), "protocol", ["variant"], over_depths=True)
    assert both["half_width"].tolist() == pytest.approx(
        [2.776 * (1 / 2) ** 0.5 * (1 / 8 + 1 / 8) ** 0.5 * 2**0.5] * 2, rel=1e-3
    )
    single = pd.DataFrame([row for row in rows if row["seed"] == 0])
    (row,) = effects.differences(single, "protocol", ["variant"], over_depths=True).to_dict("records")
    assert math.isnan(row["half_width"]) and row["verdict"] == "not known"


def test_an_answer_is_current_until_the_runs_it_read_or_what_computes_them_change(tmp_path, monkeypatch):
    outputs = tmp_path / "convergence"
    studies.train([("plain", TINY)], outputs, "cpu", tmp_path / "grid")
    assert not answers.is_current(outputs)
    figure, _ = plt.subplots()
    answers.write(outputs, "An answer.", {"drawn": (figure, "A caption.")}, {"made": pd.DataFrame({"a": [1]})})
    assert (outputs / "answer.md").read_text() == "An answer.\n"
    assert (outputs / "figures" / "drawn.svg").exists()
    assert pd.read_csv(outputs / "tables" / "made.csv")["a"].tolist() == [1]
    assert answers.is_current(outputs)
    assert json.loads((outputs / "contents.json").read_text())["runs"] == {"plain/runs/enorm/p00.json": [0, 1]}
    with monkeypatch.context() as patch:
        patch.setitem(revisions.REVISIONS, "enorm", 2)
        assert not answers.is_current(outputs)
    run_cell(**TINY | {"seeds": [2]}, outputs=outputs / "plain", device="cpu")
    assert answers.is_current(outputs)  # other runs of the same cell make no difference
    run_cell(**TINY, outputs=outputs / "plain", device="cpu", remake=True)
    assert not answers.is_current(outputs)


@pytest.mark.parametrize(
    "deleted", ["answer.md", "contents.json", "figures/map.svg", "figures/map.png", "tables/made.csv"]
)
def test_an_answer_is_there_until_one_of_its_files_is_deleted(tmp_path, deleted):
    assert not whole.has_answer(tmp_path)
    figure, _ = plt.subplots()
    answers.write(tmp_path, "An answer.", {"map": (figure, "A map.")}, {"made": pd.DataFrame({"a": [1]})})
    assert whole.has_answer(tmp_path)
    (tmp_path / deleted).unlink()
    assert not whole.has_answer(tmp_path)


def test_the_launcher_makes_an_answer_again_whose_file_was_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "is_current", lambda folder: True)
    for name in ("biases", "details"):
        answers.write(tmp_path / name, "An answer.", {}, {})
    (tmp_path / "details" / "answer.md").unlink()
    assert run_studies.plan(tmp_path, ["biases", "details"]) == ["details"]


def test_a_study_runs_as_a_notebook_and_leaves_its_answer(tmp_path):
    outputs = tmp_path / "convergence"
    tiny = {"p": 1, "seeds": [0], "epochs": 1, "cycles": 20, "dataset": "digits", "depths": [1, 2], "norms_epochs": 2}
    command = [
        sys.executable, REPOSITORY / "workflow" / "run_notebook.py", "notebooks/studies/convergence.ipynb",
        "--save-as", tmp_path / "executed.ipynb", "--outputs", outputs, "--parameters", json.dumps(tiny),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "At p = 1 (1 seed, float64, digits" in (outputs / "answer.md").read_text()
    assert answers.is_current(outputs)
