"""Files that are either whole or not there, and files that hold what they should."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, what was written there becomes `path`.

    Raises OSError naming `path` where it cannot be written; what was at `path` is then as before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write ({error.strerror})", str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_mapping(path: Path, needed: str) -> dict:
    """What the YAML file at `path` says. Raises ValueError where it is not YAML, or holds no keys (`needed`: which)."""
    try:
        content = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds no keys; needed are {needed}")
    return content
