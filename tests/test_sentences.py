"""The first lines of the page: what they say of tables where the answer is known."""

import numpy as np
import pandas as pd
import pytest

from reproduction.evidence import comparisons, published
from reproduction.evidence.report import sentences
from reproduction.protocol.variants import DEPTHS

pytestmark = pytest.mark.portable


def frames(lead):
    """Two runs in each cell of the baseline and ENorm, whose lead at p is `lead(p)` points."""
    generator = np.random.default_rng(0)
    runs = pd.DataFrame(
        [
            {"variant": variant, "p": p, "seed": seed, "fate": "trained", "diverged": False,
             "test_accuracy": 0.5 + of * lead(p) / 100 + generator.normal(0, 0.0002)}
            for variant, of in (("baseline", 0), ("enorm", 1))
            for p in DEPTHS
            for seed in (0, 1)
        ]
    )  # fmt: skip
    compared = comparisons.table(runs, ["baseline", "enorm"])
    claims = pd.DataFrame({"name": ["R1"], "verdict": ["reproduced"], "missing": [0]})
    return {
        "runs": runs, "comparisons": compared, "claims": claims, "published_differences": published.differences(runs)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lead", "grows", "how"),
    [
        # The baseline's rate is halved from p = 9 on.
        (lambda p: 0.1 if p <= 7 else 2.4, True, "Most of that is one step: 0.1 points on average up to p = 7 and 2.4"),
        (lambda p: min(0.3 * p, 2.7), True, "Up to p = 7 it grows by 2.9 points (± 0.1) for 10 more layers."),
        (lambda p: 0.2 * p, True, None),
        (lambda p: 0.6 * p if p <= 7 else 4.2 + 0.05 * p, True, None),  # it surely grows there, too
        (lambda p: 2.0, False, None),
    ],
)
def test_growth_with_each_layer_and_a_step_where_the_rate_falls_are_told_apart(lead, grows, how):
    text = " ".join(sentences.found(frames(lead)))
    assert ("grows with depth" in text) == grows
    assert (how is None) == ("from p = 9 on" not in text.lower())
    assert how is None or how in text


def test_a_lead_that_shrinks_takes_no_step():
    text = " ".join(sentences.found(frames(lambda p: 5 if p <= 7 else 2)))
    assert "shrinks with depth" in text and "p = 9" not in text


def test_claims_that_wait_for_cells_are_counted_apart():
    verdicts = {"R1": ("inconclusive", 3), "R2": ("inconclusive", 0), "R3": ("reproduced", 0), "R4": ("not tested", 0)}
    judged = pd.DataFrame.from_dict(verdicts, orient="index", columns=["verdict", "missing"])
    own = frames(lambda p: 0.0) | {"claims": judged.rename_axis("name").reset_index()}
    assert sentences.found(own)[0] == (
        "Of 4 claims of the 2019 report, 1 are reproduced and 0 are not. For 1 these runs cannot tell, 1 waits for "
        "cells that are not run yet, and 1 were not tested."
    )
