"""Disks that are full or may not be written, as mounts that only the test sees; they need Linux and user namespaces."""

import shlex
from pathlib import Path

import pytest
from checkouts import can_mount, copy_checkout, with_mounts

from reproduction.evidence.results import CellFiles
from reproduction.protocol import profiles
from reproduction.run import run as run_cell

pytestmark = pytest.mark.skipif(not can_mount(), reason="needs `unshare --mount`, which this system does not allow")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    checkout = copy_checkout(tmp_path_factory.mktemp("checkout") / "copy")
    (checkout / "config" / "tiny.yaml").write_text(
        "{title: two cells, dataset: digits, epochs: 1, learning_rate: 0.01, depths: [0], "
        "repeats: {baseline: 1, enorm: 1}}"
    )
    return checkout


@pytest.fixture
def outputs(checkout, tmp_path) -> Path:
    """A folder, of a difficult name, that holds the baseline's results."""
    outputs = tmp_path / "un dossier n° 1 #2 'x' {p} $HOME"
    baseline = profiles.load_profile("tiny", checkout / "config").cells()[0]
    run_cell(**baseline.model_dump(), outputs=str(outputs), device="cpu")
    return outputs


def contents(files: CellFiles) -> list[bytes]:
    return [files.csv.read_bytes(), files.json.read_bytes()]


def test_checkout_that_is_read_only_works_with_outputs_elsewhere_and_without_a_home(checkout, outputs):
    """As in a container that runs as another user."""
    earlier = contents(CellFiles(outputs / "runs", "baseline", 0))
    done = with_mounts(
        f"mount --bind {checkout} {checkout}; mount -o remount,bind,ro {checkout}\n"
        f"! touch {checkout}/file 2>/dev/null\n"
        f"unset NUMBA_CACHE_DIR XDG_CACHE_HOME; export HOME=/proc/nowhere\n"
        f"exec {checkout}/run_all.sh tiny --outputs {shlex.quote(str(outputs))}"
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 2 runs are done" in done.stdout
    assert "2 of 2 cells are done" in (outputs / "report.md").read_text()
    assert CellFiles(outputs / "runs", "enorm", 0).csv.exists()
    assert contents(CellFiles(outputs / "runs", "baseline", 0)) == earlier
    assert [path.name for path in outputs.parent.iterdir()] == [outputs.name]


@pytest.mark.parametrize("folder", ["", "runs/enorm", "notebooks", "tables"])
def test_outputs_that_are_read_only_are_named_before_anything_starts(checkout, outputs, folder):
    (outputs / folder).mkdir(exist_ok=True)
    mounted = shlex.quote(str(outputs / folder))
    done = with_mounts(
        f"mount --bind {mounted} {mounted}; mount -o remount,bind,ro {mounted}\n"
        f"exec {checkout}/run_all.sh tiny --outputs {shlex.quote(str(outputs))}"
    )
    assert done.returncode == 1
    named = outputs / folder if folder else outputs / ".lock"
    assert done.stderr == f"{named}: cannot be used for outputs (Read-only file system)\n"
    assert not CellFiles(outputs / "runs", "enorm", 0).csv.exists()


def test_full_disk_is_an_error_that_names_the_path_and_earlier_results_are_kept(checkout, outputs, tmp_path):
    """The disk has room for all but the checkpoint of 6 MB."""
    earlier = contents(CellFiles(outputs / "runs", "baseline", 0))
    disk = tmp_path / "disk"
    disk.mkdir()
    done = with_mounts(
        f"mount -t tmpfs -o size=4m tmpfs {disk}; cp -r {shlex.quote(str(outputs / 'runs'))} {disk}\n"
        f"status=0; {checkout}/run_all.sh tiny --outputs {disk} || status=$?\n"
        f"cp -r {disk} {tmp_path}/kept; exit $status"
    )
    assert done.returncode == 1
    checkpoint = f"{disk}/runs/enorm/p00.seeds0."  # and letters that tell its parameters from others
    assert f"enorm_p00.ipynb: OSError: [Errno 28] cannot write (No space left on device): '{checkpoint}" in done.stderr
    assert "missing: enorm, p = 0: not run yet: seed 0" in done.stderr
    kept = tmp_path / "kept"
    assert contents(CellFiles(kept / "runs", "baseline", 0)) == earlier
    assert not CellFiles(kept / "runs", "enorm", 0).checkpoints()
    assert not list(kept.rglob(".*.tmp"))
