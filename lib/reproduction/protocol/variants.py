"""The variants: ways to train the network, each made of parts, with its initial learning rates.

Sources: the 2019 reproducibility report, section 2 and Table 1, after Stock et al. (2019), section 4.1; for methods
that are not in it, validation.
"""

import re
from dataclasses import dataclass

DEPTHS = (1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
"""The numbers p of intermediary layers in Figure 2 of the 2019 report."""


@dataclass(frozen=True)
class Variant:
    """A way to train the network. Its parts are files of `reproduction.training.parts`, by their names.

    - learning_rates: the initial one for each of DEPTHS; those of Table 1, of methods that are not in it by validation
    - between: what stands between two linear layers
    - layer: how a linear layer's matrix is made
    - update: how SGD steps it
    - after_step: what follows every step, or nothing
    - biases: whether linear layers have them
    """

    name: str
    title: str
    learning_rates: tuple[float, ...]
    between: str = "relu"
    layer: str = "plain"
    update: str = "sgd"
    after_step: str | None = None
    biases: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):  # of files, too, and of the workflow's wildcard
            raise ValueError(
                f"variant {self.name!r}: a name is of small letters, digits and _, and begins with a letter"
            )
        if self.update == "path_sgd" and (self.between, self.biases) != ("relu", False):
            raise ValueError(
                f"variant {self.name}: Path-SGD is for networks without biases and with nothing but ReLU between layers"
            )
        if len(self.learning_rates) != len(DEPTHS):
            raise ValueError(
                f"variant {self.name}: {len(self.learning_rates)} learning rates, needed are {len(DEPTHS)}"
            )

    @property
    def parts(self) -> list[str]:
        """The names of all its parts, biases among them."""
        named = [self.between, self.layer, self.update, self.after_step]
        return [part for part in named if part] + ["biases"] * self.biases

    def learning_rate(self, p: int) -> float:
        """Its rate for p; for a p that is not in DEPTHS, that of the next smaller one there (p = 0 takes that of 1)."""
        listed = [rate for depth, rate in zip(DEPTHS, self.learning_rates, strict=True) if depth <= p]
        return listed[-1] if listed else self.learning_rates[0]


_BASELINE_RATES = (0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05)
_ENORM_RATES = (0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.01, 0.01)
_ENORM_BATCH_NORM_RATES = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05)
# By validation at p = 1, 5, 9, 13, 19; at the others that of the next smaller p (notebooks/studies/rates.ipynb).
_GROUP_NORM_RATES = (0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.1)
_WEIGHT_NORM_RATES = (0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)
_PATH_SGD_RATES = (0.2, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05)

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("baseline", "Baseline", _BASELINE_RATES),
        Variant("batch_norm", "BN", (0.1,) * 10, between="batch_norm"),
        Variant("enorm", "ENorm", _ENORM_RATES, after_step="enorm"),
        Variant("enorm_batch_norm", "ENorm + BN", _ENORM_BATCH_NORM_RATES, between="batch_norm", after_step="enorm"),
        Variant("layer_rates", "Per-layer rates", _ENORM_RATES, update="layer_rates"),
        Variant("group_norm", "GN", _GROUP_NORM_RATES, between="group_norm"),
        Variant("weight_norm_batch_norm", "WN + BN", _WEIGHT_NORM_RATES, between="batch_norm", layer="weight_norm"),
        Variant("path_sgd", "Path-SGD", _PATH_SGD_RATES, update="path_sgd"),
        Variant("baseline_bias", "Baseline with biases", _BASELINE_RATES, biases=True),
        Variant("batch_norm_bias", "BN with biases", (0.1,) * 10, between="batch_norm", biases=True),
        Variant("enorm_bias", "ENorm with biases", _ENORM_RATES, after_step="enorm", biases=True),
    )
}
"""To add a variant, see the README: an entry here, its part where it has a new one, its notebook."""

IN_2019 = ("baseline", "batch_norm", "enorm", "enorm_batch_norm", "baseline_bias", "enorm_bias")
"""Those of the 2019 report."""
