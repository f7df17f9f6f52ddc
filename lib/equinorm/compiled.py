"""numba's `njit` with its cache of compiled code. The cache saves seconds of compiling and so never stops a run."""

from collections.abc import Callable
from contextlib import suppress

from numba import njit
from numba.core.caching import FunctionCache

# Lets the compiler vectorise sums, but keeps NaN and infinity what they are: diverged runs pass through here.
SUMS = {"fastmath": {"reassoc", "contract", "nsz"}}
# Division by zero gives infinity, as in PyTorch, and no exception.
EXACT = {"error_model": "numpy"}


def compiled(**options: object) -> Callable[[Callable], Callable]:
    """`njit(**options)`, kept for the next process in numba's cache where there is a folder that it may write."""

    def compile_(function: Callable) -> Callable:
        dispatcher = njit(**options)(function)
        with suppress(OSError, RuntimeError):  # the latter: "no locator available"
            dispatcher._cache = _Cache(function)  # what njit(cache=True) does, but for the class
        return dispatcher

    return compile_


class _Cache(FunctionCache):
    """numba's, which lets the errors of damaged or unwritable files through (its issue 10434), without these errors."""

    def load_overload(self, *arguments: object) -> object:
        try:
            return super().load_overload(*arguments)
        except Exception:  # whatever unpickling of damaged bytes may raise
            return None  # not in the cache

    def save_overload(self, *arguments: object) -> None:
        with suppress(Exception):
            try:
                super().save_overload(*arguments)
            except Exception:
                self.flush()  # of a damaged index nothing can be kept
                super().save_overload(*arguments)
