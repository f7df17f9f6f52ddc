"""Results on disk: what was written comes back; what was damaged, edited or is out of date is refused by name."""

import dataclasses
import json
import subprocess
import sys

import pytest

from equinorm import cell, experiments, provenance, results
from equinorm.config import REPOSITORY
from equinorm.experiments import check_parameters
from equinorm.results import CellFiles, ResultError

TINY = {"variant": "enorm", "p": 0, "seeds": [3, 5], "epochs": 2, "learning_rate": 0.01, "dataset": "digits"}


@pytest.fixture
def written(tmp_path):
    result = cell.run(**TINY, outputs=str(tmp_path), device="cpu")
    return CellFiles(tmp_path / "runs", "enorm", 0), result


def test_what_is_read_is_what_was_written(written):
    files, result = written
    again = results.read_for(files, check_parameters(TINY))
    assert again.frame.equals(result.frame)
    assert again.final()["epoch"].tolist() == [2, 2]


def test_json_says_where_the_result_is_from(written):
    metadata = json.loads(written[0].json.read_text())
    assert metadata["parameters"]["seeds"] == [3, 5]
    assert metadata["parameters"]["precision"] == "float32"
    assert metadata["data"]["name"] == "digits"
    assert len(metadata["data"]["fingerprint"]) == 64
    assert {"torch", "python"} <= set(metadata["versions"])
    assert metadata["device"]["type"] == "cpu"
    assert metadata["wall_time_seconds"] > 0
    assert metadata["git_commit"]


def test_nothing_but_results_is_left(written):
    assert {path.name for path in written[0].csv.parent.iterdir()} == {"p00.csv", "p00.json"}


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def edit(path):
    path.write_text(path.read_text().replace("enorm", "eNorm", 1))


@pytest.mark.parametrize("damage", [truncate, edit, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_damaged_result_is_refused_by_name(written, damage, kind):
    files, _ = written
    damage(getattr(files, kind))
    with pytest.raises(
        (ResultError, ValueError), match="out of date|sha256" if damage is edit else getattr(files, kind).name
    ):
        results.read_for(files, check_parameters(TINY))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("protocol_version", 0, "protocol version"),
        ("code_digest", "0" * 16, "other code"),
        ("csv_sha256", "0", "sha256"),
    ],
)
def test_result_of_other_code_or_version_is_refused(written, key, value, said):
    files, _ = written
    files.json.write_text(json.dumps(results.sealed(json.loads(files.json.read_text()) | {key: value})))
    with pytest.raises(ResultError, match=said):
        results.read_for(files, check_parameters(TINY))


@pytest.mark.parametrize("key", ["epoch_seconds", "diverged", "device", "data", "versions", "wall_time_seconds"])
def test_json_edited_by_hand_is_refused(written, key):
    files, _ = written
    metadata = json.loads(files.json.read_text())
    files.json.write_text(json.dumps(metadata | {key: [1]}))
    with pytest.raises(ResultError, match=r"p00\.json: edited since it was written"):
        results.read(files)
    files.json.write_text(json.dumps(metadata))  # another layout is no other content
    results.read(files)


def test_json_without_what_the_tables_need_is_refused(written):
    files, _ = written
    metadata = json.loads(files.json.read_text())
    del metadata["protocol"]
    files.json.write_text(json.dumps(results.sealed(metadata)))
    with pytest.raises(ResultError, match="lacks protocol"):
        results.read_for(files, check_parameters(TINY))


def test_result_of_other_parameters_is_out_of_date(written):
    with pytest.raises(ResultError, match="other parameters"):
        results.read_for(written[0], check_parameters(TINY | {"epochs": 3}))


def test_same_seeds_give_the_same_file_twice_on_this_machine(written, tmp_path):
    cell.run(**TINY, outputs=str(tmp_path / "again"), device="cpu")
    assert (tmp_path / "again" / "runs" / "enorm" / "p00.csv").read_bytes() == written[0].csv.read_bytes()


def test_unwritable_outputs_are_named_and_earlier_results_kept(written, tmp_path):
    before = written[0].csv.read_bytes()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        cell.run(**TINY, outputs=str(tmp_path / "file"), device="cpu")
    assert written[0].csv.read_bytes() == before


def test_code_digest_ignores_comments_and_docstrings_but_not_code(tmp_path):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from equinorm import provenance; print(provenance.code_digest())"
    )

    def digest(change):
        import shutil

        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(REPOSITORY / "lib", folder)
        path = folder / "equinorm" / "enorm.py"
        path.write_text(change(path.read_text()))
        command = [sys.executable, "-c", script, str(folder)]
        return subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout

    same = digest(lambda text: text)
    assert digest(lambda text: "# a comment\n" + text.replace("One cycle goes", "A cycle goes")) == same
    assert digest(lambda text: text.replace("c: float = 1.2", "c: float = 1.1")) != same


def test_result_of_another_schedule_or_variant_is_out_of_date(written, monkeypatch):
    files, _ = written
    parameters = check_parameters(TINY)
    with monkeypatch.context() as patch:
        patch.setattr(experiments.Parameters, "epoch_learning_rate", lambda self, epoch: self.initial_learning_rate)
        with pytest.raises(ResultError, match="another learning-rate schedule"):
            results.read_for(files, parameters)
    with_biases = dataclasses.replace(experiments.VARIANTS["enorm"], biases=True)
    monkeypatch.setitem(experiments.VARIANTS, "enorm", with_biases)
    with pytest.raises(ResultError, match="another protocol"):
        results.read_for(files, parameters)


def test_results_of_equivalent_code_stand_but_for_the_variants_it_names(monkeypatch, tmp_path):
    (tmp_path / "equivalent_code.json").write_text(
        '{"equivalent": {"today": {"earlier": {"why": "a test", "but_for": ["batch_norm"]}}, "other": {"third": {}}}}'
    )
    monkeypatch.setattr(provenance, "_LIBRARY", tmp_path)
    monkeypatch.setattr(provenance, "code_digest", lambda: "today")
    assert provenance.equivalent_code_digests("enorm") == {"today", "earlier"}
    assert provenance.equivalent_code_digests("batch_norm") == {"today"}


NAN = {
    "variant": "enorm_bias",
    "p": 19,
    "seeds": [0, 1],
    "epochs": 2,
    "learning_rate": 5.0,
    "c": 1.3,
    "dataset": "digits",
}


def test_where_every_run_diverges_one_more_seed_is_tried_and_all_are_kept(tmp_path):
    result = cell.run(**NAN, outputs=str(tmp_path), device="cpu")
    assert result.final()[["seed", "diverged"]].values.tolist() == [[0, True], [1, True], [2, True]]
    assert [run["seed"] for run in result.metadata["diverged"]] == [0, 1, 2]
    files = CellFiles(tmp_path / "runs", "enorm_bias", 19)
    assert results.read_for(files, check_parameters(NAN)).frame["seed"].tolist() == [0, 1, 2]
    assert not files.checkpoints()
    assert cell.run(**NAN, restarts=0, outputs=str(tmp_path), device="cpu").frame["seed"].tolist() == [0, 1]


def test_no_restart_where_a_run_trains(tmp_path):
    assert cell.run(**TINY, outputs=str(tmp_path), device="cpu").frame["seed"].unique().tolist() == [3, 5]
