"""The claims of the 2019 report, those that it makes in passing too."""

from reproduction.evidence.claims import compared, elsewhere, single_depths
from reproduction.evidence.claims.claim import Claim
from reproduction.protocol.variants import DEPTHS, IN_2019

_MAIN = ("baseline", "batch_norm", "enorm", "enorm_batch_norm")
_ALMOST_EVERY, _CONSISTENTLY = 0.8, 0.9  # shares of the depths, as the words of 2019 are read here
_SURELY_AHEAD = (
    "the mean difference lies above 0 with p ≤ 0.05, corrected for all comparisons of the 2019 report (Holm)"
)
_EVERY_RUN = "so for every run at these depths"
_SHALLOW, _DEEP = tuple(p for p in DEPTHS if p <= 9), tuple(p for p in DEPTHS if p > 9)


def _ahead_at(share: float) -> str:
    return f"ahead at {100 * share:.0f} % of the depths or more, with a probability of 95 %"


OF_2019 = (
    Claim("R1", "ENorm beats the baseline at almost every p", "section 3, on Figure 2", ("baseline", "enorm"),
          compared.better_at("enorm", "baseline", _ALMOST_EVERY), _ahead_at(_ALMOST_EVERY), ("enorm", "baseline")),
    Claim("R2", "ENorm + BN is best at most p", "section 3, on Figure 2", _MAIN,
          compared.best_at_most("enorm_batch_norm", _MAIN),
          "the most accurate at more than half of the depths, with a probability of 95 %"),
    Claim("R3", "ENorm + BN beats BN alone consistently", "section 3, on Figure 2",
          ("batch_norm", "enorm_batch_norm"), compared.better_at("enorm_batch_norm", "batch_norm", _CONSISTENTLY),
          _ahead_at(_CONSISTENTLY), ("enorm_batch_norm", "batch_norm")),
    Claim("R4", "The ranking is ENorm + BN, ENorm, BN, baseline", "section 4.1 and conclusion", _MAIN,
          compared.all_better([("enorm_batch_norm", "enorm"), ("enorm", "batch_norm"), ("batch_norm", "baseline")]),
          f"each over the next: {_SURELY_AHEAD}"),
    Claim("R5", "Every scheme beats the baseline", "section 4.1", _MAIN,
          compared.all_better([("batch_norm", "baseline"), ("enorm", "baseline"), ("enorm_batch_norm", "baseline")]),
          f"each: {_SURELY_AHEAD}"),
    Claim("R6", "ENorm + BN is relatively low at p = 19", "section 3 and conclusion", ("enorm_batch_norm",),
          single_depths.low_at_19,
          "below the 95 % prediction interval of a straight line through p < 19, which fits (p > 0.05); on the line or "
          "above is against it",
          rests_on="means of all runs"),
    Claim("R7", "ENorm + BN is low at p = 19 by chance: several runs would not be", "section 4.1",
          ("enorm_batch_norm",), single_depths.better_with_other_seeds_at_19,
          "the mean of many runs lies in that interval, with a probability of 95 %", rests_on="means of all runs"),
    Claim("R8", "With biases, ENorm trains at p ≤ 9", "section 3, on Figure 3", ("enorm_bias",),
          single_depths.trains_up_to_9, _EVERY_RUN, at=_SHALLOW, rests_on="ends"),
    Claim("R9", "With biases, ENorm does not train at p > 9", "section 3, on Figure 3", ("enorm_bias",),
          single_depths.never_trains_above_9, _EVERY_RUN, at=_DEEP, rests_on="ends"),
    Claim("R10", "With biases at p > 9, ENorm's loss is NaN after a single epoch", "section 3, on Figure 3",
          ("enorm_bias",), single_depths.nan_within_an_epoch_above_9, _EVERY_RUN, at=_DEEP, rests_on="ends"),
    Claim("R11", "With biases, ENorm beats the baseline where it trains", "section 3, on Figure 3",
          ("baseline_bias", "enorm_bias"), compared.better("enorm_bias", "baseline_bias"), _SURELY_AHEAD,
          ("enorm_bias", "baseline_bias")),
    Claim("R12", "Biases raise the baseline's accuracy slightly", "section 3, on Figure 3",
          ("baseline", "baseline_bias"), compared.better("baseline_bias", "baseline"), _SURELY_AHEAD,
          ("baseline_bias", "baseline")),
    Claim("R13", "Biases raise ENorm's accuracy where it trains", "section 3, on Figure 3", ("enorm", "enorm_bias"),
          compared.better("enorm_bias", "enorm"), _SURELY_AHEAD, ("enorm_bias", "enorm")),
    Claim("R14", "Without biases, ENorm diverges now and then at high p", "section 4.1", ("enorm",),
          single_depths.diverges_now_and_then, "some runs at p > 9 diverge, and not all", at=_DEEP, rests_on="ends"),
    Claim("R15", "NaN is for want of an activation function at the output", "section 4.1", ("enorm",),
          elsewhere.nan_for_want_of_an_output_activation,
          "nothing else cures it; half the learning rate would be evidence against, by a sign test (p ≤ 0.05)",
          rests_on="else"),
    Claim("R16", "A softmax at the output prevents NaN", "section 4.1", ("baseline", "enorm"),
          elsewhere.softmax_prevents_nan, "no run with one diverges, and more without do than by chance (p ≤ 0.05)",
          rests_on="else"),
    Claim("R17", "With a softmax at the output the network learns nothing", "section 4.1", ("baseline", "enorm"),
          elsewhere.softmax_learns_nothing, "no run with one is above 20 %; against it: all are",
          rests_on="else"),
    Claim("R18", "For ENorm + BN at p ≥ 15, a rate of 0.05 is better than 0.1", "section 2", ("enorm_batch_norm",),
          elsewhere.smaller_rate_is_better, "the 95 % interval of the mean difference lies above 0", rests_on="else"),
    Claim("R19", "The baseline is about 1 point above the paper's", "section 3", ("baseline",),
          elsewhere.a_point_above_the_paper,
          "0.5 to 1.5 points, and the 95 % interval lies above 0; surely outside is against it"),
    Claim("R20", "BN takes 20 to 30 % of the training time, ENorm less", "section 1",
          ("baseline", "batch_norm", "enorm"), elsewhere.batch_norm_takes_a_fifth_of_the_time,
          "not testable on a shared CPU", rests_on="else"),
    Claim("R21", f"The whole study takes about {elsewhere.HOURS_IN_2019} hours", "section 4.1", IN_2019,
          elsewhere.takes_a_day, "not testable, for the devices are not the same", rests_on="else"),
    Claim("R22", "BN needs 16 or 32 images in a batch, or more", "section 1", ("batch_norm", "enorm"),
          elsewhere.batch_norm_needs_large_batches,
          "the 95 % interval of accuracy with 32 or more less that with fewer than 16 lies above 0", rests_on="else"),
    Claim("R23", "ENorm takes less memory than BN", "abstract", ("batch_norm", "enorm"),
          elsewhere.takes_less_memory_than_batch_norm, "less memory at every batch size", rests_on="else"),
)  # fmt: skip
