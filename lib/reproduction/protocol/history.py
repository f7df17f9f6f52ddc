"""What runs did: one row per run and epoch."""

from dataclasses import dataclass, field


def columns(metric: str) -> tuple[str, ...]:
    """The columns of a history, for a data set with this metric (`data_sets.DataSet`).

    train_loss: mean over the epoch's images of the loss at the step that used them. test_accuracy in [0, 1].
    weight_norm: Euclidean norm of all weight matrices. step: SGD steps made so far; where diverged is true, the first
    step (from 1) whose loss was not finite, and the run has no later rows. Those of `Parameters.measures` follow.
    """
    return (
        *("variant", "p", "seed", "epoch", "step", "learning_rate"),
        *("train_loss", "test_loss", f"test_{metric}", "weight_norm", "diverged"),
    )


COLUMNS = columns("accuracy")


@dataclass
class History:
    """What the runs did so far: `rows` as in `columns`, the seconds that each epoch took, wherever it ran, and what
    they were made with (device, versions, commit): one entry, or where they were cut off and went on with something
    else, one for each."""

    rows: list[dict] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)
    made_with: list[dict] = field(default_factory=list)
