"""Ctrl-C and its like, remembered: a KeyboardInterrupt that comes within a callback, as in an import, is lost."""

requested = False


def request(*_: object) -> None:
    """A signal handler."""
    global requested
    requested = True
    raise KeyboardInterrupt
