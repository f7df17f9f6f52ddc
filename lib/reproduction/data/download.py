"""A file from the first of several addresses that gives it: gone on with where it was cut off, its md5 always checked.

urllib rather than requests: it is at hand wherever Python is, and leaves the bytes of an archive as they were sent.
"""

import http.client
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from torchvision.datasets.utils import check_integrity
from tqdm import tqdm

_SECONDS_OF_SILENCE = 30  # an address from which nothing comes for so long is given up
_SLOW = 250_000  # bytes per second below which another address is tried; 170 MB take 11 minutes then
_SECONDS_TO_JUDGE = 20  # over which the speed is taken
_CHUNK = 1 << 18
_TRY_LATER = (408, 425, 429)  # of the statuses from 400 to 499, which otherwise say that the file is not to be had


class DownloadError(Exception):
    """No address gave the file; the message says why, for each."""


class _Unusable(Exception):
    """The address does not have the file."""


class _Later(Exception):
    """The address may give the file, or the rest of it, another time.

    - speed: bytes per second, where that was the reason
    """

    def __init__(self, why: str, speed: float = 0.0) -> None:
        super().__init__(why)
        self.speed = speed


def fetch(addresses: Sequence[str], target: Path, md5: str) -> None:
    """Make `target` from the first of `addresses` that gives a file with this md5 (hexadecimal digits).

    What has come is kept in ``<target>.part``, and whichever address is asked next is asked for the rest. A slow
    address is left for the next one, and taken as it is where no other does better. Raises DownloadError, or OSError
    naming the file that cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    if check_integrity(part, md5):  # stopped just before the end
        part.replace(target)
        return
    left, why = list(dict.fromkeys(addresses)), {}
    for patient in (False, True):
        for address in list(left):
            try:
                _receive_all(address, part, md5, patient)
                part.replace(target)
                return
            except _Unusable as error:
                left.remove(address)
                why[address] = error
            except _Later as error:
                why[address] = error
        left.sort(key=lambda address: -why[address].speed)
    raise DownloadError("; ".join(f"{_shown(address)}: {error}" for address, error in why.items()))


def is_web_page(start: bytes) -> bool:
    """Whether a file that begins like this is HTML, as sent for a missing file or before one has logged in."""
    return start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<head"))


def _receive_all(address: str, part: Path, md5: str, patient: bool) -> None:
    """Complete `part`, however often the address cuts it off, as long as each time brings more."""
    earlier = size = _size(part)
    while True:
        try:
            _receive(address, part, patient)
            break
        except _Later as error:
            if error.speed or _size(part) <= size:
                raise
            size = _size(part)
    if not check_integrity(part, md5):
        part.unlink()
        if not earlier:
            raise _Unusable("what it sent is another file (md5 differs)")
        _receive_all(address, part, md5, patient)  # what was there before may have been at fault


def _receive(address: str, part: Path, patient: bool) -> None:
    """Ask the address for what is missing of `part`, and write what comes. One that cannot resume sends all again."""
    size = _size(part)
    with _ask(address, size) as response:
        chunk = _read(response)
        start, total = _range(response)
        if start > size:
            raise _Unusable(f"sent bytes from {start:,} on, asked for those from {size:,} on")
        if start == 0 and is_web_page(chunk):
            raise _Unusable("sent a web page (HTML) instead of the file")
        at, measured_at, measured_from = start, start, time.monotonic()
        with _writable(part) as file, _progress(address, start, total) as bar:
            file.seek(start)
            while chunk:
                _write(file, chunk, part)
                at += len(chunk)
                bar.update(len(chunk))
                seconds = time.monotonic() - measured_from
                if seconds >= _SECONDS_TO_JUDGE:
                    speed = (at - measured_at) / max(seconds, 1e-9)
                    if speed < _SLOW and not patient:
                        raise _Later(f"slow ({speed / 1000:,.0f} kB/s)", speed)
                    measured_at, measured_from = at, time.monotonic()
                chunk = _read(response)
            if total is not None and at < total:
                raise _Later(f"cut off after {at:,} of {total:,} bytes")
            file.truncate(at)


def _ask(address: str, size: int) -> http.client.HTTPResponse:
    """The address's answer to the question for all but the first `size` bytes."""
    headers = {"User-Agent": "equinorm"} | ({"Range": f"bytes={size}-"} if size else {})
    try:
        return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_SECONDS_OF_SILENCE)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and size:  # more is there than the address has: no part of this file
            return _ask(address, 0)
        why = f"HTTP {error.code} {error.reason}"
        if 400 <= error.code < 500 and error.code not in _TRY_LATER:
            raise _Unusable(why) from None
        raise _Later(why) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Later(_why(error)) from None
    except ValueError as error:
        raise _Unusable(f"no address ({error})") from None


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next bytes, as soon as some are there; none at the end."""
    try:
        return response.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Later(_why(error)) from None


def _range(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the bytes that the response holds begin, and the length of the whole file where it says so."""
    if getattr(response, "status", None) == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if not found:
            raise _Unusable("sent a part of the file without saying which")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, TimeoutError):
        return f"nothing came for {_SECONDS_OF_SILENCE} s"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _writable(path: Path) -> BinaryIO:
    """`path`, open for writing anywhere in it; what is there stays."""
    path.touch()
    return path.open("r+b", buffering=0)


def _write(file: BinaryIO, chunk: bytes, path: Path) -> None:
    """Write all of `chunk`. Raises OSError naming `path`."""
    left = memoryview(chunk)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _progress(address: str, start: int, total: int | None) -> tqdm:
    """A bar with speed and time to go: live in a terminal or a notebook, a line a minute in a log."""
    live = sys.stderr.isatty() or "ipykernel" in sys.modules
    seconds = 0.5 if live else 60
    return tqdm(
        desc=f"from {urlsplit(address).hostname or _shown(address)}",
        initial=start,
        total=total,
        unit="B",
        unit_scale=True,
        dynamic_ncols=live,
        mininterval=seconds,
        maxinterval=max(10, seconds),
    )


def _shown(address: str) -> str:
    """An address less what may hold a password or token."""
    return re.sub(r"//[^/@]*@", "//", address.partition("?")[0])
