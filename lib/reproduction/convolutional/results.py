"""The files of runs: a CSV with one row for each epoch (`training.Rows`), and a JSON with what made it."""

import hashlib
import io
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reproduction import provenance
from reproduction.convolutional.parameters import Parameters, check_parameters
from reproduction.convolutional.training import Rows
from reproduction.data.datasets import Dataset
from reproduction.files import atomically


@dataclass(frozen=True)
class Files:
    """``<outputs>/<data set>_width_<width>_epochs_<epochs>/<variant>_seed_<seed>.csv`` and the like."""

    outputs: Path
    parameters: Parameters

    @property
    def folder(self) -> Path:
        p = self.parameters
        return self.outputs / f"{p.dataset}_width_{p.width:g}_epochs_{p.epochs}"

    @property
    def csv(self) -> Path:
        return self._with_ending(".csv")

    @property
    def json(self) -> Path:
        return self._with_ending(".json")

    @property
    def checkpoint(self) -> Path:
        """One for each set of parameters: a training that was cut off is not taken away by another's."""
        mark = hashlib.sha256(self.parameters.model_dump_json().encode()).hexdigest()[:8]
        return self._with_ending(f".{mark}.checkpoint.pt")

    def _with_ending(self, ending: str) -> Path:
        return self.folder / f"{self.parameters.variant}_seed_{self.parameters.seed}{ending}"


def write(files: Files, rows: Rows, dataset: Dataset, device: dict) -> None:
    """The CSV, and then the JSON, without which there is no result."""
    content = pd.DataFrame(rows).to_csv(index=False).encode()
    made_with = {
        "parameters": files.parameters.model_dump(mode="json"),
        "data": dataset.about(),
        **provenance.of_now(device),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "csv_sha256": hashlib.sha256(content).hexdigest(),
    }
    with atomically(files.csv) as temporary:
        temporary.write_bytes(content)
    with atomically(files.json) as temporary:
        temporary.write_text(json.dumps(made_with, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[Parameters, pd.DataFrame]:
    """The run whose JSON is at `path`. Raises ValueError where its files are not as they were written."""
    try:
        content = path.with_suffix(".csv").read_bytes()
        made_with = json.loads(path.read_text(encoding="utf-8"))
        whole = made_with["csv_sha256"] == hashlib.sha256(content).hexdigest()
        parameters = check_parameters(made_with["parameters"])
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise ValueError(f"{path}: it or its CSV is not as it was written; remake = True trains that run anew")
    return parameters, pd.read_csv(io.BytesIO(content))


def comparison(outputs: str | Path, **parameters: object) -> pd.DataFrame:
    """The rows of all runs under `outputs` with these parameters but any variant and seed: the first two columns, the
    variant by its title, and then those of `training.Rows`. Raises ValueError as `read` does, where there is none, and
    where they are not all of the same data."""
    files = Files(Path(outputs), check_parameters(parameters))
    frames, data = [], set()
    for path in sorted(files.folder.glob("*_seed_*.json")):
        there, frame = read(path)
        if _is_comparable(there, files.parameters):
            frame.insert(0, "variant", there.title)
            frame.insert(1, "seed", there.seed)
            frames.append(frame)
            data.add(_data_of(path))
    if not frames:
        raise ValueError(f"{files.folder}: holds no run with these parameters; there is nothing to compare")
    if len(data) > 1:
        raise ValueError(f"{files.folder}: its runs are of different data, and not compared: {'; '.join(sorted(data))}")
    return pd.concat(frames, ignore_index=True)


def check_data(files: Files, dataset: Dataset) -> None:
    """Raise ValueError where the run of `files` would be of other data than those that it is to be compared with."""
    ours = _in_words({"description": dataset.description, "fingerprint": dataset.fingerprint})
    for path in sorted(files.folder.glob("*_seed_*.json")):
        if path == files.json:
            continue
        with suppress(ValueError):  # `comparison` names what is damaged
            there, _ = read(path)
            if _is_comparable(there, files.parameters) and (theirs := _data_of(path)) != ours:
                break
    else:
        return
    raise ValueError(f"{path}: is of {theirs}, at hand is {ours}; give another folder for outputs")


def _is_comparable(one: Parameters, other: Parameters) -> bool:
    """Whether they differ in variant and seed at most."""
    return one.effective == other.model_copy(update={"variant": one.variant, "seed": one.seed}).effective


def _data_of(path: Path) -> str:
    return _in_words(json.loads(path.read_text(encoding="utf-8"))["data"])


def _in_words(data: dict) -> str:
    return f"{data['description']} (fingerprint {data['fingerprint'][:12]})"
