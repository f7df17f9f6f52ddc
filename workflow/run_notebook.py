#!/usr/bin/env python3
"""Execute one notebook with papermill, strictly: parameters checked first, and no success that is none.

Exit status 0 only where every cell ran to its end. The executed notebook is kept either way.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

STARTED_BY = os.getppid()  # before the imports below, which take a second in which a parent can be killed
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "lib")]  # for whoever starts this by hand
# For nbformat, which checks notebooks. It compiles a grammar of web addresses for a second; notebooks need none of it.
sys.modules.setdefault("rfc3987_syntax", None)

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from reproduction import pictures
from reproduction.checkout import REPOSITORY
from reproduction.files import atomically
from reproduction.protocol.messages import unknown
from workflow import processes, surroundings


def check_names(notebook: Path, parameters: dict) -> None:
    """Raise ValueError for a notebook that is not there, or a parameter that it does not have; papermill would only
    warn of the latter."""
    if not notebook.is_file():
        raise ValueError(f"{notebook}: there is no such notebook in the repository")
    known = papermill.inspect_notebook(str(notebook))
    for name in parameters:
        if name not in known:
            raise ValueError(f"{notebook.name}: {unknown('parameter', name, known)}")


def execute(notebook: Path, save_as: Path, parameters: dict, timeout: int | None) -> None:
    """Run `notebook` in the repository's root and save it; raises what stopped it."""
    save_as.parent.mkdir(parents=True, exist_ok=True)
    with surroundings.temporary_folder() as (folder, fits_sockets):
        environment = surroundings.for_notebook(dict(os.environ), folder)
        os.environ.clear()
        os.environ.update(environment)
        # Kernels that start at the same time over TCP race for ports.
        transport = {"transport": "ipc", "ip": str(folder / "kernel")} if fits_sockets else {}
        own = KernelSpecManager(kernel_dirs=[])  # this interpreter's kernel, whatever others are called python3
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=own, **transport)
        try:
            papermill.execute_notebook(
                str(notebook),
                str(save_as).replace("{", "{{").replace("}", "}}"),  # papermill would fill in parameters
                parameters,
                cwd=str(REPOSITORY),
                kernel_name="python3",
                km=manager,
                progress_bar=False,
                on_notebook_start=processes.take_ctrl_c_from_nbclient,
                start_timeout=120,
                execution_timeout=timeout,
                coalesce_streams=True,  # a progress bar's last state is kept, not all of them
            )
        finally:  # a kernel manager that was handed in is not shut down for us
            if manager.has_kernel:
                run_sync(manager.shutdown_kernel)(now=True)
    executed = nbformat.read(save_as, as_version=4)
    pictures.make_smaller(executed)
    with atomically(save_as) as temporary:
        nbformat.write(executed, temporary)
    code = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.strip()]
    unfinished = sum(cell.execution_count is None for cell in code)
    if unfinished:  # papermill reports some kernels that died as completed
        raise RuntimeError(f"{unfinished} cells did not run to their end")


def reason(error: Exception, timeout: int | None) -> str:
    """Why a notebook failed, in one sentence."""
    if isinstance(error, CellTimeoutError):
        return f"a cell took longer than the timeout of {timeout} s"
    if isinstance(error, DeadKernelError):
        return "its kernel died; where memory is short the system kills it"
    if isinstance(error, papermill.PapermillExecutionError):
        return f"{error.ename}: {error.evalue}"
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def json_object(text: str) -> dict:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not an object of JSON, such as '{{\"p\": 3}}'")
    return value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path, help="the notebook, relative to the repository")
    parser.add_argument("--save-as", type=Path, required=True, help="where the executed notebook goes")
    parser.add_argument("--parameters", type=json_object, default={}, help="the notebook's parameters, as JSON")
    parser.add_argument("--outputs", required=True, help="the notebook's parameter of that name")
    parser.add_argument("--device", help="likewise")
    parser.add_argument("--timeout", type=int, default=0, help="seconds a cell may take; 0: no limit")
    parser.add_argument("--stop-with-parent", action="store_true", help="stop where the process that started this ends")
    arguments = parser.parse_args()
    if arguments.stop_with_parent:
        processes.stop_with_parent(STARTED_BY)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # after Ctrl-C it names tasks that nobody waits for
    parameters = arguments.parameters | {"outputs": arguments.outputs}
    if arguments.device:
        parameters["device"] = arguments.device
    save_as = Path(os.path.relpath(arguments.save_as.resolve(), REPOSITORY))  # no path of this machine gets into it
    os.chdir(REPOSITORY)
    timeout = arguments.timeout or None
    try:
        check_names(arguments.notebook, parameters)
        execute(arguments.notebook, save_as, parameters, timeout)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # whatever stopped it: say so in one line and fail
        print(f"FAILED {save_as}: {reason(error, timeout)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
