"""The epoch of each run that its validation accuracy would pick."""

import pandas as pd

RUN = ["condition", "variant", "p", "seed"]


def best_epoch(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each run, given the rows of all its epochs: that with the highest validation accuracy, the first of
    several; of a run that diverged, the last."""
    diverged = rows["diverged"].astype(bool)
    rank = rows["validation_accuracy"].astype(float).mask(diverged, float("inf"))
    return rows.loc[rank.groupby([rows[name] for name in RUN]).idxmax()].reset_index(drop=True)
