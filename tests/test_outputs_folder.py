"""What the launcher does with its outputs folder before anything runs there."""

import errno
import fcntl
import os
import subprocess

import pytest

from workflow import processes


def test_files_that_only_look_unfinished_are_kept(tmp_path):
    killed = subprocess.Popen(["true"])
    killed.wait()
    (tmp_path / "runs").mkdir()
    ours = tmp_path / "runs" / f".p01.csv.{killed.pid}.tmp"
    theirs = [tmp_path / ".notes.tmp", tmp_path / "runs" / ".draft.of.mine.tmp"]
    for path in (ours, *theirs):
        path.write_text("half")
    with processes.locked(tmp_path):
        assert not ours.exists()
        assert all(path.exists() for path in theirs)


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    with pytest.raises(OSError, match="No locks available") as error, processes.locked(tmp_path):
        pass
    assert error.value.filename == str(tmp_path / ".lock")
