"""The verdicts: each claim comes out as it must on tables where the answer is known."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest

from reproduction.evidence import claims, published
from reproduction.evidence.claims import firmness
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


def evidence(levels=AS_IN_2019, change=lambda row: row, missing=(), further=(), studies=None):
    """Two runs in each cell near the given accuracies, 0.1 points above and below, after `change`; cells in `missing`
    left out. `further`: (variant, p, seed, accuracy; None for NaN in the first epoch) of runs that a study has."""
    runs, status = [], []
    for variant, p in itertools.product(IN_2019, DEPTHS):
        done = (variant, p) not in missing
        status.append({"variant": variant, "p": p, "status": "done" if done else "missing", "diverged": 0})
        for seed in (0, 1) if done else ():
            row = {"variant": variant, "p": p, "seed": seed, "epoch": 60, "diverged": False}
            row["train_loss"] = 0.6 if p == 19 else 0.01
            row["test_accuracy"] = levels[variant] + (0.001 if seed else -0.001) + 0.0002 * (p * 7 % 5)
            runs.append(change(row))
    runs = pd.DataFrame(runs, columns=COLUMNS)
    cost = pd.DataFrame({"variant": ["baseline"] * 3, "p": [1, 3, 5], "seconds": [3600.0] * 3, "runs": [1] * 3,
                         "seconds_per_run": [60.0] * 3, "device": ["a CPU"] * 3})  # fmt: skip
    rows = [
        {"variant": v, "p": p, "seed": seed, "epoch": 60 if accuracy else 1, "diverged": accuracy is None,
         "train_loss": 0.7, "test_accuracy": accuracy, "study": "a_study/again"}
        for v, p, seed, accuracy in further
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "study"])
    frame = frame.assign(fate=outcomes(frame))
    return claims.Evidence(runs.assign(fate=outcomes(runs)), pd.DataFrame(status), cost, frame, studies)


def nan_above_9(row):
    if row["variant"] == "enorm_bias" and row["p"] > 9:
        row |= {"diverged": True, "epoch": 1, "test_accuracy": None}
    if row["variant"] == "enorm" and row["p"] == 19 and row["seed"]:
        row |= {"diverged": True, "epoch": 30, "test_accuracy": None}
    if row["variant"] == "enorm_batch_norm" and row["p"] == 19:
        row["test_accuracy"] -= 0.05
    return row


def stuck_at(*depths):
    def change(row):
        row = nan_above_9(row)
        if row["variant"] == "enorm_bias" and row["p"] in depths and not row["seed"]:
            row |= {"diverged": False, "epoch": 60, "test_accuracy": 0.1}
        return row

    return change


@pytest.fixture(autouse=True, scope="module")
def _few_replications():
    """Each verdict is drawn again a few times only: these tests are about something else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(firmness, "DRAWS", 16)
        yield


def named(name):
    return next(claim for claim in claims.CLAIMS if claim.name == name)


def judged(evidence, *names, variants=IN_2019):
    """All claims about these variants, or those called `names` alone, which takes a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        if names:
            patch.setattr(claims, "CLAIMS", [claim for claim in claims.CLAIMS if claim.name in names])
        return claims.judge(evidence, variants).set_index("name")


@pytest.fixture(scope="module")
def as_in_2019():
    return judged(evidence(change=nan_above_9))


ABOUT_MEANS = ["R1", "R2", "R3", "R4", "R5", "R11", "R12", "R13"]
ABOUT_RUNS = ["R6", "R8", "R9", "R10", "R14"]


def test_runs_like_those_of_2019_reproduce_every_claim_about_them(as_in_2019):
    assert set(as_in_2019.loc[[*ABOUT_MEANS, *ABOUT_RUNS], "verdict"]) == {"reproduced"}
    assert as_in_2019.loc["R7", "verdict"] == "not reproduced"  # the second run is as low as the first


def test_the_opposite_reproduces_none():
    names = [*ABOUT_MEANS, "R6", "R9", "R10"]
    opposite = judged(evidence({variant: 1 - level for variant, level in AS_IN_2019.items()}), *names)
    assert opposite["verdict"].tolist() == ["not reproduced"] * len(names)


def test_what_cannot_be_told_is_inconclusive_and_never_refuted():
    """Equal variants whose runs differ by chance: no evidence for a difference, and none against."""
    generator = np.random.default_rng(1)

    def noise(row):
        row["test_accuracy"] += generator.normal(0, 0.01)
        return row

    names = ["R4", "R5", "R11", "R12", "R13", "P3"]
    equal = judged(evidence(dict.fromkeys(AS_IN_2019, 0.5), noise), *names)
    assert equal["verdict"].tolist() == ["inconclusive"] * len(names)


def test_single_runs_say_nothing_about_means():
    own = evidence()
    single = claims.Evidence(own.runs[own.runs["seed"] == 0], own.status, own.cost)
    assert judged(single, *ABOUT_MEANS)["verdict"].tolist() == ["inconclusive"] * len(ABOUT_MEANS)


@pytest.mark.parametrize("name", [*ABOUT_MEANS, *ABOUT_RUNS])
def test_a_missing_cell_makes_its_claims_inconclusive_and_says_why(name):
    claim = named(name)
    depths = claim.at or DEPTHS
    row = judged(evidence(missing={(claim.variants[0], depths[-1])}), name).loc[name]
    assert row["verdict"] == "inconclusive" and row["missing"] == 1
    assert f"1 of {len(depths) * len(claim.variants)} cells not run yet" in row["evidence"]


@pytest.mark.parametrize(("name", "elsewhere"), [("R8", 11), ("R9", 9), ("P5", 7)])
def test_a_claim_about_some_depths_does_not_wait_for_others(name, elsewhere):
    claim = named(name)
    row = judged(evidence(change=nan_above_9, missing={(claim.variants[0], elsewhere)}), name).loc[name]
    assert row["missing"] == 0 and "not run yet" not in row["evidence"]


def test_nothing_run_is_inconclusive_throughout():
    nothing = evidence(missing=set(itertools.product(IN_2019, DEPTHS)))
    assert set(judged(nothing)["verdict"]) == {"inconclusive", "not tested"}


def test_a_firm_verdict_turns_with_nothing_left_out_and_would_come_again(as_in_2019):
    row = as_in_2019.loc["R11"]
    assert row["firm"] and row["firmness"] == "no run, cell or depth turns it; new seeds: the same in 100 %"


def test_a_verdict_that_rests_on_one_run_says_so():
    row = judged(evidence(change=stuck_at(11)), "R10").loc["R10"]
    assert row["verdict"] == "not reproduced" and not row["firm"]
    assert row["firmness"].startswith("turns without one of 1 of 10 runs or 1 of 5 cells or 1 of 5 depths")
    assert row["evidence"].endswith(
        "9 of 10 runs at p > 9 gave NaN in the first epoch; 1 stayed at chance (seed 0 at p = 11)"
    )


def test_a_difference_near_its_threshold_would_not_come_again_surely():
    """Biases that lift the baseline by 0.06 points, where the interval of the difference is about that wide."""
    near = judged(evidence(AS_IN_2019 | {"baseline_bias": 0.5006}), "R12").loc["R12"]
    assert near["estimate"] == pytest.approx(0.06) and near["low"] < 0.06 < near["high"]
    assert near["verdict"] == "inconclusive" or not near["firm"]


def test_published_differences_stand_beside_those_here(as_in_2019):
    assert as_in_2019.loc["R1", ["paper_2019", "report_2019"]].astype(float).round(1).tolist() == [1.5, 1.2]
    assert as_in_2019.loc["R12", ["paper_2019", "report_2019"]].isna().tolist() == [True, False]


def test_published_differences_are_of_the_depths_that_there_are_here():
    own = judged(evidence(missing={("enorm_bias", p) for p in DEPTHS if p > 3}), "R11", "R13").loc["R11"]
    curves = [published.curve("report_2019", name) for name in ("enorm_bias", "baseline_bias")]
    assert own["report_2019"] == pytest.approx(100 * np.mean([curves[0][p] - curves[1][p] for p in (1, 3)]))


def test_rankings_are_counted_at_the_depths_where_all_have_been_run():
    text = judged(evidence(missing={("enorm_batch_norm", 11)}), "R2").loc["R2", "evidence"]
    assert "ENorm + BN is best at 9 of 9 depths" in text


def test_no_divergence_in_few_runs_is_inconclusive_not_a_refutation():
    assert judged(evidence(), "R14").loc["R14", "verdict"] == "inconclusive"


def test_a_divergence_in_a_study_counts(tmp_path):
    early = pd.DataFrame({"setting": "enorm", "p": [9, 13, 19], "seed": 0, "nan": [True, True, False]})
    study(tmp_path, "early_nan", "early", early)
    row = judged(evidence(further=[("enorm", 19, 2, None)], studies=tmp_path), "R14").loc["R14"]
    assert row["verdict"] == "reproduced"
    assert row["evidence"].startswith("1 of 11 ENorm runs at p > 9 diverged; ")
    assert row["evidence"].endswith("With draws of their own, 1 of 2 give NaN within a dozen steps")


def test_claims_about_single_depths_take_the_runs_of_studies():
    further = [("enorm_bias", 17, 4, 0.5), ("enorm_bias", 19, 4, None)]
    own = judged(evidence(change=nan_above_9, further=further), "R9")
    assert own.loc["R9", "verdict"] == "not reproduced"
    assert own.loc["R9", "evidence"] == "1 of 12 runs at p > 9 trained"
    assert own.loc["R9", "firmness"].startswith("turns without one of 1 of 12 runs")


def test_a_claim_about_one_depth_is_not_counted_firm_for_want_of_it(as_in_2019):
    """Without p = 19 there is nothing to judge: that is left out of the count, not taken for the same verdict."""
    assert as_in_2019.loc["R6", "firmness"].startswith("no run, cell or depth turns it; new seeds: the same in")
    own = evidence(change=nan_above_9)
    claim = named("R6")
    assert firmness.how_firm(claim, own, "reproduced", firmness.with_one_left_out(own)).turned["depth"] == (0, 9)


def test_runs_of_studies_do_not_count_among_those_of_a_mean():
    own = evidence(further=[("enorm", 19, 2, 0.5)])
    claim = named("P3")
    assert firmness.how_firm(claim, own, "reproduced", firmness.with_one_left_out(own)).turned["run"] == (0, 40)


def test_a_seed_that_alone_ends_so_is_left_out_as_one_draw():
    """Runs of one seed share first weights at all depths: two NaN of seed 1 are one draw of bad luck."""

    def change(row):
        nan = row["variant"] == "enorm" and row["p"] in (13, 15) and row["seed"]
        return row | ({"diverged": True, "epoch": 1, "test_accuracy": None} if nan else {})

    row = judged(evidence(change=change), "R14").loc["R14"]
    assert row["verdict"] == "reproduced" and not row["firm"]
    assert row["firmness"] == "turns without one of 1 of 2 seeds"
    single = evidence(change=lambda row: change(row | {"seed": 1}))  # without the only seed there would be no run
    assert firmness.how_firm(named("R14"), single, "reproduced", firmness.with_one_left_out(single)).turned["seed"] == (
        0,
        0,
    )


def test_a_mean_at_19_near_its_line_would_not_be_as_low_again():
    def change(row):
        if row["variant"] == "enorm_batch_norm" and row["p"] == 19:
            row["test_accuracy"] -= 0.003
        return row

    row = judged(evidence(change=change), "R6").loc["R6"]
    assert row["verdict"] == "reproduced" and not row["firm"] and "new seeds: the same in" in row["firmness"]


def test_a_line_that_does_not_fit_the_smaller_depths_says_nothing_of_19():
    def change(row):
        if row["variant"] == "enorm_batch_norm":
            row["test_accuracy"] -= 0.0005 * (row["p"] - 9) ** 2 if row["p"] > 9 else 0
        return row

    own = judged(evidence(change=change), "R6", "R7")
    assert own["verdict"].tolist() == ["inconclusive"] * 2
    assert "accuracy does not follow a line there (lack of fit: p = " in own.loc["R6", "evidence"]


def test_five_runs_in_a_cell_tell_by_themselves_how_sure_a_single_depth_is():
    """One depth whose runs are far apart: a deviation of all depths would call its small lead sure."""

    def change(row):
        if row["variant"] == "enorm" and row["p"] == 19:
            row["test_accuracy"] = AS_IN_2019["baseline"] + 0.005 + 0.01 * row["seed"]
        return row

    own = evidence(change=change)
    seeds = [own.runs.assign(seed=own.runs["seed"] + 2 * n, shift=n) for n in range(3)]
    runs = pd.concat(seeds, ignore_index=True)
    runs["test_accuracy"] += 0.0002 * runs["shift"]
    five = claims.Evidence(runs[runs["seed"] < 5], own.status, own.cost)
    pooled, alone = (f("enorm", "baseline").at[19] for f in (five.compare, five.compare_depths))
    assert alone.mean == pooled.mean and alone.probability_above_0 < pooled.probability_above_0
    three = claims.Evidence(runs[runs["seed"] < 3], own.status, own.cost)
    assert three.compare("enorm", "baseline").at == three.compare_depths("enorm", "baseline").at


def test_low_at_19_has_the_p_value_of_its_prediction_interval():
    generator = np.random.default_rng(0)
    wobble = dict(zip(DEPTHS, generator.normal(0, 0.003, len(DEPTHS)), strict=True))

    def at(accuracy):
        def change(row):
            if row["variant"] == "enorm_batch_norm":
                row["test_accuracy"] += wobble[row["p"]] + 0.004 * (-1) ** row["seed"]
                if row["p"] == 19:
                    row["test_accuracy"] = accuracy
            return row

        return judged(evidence(change=change), "R6").loc["R6"]

    text = at(0.5)["evidence"]
    predicted, half = re.search(r"predicts ([\d.]+) ± ([\d.]+) %", text).groups()
    low = (float(predicted) - float(half)) / 100
    assert float(re.search(r"p-value ([\d.]+)", at(low)["evidence"])[1]) == pytest.approx(0.05, abs=0.003)
    assert at(low - 1e-3)["verdict"] == "reproduced" and at(low + 1e-3)["verdict"] == "inconclusive"
    line = float(predicted) / 100
    assert at(line - 1e-3)["verdict"] == "inconclusive" and at(line + 1e-3)["verdict"] == "not reproduced"


def test_what_the_authors_protocol_gives_at_19_stands_beside_it(tmp_path):
    runs = pd.DataFrame({"variant": "enorm_batch_norm", "p": [1, 9, 19], "test_accuracy": [0.54, 0.55, 0.56]})
    study(tmp_path, "authors", "runs", runs.assign(fate="trained"))
    text = judged(evidence(studies=tmp_path / "studies"), "R6").loc["R6", "evidence"]
    assert text.endswith("1 run at p = 19: 56.00 %, between 54.00 and 56.00 % at p = 1, 9, 19")


def test_where_no_depth_can_be_compared_nothing_is_claimed():
    def change(row):
        return row | ({"diverged": True, "test_accuracy": None} if row["variant"] == "enorm" else {})

    own = judged(evidence(change=change), "R1", "R4")
    assert own["verdict"].tolist() == ["inconclusive"] * 2
    assert own.loc["R1", "evidence"] == "no depth at which both trained"


@pytest.mark.parametrize(("lead", "verdict"), [(0.1, "not reproduced"), (1, "reproduced"), (3, "not reproduced")])
def test_about_a_point_above_is_not_far_above_nor_equal(lead, verdict):
    paper = published.curve("paper_2019", "baseline")

    def change(row):
        if row["variant"] == "baseline":
            row["test_accuracy"] += paper[row["p"]] - AS_IN_2019["baseline"] - 0.0004 + lead / 100
        return row

    assert judged(evidence(change=change), "R19").loc["R19", "verdict"] == verdict


def test_variants_that_the_2019_report_does_not_have_change_none_of_its_verdicts():
    own = evidence(AS_IN_2019 | {"baseline_bias": 0.5007})
    extra = own.runs[own.runs["variant"] == "baseline"]
    runs = pd.concat([own.runs, *(extra.assign(variant=name) for name in ("group_norm", "path_sgd", "layer_rates"))])
    more = claims.Evidence(runs, own.status, own.cost)
    assert set(more.corrected) == set(own.corrected) and ("baseline_bias", "baseline") in own.corrected


def test_a_line_needs_depths_that_trained():
    def change(row):
        if row["variant"] == "enorm_batch_norm" and 3 < row["p"] < 19:
            row |= {"diverged": True, "epoch": 1, "test_accuracy": None}
        return row

    row = judged(evidence(change=change), "R6").loc["R6"]
    assert row["verdict"] == "inconclusive" and row["evidence"].startswith("runs trained at 2 depths below p = 19")


def study(folder, name, table, frame):
    path = folder / name / "tables" / f"{table}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)


def test_claims_about_causes_are_judged_by_what_studies_found(tmp_path):
    assert judged(evidence(studies=tmp_path), "R15", "R16", "R17", "R18")["verdict"].tolist() == ["not tested"] * 4
    assert _causes(tmp_path, spared=6, prevented=6) == ["not reproduced", "reproduced", "not reproduced"]
    assert _causes(tmp_path, spared=2, prevented=2) == ["inconclusive", "inconclusive", "not reproduced"]
    assert _causes(tmp_path, spared=2, prevented=2, accuracy=0.1)[2] == "reproduced"


def _causes(folder, spared, prevented, accuracy=0.45):
    """The verdicts where half the rate spares so many runs, and a softmax prevents so many of ten NaN."""
    early = [
        {"setting": name, "p": 19, "seed": seed, "nan": seed < (spared if name == "baseline" else 0)}
        for name in ("baseline", "baseline_slower")
        for seed in range(50)
    ]
    study(folder, "early_nan", "early", pd.DataFrame(early))
    runs = [
        {"condition": name, "variant": "baseline", "diverged": name == "protocol" and seed < prevented,
         "test_accuracy": accuracy, "epoch": 10}
        for name in ("softmax", "protocol")
        for seed in range(10)
    ]  # fmt: skip
    without = {"condition": "protocol", "variant": "enorm_batch_norm", "diverged": True, "test_accuracy": 0.1}
    study(folder, "details", "runs", pd.DataFrame([*runs, without | {"epoch": 1}]))  # no softmax was tried with it
    own = judged(evidence(studies=folder), "R15", "R16", "R17")
    assert (
        f"0 of 10 runs with a softmax before the cross-entropy diverged, {prevented} of 10"
        in own.loc["R16", "evidence"]
    )
    return own["verdict"].tolist()


@pytest.mark.parametrize(("lead", "verdict"), [(2, "reproduced"), (-2, "not reproduced"), (0, "inconclusive")])
def test_the_smaller_rate_is_judged_by_its_study(tmp_path, lead, verdict):
    rows = [
        {"condition": condition, "p": p, "seed": seed, "test_accuracy": level + 0.002 * (-1) ** (p + seed + n)}
        for n, (condition, level) in enumerate({"rate_of_2019": 0.5 + lead / 100, "rate_of_authors": 0.5}.items())
        for p in (15, 17, 19)
        for seed in range(3)
    ]
    study(tmp_path, "rate_of_enorm_bn", "runs", pd.DataFrame(rows).assign(diverged=False, precision="bfloat16"))
    assert judged(evidence(studies=tmp_path), "R18").loc["R18", "verdict"] == verdict


def test_batches_and_memory_are_judged_by_the_study_of_small_batches(tmp_path):
    rows = [
        {"variant": variant, "batch": batch, "seed": seed, "diverged": False, "test_accuracy": level + 0.01 * seed}
        for variant, small in {"batch_norm": 0.3, "enorm": 0.45}.items()
        for batch, level in {4: small, 8: small, 32: 0.45, 256: 0.45}.items()
        for seed in (0, 1)
    ]
    study(tmp_path, "small_batches", "runs", pd.DataFrame(rows))
    costs = [("batch_norm", 4, 23.0), ("batch_norm", 256, 36.0), ("enorm", 4, 22.0), ("enorm", 256, 24.0)]
    study(tmp_path, "small_batches", "costs", pd.DataFrame(costs, columns=["variant", "batch", "MB"]))
    own = judged(evidence(studies=tmp_path), "R22", "R23")
    assert own["verdict"].tolist() == ["reproduced"] * 2
    assert "32 to 256 images in a batch less BN with 4 and 8: +15.0" in own.loc["R22", "evidence"]
    assert "1.50 times the memory of ENorm with 256 images" in own.loc["R23", "evidence"]
    study(tmp_path, "small_batches", "runs", pd.DataFrame(rows).query("batch >= 32"))
    assert judged(evidence(studies=tmp_path), "R22").loc["R22", "verdict"] == "not tested"


def test_claims_of_other_variants_are_not_judged():
    assert claims.judge(evidence(), ["enorm_bias"])["name"].tolist() == ["R8", "R9", "R10"]
    assert claims.judge(evidence(), ["layer_rates"]).empty


def test_the_papers_claims_about_seven_methods_are_judged_where_all_have_run():
    names = ("baseline", "batch_norm", "group_norm", "weight_norm_batch_norm", "path_sgd", "enorm", "enorm_batch_norm")
    rows, status = [], []
    for name, p, seed in itertools.product(names, DEPTHS, (0, 1)):
        best = "weight_norm_batch_norm" if p <= 9 else "enorm_batch_norm"
        level = 0.53 if name == best else 0.5 if name == "path_sgd" else 0.51
        rows.append({"variant": name, "p": p, "seed": seed, "epoch": 60, "diverged": False, "train_loss": 0.01,
                     "test_accuracy": level + 0.0005 * seed})  # fmt: skip
        status.append({"variant": name, "p": p, "status": "done", "diverged": 0})
    runs = pd.DataFrame(rows)
    cost = evidence().cost
    own = claims.Evidence(runs.assign(fate=outcomes(runs)), pd.DataFrame(status), cost)
    own = judged(own, "P1", "P2", "P4", "P5", "P6", variants=names)
    assert own.loc[["P1", "P2", "P4", "P6"], "verdict"].tolist() == ["reproduced"] * 4
    assert own.loc["P5", "verdict"] == "inconclusive"  # BN and the baseline are equal there
