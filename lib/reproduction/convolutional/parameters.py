"""Every parameter of a training of the convolutional network, with the paper's value as its default."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from reproduction.protocol.data_sets import DATA_SETS
from reproduction.protocol.messages import checked, unknown
from reproduction.protocol.variants import VARIANTS

_VARIANTS = ("baseline", "batch_norm", "enorm", "enorm_batch_norm")


class Parameters(BaseModel):
    """All that determines a run.

    - variant: "baseline", "batch_norm" (before every ReLU), "enorm" or "enorm_batch_norm"
    - width: of the network, as a fraction of the paper's channels
    - c, batch_norm_rescaling: ENorm's; the latter is `batch_norm` of `equinorm.ENorm`. Without effect in other variants
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    variant: str
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 128
    width: Annotated[float, Field(ge=1 / 128, le=16)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    learning_rate: Annotated[float, Field(gt=0, le=1000)] = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-3
    batch_size: Annotated[int, Field(ge=1, le=50_000)] = 256
    c: Annotated[float, Field(gt=0, le=1000)] = 1.1
    batch_norm_rescaling: Literal["row", "gamma_beta"] = "row"
    dataset: str = "cifar10"

    @field_validator("variant")
    @classmethod
    def _known_variant(cls, name: str) -> str:
        if name not in _VARIANTS:
            raise ValueError(unknown("variant", name, _VARIANTS))
        return name

    @field_validator("dataset")
    @classmethod
    def _known_data_set(cls, name: str) -> str:
        if name not in DATA_SETS:
            raise ValueError(unknown("data set", name, DATA_SETS))
        return name

    @property
    def title(self) -> str:
        return VARIANTS[self.variant].title

    @property
    def batch_norm_everywhere(self) -> bool:
        return "batch_norm" in VARIANTS[self.variant].parts

    @property
    def enorm(self) -> bool:
        return "enorm" in VARIANTS[self.variant].parts

    @property
    def effective(self) -> "Parameters":
        """These, but with defaults where they have no effect in the variant: equal for runs that are equal."""
        idle = () if self.enorm else ("c", "batch_norm_rescaling")
        return self.model_copy(update={name: type(self).model_fields[name].default for name in idle})

    def epoch_learning_rate(self, epoch: int) -> float:
        """Linear decay to 0: epoch number e = 1 ... E uses lr (1 - (e - 1) / E)."""
        return self.learning_rate * (1 - (epoch - 1) / self.epochs)


def check_parameters(given: dict[str, object]) -> Parameters:
    """`given` as `Parameters`, or a ValueError of one clear sentence per fault: name, value, what is allowed."""
    return checked(Parameters, given)
