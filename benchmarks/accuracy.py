"""What bfloat16 products cost in accuracy: paired seeds, `python -m benchmarks.accuracy [--epochs 5] [--seeds 3]`.

Each cell is trained in float32 and in bfloat16 from the same weights and batches; what is done is kept under
outputs/precision/ and not done again. The learning rate falls to 0 over the epochs given, as it does over 60.
"""

import argparse

import pandas as pd

from reproduction.checkout import REPOSITORY
from reproduction.evidence import statistics
from reproduction.evidence.results import Result
from reproduction.protocol.variants import VARIANTS
from reproduction.run import run as run_cell

_OUTPUTS = REPOSITORY / "outputs" / "precision"
_CELLS = [(variant, p) for p in (1, 9, 19) for variant in ("baseline", "enorm")]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precision", default="bfloat16", help="what is compared with float32 (default: bfloat16)")
    arguments = parser.parse_args()
    rows = []
    for variant, p in _CELLS:
        pair = [
            _result(variant=variant, p=p, seeds=list(range(arguments.seeds)), epochs=arguments.epochs, precision=name)
            for name in ("float32", arguments.precision)
        ]
        rows.append(_row(variant, p, *pair))
    print(f"After {arguments.epochs} epochs, {arguments.seeds} seeds; accuracies and differences in points.\n")
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


def _result(**parameters: object) -> Result:
    """That of the cell with these parameters; what is not there yet is trained."""
    return run_cell(**parameters, outputs=_OUTPUTS / parameters["precision"])


def _row(variant: str, p: int, full: Result, rounded: Result) -> dict[str, str]:
    """Mean test accuracies, and the mean of the paired differences with its 95 % interval."""
    accuracy = pd.DataFrame({name: _accuracy(r) for name, r in (("float32", full), ("rounded", rounded))}) * 100
    difference = (accuracy["rounded"] - accuracy["float32"]).dropna()
    return {
        "variant": VARIANTS[variant].title,
        "p": str(p),
        "float32": f"{accuracy['float32'].mean():.2f}",
        rounded.parameters.precision: f"{accuracy['rounded'].mean():.2f}",
        "difference, 95 % interval": f"{difference.mean():+.2f} ± {statistics.half_width(list(difference)):.2f}",
        "pairs": str(len(difference)),
    }


def _accuracy(result: Result) -> pd.Series:
    """The last test accuracy of each seed; NaN where the run diverged."""
    return result.final().set_index("seed")["test_accuracy"]


if __name__ == "__main__":
    main()
