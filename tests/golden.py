"""Golden numbers: what some steps of each variant on digits gave, for `test_golden.py`.

    python tests/golden.py    # after raising a revision, or adding a variant: writes golden.json anew

Only cases that are new or whose revisions have changed are written; the others stay as they were recorded.
"""

import dataclasses
import json
import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parents[1] / "lib"))

from reproduction.data import datasets
from reproduction.data.datasets import Dataset
from reproduction.protocol.parameters import Parameters, check_parameters
from reproduction.protocol.revisions import revisions
from reproduction.protocol.variants import VARIANTS
from reproduction.training.loop import train

FILE = Path(__file__).with_suffix(".json")
_COMMON = {
    "p": 3,
    "seeds": [0, 1],
    "epochs": 1,  # of 5 steps: what machines round differently has not grown yet
    "learning_rate": 0.002,
    "weight_decay": 0.1,  # so large that a mistake in it shows
    "batch_size": 64,
    "dataset": "digits",
}
DETAILS = {
    "he_normal": {"variant": "baseline", "initialization": "he_normal"},
    "image": {"variant": "baseline", "normalisation": "image"},
    "softmax": {"variant": "baseline", "softmax": True},
    "constant": {"variant": "baseline", "decay": "constant"},
    "split": {"variant": "baseline", "measures": ["validation"], "training_images": 250},
    "cycles": {"variant": "enorm", "cycles": 3, "c": 1.1, "measures": ["layer_norms"]},
    "last_pair": {"variant": "enorm", "balance_last_pair": False},
    "simultaneous": {"variant": "enorm", "norms": "simultaneous"},
    "bias_step": {"variant": "enorm_bias", "bias_step": "rescaled"},
    "balance_biases": {"variant": "enorm_bias", "balance_biases": False},
    "gamma_beta": {"variant": "enorm_batch_norm", "batch_norm_rescaling": "gamma_beta"},
    "reestimated": {"variant": "batch_norm", "measures": ["reestimated"]},
    "rates, BN": {"variant": "batch_norm", "rate_c": 1.2},
    "rates, GN": {"variant": "group_norm", "rate_c": 1.2},
    "independent": {"variant": "baseline", "draws": "independent"},
    "warmup": {"variant": "baseline", "epochs": 2, "warmup": 1},
    "initial_cycles": {"variant": "baseline", "initial_cycles": 5},
    "path_ratio": {"variant": "path_sgd", "path_ratio": "none"},
}
"""Details of the protocol changed, in float32."""


def cases() -> dict[str, Parameters]:
    """Each variant in each precision that a CPU has, and each of the details."""
    variants = {
        f"{variant}, {precision}": {"variant": variant, "precision": precision}
        for variant in VARIANTS
        for precision in ("float32", "bfloat16")
    }
    return {name: check_parameters(_COMMON | changed) for name, changed in (variants | DETAILS).items()}


def small_digits() -> Dataset:
    """The first 300 training and 100 test images."""
    digits = datasets.load("digits")
    cut = {"train_images": 300, "train_labels": 300, "test_images": 100, "test_labels": 100}
    return dataclasses.replace(digits, **{name: getattr(digits, name)[:size] for name, size in cut.items()})


def numbers(parameters: Parameters, dataset: Dataset) -> list[dict[str, float]]:
    """What is recorded of each run and epoch."""
    history, _ = train(parameters, dataset, torch.device("cpu"))
    left_out = {"variant", "p", "seed", "epoch", "step", "diverged"}
    return [{name: value for name, value in row.items() if name not in left_out} for row in history.rows]


def main() -> None:
    recorded = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    dataset = small_digits()
    for name, parameters in cases().items():
        if recorded.get(name, {}).get("revisions") != revisions(parameters):
            recorded[name] = {"revisions": revisions(parameters), "rows": numbers(parameters, dataset)}
            print(f"recorded: {name}")
    FILE.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
