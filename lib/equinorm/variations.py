"""One detail of the protocol changed: what the studies compare. The defaults of `Variation` are the protocol itself."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Variation(BaseModel):
    """What differs from the protocol of the 2019 report.

    - bias_step: "rescaled" multiplies the SGD step of layer k's bias by s_k^2 (`enorm.bias_step_factors`)
    - balance_biases: False leaves the biases as they are where ENorm rescales their rows (the authors' advice)
    - balance_last_pair: False leaves the last matrix, the classifier, as it is (the authors' published code)
    - norms: "simultaneous" takes all of a cycle's norms before anything is rescaled (the authors' published code)
    - batch_norm_rescaling: "gamma_beta" multiplies gamma and beta by d_i instead of row i, which BatchNorm would undo:
      then a cycle leaves the function of a network with BatchNorm as it is
    - learning_rates: "constant"; or "published", what the 2019 report's notebook has for ENorm + BN: it takes 0.1 / E
      off per epoch from whatever rate it starts at, so that one below 0.1 becomes negative. (The authors' own code
      lowers the rate to 0, as the protocol does.)
    - normalisation: "image" gives each channel of each image mean 0 and deviation 1 by itself
    - loss: "softmax_cross_entropy" puts a softmax before the cross-entropy, which has one in it
    - training_images: only so many, the first ones; the rest is a validation set
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bias_step: Literal["plain", "rescaled"] = "plain"
    balance_biases: bool = True
    balance_last_pair: bool = True
    norms: Literal["sequential", "simultaneous"] = "sequential"
    batch_norm_rescaling: Literal["row", "gamma_beta"] = "row"
    learning_rates: Literal["linear", "constant", "published"] = "linear"
    normalisation: Literal["dataset", "image"] = "dataset"
    loss: Literal["cross_entropy", "softmax_cross_entropy"] = "cross_entropy"
    training_images: Annotated[int, Field(ge=1)] | None = None


PROTOCOL = Variation()
"""Nothing changed."""
