"""The verdicts: each claim comes out as it must on tables where the answer is known."""

import pandas as pd
import pytest

from equinorm import claims
from equinorm.experiments import DEPTHS, VARIANTS
from equinorm.fates import fates

AS_IN_2019 = {
    "baseline": 0.50,
    "batch_norm": 0.52,
    "enorm": 0.54,
    "enorm_batch_norm": 0.56,
    "baseline_bias": 0.51,
    "enorm_bias": 0.55,
}


def evidence(levels=AS_IN_2019, change=lambda row: row, missing=()):
    """Runs at the given accuracies (with a little variation over p), after `change`; cells in `missing` left out."""
    runs, status = [], []
    for variant in VARIANTS:
        for p in DEPTHS:
            done = (variant, p) not in missing
            status.append({"variant": variant, "p": p, "status": "done" if done else "missing", "diverged": 0})
            if done:
                row = {"variant": variant, "p": p, "seed": 0, "epoch": 60, "diverged": False}
                row["test_accuracy"] = levels[variant] + 0.001 * ((p * 7 + len(variant)) % 5)
                runs.append(change(row))
    runs = pd.DataFrame(runs, columns=["variant", "p", "seed", "epoch", "diverged", "test_accuracy"])
    runs["fate"] = fates(runs)
    cost = pd.DataFrame({"seconds": [3600.0] * 3, "runs": [1] * 3, "device": ["a CPU"] * 3})
    return claims.Evidence(runs, pd.DataFrame(status), cost)


def nan_above_9(row):
    if row["variant"] == "enorm_bias" and row["p"] > 9:
        row |= {"diverged": True, "epoch": 1, "test_accuracy": None}
    if row["variant"] == "enorm" and row["p"] == 19:
        row |= {"diverged": True, "epoch": 30, "test_accuracy": None}
    if row["variant"] == "enorm_batch_norm" and row["p"] == 19:
        row["test_accuracy"] -= 0.05
    return row


def verdicts(evidence):
    return claims.judge(evidence).set_index("number")["verdict"].to_dict()


def test_runs_like_those_of_2019_reproduce_every_claim_but_the_cost():
    judged = verdicts(evidence(change=nan_above_9))
    assert judged == dict.fromkeys(range(1, 11), "reproduced") | {11: "inconclusive"}


def test_the_opposite_reproduces_none():
    opposite = {variant: 1 - level for variant, level in AS_IN_2019.items()}
    judged = verdicts(evidence(opposite))
    assert all(judged[number] == "not reproduced" for number in (1, 2, 3, 4, 5, 6, 7, 8))


def test_equal_variants_do_not_beat_each_other():
    judged = verdicts(evidence(dict.fromkeys(AS_IN_2019, 0.5)))
    assert "reproduced" not in {judged[number] for number in (1, 3, 4, 5, 8, 9)}


@pytest.mark.parametrize("number", range(1, 11))
def test_a_missing_cell_makes_its_claims_inconclusive_and_says_why(number):
    claim = next(claim for claim in claims.CLAIMS if claim.number == number)
    row = claims.judge(evidence(missing={(claim.variants[0], 19)})).set_index("number").loc[number]
    assert row["verdict"] == "inconclusive"
    assert f"1 of {10 * len(claim.variants)} cells not run yet" in row["evidence"]


def test_the_best_variant_is_counted_where_all_four_have_been_run():
    text = claims.judge(evidence(missing={("enorm_batch_norm", 11)})).set_index("number").loc[2, "evidence"]
    assert text.endswith("ENorm + BN is best at 9 of 9 depths")


def test_nothing_run_is_inconclusive_throughout():
    none = {(variant, p) for variant in VARIANTS for p in DEPTHS}
    full = evidence()
    empty = claims.Evidence(full.runs.iloc[:0], evidence(missing=none).status, full.cost.iloc[:0])
    assert set(verdicts(empty).values()) == {"inconclusive"}


def test_no_divergence_in_few_runs_is_inconclusive_not_a_refutation():
    assert verdicts(evidence())[10] == "inconclusive"


def test_one_early_divergence_at_small_p_refutes_the_threshold():
    def change(row):
        row = nan_above_9(row)
        if row["variant"] == "enorm_bias" and row["p"] == 7:
            row |= {"diverged": True, "epoch": 1, "test_accuracy": None}
        return row

    assert verdicts(evidence(change=change))[7] == "not reproduced"


def test_a_run_that_is_stuck_at_chance_is_no_nan_and_has_not_trained():
    def change(row):
        row = nan_above_9(row)
        if row["variant"] == "enorm_bias" and row["p"] == 11:
            row |= {"diverged": False, "epoch": 60, "test_accuracy": 0.1}
        return row

    judged = claims.judge(evidence(change=change)).set_index("number")
    assert judged.loc[7, "verdict"] == "not reproduced"
    assert "4 gave NaN (4 in the first epoch), 1 stayed at chance, 0 trained" in judged.loc[7, "evidence"]
    assert judged.loc[7, "evidence"].endswith("as claimed, but NaN is not how every run ends")
    assert judged.loc[8, "verdict"] == "reproduced"  # "where it trains"
