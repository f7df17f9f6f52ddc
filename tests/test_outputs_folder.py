"""What the launcher does with its outputs folder before anything runs there."""

import subprocess

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
