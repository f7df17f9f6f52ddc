"""Results on disk. A run is the unit: each cell of a grid has a CSV with the rows of the runs that there are, one row
per run and epoch, and a JSON that says what they are and, run by run, what they were made with.

``outputs/<profile>/runs/<variant>/pNN.csv`` and ``.json``. All runs of a file share their parameters, data and
revisions (`Parameters.differences`, `revisions`); what is not said is the default. Runs are added at the end. Both
files are written atomically, the JSON last: it holds how many bytes of the CSV count and their sha256, and a sha256 of
itself. So what was truncated or edited is recognised, and rows whose JSON was never written do not count.
"""

import hashlib
import io
import itertools
import json
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from filelock import FileLock

from reproduction.files import atomically
from reproduction.protocol.data_sets import DATA_SETS
from reproduction.protocol.history import COLUMNS, History, columns
from reproduction.protocol.parameters import Parameters, check_parameters
from reproduction.protocol.revisions import revisions

FORMAT = 2
"""Of the JSON."""

RESTARTS = 1
"""Further seeds that a grid tries, one after the other, where every run of a cell has diverged."""

_KEYS = ("variant", "p", "parameters", "revisions", "data", "csv_bytes", "csv_sha256", "runs", "sha256")


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

    def checkpoint(self, parameters: Parameters) -> Path:
        """Where the state of a training is kept until it has ended. One with other parameters has another name: to try
        one epoch does not take away what is there of sixty."""
        name = "-".join(map(str, parameters.seeds))
        name = name if len(name) <= 40 else hashlib.sha256(name.encode()).hexdigest()[:16]
        return self.csv.with_suffix(f".seeds{name}.{_mark(parameters)}.checkpoint.pt")

    def checkpoints(self, parameters: Parameters | None = None) -> list[Path]:
        """All that there are; with `parameters`, those of trainings that differ from it in their seeds at most."""
        mark = _mark(parameters) if parameters else ""
        return sorted(self.csv.parent.glob(f"{self.csv.stem}.*{mark}.checkpoint.pt"))

    @property
    def progress(self) -> Path:
        return self.csv.with_suffix(".progress.json")


def _mark(parameters: Parameters) -> str:
    """A few letters that tell parameters from others, whatever their seeds."""
    return hashlib.sha256(parameters.model_dump_json(exclude={"seeds"}).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Result:
    """Runs of one cell: `frame` with the columns of a history, the parameters they were asked for with, the JSON's
    content, and where the rows are on disk."""

    frame: pd.DataFrame
    parameters: Parameters
    metadata: dict
    csv: Path

    @cached_property
    def runs(self) -> list[dict]:
        """What each run was made with: seed, device, versions, git_commit, code_digest, epoch_seconds (its share, where
        it was trained together with others), finished; before: the first four of what it was made with until it was cut
        off, where that was something else."""
        seeds = set(self.frame["seed"])
        return [run for run in self.metadata["runs"] if run["seed"] in seeds]

    @property
    def data(self) -> str:
        """What was trained on, in words."""
        return self.metadata["data"]["description"]

    @property
    def seconds(self) -> float:
        """Wall time of the training, evaluation included."""
        return sum(sum(run["epoch_seconds"]) for run in self.runs)

    @property
    def devices(self) -> list[dict]:
        """The different devices that its runs were trained on."""
        parts = (part for run in self.runs for part in (*run.get("before", []), run))
        return [dict(device) for device in dict.fromkeys(tuple(part["device"].items()) for part in parts)]

    def is_of(self, data: dict) -> bool:
        """Whether its data are those that `data` tells of (`Dataset.about`)."""
        return self.metadata["data"]["fingerprint"] == data["fingerprint"]

    def describe(self) -> str:
        """What was run, on what, how long it took, and where it is, in a few sentences."""
        parameters = self.parameters
        devices = " and ".join(
            device["name"] + (f", {device['threads']} threads" if "threads" in device else "")
            for device in self.devices
        )
        seen_from = "" if self.csv.is_absolute() else " (seen from the repository's folder)"
        return (
            f"{parameters.variant}, p = {parameters.p}, {len(self.runs)} run(s) of {parameters.epochs} epochs: "
            f"{self.data}; {parameters.precision} on {devices}; {self.seconds:.0f} s. "
            f"Initial learning rate {parameters.initial_learning_rate:g}. All epochs of all runs are in {self.csv}"
            f"{seen_from}, what they were made with beside it, in {self.csv.with_suffix('.json').name}."
        )

    def digest(self) -> str:
        """sha256 of its rows and of what they were made with."""
        content = [self.metadata["data"]["fingerprint"], self.runs, self.frame.to_csv(index=False)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def final(self) -> pd.DataFrame:
        """One row per run: its last."""
        return last_rows(self.frame)


def last_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per run: its last. Runs of several cells, and conditions of a study, are told apart by their columns."""
    own = [name for name in ("condition", "variant", "p", "seed") if name in rows]
    return rows.drop_duplicates(own, keep="last").reset_index(drop=True)


@dataclass(frozen=True)
class Found:
    """What there is of a cell: the usable runs of those asked for (None where there is none), the seeds that are still
    to be trained, and why the cell's files cannot be used: then nothing is trained, and nothing of it is replaced."""

    result: Result | None
    missing: tuple[int, ...]
    problem: str = ""


def find(files: CellFiles, parameters: Parameters, restarts: int = 0, data: dict | None = None) -> Found:
    """What there is of the runs of `parameters`, and of the further ones that `restarts` asks for (see `run.run`).

    With `data`, what is known of the data at hand, runs of other data cannot be used.
    """
    if not files.csv.exists() and not files.json.exists():
        return Found(None, parameters.seeds)
    try:
        result = read(files)
        _check_fits(result, files, parameters)
        if data:
            _check_data(result, files, data)
    except ResultError as error:
        return Found(None, (), str(error))
    diverged = result.frame.groupby("seed")["diverged"].any().to_dict()
    seeds = list(parameters.seeds)
    while len(seeds) < len(parameters.seeds) + restarts and all(diverged.get(seed) for seed in seeds):
        seeds.append(max(seeds) + 1)
    missing = tuple(seed for seed in seeds if seed not in diverged)
    frame = result.frame[result.frame["seed"].isin(seeds)].reset_index(drop=True)
    return Found(None if frame.empty else Result(frame, parameters, result.metadata, files.csv), missing)


def add(files: CellFiles, parameters: Parameters, history: History, made_with: dict, data: dict) -> None:
    """Add the runs of `history` to the cell's files; `made_with` goes to each run. Seeds that are there stay as they
    are: another process has trained them meanwhile.

    Raises ResultError where what is there are runs of other parameters, data or code, or cannot be read.
    """
    files.runs.mkdir(parents=True, exist_ok=True)
    with FileLock(files.runs / ".lock"):  # two notebooks may be adding to the same cell
        _add(files, parameters, history, made_with, data)


def _add(files: CellFiles, parameters: Parameters, history: History, made_with: dict, data: dict) -> None:
    identity = {
        "variant": parameters.variant,
        "p": parameters.p,
        "parameters": parameters.differences(),
        "revisions": revisions(parameters),
        "data": data,
    }
    there, runs = b"", []
    if files.csv.exists() or files.json.exists():
        result = read(files)
        _check_fits(result, files, parameters)
        _check_data(result, files, data)
        there, runs = _counted(files, result.metadata), result.metadata["runs"]
    else:  # from now on, rows without an entry in the JSON are known not to count
        _write_json(files, identity, b"", [])
    expected = columns(DATA_SETS[parameters.dataset].metric)
    frame = pd.DataFrame(history.rows, columns=list(dict.fromkeys([*expected, *(history.rows or [{}])[0]])))
    frame = frame[~frame["seed"].isin({run["seed"] for run in runs})]
    content = there + frame.to_csv(index=False, header=not there).encode()
    trained_in_epoch = Counter(row["epoch"] for row in history.rows)
    for seed, own in frame.groupby("seed", sort=False):
        seconds = [round(history.epoch_seconds[epoch - 1] / trained_in_epoch[epoch], 6) for epoch in own["epoch"]]
        runs = [*runs, {"seed": int(seed), **made_with, "epoch_seconds": seconds}]
    with atomically(files.csv) as temporary:
        temporary.write_bytes(content)
    _write_json(files, identity, content, runs)


def _write_json(files: CellFiles, identity: dict, content: bytes, runs: list[dict]) -> None:
    digest = hashlib.sha256(content).hexdigest()
    metadata = sealed({"format": FORMAT, **identity, "csv_bytes": len(content), "csv_sha256": digest, "runs": runs})
    with atomically(files.json) as temporary:
        temporary.write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")


def sealed(metadata: dict) -> dict:
    """`metadata` with the sha256 of all else in it."""
    rest = {name: value for name, value in metadata.items() if name != "sha256"}
    return rest | {"sha256": hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()}


def set_aside(files: CellFiles) -> list[Path]:
    """Move a cell's results out of the way, to a folder of the time beside `runs`; returns where they are now."""
    place = files.runs.parent / "set_aside"
    now = time.strftime("%Y-%m-%dT%H-%M-%S")
    names = itertools.chain([now], (f"{now}.{k}" for k in itertools.count(2)))  # several are put aside within a second
    folders = (place / name / files.variant for name in names)
    folder = next(own for own in folders if not any((own / path.name).exists() for path in (files.csv, files.json)))
    moved = []
    for path in (files.csv, files.json):
        if path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            moved.append(path.rename(folder / path.name))
    return moved


def read(files: CellFiles) -> Result:
    """All runs of a cell. Raises ResultError naming the file where it is missing or not what was written."""
    if not files.json.exists():
        raise ResultError(f"{files.json}: missing")
    try:
        metadata = json.loads(files.json.read_text(encoding="utf-8"))
        form, missing = metadata.get("format", 1), [key for key in _KEYS if key not in metadata]
    except (ValueError, AttributeError):
        raise ResultError(f"{files.json}: damaged, not the JSON that was written") from None
    if form != FORMAT:
        raise ResultError(f"{files.json}: of format {form}, this version of the suite reads format {FORMAT}")
    if missing:
        raise ResultError(f"{files.json}: damaged, lacks {', '.join(missing)}")
    if metadata != sealed(metadata):
        raise ResultError(f"{files.json}: edited since it was written (its sha256 differs)")
    content = _counted(files, metadata)
    frame = _read_csv(content) if content else pd.DataFrame(columns=list(COLUMNS))
    seeds = [run["seed"] for run in metadata["runs"]] or [0]
    try:  # with one seed, since a cell may collect more runs than can be asked for at once
        parameters = check_parameters(
            {"variant": metadata["variant"], "p": metadata["p"], "seeds": seeds[:1], **metadata["parameters"]}
        )
    except ValueError as error:
        raise ResultError(f"{files.json}: {error}") from None
    parameters = parameters.model_copy(update={"seeds": tuple(seeds)})
    return Result(frame, _at_the_rate_of(frame, parameters), metadata, files.csv)


def _at_the_rate_of(frame: pd.DataFrame, parameters: Parameters) -> Parameters:
    """`parameters` with the rate of the first epoch, where that is not the variant's own any more."""
    first = frame.loc[frame["epoch"] == 1, "learning_rate"]
    if first.empty or first.iloc[0] == parameters.initial_learning_rate:
        return parameters
    return parameters.model_copy(update={"learning_rate": float(first.iloc[0])})


def _read_csv(content: bytes) -> pd.DataFrame:
    """The rows, each number as it was written: the parser of earlier pandas is off in the last digit."""
    header = content.partition(b"\n")[0].decode().split(",")
    numbers = set(header) - {"variant", "p", "seed", "epoch", "step", "diverged"}
    return pd.read_csv(io.BytesIO(content), converters=dict.fromkeys(numbers, lambda text: float(text or "nan")))


def _counted(files: CellFiles, metadata: dict) -> bytes:
    """The part of the CSV that the JSON vouches for. Raises ResultError where it is not as it was written."""
    length = metadata["csv_bytes"]
    if not length:
        return b""
    if not files.csv.exists():
        raise ResultError(f"{files.csv}: missing")
    content = files.csv.read_bytes()[:length]
    if hashlib.sha256(content).hexdigest() != metadata["csv_sha256"]:
        raise ResultError(f"{files.csv}: changed or truncated since it was written (sha256 differs from its JSON)")
    return content


def _check_fits(result: Result, files: CellFiles, parameters: Parameters) -> None:
    """Raise ResultError where the runs there are of another cell, parameters, revisions or learning rates."""
    asked = {"variant": parameters.variant, "p": parameters.p, **parameters.differences()}
    there = {"variant": result.parameters.variant, "p": result.parameters.p, **result.parameters.differences()}
    if there != asked:
        raise ResultError(f"{files.json}: made with {_differences(there, asked)}")
    if result.metadata["revisions"] != revisions(parameters):
        changed = _differences(result.metadata["revisions"], revisions(parameters))
        raise ResultError(f"{files.json}: made by another revision of the code: {changed}")
    schedule = dict(enumerate(parameters.schedule(), start=1))
    if not (result.frame["learning_rate"] == result.frame["epoch"].map(schedule)).all():
        raise ResultError(f"{files.csv}: made with other learning rates")


def _check_data(result: Result, files: CellFiles, data: dict) -> None:
    if not result.is_of(data):
        raise ResultError(f"{files.json}: made with other data ({result.data}; at hand: {data['description']})")


def _differences(there: dict, asked: dict) -> str:
    """Where two dictionaries differ, in words: "c = 1.1 (asked for: 1.2)"."""

    def shown(values: dict, name: str) -> object:
        if name in values:
            return values[name]
        field = Parameters.model_fields.get(name)
        default = field.default if field else 1  # of a revision
        return default if isinstance(default, int | float | str) else "the default"

    names = [name for name in dict.fromkeys([*there, *asked]) if there.get(name) != asked.get(name)]
    return ", ".join(f"{name} = {shown(there, name)} (asked for: {shown(asked, name)})" for name in names)
