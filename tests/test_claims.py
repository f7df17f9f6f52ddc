"""The verdicts: each claim comes out as it must on tables where the answer is known."""

import pandas as pd
import pytest

from reproduction.evidence import claims
from reproduction.evidence.outcomes import outcomes
from reproduction.protocol.variants import DEPTHS, IN_2019

pytestmark = pytest.mark.portable

AS_IN_2019 = {
    "baseline": 0.50,
    "batch_norm": 0.52,
    "enorm": 0.54,
    "enorm_batch_norm": 0.56,
    "baseline_bias": 0.51,
    "enorm_bias": 0.55,
}

COLUMNS = ["variant", "p", "seed", "epoch", "diverged", "train_loss", "test_accuracy"]


def evidence(levels=AS_IN_2019, change=lambda row: row, missing=()):
    """Runs at the given accuracies (with a little variation over p), after `change`; cells in `missing` left out."""
    runs, status = [], []
    for variant in IN_2019:
        for p in DEPTHS:
            done = (variant, p) not in missing
            status.append({"variant": variant, "p": p, "status": "done" if done else "missing", "diverged": 0})
            if done:
                row = {"variant": variant, "p": p, "seed": 0, "epoch": 60, "diverged": False}
                row["train_loss"] = 0.6 if p == 19 else 0.01
                row["test_accuracy"] = levels[variant] + 0.001 * ((p * 7 + len(variant)) % 5)
                runs.append(change(row))
    runs = pd.DataFrame(runs, columns=COLUMNS)
    runs["fate"] = outcomes(runs)
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
    none = {(variant, p) for variant in IN_2019 for p in DEPTHS}
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
    assert "as claimed, but NaN is not how every run ends" in judged.loc[7, "evidence"]
    assert judged.loc[8, "verdict"] == "reproduced"  # "where it trains"


def with_further(evidence, *rows):
    """`rows` (variant, p, seed, accuracy; NaN in the first epoch for None) as runs that a study has."""
    further = [
        {"variant": v, "p": p, "seed": seed, "epoch": 60 if accuracy else 1, "diverged": accuracy is None,
         "train_loss": 0.7, "test_accuracy": accuracy, "study": "a_study/again"}
        for v, p, seed, accuracy in rows
    ]  # fmt: skip
    frame = pd.DataFrame(further)
    return claims.Evidence(evidence.runs, evidence.status, evidence.cost, frame.assign(fate=outcomes(frame)))


def judged(evidence, number):
    return claims.judge(evidence).set_index("number").loc[number]


def test_claim_6_takes_the_runs_of_studies_and_says_how_many_they_are():
    alone = evidence(change=nan_above_9)  # 51 % at p = 19 where 56 % is expected
    row = judged(with_further(alone, ("enorm_batch_norm", 19, 1, 0.564), ("enorm", 19, 1, 0.1)), 6)
    (own,) = alone.runs.query("variant == 'enorm_batch_norm' and p == 19")["test_accuracy"]
    mean = (own + 0.564) / 2
    assert row["evidence"].startswith(f"{100 * mean:.2f} % at p = 19 (2 runs: {100 * own:.2f}, 56.40; 1 of a study)")
    assert row["verdict"] == "reproduced"
    assert "Training loss ends at 0.60 or more at p = 19, at 0.01 or less at smaller p" in row["evidence"]
    assert judged(alone, 6)["evidence"].startswith(f"{100 * own:.2f} % at p = 19 (1 run)")


def test_claim_6_says_whether_one_run_more_or_less_would_turn_it():
    clear = judged(evidence(change=nan_above_9), 6)
    assert "With one of 9 runs left out the verdict stays the same, whichever it is" in clear["evidence"]
    full = with_further(evidence(change=nan_above_9), ("enorm_batch_norm", 19, 1, 0.564))
    # The line without the low run of p = 19 has no low run left: that one decides.
    assert "With one of 11 runs left out the verdict turns in 1 of the cases" in judged(full, 6)["evidence"]


def test_claim_6_has_the_p_value_of_its_prediction_interval():
    def at(accuracy):
        def change(row):
            if row["variant"] == "enorm_batch_norm" and row["p"] == 19:
                row["test_accuracy"] = accuracy
            return row

        return judged(evidence(change=change), 6)

    text = at(0.5)["evidence"]
    low = float(text.split("no less than ")[1].split(" %")[0]) / 100
    p_value = float(at(low)["evidence"].split("p-value ")[1].split(")")[0])
    assert p_value == pytest.approx(0.05, abs=0.002)  # `low` is rounded
    assert at(low + 1e-3)["verdict"] == "not reproduced" and at(low - 1e-3)["verdict"] == "reproduced"


def test_a_line_needs_depths_that_trained():
    def change(row):
        if row["variant"] == "enorm_batch_norm" and 5 < row["p"] < 19:
            row |= {"diverged": True, "epoch": 1, "test_accuracy": None}
        return row

    row = judged(evidence(change=change), 6)
    assert row["verdict"] == "inconclusive" and row["evidence"].startswith("runs trained at 3 depths below p = 19")


def stuck_at(*depths):
    def change(row):
        row = nan_above_9(row)
        if row["variant"] == "enorm_bias" and row["p"] in depths:
            row |= {"diverged": False, "epoch": 60, "test_accuracy": 0.1}
        return row

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (nan_above_9, ". All 10 runs are as claimed; one that is not would turn the verdict"),
        (stuck_at(11), ". One run decides: without seed 0 at p = 11 the claim would be reproduced"),
        (stuck_at(11, 13), ". 2 of 10 runs are not as claimed"),
    ],
)
def test_claim_7_says_how_near_it_is(change, said):
    assert judged(evidence(change=change), 7)["evidence"].endswith(said)


def test_claim_7_takes_the_runs_of_studies():
    row = judged(with_further(evidence(change=nan_above_9), ("enorm_bias", 17, 4, 0.5), ("enorm_bias", 19, 4, None)), 7)
    assert "of 7 runs, 6 gave NaN (6 in the first epoch), 0 stayed at chance, 1 trained" in row["evidence"]
    assert "without seed 4 at p = 17" in row["evidence"] and row["verdict"] == "not reproduced"


def test_claims_of_other_variants_are_not_judged():
    assert claims.judge(evidence(), ["enorm_bias"])["number"].tolist() == [7]
    assert claims.judge(evidence(), ["batch_norm"]).empty
