"""The protocol: the variants, their learning rates, and every parameter a run can have. The one place for each.

Sources: the 2019 reproducibility report, section 2 and Table 1, after Stock et al. (2019), section 4.1.
"""

import contextlib
import difflib
import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from equinorm.variations import PROTOCOL, Variation

Initialization = Literal["he_uniform", "he_normal"]
Precision = Literal["float32", "tf32", "bfloat16"]
Measure = Literal["validation", "layer_norms", "reestimated"]

DEPTHS = (1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
"""The numbers p of intermediary layers in Figure 2 of the 2019 report."""


@dataclass(frozen=True)
class Variant:
    """A way to train the network: what is added to the baseline, and Table 1's initial learning rate for each depth."""

    name: str
    title: str
    learning_rates: tuple[float, ...]  # one for each of DEPTHS
    batch_norm: bool = False
    enorm: bool = False
    biases: bool = False
    c: float = 1.2  # the authors' best; without effect where enorm is False

    def __post_init__(self) -> None:
        if len(self.learning_rates) != len(DEPTHS):
            raise ValueError(
                f"variant {self.name}: {len(self.learning_rates)} learning rates, needed are {len(DEPTHS)}"
            )

    def learning_rate(self, p: int) -> float:
        """Table 1's rate for p; for a p that is not in it, that of the next smaller p there (p = 0 takes that of 1)."""
        listed = [rate for depth, rate in zip(DEPTHS, self.learning_rates, strict=True) if depth <= p]
        return listed[-1] if listed else self.learning_rates[0]


_BASELINE_RATES = (0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05)
_ENORM_RATES = (0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.01, 0.01)
_ENORM_BATCH_NORM_RATES = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05)

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("baseline", "Baseline", _BASELINE_RATES),
        Variant("batch_norm", "BN", (0.1,) * 10, batch_norm=True),
        Variant("enorm", "ENorm", _ENORM_RATES, enorm=True),
        Variant("enorm_batch_norm", "ENorm + BN", _ENORM_BATCH_NORM_RATES, batch_norm=True, enorm=True),
        Variant("baseline_bias", "Baseline with biases", _BASELINE_RATES, biases=True),
        Variant("enorm_bias", "ENorm with biases", _ENORM_RATES, enorm=True, biases=True),
    )
}
"""To add a variant, see the README: an entry here, what it does, its notebook, its name in a config/*.yaml."""


LEARNING_RATES = {"digits": 0.01}
"""Initial learning rates for data that Table 1 is not for: at its rates the baseline diverges there."""


class Parameters(BaseModel):
    """All that determines the runs of one (variant, p), a *cell* of the grid. Defaults are the protocol's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    variant: str
    p: Annotated[int, Field(ge=0, le=1000)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1, max_length=1000)] = (0,)
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 60
    learning_rate: Annotated[float, Field(gt=0, le=1000)] | None = None  # None: the data set's, for CIFAR-10 Table 1's
    batch_size: Annotated[int, Field(ge=1, le=50_000)] = 256
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-3
    c: Annotated[float, Field(gt=0, le=1000)] = 1.2
    cycles: Annotated[int, Field(ge=1, le=1000)] = 1
    initialization: Initialization = "he_uniform"
    dataset: Literal["cifar10", "digits"] = "cifar10"
    precision: Precision = "float32"
    variation: Variation = PROTOCOL
    measures: tuple[Measure, ...] = ()  # what to measure after each epoch besides: see `measures`

    @field_validator("variant")
    @classmethod
    def _known_variant(cls, name: str) -> str:
        if name not in VARIANTS:
            raise ValueError(unknown("variant", name, VARIANTS))
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
    def _variation_has_an_effect(self) -> "Parameters":
        variant, needs = VARIANTS[self.variant], []
        if self.variation.bias_step == "rescaled" and not (variant.enorm and variant.biases):
            needs.append("bias_step = 'rescaled' needs a variant with ENorm and biases")
        if self.variation.batch_norm_rescaling == "gamma_beta" and not (variant.enorm and variant.batch_norm):
            needs.append("batch_norm_rescaling = 'gamma_beta' needs a variant with ENorm and BN")
        if "validation" in self.measures and self.variation.training_images is None:
            needs.append("measures = 'validation' needs variation.training_images")
        if needs:
            raise ValueError(f"{'; '.join(needs)}; the variant is {self.variant}")
        return self

    @property
    def initial_learning_rate(self) -> float:
        return self.default_learning_rate if self.learning_rate is None else self.learning_rate

    @property
    def default_learning_rate(self) -> float:
        return LEARNING_RATES.get(self.dataset) or VARIANTS[self.variant].learning_rate(self.p)

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
        if self.variation.learning_rates == "constant":
            return self.initial_learning_rate
        if self.variation.learning_rates == "published":
            return self.initial_learning_rate - 0.1 * (epoch - 1) / self.epochs
        return self.initial_learning_rate * (1 - (epoch - 1) / self.epochs)

    def flops(self, training_images: int, test_images: int) -> float:
        """Floating-point operations of all matrix products: 6 per weight and training image, less the gradient of the
        input, which is not needed, and 2 per weight and test image, for each epoch and seed."""
        first, weights = 3072 * 500, 3072 * 500 + self.p * 500 * 500 + 500 * 10
        per_epoch = training_images * (6 * weights - 2 * first) + test_images * 2 * weights
        return float(per_epoch * self.epochs * len(self.seeds))


def check_parameters(given: dict[str, object]) -> Parameters:
    """`given` as `Parameters`, or a ValueError of one clear sentence per fault: name, value, what is allowed."""
    try:
        return Parameters.model_validate(given)
    except ValidationError as error:
        raise ValueError(describe(error, Parameters)) from None


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """A validation error in plain words, one line for each fault."""
    lines = []
    for fault in error.errors():
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(unknown("parameter", name, model.model_fields))
        elif fault["type"] == "missing":
            lines.append(f"{name} is missing")
        elif fault["type"] == "too_short" and fault["input"]:
            continue  # its items are at fault, and have a line each
        else:
            lines.append(f"{name} = {_shortened(fault['input'])}: {_allowed(fault)}")
    return "\n".join(dict.fromkeys(lines))


def unknown(kind: str, name: object, known: object) -> str:
    """Say that `name` is unknown, which one is nearest, and all there are."""
    names = [str(k) for k in known]
    nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return f"unknown {kind} {str(name)!r}{hint}; known are {', '.join(names)}"


def _allowed(fault: dict) -> str:
    if fault["type"] == "too_short":
        return f"needs at least {fault['ctx']['min_length']} item"
    return fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _shortened(value: object) -> str:
    text = "NaN" if isinstance(value, float) and math.isnan(value) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
