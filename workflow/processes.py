"""The processes of a grid: one launcher for each outputs folder, and no process that outlives the one it works for.

The launcher starts Snakemake, which leads a process group of its own; Snakemake starts notebook runners, and each of
these starts a kernel.
"""

import asyncio
import contextlib
import fcntl
import functools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_stop_requested = False


def heed_stop_signals() -> None:
    """Have Ctrl-C, SIGTERM and a closed terminal raise KeyboardInterrupt, except those that `nohup` has ignored."""
    for number in _STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _request_stop)


def _request_stop(*_: object) -> None:
    """Also remembers the request: a KeyboardInterrupt that is raised within a callback, as in an import, is lost."""
    global _stop_requested
    _stop_requested = True
    raise KeyboardInterrupt


@contextlib.contextmanager
def locked(outputs: Path) -> Iterator[int]:
    """Hold the outputs folder, without the unfinished files of writers that were killed (`files.atomically`).

    Yields the lock's file descriptor. Snakemake inherits it, so that the folder is held for as long as Snakemake lives.
    Raises BlockingIOError where another process holds the folder, OSError where it cannot be written.
    """
    outputs.mkdir(parents=True, exist_ok=True)
    with (outputs / ".lock").open("w", encoding="utf-8") as file:
        for seconds_left in range(10, -1, -1):  # the Snakemake of a launcher that was killed takes seconds to stop
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not seconds_left:
                    raise
                time.sleep(1)
            except OSError as error:  # a file system without locks; the call itself names no file
                raise OSError(error.errno, error.strerror, file.name) from error
        for unfinished in outputs.rglob(".*.tmp"):
            writer = _writer(unfinished)  # None: the name is not one of ours, nor is the file
            if writer is not None and not _is_alive(writer):  # a notebook may be at work there, without the lock
                unfinished.unlink(missing_ok=True)
        yield file.fileno()


def _writer(temporary: Path) -> int | None:
    """The process whose unfinished file this is, where the name says so."""
    number = temporary.name.removesuffix(".tmp").rpartition(".")[2]
    return int(number) if number.isdigit() else None


def _is_alive(process: int) -> bool:
    try:
        return bool(process) and os.kill(process, 0) is None  # signal 0 only asks; process 0 would be this group
    except PermissionError:  # another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False


def run_group(command: list[str], lock: int, seconds: int, meanwhile: Callable[[], None] = lambda: None) -> int:
    """Run a command as the leader of a process group; however this ends, the whole group ends, too.

    `seconds` is the time between asking the group to stop and killing it. `meanwhile` is called twice a second.
    Returns the exit status; it is negative where a signal killed the command. Raises KeyboardInterrupt.
    """
    process = subprocess.Popen(command, start_new_session=True, pass_fds=[lock])
    try:
        while process.poll() is None:
            if _stop_requested:
                raise KeyboardInterrupt
            meanwhile()
            time.sleep(0.5)
        return process.returncode
    except KeyboardInterrupt:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # once is enough
        raise
    finally:
        _stop_group(process, seconds)


def _stop_group(leader: subprocess.Popen, seconds: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # raised once the group is empty
        for number, patience in ((signal.SIGINT, seconds), (signal.SIGKILL, 5)):
            os.killpg(leader.pid, number)
            for _ in range(10 * patience):
                leader.poll()  # or the leader itself stays a zombie
                os.killpg(leader.pid, 0)
                time.sleep(0.1)


def stop_with_parent(parent: int, seconds: int = 5) -> None:
    """From now on, stop as on Ctrl-C when the process `parent` is gone, and be killed `seconds` later.

    This is for a parent that is killed and can tell nobody. The leader of a process group takes its group along.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script that runs `./run_all.sh demo &` has it ignored
    leads = os.getpgrp() == os.getpid()
    send = functools.partial(os.killpg, 0) if leads else functools.partial(os.kill, os.getpid())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        send(signal.SIGINT)
        time.sleep(seconds)
        send(signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def take_ctrl_c_from_nbclient(**_: object) -> None:
    """Have Ctrl-C raise KeyboardInterrupt while a notebook runs. papermill calls this once the kernel is started.

    nbclient would wait for a kernel that trains, and then for its own answer.
    """
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
