"""numba's cache of compiled code: used where it can be, and no run stops for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import equinorm
from equinorm import compiled

KERNEL = """
from compiled import compiled

@compiled()
def inner(x):
    return x + 1

@compiled(error_model="numpy")
def outer(x):
    return inner(x) / 0.0

print(outer(3.0), sum(outer.stats.cache_hits.values()))
"""
LIBRARY = """
import importlib, pkgutil, torch, equinorm
for module in pkgutil.iter_modules(equinorm.__path__):
    importlib.import_module(f"equinorm.{module.name}")
model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
equinorm.ENorm(model, c=1.2).step()
print("fine")
"""


@pytest.fixture
def cache(tmp_path):
    """Numba's cache folder, of a module that lies beside `compiled`: numba is started in a second, PyTorch is not."""
    for name, text in (("kernel.py", KERNEL), ("compiled.py", Path(compiled.__file__).read_text(encoding="utf-8"))):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / "cache"


def run(script, **environment):
    """What a new process prints that has no home and no cache but what `environment` says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, *script], capture_output=True, text=True, env=inherited | {"HOME": "/proc/home"} | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def outer(cache):
    """The kernel's result, and how often the cache had it."""
    return run([str(cache.parent / "kernel.py")], NUMBA_CACHE_DIR=str(cache))


def test_a_second_process_finds_what_the_first_compiled(cache):
    assert outer(cache) == "inf 0"
    assert outer(cache) == "inf 1"


def test_a_damaged_cache_is_compiled_and_written_anew(cache):
    outer(cache)
    for kind in ("nbi", "nbc"):
        for damage in (lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"\0" * 100):
            damaged = list(cache.rglob(f"*.{kind}"))
            assert len(damaged) == 2
            for path in damaged:
                path.write_bytes(damage(path.read_bytes()))
            assert outer(cache) == "inf 0"
        assert outer(cache) == "inf 1"


def test_a_cache_that_can_be_neither_read_nor_written_is_done_without(cache):
    outer(cache)
    for path in list(cache.rglob("*.nb?")):
        path.unlink()
        path.mkdir()  # not even root can read or replace it
    assert outer(cache) == "inf 0"


def test_without_a_folder_to_write_all_is_compiled_in_memory(cache):
    (cache.parent / "__pycache__").touch()  # not even root can write in it
    assert run([str(cache.parent / "kernel.py")]) == "inf 0"
    assert run([str(cache.parent / "kernel.py")], NUMBA_CACHE_DIR="/proc/home") == "inf 0"


def test_the_whole_library_works_where_no_cache_can_be_written(tmp_path):
    """As in a container whose checkout is read-only, for a user without a home."""
    package = tmp_path / "lib" / "equinorm"
    package.mkdir(parents=True)
    for source in Path(equinorm.__file__).parent.glob("*.*"):
        (package / source.name).write_bytes(source.read_bytes())
    (package / "__pycache__").touch()
    assert run(["-c", LIBRARY], PYTHONPATH=str(package.parent)) == "fine"
