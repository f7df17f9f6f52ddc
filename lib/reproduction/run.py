"""One cell of the grid, from its parameters to its files: what the variant notebooks call."""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch
from tqdm import tqdm

from reproduction import workers
from reproduction.data import datasets
from reproduction.data.datasets import Dataset
from reproduction.evidence import results
from reproduction.evidence.results import CellFiles, Found, Result, ResultError
from reproduction.files import atomically
from reproduction.protocol.data_sets import DATA_SETS
from reproduction.protocol.history import History
from reproduction.protocol.parameters import Parameters, check_parameters
from reproduction.protocol.variants import DEPTHS, IN_2019, VARIANTS
from reproduction.training import checkpoints, devices
from reproduction.training.loop import train

REMEDY = "give another folder for outputs, or remake = True to train these anew"
"""What helps where results there cannot be used."""


def run(
    *,
    outputs: str | Path = "outputs/interactive",
    device: str = "auto",
    restarts: int = results.RESTARTS,
    remake: bool = False,
    **parameters: object,
) -> Result:
    """Train the runs of one (variant, p) that have no result yet under ``<outputs>/runs/<variant>/``, and add them.

    - parameters: the fields of `protocol.parameters.Parameters`, by name
    - device: "auto" (a CUDA GPU where there is one), "cpu", "cuda", "cuda:1", ...
    - restarts: where every run has diverged, how many further seeds to try, one after the other, until one does not
      (the 2019 report restarted such runs); their rows follow those of the others
    - remake: put aside what is there, and train all runs anew

    A training that was cut off goes on from its last whole epoch; what is there of one with other parameters stays.
    Raises ValueError, DataError or ResultError, in one sentence; the last where the files hold results that do not fit
    these parameters.
    """
    workers.end_with_parent()
    checked = check_parameters(parameters)
    torch_device = devices.resolve_device(device)
    files = CellFiles(Path(outputs) / "runs", checked.variant, checked.p)
    if remake:
        for path in results.set_aside(files):
            print(f"kept as {path}")
    found = results.find(files, checked, restarts)
    if not found.missing and found.result is not None:
        print(f"{files.csv}: all runs are there already; nothing is trained (remake = True trains them again)")
    if found.missing:
        devices.check_precision(checked.precision, torch_device)
        dataset = datasets.load(checked.dataset)
        found = results.find(files, checked, restarts, dataset.about())  # before hours are spent
    if found.missing:
        print(_settings(checked))
    while found.missing:
        _train(checked.model_copy(update={"seeds": _next_seeds(files, checked, found)}), dataset, torch_device, files)
        found = results.find(files, checked, restarts)
    if found.problem:
        raise ResultError(f"{found.problem}; {REMEDY}")
    return found.result


def _train(parameters: Parameters, dataset: Dataset, device: torch.device, files: CellFiles) -> None:
    """Train these runs together and add them to the files, with a progress bar and a progress file on the way."""
    checkpoint = files.checkpoint(parameters)
    seeds = f"seed {parameters.seeds[0]}" if len(parameters.seeds) == 1 else f"{len(parameters.seeds)} seeds"
    metric = DATA_SETS[parameters.dataset].metric
    title = f"{VARIANTS[parameters.variant].title}, p = {parameters.p}, {seeds}"
    with tqdm(total=parameters.epochs, unit="epoch", desc=title, mininterval=1, file=sys.stdout) as bar:

        def report(history: History) -> None:
            done = len(history.epoch_seconds)
            bar.set_postfix_str(_describe(history, metric), refresh=False)
            bar.update(done - bar.n)
            _write_progress(files.progress, parameters, history)

        history, _ = train(parameters, dataset, device, checkpoint=checkpoint, on_epoch=report)
        if len(history.epoch_seconds) < parameters.epochs:
            bar.set_postfix_str(f"every run has diverged by epoch {len(history.epoch_seconds)}")
    *before, made_with = history.made_with
    if before:
        made_with |= {"before": before}
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    results.add(files, parameters, history, made_with | {"finished": finished}, dataset.about())
    checkpoint.unlink(missing_ok=True)
    with suppress(OSError):
        files.progress.unlink(missing_ok=True)


def _settings(parameters: Parameters) -> str:
    """What a reader should know of a training before it starts, in one line."""
    if parameters.learning_rate is not None:
        of = "as given"
    elif DATA_SETS[parameters.dataset].learning_rate:
        of = "the rate for this data set"
    elif parameters.variant in IN_2019 and parameters.p in DEPTHS:
        of = "Table 1 of the 2019 report"
    else:
        of = "the variant's own, in variants.py"
    return f"{parameters.dataset}, initial learning rate {parameters.initial_learning_rate:g} ({of})"


def _next_seeds(files: CellFiles, parameters: Parameters, found: Found) -> tuple[int, ...]:
    """Those of a training that was cut off, where they are still asked for; else all that are missing."""
    started = (checkpoints.asked(path) for path in files.checkpoints(parameters))
    return next((seeds for seeds in started if seeds and set(seeds) <= set(found.missing)), found.missing)


def _describe(history: History, metric: str) -> str:
    """Loss and metric of the last epoch, a mean over its runs."""
    last = [row for row in history.rows if row["epoch"] == len(history.epoch_seconds) and not row["diverged"]]
    if not last:
        return ""
    loss = sum(row["train_loss"] for row in last) / len(last)
    score = sum(row[f"test_{metric}"] for row in last) / len(last)
    return f"loss {loss:.3f}, test {metric.replace('_', ' ')} {score:{'.1%' if metric == 'accuracy' else '.3f'}}"


def _write_progress(path: Path, parameters: Parameters, history: History) -> None:
    """Tell whoever watches the grid (`workflow/watch.py`) how far this cell is; it is only for show."""
    with suppress(OSError), atomically(path) as temporary:
        temporary.write_text(
            json.dumps(
                {
                    "epoch": len(history.epoch_seconds),
                    "epochs": parameters.epochs,
                    "description": _describe(history, DATA_SETS[parameters.dataset].metric),
                }
            ),
            encoding="utf-8",
        )
