"""A checkout has the bytes that were committed, on whichever machine."""

import subprocess
from pathlib import Path

from reproduction.checkout import REPOSITORY

KINDS = ["run_all.sh", "requirements.lock", "lib/equinorm/__init__.py", "notebooks/enorm.ipynb", "report.md"]
RESULTS = "outputs/paper/runs/baseline/p01"


def test_with_git_told_to_convert_line_ends_every_byte_is_as_committed(tmp_path):
    origin = tmp_path / "origin"
    contents = {name: (REPOSITORY / name).read_bytes() for name in [".gitattributes", *KINDS]}
    contents |= {f"{RESULTS}.{suffix}": (REPOSITORY / f"{RESULTS}.{suffix}").read_bytes() for suffix in ("csv", "json")}
    contents["outputs/paper/tables/crlf.csv"] = b"a,b\r\n1,2\r\n"  # also what has other line ends, in results
    assert all(contents.values())
    for name, content in contents.items():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_bytes(content)
    run = ["git", "-C", str(origin), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "stand-in"]):
        subprocess.run([*run, *arguments], check=True, capture_output=True)
    for convert in ("true", "input", "false"):
        clone: Path = tmp_path / convert
        command = ["git", "clone", "--quiet", "-c", f"core.autocrlf={convert}", "-c", "core.eol=crlf", origin, clone]
        subprocess.run(command, check=True)
        assert {name: (clone / name).read_bytes() for name in contents} == contents
