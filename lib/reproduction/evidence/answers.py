"""What the studies found: each answers its question in a text with figures and tables, made of the runs it read.

``outputs/studies/<study>/answer.md``, ``figures/``, ``tables/``, and ``contents.json``, which says what they were made
of.
"""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml
from matplotlib.figure import Figure

from reproduction import up_to_date
from reproduction.checkout import REPOSITORY
from reproduction.evidence import figures, results
from reproduction.evidence.results import CellFiles, Result, ResultError
from reproduction.files import atomically

STUDIES: dict[str, str] = yaml.safe_load((REPOSITORY / "notebooks" / "studies" / "titles.yaml").read_bytes())
"""Name and title of each, the cheap ones first; notebooks/studies/<name>.ipynb."""

OUTPUTS = REPOSITORY / "outputs" / "studies"
_CONTENTS = "contents.json"  # figures with captions, tables, the runs that were read, and a digest of all that


@dataclass(frozen=True)
class Answer:
    """What a study found: its title, the finding in a few sentences, the whole text, its figures (file's name: caption,
    the one for the finding first), the names of its tables' files."""

    name: str
    title: str
    finding: str
    text: str
    figures: dict[str, str]
    tables: list[str]


def answers(outputs: Path) -> list[Answer]:
    """The answers under `outputs`, of all studies that have one. Raises ResultError naming a damaged file."""
    found = []
    for name, title in STUDIES.items():
        folder = outputs / name
        if (folder / _CONTENTS).is_file():
            contents = _contents(folder)
            text = (folder / "answer.md").read_text(encoding="utf-8")
            finding = contents.get("finding", "")
            found.append(Answer(name, title, finding, text.strip(), contents["figures"], contents["tables"]))
    return found


def _contents(folder: Path) -> dict:
    """What the study whose folder this is has written beside its answer."""
    try:
        return json.loads((folder / _CONTENTS).read_text(encoding="utf-8"))
    except ValueError:
        path = folder / _CONTENTS
        raise ResultError(
            f"{path}: damaged, not the JSON that was written; ./run_all.sh studies makes it again"
        ) from None


_read: dict[Path, dict[str, list[int]]] = {}
"""For each study's folder, the results that this process has read for it, with their seeds."""


def remember(outputs: Path, files: CellFiles, result: Result) -> None:
    """Note that the study whose folder is `outputs` has read these runs."""
    path = os.path.relpath(files.json.resolve(), outputs.resolve())
    seeds = _read.setdefault(outputs.resolve(), {}).setdefault(Path(path).as_posix(), [])
    seeds += [run["seed"] for run in result.runs if run["seed"] not in seeds]


def write(
    outputs: str | Path,
    answer: str,
    drawn: dict[str, tuple[Figure, str]],
    tables: dict[str, pd.DataFrame],
    finding: str = "",
) -> None:
    """Write a study's answer.md, figures/*.svg and .png, and tables/*.csv under `outputs`, for the report.

    `drawn` holds each figure with its caption, which says what it shows to whoever has not read the text. `finding`, if
    there is one, goes with the first of them into the report itself, `answer` into its appendix.
    """
    outputs = Path(outputs)
    for name, (figure, _) in drawn.items():
        figures.write(figure, outputs / "figures" / name)
    for name, table in tables.items():
        with atomically(outputs / "tables" / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    with atomically(outputs / "answer.md") as temporary:
        temporary.write_text(answer + "\n", encoding="utf-8")
    captions = {name: caption for name, (_, caption) in drawn.items()}
    contents = {"finding": finding, "figures": captions, "tables": list(tables)}
    if outputs.name in STUDIES:
        contents["runs"] = _read.get(outputs.resolve(), {})
        contents["made_of"] = _digest(outputs, contents["runs"])
    with atomically(outputs / _CONTENTS) as temporary:
        temporary.write_text(json.dumps(contents, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def is_current(outputs: Path) -> bool:
    """Whether the study whose folder this is has an answer, made of its notebook, runs and code as they are now."""
    try:
        contents = _contents(outputs)
        return contents["made_of"] == _digest(outputs, contents["runs"])
    except (FileNotFoundError, KeyError, ResultError):
        return False


def _digest(outputs: Path, runs: dict[str, list[int]]) -> str:
    """What a study's answer is made of (see `up_to_date`), given the results that it read."""
    notebook = REPOSITORY / "notebooks" / "studies" / f"{outputs.name}.ipynb"
    return up_to_date.digest(notebook, (_rows_digest(outputs / path, seeds) for path, seeds in runs.items()))


def _rows_digest(path: Path, seeds: list[int]) -> str:
    """sha256 of the rows of some runs of one result. Raises ResultError."""
    result = results.read(CellFiles(path.parents[1], path.parent.name, int(path.stem[1:])))
    frame = result.frame[result.frame["seed"].isin(seeds)]
    return dataclasses.replace(result, frame=frame).digest()
