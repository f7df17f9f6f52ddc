"""The set-up in a checkout with a small lock file and an index of local files: it works, or says why in a sentence."""

import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkouts import can_mount, with_mounts
from package_index import Index

from reproduction.checkout import REPOSITORY
from workflow import set_up
from workflow.install_lock import install

FILES = ["run_all.sh", "workflow/environment.sh", "workflow/set_up.py", "workflow/install_lock.py"]
FILES += ["workflow/installed.py", "workflow/__init__.py"]
BASE = Path(sys._base_executable).resolve()
LAUNCHER = """
import importlib.metadata, json, os, sys
installed = {d.name: d.version for d in importlib.metadata.distributions()}
print(json.dumps({"python": sys.executable, "installed": installed, "path": os.environ["PYTHONPATH"]}))
"""
SLOW = """
import os, pathlib, time
from setuptools import setup

pathlib.Path(os.environ["BUILD_BEGAN"]).touch()
while os.path.exists(os.environ["BUILD_WAITS"]):
    time.sleep(0.05)
setup(name="slow", version="1.0", py_modules=["slow"])
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """A lock, and an index that offers newer releases; alpha wants an extra of beta, as pytest-cov does of coverage."""
    index = Index(tmp_path_factory.mktemp("index"))
    index.pins = {}
    for version in ("1.0", "2.0"):
        index.pins[f"alpha {version}"] = index.add_wheel("alpha", version, requires=("beta[fast]>=1",))
        index.pins[f"beta {version}"] = index.add_wheel("beta", version, requires=("gamma>=1; extra == 'fast'",))
        index.pins[f"gamma {version}"] = index.add_wheel("gamma", version)
    elsewhere = index.add_wheel("delta", "1.0").replace(" \\", " ; sys_platform == 'win32' \\")
    pins = (index.pins[f"{name} 1.0"] for name in ("alpha", "beta", "gamma"))
    index.lock = "".join([index.add_installed("packaging"), *pins, elsewhere])
    return index


@pytest.fixture
def checkout(tmp_path, index) -> Path:
    checkout = tmp_path / "a checkout"
    for name in FILES:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, checkout / name)
    (checkout / "workflow" / "__main__.py").write_text(LAUNCHER)
    (checkout / "requirements.lock").write_text(index.lock)
    requires = next(line for line in (REPOSITORY / "pyproject.toml").open() if line.startswith("requires-python"))
    needs = {"suite": [], "batch": ["alpha>=1"], "dev": ["gamma>=1"]}
    extras = "".join(f"optional-dependencies.{extra} = {needed}\n" for extra, needed in needs.items())
    (checkout / "pyproject.toml").write_text(f"[project]\n{requires}dependencies = ['torch>=1']\n{extras}")
    return checkout


@pytest.fixture
def environment(tmp_path, index) -> dict[str, str]:
    """For starting it: a Python without packages, an index, and nothing of the user's."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "cat", "cp", "dirname", "grep", "mkdir", "mount", "sed", "sort", "sh", "touch"):
        if path := shutil.which(name):
            (tools / name).symlink_to(path)
    (tools / "python3").symlink_to(BASE)
    (tmp_path / "home").mkdir()
    return {
        "PATH": str(tools),
        "HOME": str(tmp_path / "home"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index.url,
        "UV_DEFAULT_INDEX": index.url,
        "UV_CACHE_DIR": str(tmp_path / "uv"),
    }


def begin(checkout: Path, environment: dict[str, str]) -> subprocess.Popen:
    """Start it in a process group of its own, where Ctrl-C is heeded also if these tests run in the background."""
    return subprocess.Popen(
        ["bash", str(checkout / "run_all.sh"), "demo"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def start(checkout: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    process = begin(checkout, environment)
    return subprocess.CompletedProcess(process.args, process.wait(), *process.communicate())


def launched(done: subprocess.CompletedProcess) -> dict:
    """What the launcher found, after the set-up went well."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_is_the_lock(found: dict, checkout: Path) -> None:
    assert found["python"] == str(checkout / ".venv" / "bin" / "python")
    assert {name: found["installed"].get(name) for name in ("alpha", "beta", "gamma")} == dict.fromkeys(
        ("alpha", "beta", "gamma"), "1.0"
    )
    assert "delta" not in found["installed"]


def supported() -> tuple[int, int]:
    """The minor versions of Python that pyproject.toml allows: the lowest, and the first that is too high."""
    text = (REPOSITORY / "pyproject.toml").read_text()
    return tuple(map(int, re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"', text, re.M).groups()))


def pythons() -> list[str]:
    """One interpreter of each version at hand, each of which brings a pip of its own."""
    found = {sys.version_info.minor: str(BASE)}
    for minor in range(*supported()):
        command = [f"python3.{minor}", "-Ic", "import sys; print(getattr(sys, '_base_executable', sys.executable))"]
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                found.setdefault(minor, done.stdout.strip())
    return list(found.values())


@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).resolve().name)
def test_an_index_with_newer_releases_changes_nothing_and_the_second_start_finds_all_done(
    checkout, environment, tmp_path, python
):
    (tmp_path / "bin" / "python3").unlink()
    (tmp_path / "bin" / "python3").symlink_to(python)
    done = start(checkout, environment)
    assert_is_the_lock(launched(done), checkout)
    assert "Setting up .venv from requirements.lock" in done.stderr
    again = start(checkout, environment | {"PIP_INDEX_URL": "file:///nowhere"})
    assert_is_the_lock(launched(again), checkout)
    assert again.stderr == ""


HOSTILE = {  # settings of pip that say what is installed or where to, as many users have them for other purposes
    "PIP_USER": "1",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_TARGET": "elsewhere",
    "PIP_NO_DEPS": "0",
    "PIP_NO_BINARY": ":all:",
    "PIP_UPGRADE": "1",
    "PIP_DRY_RUN": "1",
    "PIP_QUIET": "3",
}


def test_neither_settings_of_pip_nor_a_foreign_pythonpath_change_what_is_installed_or_where(
    checkout, environment, tmp_path, index
):
    foreign = tmp_path / "foreign"
    (foreign / "alpha-0.1.dist-info").mkdir(parents=True)
    (foreign / "alpha-0.1.dist-info" / "METADATA").write_text("Name: alpha\nVersion: 0.1\n")
    for module in ("alpha", "packaging", "pip", "setuptools", "workflow", "venv"):
        (foreign / f"{module}.py").write_text("raise RuntimeError('the foreign one')")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("alpha==2.0")
    settings = tmp_path / "pip.conf"
    elsewhere = tmp_path / "elsewhere"
    settings.write_text(
        f"[global]\nindex-url = {index.url}\nuser = true\nquiet = 3\n"
        f"[install]\nprefix = {elsewhere}\nconstraint = {constraints}\n"
    )
    hostile = HOSTILE | {"PIP_TARGET": str(elsewhere), "PIP_CONSTRAINT": str(constraints)}
    hostile |= {"PYTHONPATH": str(foreign), "PYTHONHOME": str(foreign), "PYTHONUSERBASE": str(elsewhere)}
    del environment["PIP_INDEX_URL"]  # that one is in the file, and is heeded
    found = launched(start(checkout, environment | hostile | {"PIP_CONFIG_FILE": str(settings)}))
    assert_is_the_lock(found, checkout)
    assert found["path"] == f"{checkout}/lib:{checkout}"
    assert not elsewhere.exists()
    assert [path.name for path in (tmp_path / "home").rglob("*.dist-info")] == []


@pytest.fixture
def slow_lock(index) -> str:
    """A lock with a package that comes as source code and waits where it is built: with the lock's setuptools."""
    pytest.importorskip("setuptools")
    index.add_wheel("setuptools", "9999.0", setuptools="raise RuntimeError('the newest one')")
    return index.lock + index.add_installed("setuptools") + index.add_source("slow", "1.0", SLOW)


def started_and_building(checkout: Path, environment: dict[str, str], slow_lock: str) -> tuple[subprocess.Popen, Path]:
    """A start that is building that package, and does so until the file returned beside it is removed."""
    (checkout / "requirements.lock").write_text(slow_lock)
    began, waits = checkout / "began", checkout / "waits"
    began.unlink(missing_ok=True)
    waits.touch()
    environment |= {"BUILD_BEGAN": str(began), "BUILD_WAITS": str(waits)}
    process = begin(checkout, environment)
    while not began.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process, waits


@pytest.mark.parametrize("pip", ["pip==22.3", "pip"], ids=["the oldest", "the newest"])
def test_the_oldest_and_the_newest_pip_do_it_too(tmp_path, slow_lock, index, pip, monkeypatch):
    """The oldest is the one that Python 3.11.0 brings."""
    if "==" in pip and sys.version_info >= (3, 12):
        pytest.skip("it is for Python 3.11")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path), pip]
    if subprocess.run([*download, "--retries", "0", "--timeout", "10"], capture_output=True).returncode:
        pytest.skip("needs a package index that has it")
    environment = tmp_path / "environment"
    subprocess.run([BASE, "-m", "venv", "--without-pip", environment], check=True)
    (wheel,) = tmp_path.glob("pip-*.whl")
    (site,) = environment.glob("lib/python*/site-packages")
    shutil.unpack_archive(wheel, site, "zip")
    settings = {"INDEX_URL": index.url, "CONFIG_FILE": os.devnull, "NO_CACHE_DIR": "1"}
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("BUILD_BEGAN", str(tmp_path / "began"))
    monkeypatch.setenv("BUILD_WAITS", str(tmp_path / "nothing to wait for"))
    lock = tmp_path / "requirements.lock"
    lock.write_text(slow_lock)
    with (tmp_path / "held").open("w") as held:
        install(lock, environment / "bin" / "python", None, environment / "set_up.log", held.fileno())
    installed = {path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info")}
    assert {"alpha-1.0", "beta-1.0", "gamma-1.0", "slow-1.0", wheel.name.removesuffix("-py3-none-any.whl")} <= installed


def test_cut_off_in_the_middle_it_begins_anew_and_of_two_starts_one_waits_for_the_other(
    checkout, environment, slow_lock
):
    killed, _ = started_and_building(checkout, environment, slow_lock)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert (checkout / ".venv" / "bin" / "python").exists()
    assert not (checkout / ".venv" / "requirements.lock").exists()

    stopped, _ = started_and_building(checkout, environment, slow_lock)
    os.killpg(stopped.pid, signal.SIGINT)
    assert stopped.communicate()[1].endswith("No .venv was made: stopped. The next start begins anew.\n")
    assert stopped.returncode != 0
    assert list((checkout / ".venv").iterdir()) == []

    first, waits = started_and_building(checkout, environment, slow_lock)
    second = begin(checkout, environment)
    assert second.stderr.readline() == "Another start is setting up .venv; waiting for it.\n"
    waits.unlink()
    assert second.stderr.read() == ""
    for process in (first, second):
        assert process.wait() == 0
        found = json.loads(process.stdout.read())
        assert_is_the_lock(found, checkout)
        assert found["installed"]["slow"] == "1.0"


def test_an_interpreter_that_is_gone_or_a_changed_lock_has_it_made_again(checkout, environment, index):
    (checkout / ".venv" / "lib").mkdir(parents=True)
    (checkout / ".venv" / "set_up.log").touch()
    shutil.copy(checkout / "requirements.lock", checkout / ".venv")
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(BASE)  # another version, say: it finds no packages in .venv
    (checkout / ".venv" / "pyvenv.cfg").write_text(f"home = {BASE.parent}\ninclude-system-site-packages = false\n")
    check = [python, "-Es", checkout / "workflow" / "set_up.py", "--check"]
    assert subprocess.run(check, env=environment).returncode == 1
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert_is_the_lock(launched(start(checkout, environment)), checkout)
    changed = index.lock.replace(index.pins["gamma 1.0"], index.pins["gamma 2.0"])
    assert changed != index.lock
    (checkout / "requirements.lock").write_text(changed)
    assert launched(start(checkout, environment))["installed"]["gamma"] == "2.0"


def test_a_wrong_checksum_is_refused_in_a_sentence_and_what_was_there_is_kept(checkout, environment, index):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "mine").write_text("precious")
    (checkout / "requirements.lock").write_text(
        index.lock.replace(index.pins["gamma 1.0"], index.pins["gamma 2.0"].replace("2.0", "1.0"))
    )
    done = start(checkout, environment)
    assert done.returncode == 1
    assert ".venv was not made by run_all.sh, or not to its end; it is kept as .venv.1.\n" in done.stderr
    assert "No .venv was made: pip could not install requirements.lock: " in done.stderr
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert "gamma" in (checkout / ".venv.log").read_text()
    assert "Traceback" not in done.stderr
    assert (checkout / ".venv.1" / "mine").read_text() == "precious"
    assert list((checkout / ".venv").iterdir()) == []


def test_a_python_without_ensurepip_is_named_with_what_mends_it_and_uv_needs_none(checkout, environment, tmp_path):
    """As on Debian, whose python3 has no ensurepip until python3-venv is installed."""
    library = tmp_path / "python" / "lib" / f"python3.{sys.version_info.minor}"
    library.mkdir(parents=True)
    for path in Path(os.__file__).parent.iterdir():
        if path.name not in ("ensurepip", "site-packages"):
            (library / path.name).symlink_to(path)
    python = tmp_path / "python" / "bin" / "python3"
    python.parent.mkdir()
    shutil.copy(BASE, python)
    environment["PATH"] = f"{python.parent}:{environment['PATH']}"
    probe = subprocess.run([python, "-c", "import ensurepip"], capture_output=True, text=True, env=environment)
    if "No module named 'ensurepip'" not in probe.stderr:
        pytest.skip("this Python cannot be copied")
    done = start(checkout, environment)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"No .venv was made: {python} cannot install pip: ")
    assert said.endswith(f"`apt install python3.{sys.version_info.minor}-venv` mends that.")
    uv = shutil.which("uv") or pytest.importorskip("uv").find_uv_bin()
    (tmp_path / "bin" / "uv").symlink_to(uv)
    done = start(checkout, environment | {"PIP_INDEX_URL": "file:///nowhere", "UV_RESOLUTION": "lowest"})
    assert_is_the_lock(launched(done), checkout)
    assert " and uv, once" in done.stderr
    assert "pip" not in launched(done)["installed"]


def test_where_uv_does_not_do_it_pip_does(checkout, environment, tmp_path):
    (tmp_path / "bin" / "uv").write_text("#!/bin/sh\necho as if\n")
    (tmp_path / "bin" / "uv").chmod(0o755)
    done = start(checkout, environment)
    assert_is_the_lock(launched(done), checkout)
    assert re.search(r"^uv could not install requirements.lock: .* Now with pip.$", done.stderr, re.M)


def test_what_a_symbolic_link_leads_to_is_never_cleared(checkout, environment, tmp_path):
    target = tmp_path / "other disk"
    (checkout / ".venv").symlink_to(target)
    for exists in (False, True):
        if exists:
            target.mkdir()
            (target / "set_up.log").write_text("not even with this name")
        done = start(checkout, environment)
        assert done.returncode == 1
        said = f"No .venv was made: {checkout}/.venv is a symbolic link to {target}, which is neither an environment of"
        assert done.stderr.startswith(said)
    assert (target / "set_up.log").read_text() == "not even with this name"
    (target / "set_up.log").unlink()
    assert_is_the_lock(launched(start(checkout, environment)), checkout)
    assert (target / "requirements.lock").exists()
    (checkout / "requirements.lock").write_text((checkout / "requirements.lock").read_text() + "\n")
    assert start(checkout, environment).returncode == 1
    assert (target / "bin" / "python").exists()


@pytest.mark.skipif(not can_mount(), reason="needs `unshare --mount`, which this system does not allow")
def test_a_full_disk_and_a_read_only_one_are_named_and_with_room_it_works(checkout, environment, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    run = shlex.join(["env", "-i", *(f"{name}={value}" for name, value in environment.items()), "bash"])
    done = with_mounts(
        f"mount -t tmpfs -o size=6m tmpfs {disk}; cp -r '{checkout}' {disk}/copy; cd {disk}/copy\n"
        f"{run} run_all.sh demo && exit 9\n"
        f"echo then it is read-only >&2; mount -o remount,ro {disk}; {run} run_all.sh demo && exit 9\n"
        f"mount -o remount,rw,size=100m {disk}; exec {run} run_all.sh demo"
    )
    full, rest = done.stderr.split("then it is read-only\n")
    assert re.search(r"^No .venv was made: .*No space left on device.*", full, re.M), full
    read_only = f"No .venv was made: {disk}/copy/.venv.lock: Read-only file system. Without .venv, an environment that "
    assert rest.startswith(read_only)
    assert launched(done)["installed"]["alpha"] == "1.0"


def test_a_path_in_which_python_can_make_no_environment_is_named(checkout, environment):
    strange = checkout.rename(checkout.with_name("a:b"))
    done = start(strange, environment)
    assert done.returncode == 1
    assert "No .venv was made: " in done.stderr and "contains the PATH separator" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("system", [("Darwin", "x86_64"), ("Linux", "riscv64"), ("FreeBSD", "amd64")])
def test_a_platform_that_the_lock_is_not_for_is_refused_in_a_sentence(monkeypatch, system):
    monkeypatch.setattr(platform, "system", lambda: system[0])
    monkeypatch.setattr(platform, "machine", lambda: system[1])
    with pytest.raises(set_up.SetUpError, match=f"this is {' '.join(system)}, for which there is no current PyTorch"):
        set_up.make(-1)


def stand_in_python(path: Path, version: tuple[int, int]) -> None:
    """The interpreter of these tests, made to say that it is of another version."""
    code = f"import sys; sys.version_info = (*{version}, 0, 'final', 0); exec(sys.argv.pop(1))"
    path.unlink(missing_ok=True)
    path.write_text(f'#!/bin/sh\ncase $1 in -Ic|-c) exec {BASE} -c "{code}" "$2";; *) exit 1;; esac\n')
    path.chmod(0o755)


def test_a_python_outside_the_locks_range_is_passed_over_or_named_with_what_to_do(checkout, environment, tmp_path):
    stand_in_python(tmp_path / "bin" / "python3", (3, 99))
    stand_in_python(tmp_path / "bin" / "python3.9", (3, 9))
    done = start(checkout, environment)
    assert done.returncode == 1
    lowest, above = supported()
    assert done.stderr.splitlines() == [
        f"requirements.lock is for CPython 3.{lowest} to 3.{above - 1}, and none was found "
        "(python3 is 3.99.0, python3.9 is 3.9.0).",
        "Install one beside it, or activate an environment that has the packages of pyproject.toml.",
        "For a newer Python, raise requires-python in pyproject.toml and compile the lock anew: tools/lock.sh",
    ]
    assert not (checkout / ".venv").exists()
    for minor in (lowest, above - 1):
        beside = tmp_path / "bin" / f"python3.{minor}"
        stand_in_python(beside, (3, minor))
        done = subprocess.run(
            ["bash", "-c", 'root="$1"; source "$1/workflow/environment.sh"', "-", str(checkout)],
            capture_output=True,
            text=True,
            env=environment | {"extras": ""},
        )
        assert "none was found" not in done.stderr
        beside.unlink()


def put(site: Path, **versions: str) -> None:
    """Stand-ins for installed packages."""
    for name, version in versions.items():
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_an_active_environment_is_used_if_it_has_the_packages_else_what_it_lacks_is_said(
    checkout, environment, tmp_path, index
):
    active = tmp_path / "active"
    subprocess.run([BASE, "-m", "venv", "--without-pip", active], check=True)
    (site,) = active.glob("lib/python*/site-packages")
    shutil.unpack_archive(next(index.folder.rglob("packaging-*.whl")), site, "zip")
    (checkout / "requirements.lock").write_text("")  # no set-up is wanted here
    environment["PATH"] = f"{active}/bin:{environment['PATH']}"
    put(site, torch="2.99.0+cpu")
    done = start(checkout, environment | {"PIP_INDEX_URL": "file:///nowhere"})
    lacks = f"The active environment ({active}/bin/python) is not used, for it lacks alpha>=1.\n"
    assert done.stderr.startswith(lacks)
    put(site, alpha="1.0")
    done = start(checkout, environment)
    assert launched(done)["python"] == f"{active}/bin/python3"
    assert done.stderr == ""
