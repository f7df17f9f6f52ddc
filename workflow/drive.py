"""On Colab: results go to Google Drive, since a machine's own disk is gone with it. The bootstrap cell runs this."""

import os
import shutil
import time
from pathlib import Path

FOLDER = "enorm-reproducibility"
"""On Drive. `reproduction.data.cifar10` keeps the archive there too, and has the same two names: the bootstrap cell may
run this where the library's packages are not installed."""


def keep_results(results: Path, drive: Path) -> str:
    """Have `results` lead to a folder on `drive`, where that is mounted; what is there already moves along.

    Returns a sentence that says where results go.
    """
    if not drive.is_dir():
        if results.is_symlink():
            results.unlink()  # Drive is mounted no more
        return (
            f"RESULTS STAY ON THIS MACHINE ({results}) and are lost with it. To keep them, mount Drive (Files, Mount "
            "Drive) and run this cell again."
        )
    kept = drive / FOLDER
    kept.mkdir(exist_ok=True)  # it may have been deleted
    moved = ""
    if results.is_symlink():
        results.unlink()
    elif results.is_dir():
        moved = f"; {_move(results, kept)} files that were in {results} are there now"
    results.parent.mkdir(exist_ok=True)
    results.symlink_to(kept)
    return f"Results go to Drive: {kept}{moved}."


def _move(folder: Path, kept: Path) -> int:
    """Move all files of `folder`; where `kept` has another of that name, to a folder of the time in it. How many."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]  # which hold nothing
    beside = kept / time.strftime("from_this_machine_%Y-%m-%dT%H-%M-%S")
    taken = any((kept / path.relative_to(folder)).exists() for path in files)
    for path in files:
        target = (beside if taken else kept) / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    shutil.rmtree(folder)
    return len(files)


if __name__ == "__main__":
    print(keep_results(Path("outputs/interactive"), Path(os.environ.get("ENORM_DRIVE", "/content/drive/MyDrive"))))
