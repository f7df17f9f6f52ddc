"""One cell of the grid, from its parameters to its files: what the variant notebooks call."""

import json
import sys
import time
from pathlib import Path

import torch
from tqdm import tqdm

from equinorm import data, provenance, results
from equinorm.data import Dataset
from equinorm.experiments import VARIANTS, Parameters, check_parameters
from equinorm.files import atomically
from equinorm.results import CellFiles, Result
from equinorm.training import History, train


def run(
    *, outputs: str = "outputs/interactive", device: str = "auto", restarts: int = 1, **parameters: object
) -> Result:
    """Train all runs of one (variant, p) and write their results under ``<outputs>/runs/<variant>/``.

    - parameters: the fields of `experiments.Parameters`, by name
    - device: "auto" (a CUDA GPU where there is one), "cpu", "cuda", "cuda:1", ...
    - restarts: where every run has diverged, how many further seeds to try, one after the other, until one does not
      (the 2019 report restarted such runs); their rows follow those of the others

    A training that was cut off goes on from its last whole epoch. Raises ValueError or DataError, in one sentence.
    """
    checked = check_parameters(parameters)
    torch_device = provenance.resolve_device(device)
    dataset = data.load(checked.dataset)
    files = CellFiles(Path(outputs) / "runs", checked.variant, checked.p)
    history = _train(checked, dataset, torch_device, files, files.checkpoint)
    for seed in range(max(checked.seeds) + 1, max(checked.seeds) + 1 + restarts):
        if not _all_diverged(history):
            break
        again = checked.model_copy(update={"seeds": (seed,)})
        more = _train(again, dataset, torch_device, files, files.checkpoint_of_restart(seed))
        history = History(history.rows + more.rows, history.epoch_seconds + more.epoch_seconds)
    result = results.write(
        files,
        checked,
        history,
        {
            "device": provenance.describe_device(torch_device),
            "data": {
                "name": dataset.name,
                "description": dataset.description,
                "fingerprint": dataset.fingerprint,
                "canonical": dataset.canonical,
            },
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    )
    for checkpoint in files.checkpoints():
        checkpoint.unlink()
    files.progress.unlink(missing_ok=True)
    return result


def _train(
    parameters: Parameters, dataset: Dataset, device: torch.device, files: CellFiles, checkpoint: Path
) -> History:
    """`training.train` with a progress bar, and the cell's progress file for whoever watches the grid."""
    seeds = f"seed {parameters.seeds[0]}" if len(parameters.seeds) == 1 else f"{len(parameters.seeds)} seeds"
    title = f"{VARIANTS[parameters.variant].title}, p = {parameters.p}, {seeds}"
    with tqdm(total=parameters.epochs, unit="epoch", desc=title, mininterval=1, file=sys.stdout) as bar:

        def report(history: History) -> None:
            done = len(history.epoch_seconds)
            bar.set_postfix_str(_describe(history), refresh=False)
            bar.update(done - bar.n)
            _write_progress(files.progress, parameters, history)

        history, _ = train(parameters, dataset, device, checkpoint=checkpoint, on_epoch=report)
        if len(history.epoch_seconds) < parameters.epochs:
            bar.set_postfix_str(f"every run has diverged by epoch {len(history.epoch_seconds)}")
    return history


def _all_diverged(history: History) -> bool:
    return {row["seed"] for row in history.rows if row["diverged"]} == {row["seed"] for row in history.rows}


def _describe(history: History) -> str:
    """Loss and accuracy of the last epoch, a mean over its runs."""
    last = [row for row in history.rows if row["epoch"] == len(history.epoch_seconds) and not row["diverged"]]
    if not last:
        return ""
    loss = sum(row["train_loss"] for row in last) / len(last)
    accuracy = sum(row["test_accuracy"] for row in last) / len(last)
    return f"loss {loss:.3f}, test accuracy {accuracy:.1%}"


def _write_progress(path: Path, parameters: Parameters, history: History) -> None:
    """Tell whoever watches the grid (`workflow/run_all.py`) how far this cell is."""
    with atomically(path) as temporary:
        temporary.write_text(
            json.dumps(
                {
                    "epoch": len(history.epoch_seconds),
                    "epochs": parameters.epochs,
                    "description": _describe(history),
                }
            )
        )
