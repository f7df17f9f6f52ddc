"""No process outlives the one it works for, not even where that one was killed and could tell nobody."""

import os
import signal
import threading
import time


def stop_with(parent: int, seconds: int = 5) -> None:
    """From now on, stop as on Ctrl-C once `parent` is not the parent any more; after `seconds` kill what is left.

    A process that leads a group, as Snakemake does here, takes its group along.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # is ignored below `./run_all.sh demo &` in a script
    leads = os.getpgrp() == os.getpid()

    def send(sign: int) -> None:
        if leads:
            os.killpg(0, sign)
        else:
            os.kill(os.getpid(), sign)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        send(signal.SIGINT)
        time.sleep(seconds)
        send(signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
