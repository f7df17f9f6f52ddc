"""Every parameter that a run can have, each with the protocol's value as its default. The one place for each.

Sources: the 2019 reproducibility report, section 2, after Stock et al. (2019), section 4.1.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from reproduction.protocol.data_sets import DATA_SETS
from reproduction.protocol.messages import checked, unknown
from reproduction.protocol.variants import VARIANTS

Initialization = Literal["he_uniform", "he_normal"]
Precision = Literal["float32", "tf32", "bfloat16"]
Measure = Literal["validation", "layer_norms", "reestimated"]

NEEDED_PARTS = {
    "c": ("enorm",),
    "cycles": ("enorm",),
    "groups": ("group_norm",),
    "path_ratio": ("path_sgd",),
    "initial_cycles": ("plain",),
    "bias_step": ("enorm", "biases"),
    "balance_biases": ("enorm", "biases"),
    "balance_last_pair": ("enorm",),
    "norms": ("enorm",),
    "batch_norm_rescaling": ("enorm", "batch_norm"),
}
"""The parts without which a parameter has no effect; it stays at its default then."""


def has_effect(name: str, parts: Collection[str]) -> bool:
    """Whether the parameter of this name has one in a variant made of these parts."""
    return set(NEEDED_PARTS.get(name, ())) <= set(parts)


class Parameters(BaseModel):
    """All that determines the runs of one (variant, p), a *cell* of the grid. Defaults are the protocol's.

    - learning_rate: the initial one; None: the data set's own, for CIFAR-10 the variant's (`variants`: Table 1's, or of
      methods that are not in it by validation)
    - decay: of the learning rate. "constant"; or "published", what the 2019 report's notebook has for ENorm + BN: it
      takes 0.1 / E off per epoch from whatever rate it starts at, so that one below 0.1 becomes negative. (The authors'
      own code lowers the rate to 0, as the protocol does.)
    - width: of the hidden layers
    - c, cycles: of ENorm; c = 1.2 is the authors' best
    - groups: of GroupNorm
    - rate_c: gives each layer a rate of its own, those that ENorm with this c amounts to; None: all layers have the
      same, but in the variant `layer_rates`, which has those of ENorm's default c
    - path_ratio: of Path-SGD; "none" leaves its steps as they are, without the ratio of the first one
    - draws: "independent" draws weights and batches anew for each p; with "shared", the first layers and the batches of
      a seed are the same at every p. Variants of one seed and p share theirs either way
    - initial_cycles: so many cycles of ENorm before training, with the variant's c, or c = 1 where it has none
    - warmup: epochs in which the learning rate grows from 0 step by step, linearly, to what it would be
    - measures: what to measure after each epoch besides (see `training.measures`)

    What the studies change, one detail of the protocol each:

    - bias_step: "rescaled" multiplies the SGD step of layer k's bias by s_k^2 (`equinorm.algorithm.bias_step_factors`)
    - balance_biases: False leaves the biases as they are where ENorm rescales their rows (the authors' advice)
    - balance_last_pair: False leaves the last matrix, the classifier, as it is (the authors' published code)
    - norms: "simultaneous" takes all of a cycle's norms before anything is rescaled (the authors' published code)
    - batch_norm_rescaling: "gamma_beta" multiplies gamma and beta by d_i instead of row i, which BatchNorm would undo:
      then a cycle leaves the function of a network with BatchNorm as it is
    - normalisation: "image" gives each channel of each image mean 0 and deviation 1 by itself
    - softmax: True puts a softmax before the cross-entropy, which has one in it
    - training_images: only so many, the first ones; the rest is a validation set
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    variant: str
    p: Annotated[int, Field(ge=0, le=1000)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1, max_length=1000)] = (0,)
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 60
    learning_rate: Annotated[float, Field(gt=0, le=1000)] | None = None
    decay: Literal["linear", "constant", "published"] = "linear"
    batch_size: Annotated[int, Field(ge=1, le=50_000)] = 256
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-3
    width: Annotated[int, Field(ge=1, le=100_000)] = 500
    c: Annotated[float, Field(gt=0, le=1000)] = 1.2
    cycles: Annotated[int, Field(ge=1, le=1000)] = 1
    groups: Annotated[int, Field(ge=1)] = 10
    rate_c: Annotated[float, Field(gt=0, le=1000)] | None = None
    path_ratio: Literal["first_step", "none"] = "first_step"
    draws: Literal["shared", "independent"] = "shared"
    initial_cycles: Annotated[int, Field(ge=0, le=100_000)] = 0
    warmup: Annotated[int, Field(ge=0)] = 0
    initialization: Initialization = "he_uniform"
    dataset: str = "cifar10"
    precision: Precision = "float32"
    measures: tuple[Measure, ...] = ()
    bias_step: Literal["plain", "rescaled"] = "plain"
    balance_biases: bool = True
    balance_last_pair: bool = True
    norms: Literal["sequential", "simultaneous"] = "sequential"
    batch_norm_rescaling: Literal["row", "gamma_beta"] = "row"
    normalisation: Literal["dataset", "image"] = "dataset"
    softmax: bool = False
    training_images: Annotated[int, Field(ge=1)] | None = None

    @field_validator("variant")
    @classmethod
    def _known_variant(cls, name: str) -> str:
        if name not in VARIANTS:
            raise ValueError(unknown("variant", name, VARIANTS))
        return name

    @field_validator("dataset")
    @classmethod
    def _known_data_set(cls, name: str) -> str:
        if name not in DATA_SETS:
            raise ValueError(unknown("data set", name, DATA_SETS))
        return name

    @field_validator("seeds", "measures", mode="before")
    @classmethod
    def _tuple_of_list(cls, values: object) -> object:
        if isinstance(values, str):  # papermill's `-p seeds "[0, 1]"`
            with contextlib.suppress(ValueError):
                values = json.loads(values)
        if isinstance(values, int) and not isinstance(values, bool):
            values = [values]
        return tuple(values) if isinstance(values, list) else values

    @field_validator("seeds")
    @classmethod
    def _no_duplicates(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        repeated = sorted(seed for seed, times in Counter(seeds).items() if times > 1)
        if repeated:
            raise ValueError(f"holds {repeated[0]} more than once; allowed are different seeds")
        return seeds

    @model_validator(mode="after")
    def _has_an_effect(self) -> "Parameters":
        parts = VARIANTS[self.variant].parts
        for name, needed in NEEDED_PARTS.items():
            value = getattr(self, name)
            if value != type(self).model_fields[name].default and not has_effect(name, parts):
                needs = f"{name} = {value!r} needs a variant with {' and '.join(needed)}"
                raise ValueError(f"{needs}; {self.variant} is made of {', '.join(parts)}")
        if "group_norm" in parts and self.width % self.groups:
            divisors = [str(groups) for groups in range(1, self.width + 1) if self.width % groups == 0]
            raise ValueError(f"groups = {self.groups}: allowed are divisors of the width, {', '.join(divisors)}")
        if self.rate_c is not None and "path_sgd" in parts:
            raise ValueError(f"rate_c = {self.rate_c}: Path-SGD has steps of its own for each weight")
        if self.warmup > self.epochs:
            raise ValueError(f"warmup = {self.warmup}: allowed are at most the {self.epochs} epochs of the training")
        if "validation" in self.measures and self.training_images is None:
            raise ValueError("measures = 'validation' needs training_images")
        if self.softmax and DATA_SETS[self.dataset].loss != "cross_entropy":
            raise ValueError(f"softmax needs a data set with classes; {self.dataset} has none")
        return self

    @property
    def initial_learning_rate(self) -> float:
        return self.default_learning_rate if self.learning_rate is None else self.learning_rate

    @property
    def default_learning_rate(self) -> float:
        return DATA_SETS[self.dataset].learning_rate or VARIANTS[self.variant].learning_rate(self.p)

    @property
    def draws_of(self) -> int | None:
        """The p whose own draws a run takes; None where they are those of all depths."""
        return self.p if self.draws == "independent" else None

    def differences(self) -> dict[str, object]:
        """What tells its runs from those of the protocol, besides variant, p and seeds: each parameter that is not the
        default, as JSON has it. A result names these alone, so that a parameter which is new leaves all results valid.
        Defaults are the protocol's, and stay. A learning rate that is the data set's own is no difference."""
        changed = self.model_dump(mode="json", exclude_defaults=True, exclude={"variant", "p", "seeds"})
        if self.initial_learning_rate == self.default_learning_rate:
            changed.pop("learning_rate", None)
        return changed

    def schedule(self) -> list[float]:
        """The learning rate of every epoch."""
        return [self.epoch_learning_rate(epoch) for epoch in range(1, self.epochs + 1)]

    def epoch_learning_rate(self, epoch: int) -> float:
        """Linear decay to 0, once per epoch: epoch number e = 1 ... E uses lr (1 - (e - 1) / E)."""
        if self.decay == "constant":
            return self.initial_learning_rate
        if self.decay == "published":
            return self.initial_learning_rate - 0.1 * (epoch - 1) / self.epochs
        return self.initial_learning_rate * (1 - (epoch - 1) / self.epochs)

    def sizes(self) -> list[int]:
        """The numbers of units from the input to the output: matrix k is ``[sizes[k], sizes[k - 1]]``."""
        data_set = DATA_SETS[self.dataset]
        return [data_set.inputs, *[self.width] * (self.p + 1), data_set.outputs]

    def flops(self, training_images: int, test_images: int) -> float:
        """Floating-point operations of all matrix products: 6 per weight and training image, less the gradient of the
        input, which is not needed, and 2 per weight and test image, for each epoch and seed."""
        products = [a * b for a, b in zip(self.sizes(), self.sizes()[1:], strict=False)]
        per_epoch = training_images * (6 * sum(products) - 2 * products[0]) + test_images * 2 * sum(products)
        return float(per_epoch * self.epochs * len(self.seeds))


def check_parameters(given: dict[str, object]) -> Parameters:
    """`given` as `Parameters`, or a ValueError of one clear sentence per fault: name, value, what is allowed."""
    return checked(Parameters, given)
