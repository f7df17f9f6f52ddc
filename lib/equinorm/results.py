"""Results on disk: for each cell a tidy CSV, one row per run and epoch, and beside it a JSON of where it is from.

``outputs/<profile>/runs/<variant>/pNN.csv`` and ``.json``. Both are written atomically, the JSON last: it holds the
sha256 of the CSV and one of itself, so a pair that is truncated, edited or half-written is recognised and never gets
into a table.
"""

import hashlib
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from equinorm import provenance
from equinorm.experiments import Parameters, check_parameters
from equinorm.files import atomically
from equinorm.training import COLUMNS, History

PROTOCOL_VERSION = 1
"""Raise it when what is measured changes its meaning; results of another version are not used."""

_KEYS = {"parameters", "protocol", "code_digest", "diverged", "versions", "device", "data", "epoch_seconds"}


class ResultError(Exception):
    """A result cannot be used; the message names the file and says why."""


@dataclass(frozen=True)
class CellFiles:
    """Where the files of one cell are."""

    runs: Path  # outputs/<profile>/runs
    variant: str
    p: int

    @property
    def csv(self) -> Path:
        return self.runs / self.variant / f"p{self.p:02d}.csv"

    @property
    def json(self) -> Path:
        return self.csv.with_suffix(".json")

    @property
    def checkpoint(self) -> Path:
        return self.csv.with_suffix(".checkpoint.pt")

    def checkpoint_of_restart(self, seed: int) -> Path:
        """That of the further run which `cell.run` makes where all others have diverged."""
        return self.csv.with_suffix(f".restart{seed}.checkpoint.pt")

    def checkpoints(self) -> list[Path]:
        """All that there are."""
        return sorted(self.csv.parent.glob(f"{self.csv.stem}.*checkpoint.pt"))

    @property
    def progress(self) -> Path:
        return self.csv.with_suffix(".progress.json")


@dataclass(frozen=True)
class Result:
    """The runs of one cell: `frame` with training.COLUMNS, and the JSON's content."""

    frame: pd.DataFrame
    metadata: dict

    @property
    def parameters(self) -> Parameters:
        return check_parameters(self.metadata["parameters"])

    @property
    def seconds(self) -> float:
        """Wall time of the training, evaluation included."""
        return sum(self.metadata["epoch_seconds"])

    def describe(self) -> str:
        """What was run, on what, and how long it took, in one sentence."""
        parameters, device = self.parameters, self.metadata["device"]
        threads = f", {device['threads']} threads" if "threads" in device else ""
        return (
            f"{parameters.variant}, p = {parameters.p}, {len(parameters.seeds)} run(s) of {parameters.epochs} epochs: "
            f"{self.metadata['data']['description']}; {parameters.precision} on {device['name']}{threads}; "
            f"{self.seconds:.0f} s."
        )

    def final(self) -> pd.DataFrame:
        """One row per run: its last."""
        return self.frame.drop_duplicates("seed", keep="last")


def write(files: CellFiles, parameters: Parameters, history: History, origin: dict) -> Result:
    """Write the results of a finished cell; `origin` (device, data, ...) goes into the JSON as it is."""
    measured = history.rows[0] if history.rows else ()
    frame = pd.DataFrame(history.rows, columns=list(dict.fromkeys([*COLUMNS, *measured])))
    content = frame.to_csv(index=False).encode()
    metadata = {
        "protocol_version": PROTOCOL_VERSION,
        "parameters": parameters.model_dump(mode="json"),
        "protocol": parameters.protocol(),
        "csv_sha256": hashlib.sha256(content).hexdigest(),
        "diverged": [
            {"seed": row["seed"], "epoch": row["epoch"], "step": row["step"]} for row in history.rows if row["diverged"]
        ],
        "code_digest": provenance.code_digest(),
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        **origin,
        "wall_time_seconds": round(sum(history.epoch_seconds), 3),
        "epoch_seconds": [round(seconds, 3) for seconds in history.epoch_seconds],
    }
    metadata = sealed(metadata)
    with atomically(files.csv) as temporary:
        temporary.write_bytes(content)
    with atomically(files.json) as temporary:
        temporary.write_text(json.dumps(metadata, indent=1) + "\n")
    return Result(frame, metadata)


def sealed(metadata: dict) -> dict:
    """`metadata` with the sha256 of all else in it."""
    rest = {name: value for name, value in metadata.items() if name != "sha256"}
    return rest | {"sha256": hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()}


def set_aside(files: CellFiles) -> list[Path]:
    """Move a cell's results out of the way, to a folder of the time beside `runs`; returns where they are now."""
    folder = files.runs.parent / "set_aside" / time.strftime("%Y-%m-%dT%H-%M-%S") / files.variant
    moved = []
    for path in (files.csv, files.json):
        if path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            moved.append(path.rename(folder / path.name))
    return moved


def read(files: CellFiles) -> Result:
    """The result of a cell. Raises ResultError naming the file where it is missing or not what was written."""
    for path in (files.csv, files.json):
        if not path.exists():
            raise ResultError(f"{path}: missing")
    try:
        metadata = json.loads(files.json.read_text())
        version, digest = metadata["protocol_version"], metadata["csv_sha256"]
        missing = _KEYS - metadata.keys()
    except (ValueError, KeyError, TypeError):
        raise ResultError(f"{files.json}: damaged, not the JSON that was written") from None
    if missing:
        raise ResultError(f"{files.json}: damaged or of an earlier version, lacks {', '.join(sorted(missing))}")
    if version != PROTOCOL_VERSION:
        raise ResultError(f"{files.json}: of protocol version {version}, this is version {PROTOCOL_VERSION}")
    if "sha256" in metadata and metadata != sealed(metadata):  # results written before the field came have none
        raise ResultError(f"{files.json}: edited since it was written (its sha256 differs)")
    content = files.csv.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ResultError(f"{files.csv}: changed or truncated since it was written (sha256 differs from its JSON)")
    return Result(pd.read_csv(io.BytesIO(content)), metadata)


def read_for(files: CellFiles, parameters: Parameters) -> Result:
    """The result of a cell, if it is one of these parameters and of the code as it is now; else ResultError."""
    result = read(files)
    if not _made_with(result, parameters):
        raise ResultError(f"{files.json}: out of date, made with other parameters")
    if result.metadata["protocol"] != parameters.protocol():
        raise ResultError(f"{files.json}: out of date, made with another protocol (learning rate, variant)")
    schedule = dict(enumerate(parameters.schedule(), start=1))
    if not (result.frame["learning_rate"] == result.frame["epoch"].map(schedule)).all():
        raise ResultError(f"{files.json}: out of date, made with another learning-rate schedule")
    if result.metadata["code_digest"] not in provenance.equivalent_code_digests(parameters.variant):
        raise ResultError(f"{files.json}: out of date, made with other code in lib/equinorm")
    return result


def _made_with(result: Result, parameters: Parameters) -> bool:
    """Whether these are its parameters; those it does not know, because they came later, have their defaults."""
    try:
        return result.parameters == parameters
    except ValueError:  # one that is not known any more
        return False
