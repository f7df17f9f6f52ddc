"""A batch run does not depend on what its user has set for other work, nor on how much of the machine it may use."""

import argparse
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import checkouts
import nbformat
import pytest

from reproduction.checkout import REPOSITORY
from reproduction.training import numerics
from workflow import batch, surroundings


def run_notebook(tmp_path: Path, cells: list[str], **environment: str) -> list[str]:
    """What the cells of a notebook print, run as a job of a grid is."""
    code = [nbformat.v4.new_code_cell("outputs = ''", metadata={"tags": ["parameters"]})]
    notebook = nbformat.v4.new_notebook(cells=code + [nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(notebook, tmp_path / "source.ipynb")
    command = [sys.executable, REPOSITORY / "workflow" / "run_notebook.py", tmp_path / "source.ipynb"]
    command += ["--save-as", tmp_path / "executed.ipynb", "--outputs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    executed = nbformat.read(tmp_path / "executed.ipynb", as_version=4)
    return [
        "".join(output.get("text", "") or ",".join(output.get("data", {})) for output in cell.outputs)
        for cell in executed.cells[2:]  # after the parameters, as in the source and as given
    ]


SAY = """
import json, os, sys, torch
import matplotlib
print(json.dumps({
    "python": sys.executable,
    "set": sorted({"ONEDNN_DEFAULT_FPMATH_MODE", "MPLBACKEND", "PYTHONSTARTUP", "KMP_AFFINITY"} & set(os.environ)),
    "precision": torch.get_float32_matmul_precision(),
    "backend": matplotlib.get_backend().lower(),
    "text": open(os.devnull).encoding,
    "cuda": os.environ.get("CUDA_VISIBLE_DEVICES"),
}))
"""


def test_a_notebook_in_batch_sees_none_of_its_users_settings(tmp_path):
    startup = tmp_path / "ipython" / "profile_default" / "startup" / "00.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("import torch; torch.set_float32_matmul_precision('medium')")
    kernel = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text('{"argv": ["/bin/false"], "display_name": "another", "language": "python"}')
    long = tmp_path / ("a" * 90)
    long.mkdir()
    said, drawn = run_notebook(
        tmp_path,
        [SAY, "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"],
        IPYTHONDIR=str(tmp_path / "ipython"),
        JUPYTER_PATH=str(tmp_path / "jupyter"),
        ONEDNN_DEFAULT_FPMATH_MODE="BF16",
        KMP_AFFINITY="disabled",
        MPLBACKEND="Agg",
        PYTHONSTARTUP="/nowhere",
        TMPDIR=str(long),
        LC_ALL="C",
        CUDA_VISIBLE_DEVICES="3",
    )
    assert json.loads(said) == {
        "python": sys.executable,
        "set": ["MPLBACKEND"],  # which the kernel itself sets, so that figures are kept
        "precision": "highest",
        "backend": json.loads(said)["backend"],
        "text": "utf-8",
        "cuda": "3",  # what the cluster or the user says of the hardware stays
    } or pytest.fail(said)
    assert "inline" in json.loads(said)["backend"]
    assert "image/png" in drawn


def test_what_lowers_precision_is_left_out_and_what_says_where_packages_are_stays():
    packages = {"PYTHONPATH": "lib", "PYTHONNOUSERSITE": "1", "PYTHONUSERBASE": "/scratch/me"}
    kept = surroundings.clean(dict.fromkeys(numerics.SWITCHES, "1") | packages)
    assert kept == packages | {"PYTHONUTF8": "1"}


def test_executed_notebooks_hold_one_line_of_a_progress_bar(tmp_path):
    (said,) = run_notebook(
        tmp_path,
        ["import sys\nfrom tqdm import tqdm\nfor _ in tqdm(range(30), file=sys.stdout, mininterval=0): pass"],
    )
    assert said.count("30") and said.count("\r") == 0 and len(said.splitlines()) == 1


@pytest.mark.parametrize("length", [10, 200])
def test_sockets_go_where_their_path_is_short_enough(tmp_path, monkeypatch, length):
    monkeypatch.setattr(surroundings.tempfile, "gettempdir", lambda: "/" + "t" * length)
    monkeypatch.setattr(surroundings.os, "access", lambda path, mode: True)
    root, fits = surroundings.temporary_root()
    assert fits and str(root) == ("/" + "t" * length if length == 10 else "/tmp")
    monkeypatch.setattr(surroundings.os, "access", lambda path, mode: False)
    assert surroundings.temporary_root() == (Path("/" + "t" * length), False)


def test_a_user_without_a_home_gets_one(tmp_path):
    for environment in ({}, {"HOME": "/nonexistent"}, {"HOME": ""}):
        home = Path(surroundings.with_home(environment)["HOME"])
        assert os.access(home, os.W_OK) and stat.S_IMODE(home.stat().st_mode) == 0o700
        home.rmdir()
    assert surroundings.with_home({"HOME": str(tmp_path)}) == {"HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("cores", "gibibytes", "asked", "jobs", "threads"),
    [
        (8, 64, {}, 8, 1),
        (8, 7, {}, 3, 2),  # 2 GiB for each
        (8, 1, {}, 1, 8),
        (8, 64, {"jobs": 2}, 2, 4),
        (8, 64, {"jobs": 2, "threads": 1}, 2, 1),
        (1, 64, {"jobs": 3}, 3, 1),
    ],
)
def test_as_many_jobs_run_as_cores_and_memory_allow(monkeypatch, cores, gibibytes, asked, jobs, threads):
    monkeypatch.setattr(surroundings, "cores", lambda: cores)
    monkeypatch.setattr(surroundings, "gibibytes", lambda: gibibytes)
    arguments = {"cluster": None, "device": "cpu", "jobs": None, "threads": None} | asked
    placement = batch.place(argparse.Namespace(**arguments))
    assert placement.options[:4] == ["--cores", str(jobs * threads), "--jobs", str(jobs)]
    assert placement.threads == threads


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux: binds itself to one core")
def test_cores_are_those_it_may_use():
    bind = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    code = f"{bind}; from workflow import surroundings; print(surroundings.cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout.split() == ["1"]


@pytest.mark.parametrize(
    ("own", "files", "limits"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "4096", "a/memory.max": "max", "memory.max": "8192"}, {4096, 8192}),
        ("0::/\n", {"memory.max": "1024"}, {1024}),
        ("5:cpu,memory:/x\n", {"memory/x/memory.limit_in_bytes": "2048"}, {2048}),
        ("0::/a\n", {}, set()),
    ],
)
def test_memory_is_what_its_cgroups_allow(tmp_path, own, files, limits):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "cgroup").write_text(own)
    assert set(surroundings._memory_limits(tmp_path, tmp_path / "cgroup")) == limits
    assert not surroundings._memory_limits(tmp_path, tmp_path / "missing")


ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY / "lib")}


def run_all(redirection: str) -> subprocess.CompletedProcess:
    """`./run_all.sh demo -n` with its streams as a shell says."""
    command = f'exec "{sys.executable}" -m workflow demo -n {redirection}'
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, cwd=REPOSITORY)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux: /dev/full")
def test_a_standard_output_that_is_full_is_an_error_in_one_line_and_a_closed_one_is_none():
    full = run_all(">/dev/full")
    assert full.returncode == 1
    assert full.stderr.startswith("standard output") and len(full.stderr.splitlines()) == 1
    for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
        done = run_all(closed)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--outputs", ""], "argument --outputs: is empty"),
        (["../config/demo"], "unknown profile '../config/demo'"),
        (["demo", "--profile", "slurm"], "unrecognized arguments: --profile slurm"),
    ],
)
def test_mistakes_are_named_before_anything_starts(arguments, said):
    command = [sys.executable, "-m", "workflow", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=REPOSITORY)
    assert done.returncode != 0
    assert said in done.stderr


def test_a_relative_outputs_counts_from_the_users_folder_and_no_module_there_is_imported(tmp_path):
    for name in ("workflow", "reproduction", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the one of the user')")
    done = checkouts.run_all(REPOSITORY, "demo", "-n", "--outputs", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "0 of 24 runs are done in mine" in done.stdout
