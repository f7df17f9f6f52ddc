"""Checkpoints and the files below them are whole or not there, and serve only the training they are of."""

import dataclasses
import pathlib

import pytest
import torch

from reproduction import up_to_date
from reproduction.files import atomically
from reproduction.protocol import variants
from reproduction.protocol.parameters import check_parameters
from reproduction.training import checkpoints

pytestmark = pytest.mark.portable

STATE = {"seeds": [0, 2], "rows": [{"epoch": 1, "loss": None}], "model": {"weights.0": torch.arange(6.0).view(2, 3)}}


@pytest.fixture
def identity(digits):
    return checkpoints.identity(check_parameters({"variant": "enorm", "p": 1}), digits)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "checkpoint.pt"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_is_state(state):
    assert {name: state[name] for name in ("seeds", "rows")} == {name: STATE[name] for name in ("seeds", "rows")}
    assert torch.equal(state["model"]["weights.0"], STATE["model"]["weights.0"])


def test_what_is_saved_is_loaded(path, identity):
    checkpoints.save(path, identity, STATE)
    assert_is_state(checkpoints.load(path, identity))
    assert names(path.parent) == [path.name]


def test_a_later_save_replaces_an_earlier_one(path, identity):
    checkpoints.save(path, identity, STATE | {"seeds": [9]})
    checkpoints.save(path, identity, STATE)
    assert_is_state(checkpoints.load(path, identity))


def test_where_no_checkpoint_is_there_is_none_and_nothing_is_said(path, identity, capsys):
    assert checkpoints.load(path, identity) is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_answered_with_a_message(path, identity, capsys, kept):
    checkpoints.save(path, identity, STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert checkpoints.load(path, identity) is None
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize("content", [torch.ones(3), [1, 2], {"seeds": [1]}, "text"])
def test_another_files_content_is_answered_with_a_message(path, identity, capsys, content):
    path.parent.mkdir()
    torch.save(content, path)
    assert checkpoints.load(path, identity) is None
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"p": 3}, {"c": 1.1}, {"seeds": [0, 1]}, {"epochs": 61}, {"learning_rate": 0.1}])
def test_a_checkpoint_of_other_parameters_is_not_used(path, identity, digits, capsys, change):
    other = check_parameters({"variant": "enorm", "p": 1} | change)
    checkpoints.save(path, checkpoints.identity(other, digits), STATE)
    assert checkpoints.load(path, identity) is None
    assert str(path) in capsys.readouterr().out


def test_a_checkpoint_of_other_data_is_not_used(path, identity, digits):
    other = dataclasses.replace(digits, fingerprint="another")
    parameters = check_parameters({"variant": "enorm", "p": 1})
    checkpoints.save(path, checkpoints.identity(parameters, other), STATE)
    assert checkpoints.load(path, identity) is None


def test_a_checkpoint_of_other_code_is_not_used(path, identity, digits, monkeypatch):
    checkpoints.save(path, identity, STATE)
    monkeypatch.setattr(up_to_date, "training_code", lambda: "another")
    parameters = check_parameters({"variant": "enorm", "p": 1})
    assert checkpoints.load(path, checkpoints.identity(parameters, digits)) is None


@pytest.mark.parametrize("change", [{"learning_rates": (0.02,) * 10}])
def test_a_checkpoint_of_a_variant_whose_rates_were_changed_since_is_not_used(
    path, identity, digits, monkeypatch, change
):
    checkpoints.save(path, identity, STATE)
    changed = dataclasses.replace(variants.VARIANTS["enorm"], **change)
    monkeypatch.setitem(variants.VARIANTS, "enorm", changed)
    parameters = check_parameters({"variant": "enorm", "p": 1})
    assert checkpoints.load(path, checkpoints.identity(parameters, digits)) is None


def test_a_save_that_fails_leaves_the_old_checkpoint_and_no_other_file(path, identity):
    checkpoints.save(path, identity, STATE)
    with pytest.raises(Exception, match=r"pickle|local object"):
        checkpoints.save(path, identity, STATE | {"model": lambda: None})
    assert_is_state(checkpoints.load(path, identity))
    assert names(path.parent) == [path.name]


class Code:
    """What runs as soon as it is unpickled."""

    def __init__(self, pwned):
        self.pwned = pwned

    def __reduce__(self):
        return pathlib.Path.touch, (self.pwned,)


def test_a_checkpoint_that_holds_code_is_not_run(path, identity, tmp_path, capsys):
    path.parent.mkdir()
    torch.save({"identity": identity, "seeds": Code(tmp_path / "pwned")}, path)
    assert checkpoints.load(path, identity) is None
    assert str(path) in capsys.readouterr().out
    assert not (tmp_path / "pwned").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "pwned").exists(), "the attack would not have worked"


# --- atomically


def test_a_block_that_ends_well_becomes_the_file_and_its_folders_are_made(path):
    with atomically(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_is_interrupted_leaves_the_old_file(path, error):
    path.parent.mkdir()
    path.write_text("old")
    with pytest.raises(error), atomically(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(path.parent) == [path.name]


def test_a_full_disk_is_an_error_that_names_the_file(path):
    path.parent.mkdir()
    path.write_text("old")
    with pytest.raises(OSError, match="cannot write") as error, atomically(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device", str(temporary))
    assert "No space left on device" in str(error.value)
    assert error.value.filename == str(path)
    assert path.read_text() == "old"
    assert names(path.parent) == [path.name]


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "checkpoint.pt"
    with pytest.raises(OSError, match="cannot write") as error, atomically(path) as temporary:
        temporary.write_text("new")
    assert error.value.filename == str(path)


def test_a_path_that_is_a_folder_is_named_and_kept(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="cannot write") as error, atomically(path) as temporary:
        temporary.write_text("new")
    assert error.value.filename == str(path)
    assert names(tmp_path) == ["folder"]
