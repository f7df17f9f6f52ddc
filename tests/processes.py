"""Processes of a started command: all of them, however far apart, found by a mark in their environment."""

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import psutil

MARK = "ENORM_TEST_MARK"
KINDS = {  # a part of the command line -> what kind of process that is
    "ipykernel_launcher": "kernel",
    "run_notebook.py": "notebook runner",
    "snakemake": "Snakemake",
    "-m workflow": "launcher",
}


def _as_from_a_terminal() -> None:
    """In the background shells have Ctrl-C ignored, and nohup a closed terminal, which what they start inherits."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Command:
    """A command that was started in a process group of its own; its output goes to the end of a file."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.mark = uuid.uuid4().hex
        with log.open("a") as file:
            self.process = subprocess.Popen(
                command,
                env=(environment or os.environ) | {MARK: self.mark},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_as_from_a_terminal,
            )

    def alive(self) -> list[psutil.Process]:
        """Every process that descends from the command and has not ended, orphans too."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def of_kind(self, kind: str) -> list[psutil.Process]:
        """Those of one of the kinds in KINDS."""
        found = []
        for process in self.alive():
            try:
                words = " ".join(process.cmdline()[1:])
            except psutil.Error:
                continue
            if next((name for part, name in KINDS.items() if part in words), None) == kind:
                found.append(process)
        return found

    def wait_for_end_of_all(self, seconds: float) -> list[psutil.Process]:
        """Wait until none is alive; those that still are when the time is up."""
        end = time.monotonic() + seconds
        while (left := self.alive()) and time.monotonic() < end:
            self.process.poll()  # or the command itself stays a zombie
            time.sleep(0.1)
        return left
