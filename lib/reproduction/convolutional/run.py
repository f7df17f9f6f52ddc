"""A run from its parameters to its files: what the notebook calls."""

import sys
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from reproduction.convolutional import results
from reproduction.convolutional.parameters import Parameters, check_parameters
from reproduction.convolutional.results import Files
from reproduction.convolutional.training import Rows, train
from reproduction.data import datasets
from reproduction.training import devices


def run(
    *, outputs: str | Path = "outputs/interactive", device: str = "auto", remake: bool = False, **parameters: object
) -> pd.DataFrame:
    """Train a run unless its result is there, and return its rows, one for each epoch (`training.Rows`).

    - parameters: the fields of `parameters.Parameters`, by name
    - device: "auto" (a CUDA GPU where there is one), "cpu", "cuda", "cuda:1", ...
    - remake: train anew and replace what is there

    A training that was cut off goes on from its last whole epoch; what is there of one with other parameters stays.
    Raises ValueError or DataError in one sentence.
    """
    checked = check_parameters(parameters)
    torch_device = devices.resolve_device(device)
    files = Files(Path(outputs), checked)
    if remake:
        files.checkpoint.unlink(missing_ok=True)
    if remake or not files.json.exists():
        dataset = datasets.load(checked.dataset)
        results.check_data(files, dataset)
        rows = _train(checked, dataset, torch_device, files.checkpoint)
        results.write(files, rows, dataset, devices.describe_device(torch_device))
        files.checkpoint.unlink(missing_ok=True)
    there, frame = results.read(files.json)
    if there.effective != checked.effective:
        wanted = checked.effective.model_dump()
        differing = ", ".join(f"{name} = {value!r}" for name, value in there.effective if value != wanted[name])
        raise ValueError(f"{files.json}: is of {differing}; give another folder for outputs, or remake = True")
    return frame


def _train(parameters: Parameters, dataset: datasets.Dataset, device: torch.device, checkpoint: Path) -> Rows:
    """With a progress bar."""
    with tqdm(total=parameters.epochs, unit="epoch", desc=parameters.title, mininterval=1, file=sys.stdout) as bar:

        def report(rows: Rows) -> None:
            bar.set_postfix_str(_describe(rows), refresh=False)
            bar.update(len(rows) - bar.n)

        rows, _ = train(parameters, dataset, device, checkpoint=checkpoint, on_epoch=report)
    return rows


def _describe(rows: Rows) -> str:
    if not rows:
        return ""
    last = rows[-1]
    if last["diverged"]:
        return f"diverged in epoch {last['epoch']}"
    return f"loss {last['train_loss']:.3f}, test accuracy {last['test_accuracy']:.1%}"
