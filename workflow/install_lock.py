"""Install a lock file into an environment with uv or pip: what the lock says, to the byte, and nothing else.

No package index is asked what is newest (--no-deps), and what comes as source code is built with the setuptools of the
lock (--no-build-isolation).
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

# The user's settings of pip that are heeded: where packages come from. Others say what is installed, or where to.
SOURCES = {
    "cache-dir", "cert", "client-cert", "default-timeout", "extra-index-url", "find-links", "index-url",
    "keyring-provider", "no-index", "proxy", "retries", "timeout", "trusted-host", "use-feature",
}  # fmt: skip


class InstallError(Exception):
    """What failed, in sentences."""


def install(lock: Path, python: Path, uv: str | None, log: Path, keep_open: int) -> None:
    """Install `lock` for `python`, the interpreter of an environment: with the program `uv`, or with pip if it is None.

    What they say goes to `log`, how far they are to stderr. `keep_open` is a file descriptor that they get.
    Raises InstallError.
    """
    temporary = log.parent / "tmp"  # it takes gigabytes, and /tmp is often small
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    environment |= {"TMPDIR": str(temporary)} | ({} if uv else pip_settings(python))
    tool, options = ([uv, "pip"], ["--python", str(python)]) if uv else ([str(python), "-Im", "pip"], [])
    install = [*tool, "install", *options, "--no-deps", "--require-hashes", "--no-build-isolation", "--requirement"]
    backend = temporary / "setuptools.lock"
    pins = re.split(r"\n(?=\w)", lock.read_text(encoding="utf-8"))
    backend.write_text("\n".join(pin for pin in pins if pin.startswith("setuptools==")), encoding="utf-8")
    for command in (
        [*install, str(backend)],
        [*install, str(lock)],
        [*tool, "check", *options],
        [str(python), "-I", str(Path(__file__).with_name("installed.py")), "--lock", str(lock)],
    ):
        if run(command, environment, log, keep_open):
            said = log.read_text(encoding="utf-8", errors="replace")
            reason = f"{'uv' if uv else 'pip'} could not install requirements.lock: {last_words(said)}"
            if re.search(r"Failed (building|to build)", said):
                reason += " What has no wheel for this Python needs a C compiler and Python's headers."
            raise InstallError(reason)
    shutil.rmtree(temporary)


def pip_settings(python: Path) -> dict[str, str]:
    """What pip gets in place of the user's settings: those of them that say where packages come from, and our own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {f"PIP_{option}": "0" for option in ("USER", "GLOBAL", "SITE", "QUIET")}  # or it would not list all
    command = [python, "-Im", "pip", "config", "list"]
    listed = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace")
    if listed.returncode:
        raise InstallError(f"pip cannot read its settings: {last_words(listed.stderr)}")
    values = {}
    for section in ("global", "install", ":env:"):  # a later one overrules
        for name, value in re.findall(rf"^{section}\.([\w-]+)=(.*)$", listed.stdout, re.M):
            if name in SOURCES:
                values[name] = str(ast.literal_eval(value))
    values |= {
        "config-file": os.devnull,
        "disable-pip-version-check": "1",
        "progress-bar": "off",
        "use-pep517": "1",  # or pip before 23.1 would install source code without making a wheel of it
    }
    return {f"PIP_{name.upper().replace('-', '_')}": value for name, value in values.items()}


def run(command: list[str], environment: dict[str, str], log: Path, keep_open: int) -> int:
    """The exit status of `command`. What it says goes to `log`, and now and then its last line to stderr."""
    start = time.monotonic()
    on_terminal = sys.stderr.isatty()
    before, after = ("\r\033[K", "") if on_terminal else ("", "\n")
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, pass_fds=[keep_open]
        )
    try:
        while True:
            try:
                return process.wait(timeout=1 if on_terminal else 10)
            except subprocess.TimeoutExpired:
                said = log.read_text(encoding="utf-8", errors="replace").strip() or "starting"
                line = f"{time.monotonic() - start:4.0f} s: {said.splitlines()[-1].strip()[:100]}"
                print(before + line, end=after, file=sys.stderr, flush=True)
    finally:
        print(before, end="", file=sys.stderr, flush=True)
        process.terminate()
        process.wait()


def last_words(said: str) -> str:
    """The last error in what a program said, or else the last line, as a sentence."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["it did not say why"]
    errors = [line for line in lines if re.match(r"(?i)(error|fatal)\b", line)] or lines
    return errors[-1].rstrip(".") + "."
