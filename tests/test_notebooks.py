"""The committed notebooks: without outputs, with the right badges, one for each variant; and they run."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from PIL import Image

from reproduction.checkout import REPOSITORY
from reproduction.protocol.variants import VARIANTS
from workflow.run_all import check_notebooks

NOTEBOOKS = sorted(REPOSITORY.glob("notebooks/**/*.ipynb"))
TINY = {"p": 0, "seeds": [0, 1], "epochs": 1, "learning_rate": 0.01, "dataset": "digits"}


def run_notebook(notebook: str, folder: Path, parameters: dict, **environment: str) -> subprocess.CompletedProcess:
    command = [
        sys.executable, str(REPOSITORY / "workflow" / "run_notebook.py"), notebook,
        "--save-as", str(folder / "notebooks" / Path(notebook).name), "--outputs", str(folder),
        "--parameters", json.dumps(parameters),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def tagged(path: Path, tag: str) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if tag in cell.metadata.get("tags", [])]


def test_there_is_a_notebook_for_every_variant():
    assert set(VARIANTS) <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_badge_leads_to_this_notebook_in_the_repository_named_in_pyproject(path):
    (badge,) = tagged(path, "badge")
    address = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    owner_and_name = address.removeprefix("https://github.com/")
    relative = path.relative_to(REPOSITORY).as_posix()
    assert f"(https://colab.research.google.com/github/{owner_and_name}/blob/main/{relative})" in badge.source


def test_sync_tool_finds_nothing_to_change():
    done = subprocess.run(
        [sys.executable, "tools/sync_notebooks.py", "--check"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def copied(tmp_path) -> Path:
    """What the sync tool reads and writes, in a folder of its own."""
    for name in ("notebooks", "tools", "outputs/paper/tables"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path


def sync(root: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "tools/sync_notebooks.py", *options]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "lib")}
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    ("number", "written", "by_hand"),
    [(1, "# ENorm", "# My ENorm"), (5, "c = 1.2", "c = 1.3"), (7, "seeds=seeds,", "seeds=[7],"), (10, "run.", "cell.")],
)
def test_a_variant_notebook_that_was_edited_by_hand_is_named_and_made_anew(copied, number, written, by_hand):
    path = copied / "notebooks" / "enorm.ipynb"
    committed = path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    assert written in notebook.cells[number].source
    notebook.cells[number].source = notebook.cells[number].source.replace(written, by_hand)
    nbformat.write(notebook, path)
    checked = sync(copied, "--check")
    assert checked.returncode == 1
    assert checked.stdout == "notebooks/enorm.ipynb: not as this tool makes it\n"
    assert by_hand in nbformat.read(path, as_version=4).cells[number].source  # a check writes nothing
    assert sync(copied).returncode == 0
    assert path.read_bytes() == committed


def test_a_variant_without_its_text_is_named_in_a_sentence(copied):
    (copied / "tools" / "notebooks" / "enorm.md").unlink()
    done = sync(copied)
    assert done.returncode == 1
    assert done.stderr == "tools/notebooks/enorm.md is missing: the title and mathematics of enorm\n"


def test_the_parameters_that_only_a_part_knows_stand_in_the_notebooks_of_variants_with_it():
    own = {"c": "enorm", "groups": "group_norm", "rate_c": "layer_rates", "path_ratio": "path_sgd"}
    for name, variant in VARIANTS.items():
        (cell,) = tagged(REPOSITORY / "notebooks" / f"{name}.ipynb", "parameters")
        given = set(re.findall(r"^(\w+) = ", cell.source, re.M))
        assert own.keys() & given == {parameter for parameter, part in own.items() if part in variant.parts}


def test_a_fork_changes_the_address_in_one_place(copied):
    project = (REPOSITORY / "pyproject.toml").read_text()
    fork = project.replace("https://github.com/your_account/enorm-reproducibility", "https://github.com/fork/other")
    assert fork != project
    (copied / "pyproject.toml").write_text(fork)
    done = sync(copied)
    assert done.returncode == 0, done.stderr
    for path in copied.glob("notebooks/**/*.ipynb"):
        assert "github/fork/other/blob/main/notebooks/" in tagged(path, "badge")[0].source
        assert "https://github.com/fork/other" in tagged(path, "bootstrap")[0].source
    readme, badge = (copied / "README.md").read_text(), "colab.research.google.com/github/{}/blob/main/notebooks/"
    before = (REPOSITORY / "README.md").read_text().count(badge.format("your_account/enorm-reproducibility"))
    assert readme.count(badge.format("fork/other")) == before > 0
    assert "colab.research.google.com/github/your_account" not in readme


@pytest.mark.parametrize(
    "variant", [pytest.param("enorm", marks=pytest.mark.portable), *sorted(set(VARIANTS) - {"enorm"})]
)
def test_variant_notebook_trains_and_writes_its_results(variant, tmp_path):
    done = run_notebook(f"notebooks/{variant}.ipynb", tmp_path, TINY)
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(tmp_path / "runs" / variant / "p00.csv")
    assert frame["seed"].tolist() == [0, 1]
    assert (frame["variant"] == variant).all()
    executed = nbformat.read(tmp_path / "notebooks" / f"{variant}.ipynb", as_version=4)
    images = [o for cell in executed.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    (curves,) = images
    with Image.open(io.BytesIO(base64.b64decode(curves.data["image/png"]))) as picture:
        assert picture.mode == "P" and picture.width > 800  # 256 colours: a grid leaves a hundred of them
    assert not list(tmp_path.glob("runs/**/*.pt"))  # no checkpoint is left behind


@pytest.mark.parametrize("text", ["[1]", '{"p": 1,'])
def test_parameters_that_are_no_json_object_are_refused_in_a_sentence(tmp_path, text):
    command = [sys.executable, "workflow/run_notebook.py", "notebooks/enorm.ipynb", "--parameters", text]
    command += ["--save-as", str(tmp_path / "enorm.ipynb"), "--outputs", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # as started by hand
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert f"argument --parameters: {text!r} is not" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_copied_notebook_that_still_trains_the_first_variant_is_refused(tmp_path):
    check_notebooks(VARIANTS)
    shutil.copy(REPOSITORY / "notebooks" / "enorm.ipynb", tmp_path / "gentle.ipynb")
    with pytest.raises(ValueError, match=r"gentle.ipynb: trains enorm; .* must be gentle"):
        check_notebooks(["gentle"], tmp_path)
    with pytest.raises(ValueError, match=r"enorm.ipynb is missing"):
        check_notebooks(["enorm"], tmp_path)


def test_unknown_parameter_is_named_with_the_nearest_one_before_a_kernel_starts(tmp_path):
    done = run_notebook("notebooks/enorm.ipynb", tmp_path, {"epoch": 3})
    assert done.returncode != 0
    assert "unknown parameter 'epoch' (did you mean 'epochs'?)" in done.stderr
    assert not (tmp_path / "notebooks" / "enorm.ipynb").exists()


def test_a_notebook_that_is_not_there_is_named(tmp_path):
    done = run_notebook("notebooks/enrom.ipynb", tmp_path, TINY)
    assert done.returncode == 1
    assert done.stderr.endswith(": notebooks/enrom.ipynb: there is no such notebook in the repository\n")


def test_notebook_that_raises_fails_with_its_reason_and_is_kept(tmp_path):
    done = run_notebook("notebooks/enorm.ipynb", tmp_path, TINY | {"p": "eight"})
    assert done.returncode != 0
    assert "p = 'eight'" in done.stderr
    assert (tmp_path / "notebooks" / "enorm.ipynb").exists()
    assert not list(tmp_path.glob("runs/**/*.csv"))


def test_parameters_are_data_and_never_code(tmp_path):
    pwned = tmp_path / "pwned"
    attacks = {
        "p": f"__import__('os').system('touch {pwned}')",
        "dataset": f'"\nimport os\nos.system("touch {pwned}")\n"',
        "precision": f"'; import os; os.system('touch {pwned}') #",
        "seeds": [f"$(touch {pwned})`touch {pwned}`{{p}}"],
    }
    done = run_notebook("notebooks/enorm.ipynb", tmp_path, TINY | attacks)
    assert done.returncode != 0
    for name in attacks:  # each reached the notebook as it is, and was refused there
        assert f"{name}{'.0' * (name == 'seeds')} = " in done.stderr
    assert not pwned.exists()


def test_killed_kernel_fails_the_notebook(tmp_path):
    notebook = nbformat.read(REPOSITORY / "notebooks" / "baseline.ipynb", as_version=4)
    notebook.cells[-1].source = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    path = tmp_path / "killed.ipynb"
    nbformat.write(notebook, path)
    done = run_notebook(str(path), tmp_path, TINY)
    assert done.returncode != 0
    assert "FAILED" in done.stderr
    assert (tmp_path / "notebooks" / "killed.ipynb").exists()


@pytest.mark.parametrize("folder", [".", "notebooks", "notebooks/studies"])
def test_outside_colab_the_bootstrap_cell_finds_the_repository_and_its_library(folder):
    (cell,) = tagged(REPOSITORY / "notebooks" / "enorm.ipynb", "bootstrap")
    kept = {name: value for name, value in os.environ.items() if name not in ("COLAB_RELEASE_TAG", "PYTHONPATH")}
    code = cell.source + "\nimport equinorm\nprint(os.getcwd(), equinorm.__file__, sep='\\n')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=kept, cwd=REPOSITORY / folder, check=True)
    assert done.stdout.splitlines() == [str(REPOSITORY), str(REPOSITORY / "lib" / "equinorm" / "__init__.py")]


@pytest.mark.portable
def test_papermill_from_another_folder_finds_the_library_and_reads_lists_and_a_data_set_has_its_own_rate(tmp_path):
    """As a student types it, in a folder that has nothing to do with the repository."""
    given = {"p": "1", "epochs": "1", "dataset": "digits", "seeds": "[0, 1]", "outputs": str(tmp_path)}
    words = [word for name, value in given.items() for word in ("-p", name, value)]
    notebook, executed = REPOSITORY / "notebooks" / "baseline.ipynb", tmp_path / "executed.ipynb"
    command = [sys.executable, "-m", "papermill", notebook, executed, *words]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=kept)
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(tmp_path / "runs" / "baseline" / "p01.csv")
    assert frame["seed"].tolist() == [0, 1]
    assert set(frame["learning_rate"]) == {0.01}
    assert not frame["diverged"].any()
    said = executed.read_text(encoding="utf-8")
    assert "digits, initial learning rate 0.01 (the rate for this data set)" in said
    assert f"are in {tmp_path}/runs/baseline/p01.csv" in said


def test_a_repository_that_cannot_be_cloned_is_named_in_a_sentence(tmp_path):
    (cell,) = tagged(REPOSITORY / "notebooks" / "enorm.ipynb", "bootstrap")
    environment = os.environ | {"COLAB_RELEASE_TAG": "x", "ENORM_REPOSITORY": f"file://{tmp_path}/nowhere"}
    command = [sys.executable, "-c", cell.source]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"RuntimeError: file://{tmp_path}/nowhere cannot be cloned (")
    assert said.endswith("Set ENORM_REPOSITORY to the repository's address.")


def test_the_default_depth_is_the_one_whose_time_and_accuracy_are_told():
    for path in NOTEBOOKS:
        for before in tagged(path, "before"):
            if path.parent.name != "studies":
                (parameters,) = tagged(path, "parameters")
                (p,) = re.findall(r"^p = (\d+)", parameters.source, re.M)
                assert f"p = {p}, 60 epochs" in " ".join(before.source.split())


SESSION = """
import equinorm
from reproduction.run import run as run_cell
from reproduction.training import checkpoints, loop

save, train_epoch = checkpoints.save, loop.train_epoch

def save_and_disconnect(*arguments):
    save(*arguments)
    os._exit(9)

def say_and_train(*arguments):
    print("epoch", arguments[-1], flush=True)
    return train_epoch(*arguments)

print(equinorm.__file__, flush=True)
loop.train_epoch = say_and_train
if sys.argv[1] == "first":
    checkpoints.save = save_and_disconnect
run_cell(variant="enorm", p=0, epochs=2, learning_rate=0.01, dataset="digits", device="cpu")
"""


def test_bootstrap_cell_on_a_stand_in_for_colab_clones_and_a_disconnect_costs_at_most_an_epoch(tmp_path):
    origin = tmp_path / "origin"
    shutil.copytree(REPOSITORY / "lib", origin / "lib")
    (origin / "workflow").mkdir()
    for name in ("pyproject.toml", "workflow/installed.py", "workflow/drive.py"):
        shutil.copy(REPOSITORY / name, origin / name)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(origin)]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "stand-in"]):
        subprocess.run([*git, *arguments], check=True)
    (cell,) = tagged(REPOSITORY / "notebooks" / "enorm.ipynb", "bootstrap")
    drive = tmp_path / "drive"
    drive.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"COLAB_RELEASE_TAG": "x", "ENORM_REPOSITORY": f"file://{origin}", "ENORM_DRIVE": str(drive)}
    results = drive / "enorm-reproducibility" / "runs" / "enorm"
    for session in ("first", "second"):
        content = tmp_path / session  # each has a new machine, with the same Drive
        content.mkdir()
        command = [sys.executable, "-c", cell.source + SESSION, session]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=content)
        lines = done.stdout.splitlines()
        assert Path(lines[1]).is_relative_to(content / "enorm-reproducibility"), done.stderr
        if session == "first":
            assert done.returncode == 9, done.stderr
            assert re.findall(r"epoch \d", done.stdout) == ["epoch 1"]
            assert list(results.glob("p00.seeds0.*.checkpoint.pt"))
    assert done.returncode == 0, done.stderr
    assert re.findall(r"epoch \d", done.stdout) == ["epoch 2"]
    assert sorted(path.name for path in results.iterdir()) == ["p00.csv", "p00.json"]
