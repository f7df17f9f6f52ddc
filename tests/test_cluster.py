"""Snakemake profiles: ours are valid, faults are named before anything starts, and a grid runs through one.

No cluster is needed: what SLURM itself does was tried by hand, see workflow/README.md.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import checkouts
import pandas as pd
import pytest
import yaml

from reproduction.checkout import REPOSITORY
from workflow.cluster import find_profile

PROFILES = sorted(folder.name for folder in (REPOSITORY / "workflow" / "profiles").iterdir())


def run_all(*arguments: object) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", str(REPOSITORY / "run_all.sh"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": path})


def write_profile(folder: Path, content: dict | str) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return folder


@pytest.mark.parametrize("name", PROFILES)
def test_our_profiles_hold_options_that_snakemake_knows(name, tmp_path):
    """Those of Snakemake itself: a plugin's begin with its name, and are looked at where it is installed."""
    content = yaml.safe_load((REPOSITORY / "workflow" / "profiles" / name / "config.yaml").read_text())
    assert content.pop("executor") == name
    own = {option: value for option, value in content.items() if not option.startswith(f"{name}-")}
    assert find_profile(str(write_profile(tmp_path / "profile", own)))


@pytest.mark.parametrize("name", PROFILES)
def test_our_profiles_are_taken_where_their_plugin_is_installed_else_it_is_said_how_to_get_it(name):
    if importlib.util.find_spec(f"snakemake_executor_plugin_{name}"):
        assert find_profile(name) == REPOSITORY / "workflow" / "profiles" / name / "config.yaml"
    else:
        with pytest.raises(ValueError, match=f"-m pip install snakemake-executor-plugin-{name}"):
            find_profile(name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"executor": "a-cluster"}, "executor 'a-cluster' is a plugin of Snakemake that is not installed"),
        ({"jobs": 2, "partition": "long"}, "unrecognized arguments: --partition=long"),
        ({"cores": "many"}, "must be integer or 'all'"),
        ("jobs: [", "not YAML"),
        ("jobs", "holds no keys"),
    ],
)
def test_profile_that_cannot_be_used_is_named_in_one_line(content, said, tmp_path):
    folder = write_profile(tmp_path / "mine", content)
    with pytest.raises(ValueError) as caught:
        find_profile(str(folder))
    message = str(caught.value)
    assert message.startswith(f"{folder / 'config.yaml'}: ") and said in message
    assert len(message.splitlines()) == 1


def test_unknown_profile_is_named_with_the_nearest_one_and_nothing_starts(tmp_path):
    done = run_all("demo", "--outputs", tmp_path / "outputs", "--cluster", "slrum")
    assert done.returncode != 0
    assert "unknown Snakemake profile 'slrum' (did you mean 'slurm'?)" in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_plan_asks_for_no_gpu_here_it_is_for_the_nodes_to_have(tmp_path):
    folder = write_profile(tmp_path / "mine", {"jobs": 2})
    done = run_all("demo", "-n", "--outputs", tmp_path / "outputs", "--cluster", folder, "--device", "cuda:7")
    assert done.returncode == 0, done.stderr
    assert "0 of 24 runs are done" in done.stdout


def test_grid_runs_as_its_profile_says(tmp_path):
    """By Snakemake's local executor, from a folder of the user: threads of its own for the cells."""
    folder = write_profile(tmp_path / "mine", {"cores": 2, "set-threads": {"train": 2}})
    checkout = checkouts.copy_checkout(tmp_path / "copy")
    content = {"title": "one cell", "dataset": "digits", "epochs": 1, "learning_rate": 0.01, "depths": [0]}
    (checkout / "config" / "one.yaml").write_text(yaml.safe_dump(content | {"repeats": {"enorm": 1}}))
    done = checkouts.run_all(checkout, "one", "--device", "cpu", "--cluster", str(folder))
    assert done.returncode == 0, done.stderr
    assert "1 of 1 cells done" in done.stdout
    assert set(pd.read_csv(checkout / "outputs" / "one" / "tables" / "cost.csv")["threads"]) == {2}
