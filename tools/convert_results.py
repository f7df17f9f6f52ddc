#!/usr/bin/env python3
"""Once: results of format 1 (a cell is the unit) become results of format 2 (a run is). No CSV changes but by joining.

python tools/convert_results.py outputs
"""

import hashlib
import json
import sys
from pathlib import Path

import pandas as pd

from equinorm import results
from equinorm.experiments import check_parameters
from equinorm.results import CellFiles
from equinorm.revisions import revisions

# The digests of code whose numbers are today's, as equivalent_code.json had them, and today's own.
CURRENT = {"40635fc45b72e87d", "51af466b05dd9286", "a27767ae3d3d7b90", "6c25c013a0409e95", "a5b21f9c2f74a232"}
MADE_WITH = ("device", "versions", "git_commit", "code_digest", "finished")


def convert(path: Path) -> None:
    old = json.loads(path.read_text(encoding="utf-8"))
    content = path.with_suffix(".csv").read_bytes()
    assert hashlib.sha256(content).hexdigest() == old["csv_sha256"], path
    assert "sha256" not in old or old == results.sealed(old), path
    parameters = check_parameters(old["parameters"])
    assert old["protocol"]["initial_learning_rate"] == parameters.initial_learning_rate, path
    frame = pd.read_csv(path.with_suffix(".csv"))
    asked = frame["seed"].isin(parameters.seeds)
    batches, start = [frame[asked]], 0
    batches += [own for _, own in frame[~asked].groupby("seed", sort=True)]  # restarts, one after the other
    runs = {}
    for batch in batches:
        epochs, alive = batch["epoch"].max(), batch["epoch"].value_counts()
        seconds = old["epoch_seconds"][start : start + epochs]
        assert len(seconds) == epochs, path
        start += epochs
        for seed, own in batch.groupby("seed", sort=False):
            share = [round(seconds[epoch - 1] / int(alive[epoch]), 6) for epoch in own["epoch"]]
            runs[int(seed)] = {"seed": int(seed), **{name: old[name] for name in MADE_WITH}, "epoch_seconds": share}
    assert start == len(old["epoch_seconds"]), path
    identity = {
        "variant": parameters.variant,
        "p": parameters.p,
        "parameters": parameters.differences(),
        "revisions": revisions(parameters) if old["code_digest"] in CURRENT else {"training": 0},
        "data": old["data"],
    }
    ordered = [runs[seed] for seed in dict.fromkeys(frame["seed"])]
    results._write_json(_files(path), identity, content, ordered)


def join(again: Path, path: Path) -> None:
    """Add the runs of the cell at `again` to those of the one at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        again.with_suffix(".csv").rename(path.with_suffix(".csv"))
        again.rename(path)
        return
    one, two = (results.read(_files(each)).metadata for each in (path, again))
    same = ("variant", "p", "parameters", "revisions", "data")
    assert all(one[name] == two[name] for name in same), path
    header, _, rows = again.with_suffix(".csv").read_bytes().partition(b"\n")
    content = path.with_suffix(".csv").read_bytes()
    assert content.startswith(header + b"\n"), path
    path.with_suffix(".csv").write_bytes(content + rows)
    results._write_json(_files(path), {name: one[name] for name in same}, content + rows, one["runs"] + two["runs"])
    again.unlink()
    again.with_suffix(".csv").unlink()


def _files(path: Path) -> CellFiles:
    return CellFiles(path.parents[1], path.parent.name, int(path.stem[1:]))


def main() -> None:
    outputs = Path(sys.argv[1])
    for path in sorted(outputs.glob("**/runs/*/p*.json")):
        convert(path)
    for path in sorted(outputs.glob("**/*_again/runs/*/p*.json")):
        variant, runs, condition, study = path.parts[-2], *path.parents[1].parts[-1:], path.parents[2], path.parents[3]
        join(path, study / condition.name.removesuffix("_again") / runs / variant / path.name)
    for folder in sorted(outputs.glob("**/*_again")):
        for empty in sorted(folder.rglob("*"), reverse=True):
            empty.rmdir()
        folder.rmdir()


if __name__ == "__main__":
    main()
