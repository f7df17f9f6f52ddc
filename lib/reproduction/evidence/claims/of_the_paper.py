"""What the paper's figure of these networks claims (Stock et al. 2019; the 2019 report prints it as its Figure 1)."""

from reproduction.evidence.claims import compared
from reproduction.evidence.claims.claim import Claim

_FIGURE = "its figure of fully connected networks"
_ALL = ("baseline", "batch_norm", "group_norm", "weight_norm_batch_norm", "path_sgd", "enorm", "enorm_batch_norm")
_MOST = "the most accurate at more than half of these depths, with a probability of 95 %"
_BELOW = "the 95 % interval of the baseline's mean lead at these depths lies above 0"
_FLAT = 1.0
"""Points of accuracy for 10 more layers; in the paper ENorm loses none and the baseline 1.6."""

OF_THE_PAPER = (
    Claim("P1", "WN + BN is the best of seven at p ≤ 9", _FIGURE, _ALL,
          compared.best_at_most("weight_norm_batch_norm", _ALL, lambda p: p <= 9), _MOST),
    Claim("P2", "ENorm + BN is the best of seven at p > 9", _FIGURE, _ALL,
          compared.best_at_most("enorm_batch_norm", _ALL, lambda p: p > 9), _MOST),
    Claim("P3", "ENorm is more accurate than the baseline", _FIGURE, ("baseline", "enorm"),
          compared.better("enorm", "baseline"),
          "the mean difference lies above 0 with p ≤ 0.05, corrected for all comparisons of the 2019 report (Holm)",
          ("enorm", "baseline")),
    Claim("P4", "ENorm's accuracy hardly falls with depth", _FIGURE, ("enorm",), compared.flat("enorm", _FLAT),
          f"the 95 % interval of its trend lies above -{_FLAT:g} point for 10 more layers"),
    Claim("P5", "BN is below the baseline at p ≤ 5", _FIGURE, ("baseline", "batch_norm"),
          compared.below_at("batch_norm", "baseline", (1, 3, 5)), _BELOW, ("baseline", "batch_norm"), (1, 3, 5)),
    Claim("P6", "Path-SGD is below the baseline at p ≤ 7", _FIGURE, ("baseline", "path_sgd"),
          compared.below_at("path_sgd", "baseline", (1, 3, 5, 7)), _BELOW, ("baseline", "path_sgd"), (1, 3, 5, 7)),
)  # fmt: skip
