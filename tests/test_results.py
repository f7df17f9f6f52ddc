"""Results on disk: what was written comes back; what was damaged, edited or does not fit is refused by name.

A run is the unit: more seeds are trained and added, and what is there already stays, byte for byte.
"""

import dataclasses
import json
import re
import threading

import pytest

from reproduction.data import datasets
from reproduction.evidence import results
from reproduction.evidence.results import CellFiles, Found, ResultError
from reproduction.protocol import revisions
from reproduction.protocol.data_sets import DATA_SETS
from reproduction.protocol.history import History
from reproduction.protocol.parameters import Parameters, check_parameters
from reproduction.protocol.variants import VARIANTS
from reproduction.run import run as run_cell
from reproduction.training import checkpoints, devices

pytestmark = pytest.mark.portable

TINY = {"variant": "enorm", "p": 0, "seeds": [3, 5], "epochs": 2, "learning_rate": 0.02, "dataset": "digits"}


@pytest.fixture
def written(tmp_path):
    result = run_cell(**TINY, outputs=tmp_path, device="cpu")
    return CellFiles(tmp_path / "runs", "enorm", 0), result


def find(files, restarts=0, **changed):
    return results.find(files, check_parameters(TINY | changed), restarts)


def test_a_run_that_was_cut_off_names_every_machine_that_it_was_trained_on(tmp_path, monkeypatch):
    def stop_after(*saved):
        save(*saved)
        raise KeyboardInterrupt

    save = checkpoints.save
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoints, "save", stop_after)
        run_cell(**TINY, outputs=tmp_path, device="cpu")
    another = {"type": "cpu", "name": "another processor"}
    monkeypatch.setattr(devices, "describe_device", lambda device: another)
    result = run_cell(**TINY, outputs=tmp_path, device="cpu")
    for run in result.runs:
        assert run["device"] == another and len(run["epoch_seconds"]) == 2
        (before,) = run["before"]
        assert before["device"] != another and set(before) == {"device", "versions", "git_commit", "code_digest"}
    assert result.devices == [before["device"], another]


def test_what_is_read_is_what_was_written(written):
    files, result = written
    found = find(files)
    assert (found.missing, found.problem) == ((), "")
    assert found.result.frame.equals(result.frame)
    assert found.result.final()["epoch"].tolist() == [2, 2]


def test_json_says_run_by_run_where_the_result_is_from(written):
    metadata = json.loads(written[0].json.read_text())
    assert metadata["parameters"] == {
        "epochs": 2,
        "learning_rate": 0.02,
        "dataset": "digits",
    }  # what is not the default
    assert metadata["data"]["name"] == "digits"
    assert len(metadata["data"]["fingerprint"]) == 64
    assert [run["seed"] for run in metadata["runs"]] == [3, 5]
    for run in metadata["runs"]:
        assert {"torch", "python"} <= set(run["versions"])
        assert run["device"]["type"] == "cpu"
        assert len(run["epoch_seconds"]) == 2 and min(run["epoch_seconds"]) > 0
        assert run["git_commit"] and run["code_digest"] and run["finished"] and "before" not in run


def test_nothing_but_results_is_left(written):
    assert {path.name for path in written[0].csv.parent.iterdir()} == {"p00.csv", "p00.json"}


# --- a run is the unit


def test_more_seeds_are_added_and_what_is_there_stays(written, tmp_path):
    files, first = written
    before = files.csv.read_bytes()
    more = {"seeds": [5, 4, 3]}
    assert find(files, **more).missing == (4,)
    result = run_cell(**TINY | more, outputs=tmp_path, device="cpu")
    assert files.csv.read_bytes().startswith(before)
    assert set(result.frame["seed"]) == {3, 4, 5}
    runs = json.loads(files.json.read_text())["runs"]
    assert [run["seed"] for run in runs] == [3, 5, 4]
    assert runs[:2] == first.runs
    alone = run_cell(**TINY | {"seeds": [4]}, outputs=tmp_path / "alone", device="cpu")
    added = result.frame[result.frame["seed"] == 4].reset_index(drop=True)
    assert added.equals(alone.frame)  # a run does not depend on the others


def test_of_more_runs_than_asked_for_those_asked_for_are_given(written):
    found = find(written[0], seeds=[5])
    assert found.result.frame["seed"].unique().tolist() == [5]
    assert found.result.seconds == pytest.approx(sum(written[1].runs[1]["epoch_seconds"]))


def test_what_is_there_already_is_not_trained_again_unless_told(written, tmp_path, monkeypatch, capsys):
    before = written[0].json.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("reproduction.run.train", lambda *args, **kwargs: pytest.fail("trained again"))
        assert run_cell(**TINY, outputs=tmp_path, device="cpu").frame.equals(written[1].frame)
    assert written[0].json.read_bytes() == before
    assert "all runs are there already" in capsys.readouterr().out
    run_cell(**TINY, outputs=tmp_path, device="cpu", remake=True)
    assert written[0].json.read_bytes() != before
    assert [path.read_bytes() for path in tmp_path.glob("set_aside/*/enorm/p00.json")] == [before]


def test_two_that_add_to_one_cell_at_the_same_time_lose_nothing(tmp_path):
    parameters = [check_parameters(TINY | {"seeds": [seed]}) for seed in range(8)]
    files = CellFiles(tmp_path / "runs", "enorm", 0)
    row = dict.fromkeys(results.COLUMNS) | {"variant": "enorm", "p": 0, "epoch": 1, "learning_rate": 0.02}
    data = {"fingerprint": "f", "description": "none"}

    def add(own: Parameters) -> None:
        history = results.History([row | {"seed": own.seeds[0], "diverged": True}], [0.5])
        results.add(files, own, history, {}, data)

    threads = [threading.Thread(target=add, args=(own,)) for own in parameters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(find(files, seeds=list(range(8))).result.frame["seed"]) == set(range(8))


@pytest.mark.parametrize("again", [{"seeds": [3]}, {"seeds": [3, 5, 6]}, {"seeds": [6, 5, 3]}])
def test_rows_whose_json_was_not_written_do_not_count_and_are_replaced(written, tmp_path, again):
    """As after a kill between the CSV and the JSON."""
    files, _ = written
    good = files.csv.read_bytes()
    files.csv.write_bytes(good + b"enorm,0,6,1,2,0.02,1.0,1.0,0.5,9.0,False\nenorm,0,6,2,")
    assert set(run_cell(**TINY | again, outputs=tmp_path, device="cpu").frame["seed"]) == set(again["seeds"])
    assert files.csv.read_bytes().startswith(good)


def test_a_new_cell_cut_off_before_its_json_was_written_is_trained(tmp_path, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    files = CellFiles(tmp_path / "runs", "enorm", 0)
    with monkeypatch.context() as patch:
        written_before = results._write_json
        patch.setattr(results, "_write_json", lambda *args: killed() if args[3] else written_before(*args))
        with pytest.raises(KeyboardInterrupt):
            run_cell(**TINY, outputs=tmp_path, device="cpu")
    assert files.csv.exists() and files.json.exists()
    assert find(files) == Found(None, (3, 5))
    assert len(run_cell(**TINY, outputs=tmp_path, device="cpu").runs) == 2


# --- damage


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def edit(path):
    path.write_text(path.read_text().replace("enorm", "eNorm", 1))


@pytest.mark.parametrize("damage", [truncate, edit, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_damaged_result_is_named_not_used_and_kept(written, tmp_path, damage, kind):
    files, _ = written
    damage(getattr(files, kind))
    left = {path: path.read_bytes() for path in files.csv.parent.iterdir()}
    found = find(files)
    assert found.result is None and found.missing == ()
    assert found.problem.startswith(str(getattr(files, kind)))
    with pytest.raises(ResultError, match="remake = True"):
        run_cell(**TINY, outputs=tmp_path, device="cpu")
    assert {path: path.read_bytes() for path in files.csv.parent.iterdir()} == left
    assert len(run_cell(**TINY, outputs=tmp_path, device="cpu", remake=True).runs) == 2
    assert {path.read_bytes() for path in tmp_path.glob("set_aside/*/enorm/*")} == set(left.values())


def changed(files, **values):
    files.json.write_text(json.dumps(results.sealed(json.loads(files.json.read_text()) | values)))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"format": 1}, "of format 1, this version of the suite reads format 2"),
        ({"revisions": {"enorm": 2}}, r"another revision of the code: enorm = 2 \(asked for: 1\)"),
        ({"csv_sha256": "0"}, "sha256"),
        ({"variant": "baseline"}, r"made with variant = baseline \(asked for: enorm\)"),
        (
            {"parameters": {"epochs": 2, "dataset": "digits", "learning_rate": 0.02, "c": 1.1}},
            r"c = 1.1 \(asked for: 1.2\)",
        ),
        ({"parameters": {"of": "tomorrow"}}, "unknown parameter 'of'"),
    ],
)
def test_result_of_other_code_or_parameters_is_refused_and_says_why(written, values, said):
    files, _ = written
    changed(files, **values)
    assert re.search(said, find(files).problem)


@pytest.mark.parametrize("key", ["runs", "revisions", "data", "csv_bytes", "parameters"])
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
    del metadata["revisions"]
    files.json.write_text(json.dumps(results.sealed(metadata)))
    assert "lacks revisions" in find(files).problem


# --- what fits


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"epochs": 3}, "epochs = 2 (asked for: 3)"),
        ({"learning_rate": 0.03}, "learning_rate = 0.02 (asked for: 0.03)"),
        ({"learning_rate": None}, "learning_rate = 0.02 (asked for: the default)"),
        ({"norms": "simultaneous"}, "norms = sequential (asked for: simultaneous)"),
    ],
)
def test_runs_of_other_parameters_are_named_and_nothing_of_them_is_replaced(written, tmp_path, asked, said):
    files, _ = written
    before = files.csv.read_bytes(), files.json.read_bytes()
    assert find(files, **asked).problem == f"{files.json}: made with {said}"
    with pytest.raises(ResultError, match="give another folder for outputs, or remake = True"):
        run_cell(**TINY | asked, outputs=tmp_path, device="cpu")
    assert (files.csv.read_bytes(), files.json.read_bytes()) == before


def test_runs_of_other_data_are_not_added_to(written, tmp_path, small_digits, monkeypatch):
    before = written[0].csv.read_bytes()
    other = dataclasses.replace(small_digits, fingerprint="another")
    monkeypatch.setattr(datasets, "load", lambda name: other)
    monkeypatch.setattr("reproduction.run.train", None)  # nothing is trained first
    with pytest.raises(ResultError, match="made with other data"):
        run_cell(**TINY | {"seeds": [3, 4]}, outputs=tmp_path, device="cpu")
    assert written[0].csv.read_bytes() == before


def test_a_revision_is_that_of_what_a_run_goes_through():
    plain = {"variant": "batch_norm", "p": 1}
    assert revisions.revisions(check_parameters(plain)) == {}
    assert revisions.revisions(check_parameters(plain | {"rate_c": 1.2})) == {revisions.RATES_BESIDE_GAMMA: 2}
    assert revisions.revisions(check_parameters({"variant": "baseline", "p": 1, "rate_c": 1.2})) == {}


def test_a_rate_that_is_the_data_sets_own_is_the_same_said_or_not(tmp_path):
    said = run_cell(**TINY | {"learning_rate": DATA_SETS["digits"].learning_rate}, outputs=tmp_path, device="cpu")
    assert "learning_rate" not in said.metadata["parameters"]
    assert find(CellFiles(tmp_path / "runs", "enorm", 0), learning_rate=None).missing == ()


def test_what_is_new_in_the_registry_leaves_results_valid(written, monkeypatch):
    """A new variant, a new parameter, and a new part with a revision."""
    monkeypatch.setitem(VARIANTS, "mine", dataclasses.replace(VARIANTS["enorm"], name="mine", title="Mine"))
    monkeypatch.setitem(revisions.REVISIONS, "mine", 7)

    class Longer(Parameters):
        momentum: float = 0.0

    found = results.find(written[0], Longer.model_validate(TINY))
    assert (found.missing, found.problem) == ((), "")
    other = results.find(written[0], Longer.model_validate(TINY | {"momentum": 0.9}))
    assert "momentum" in other.problem


def test_result_of_another_schedule_or_revision_does_not_fit(written, monkeypatch):
    files, _ = written
    with monkeypatch.context() as patch:
        patch.setattr(Parameters, "epoch_learning_rate", lambda self, epoch: self.initial_learning_rate)
        assert find(files).problem == f"{files.csv}: made with other learning rates"
    monkeypatch.setitem(revisions.REVISIONS, "enorm", 2)
    assert "another revision of the code: enorm = 1 (asked for: 2)" in find(files).problem
    assert not find(CellFiles(files.runs, "baseline", 0), variant="baseline").problem


def test_same_seeds_give_the_same_file_twice_on_this_machine(written, tmp_path):
    run_cell(**TINY, outputs=tmp_path / "again", device="cpu")
    assert (tmp_path / "again" / "runs" / "enorm" / "p00.csv").read_bytes() == written[0].csv.read_bytes()


def test_unwritable_outputs_are_named_and_earlier_results_kept(written, tmp_path):
    before = written[0].csv.read_bytes()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        run_cell(**TINY, outputs=tmp_path / "file", device="cpu")
    assert written[0].csv.read_bytes() == before


# --- trainings that were cut off


class Stop(Exception):
    pass


def cut_off(monkeypatch, tmp_path, **given):
    """Begin a training, and end it after its first epoch."""

    def describe(history, metric):
        if history.epoch_seconds:
            raise Stop
        return ""

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr("reproduction.run._describe", describe)
        run_cell(**TINY | given, outputs=tmp_path, device="cpu")


@pytest.mark.parametrize("then", [[3, 5], [3, 5, 7], [7], [3]])
def test_a_training_that_was_cut_off_goes_on_whatever_seeds_are_asked_for_next(tmp_path, monkeypatch, then):
    cut_off(monkeypatch, tmp_path)
    files = CellFiles(tmp_path / "runs", "enorm", 0)
    (checkpoint,) = files.checkpoints()
    run_cell(**TINY | {"seeds": then}, outputs=tmp_path, device="cpu")
    goes_on = {3, 5} <= set(then)
    assert checkpoint.exists() != goes_on  # another training's state is left alone
    undisturbed = run_cell(**TINY | {"seeds": then}, outputs=tmp_path / "undisturbed", device="cpu").frame
    kept = find(files, seeds=then).result.frame
    by = ["seed", "epoch"]
    assert kept.sort_values(by, ignore_index=True).equals(undisturbed.sort_values(by, ignore_index=True))
    if goes_on:  # in the one epoch that was left
        assert [run["seed"] for run in results.read(files).runs][:2] == [3, 5]


def test_what_was_cut_off_is_kept_while_something_else_is_tried(tmp_path, monkeypatch, capsys):
    cut_off(monkeypatch, tmp_path)
    (checkpoint,) = CellFiles(tmp_path / "runs", "enorm", 0).checkpoints()
    run_cell(**TINY | {"epochs": 1}, outputs=tmp_path, device="cpu")
    assert checkpoint.exists()
    capsys.readouterr()
    epochs = []
    monkeypatch.setattr(
        "reproduction.run._describe", lambda history, _: epochs.append(len(history.epoch_seconds)) or ""
    )
    run_cell(**TINY, outputs=tmp_path, device="cpu", remake=True)
    assert set(epochs) == {1, 2}  # never 0: it went on
    assert not checkpoint.exists()


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
    result = run_cell(**NAN, outputs=tmp_path, device="cpu")
    assert result.final()[["seed", "diverged"]].values.tolist() == [[0, True], [1, True], [2, True]]
    files = CellFiles(tmp_path / "runs", "enorm_bias", 19)
    asked = check_parameters(NAN)
    assert results.find(files, asked, 1).result.frame["seed"].tolist() == [0, 1, 2]
    assert results.find(files, asked, 0).result.frame["seed"].tolist() == [0, 1]
    assert results.find(files, asked, 2).missing == (3,)
    assert results.find(files, asked.model_copy(update={"seeds": (0, 1, 2, 3)})).missing == (3,)
    assert not files.checkpoints()


def test_no_restart_where_a_run_trains(tmp_path):
    assert run_cell(**TINY, outputs=tmp_path, device="cpu").frame["seed"].unique().tolist() == [3, 5]


def test_runs_that_another_process_has_added_meanwhile_stay_as_they_are(written, tmp_path):
    files, result = written
    rows = result.frame.to_dict("records")
    before = files.csv.read_bytes()
    history = History(rows, [1.0, 1.0])
    about = {name: result.metadata["data"][name] for name in ("name", "description", "fingerprint", "canonical")}
    results.add(files, result.parameters, history, {"device": {}}, about)
    assert files.csv.read_bytes() == before
    assert [run["seed"] for run in results.read(files).metadata["runs"]] == list(result.parameters.seeds)


def test_a_rate_that_was_said_is_the_same_when_it_becomes_the_variants_own(tmp_path, monkeypatch):
    run_cell(**TINY, outputs=tmp_path, device="cpu")
    files = CellFiles(tmp_path / "runs", "enorm", 0)
    monkeypatch.setitem(DATA_SETS, "digits", dataclasses.replace(DATA_SETS["digits"], learning_rate=0.02))
    assert results.read(files).metadata["parameters"]["learning_rate"] == 0.02
    for rate in (0.02, None):
        assert find(files, learning_rate=rate).missing == () and not find(files, learning_rate=rate).problem
    assert find(files, learning_rate=0.03).problem


def test_a_result_keeps_the_rate_that_it_was_made_at_when_that_of_its_variant_changes(tmp_path, monkeypatch):
    own = DATA_SETS["digits"].learning_rate
    run_cell(**TINY | {"learning_rate": None}, outputs=tmp_path, device="cpu")
    monkeypatch.setitem(DATA_SETS, "digits", dataclasses.replace(DATA_SETS["digits"], learning_rate=2 * own))
    result = results.read(CellFiles(tmp_path / "runs", "enorm", 0))
    assert result.parameters.initial_learning_rate == own
    assert not results.find(CellFiles(tmp_path / "runs", "enorm", 0), result.parameters).problem


def test_a_cell_may_collect_more_runs_than_can_be_asked_for_at_once(written):
    files, result = written
    about = {name: result.metadata["data"][name] for name in ("name", "description", "fingerprint", "canonical")}
    rows = result.frame[result.frame["seed"] == 3].to_dict("records")
    more = History([row | {"seed": seed} for seed in range(100, 1100) for row in rows], [1.0, 1.0])
    results.add(files, result.parameters, more, {"device": {}}, about)
    assert results.read(files).parameters.seeds == (3, 5, *range(100, 1100))
    assert find(files).missing == ()
