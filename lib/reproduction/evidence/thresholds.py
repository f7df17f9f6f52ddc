"""One number against a threshold: how often it tells which runs fail."""

from statistics import median_low

import numpy as np
import pandas as pd


def right(values: pd.Series, failed: pd.Series, threshold: float) -> float:
    """The share of runs for which "fails where the value is above the threshold" is right."""
    return float(((values > threshold) == failed).mean())


def best(values: pd.Series, failed: pd.Series) -> float:
    """The threshold that is right most often, on the runs that it is fitted to; the middle one of several."""
    edges = np.unique(values)
    candidates = [edges[0] - 1, *(edges[1:] + edges[:-1]) / 2, edges[-1] + 1]
    shares = [right(values, failed, threshold) for threshold in candidates]
    # Not their median: the best need not be neighbours, and what lies between two of them may be worse than both.
    return float(median_low(at for at, share in zip(candidates, shares, strict=True) if share == max(shares)))
