"""Where a result says it is from."""

import subprocess

import pytest
import torch

from reproduction import provenance
from reproduction.training import devices


@pytest.mark.parametrize("name", ["tpu", "gpu", "meta", "cuda:x", "", "cuda:99"])
def test_an_unknown_device_is_named(name):
    with pytest.raises(ValueError, match=f"device = '{name}'"):
        devices.resolve_device(name)


def test_auto_is_a_gpu_where_there_is_one():
    assert devices.resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert devices.resolve_device("cpu") == torch.device("cpu")


def test_cpu_is_described_by_name_and_threads():
    described = devices.describe_device(torch.device("cpu"))
    assert described["type"] == "cpu" and described["name"]
    assert described["threads"] == torch.get_num_threads()


def test_commit_is_that_of_the_checkout_and_says_whether_the_library_differs(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_LIBRARY", tmp_path)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(tmp_path)]
    assert provenance.git_commit() == "unknown"
    (tmp_path / "file").write_text("1")
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "one"]):
        subprocess.run([*git, *arguments], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert provenance.git_commit() == commit
    (tmp_path / "file").write_text("2")
    assert provenance.git_commit() == f"{commit}+changes"


def test_the_commit_of_another_project_that_the_library_lies_in_is_not_its_own(tmp_path, monkeypatch):
    """As with a zip download that was unpacked inside another repository."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(tmp_path)]
    (tmp_path / "theirs").write_text("1")
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "one"]):
        subprocess.run([*git, *arguments], check=True)
    (tmp_path / "download" / "lib").mkdir(parents=True)
    (tmp_path / "download" / "lib" / "module.py").write_text("1")
    monkeypatch.setattr(provenance, "_LIBRARY", tmp_path / "download" / "lib")
    assert provenance.git_commit() == "unknown"


def test_the_label_of_the_code_is_that_of_its_text_whatever_ends_its_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_LIBRARY", tmp_path)
    labels = []
    for content in (b"a = 1\nb = 2\n", b"a = 1\r\nb = 2\r\n", b"a = 1\nb = 3\n"):
        (tmp_path / "module.py").write_bytes(content)
        provenance.code_digest.cache_clear()
        labels.append(provenance.code_digest())
    provenance.code_digest.cache_clear()
    assert labels[0] == labels[1] != labels[2]
