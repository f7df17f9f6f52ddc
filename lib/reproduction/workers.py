"""A worker process, one of those that joblib starts for a study, ends with the process that it works for."""

import functools
import multiprocessing
import os
import threading
import time


@functools.cache
def end_with_parent() -> None:
    """Where this process is a worker, have it end within a second once its parent is gone. Else nothing.

    A parent that is killed (SIGKILL, or for memory) tells nobody: its workers would train on for hours, for none.
    """
    if multiprocessing.parent_process() is None:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # at once, from a thread; files are whole or not there (`files.atomically`)

    threading.Thread(target=watch, daemon=True).start()
