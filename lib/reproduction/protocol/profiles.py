"""Profiles: config/<name>.yaml says which cells a grid holds."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reproduction.checkout import REPOSITORY
from reproduction.files import read_mapping
from reproduction.protocol.messages import describe, unknown
from reproduction.protocol.parameters import Parameters, check_parameters, has_effect
from reproduction.protocol.variants import VARIANTS


class _Keys(BaseModel):
    """What the file of a profile says.

    - title: what it is, in a few words
    - repeats: for each variant, how many runs; their seeds are 0, 1, ...
    - depths: the numbers p of intermediary layers
    - dataset, epochs, learning_rate, precision: as in `Parameters`, the same for all cells
    - parameters: any others of `Parameters`, for the cells whose variant has the parts that know them; none of those
      that the keys above say, and neither variant, p nor seeds
    - learning_rates: for some variants, an initial learning rate for each of the depths
    - precisions: for some variants, a precision of their own
    - first: what to train before the rest; each of its steps names variants, with the largest p of that step
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: str
    dataset: str
    epochs: int
    learning_rate: float | None = None
    precision: str = "float32"
    depths: Annotated[list[int], Field(min_length=1)]
    repeats: Annotated[dict[str, Annotated[int, Field(ge=1, le=1000)]], Field(min_length=1)]
    parameters: dict[str, Any] = {}
    learning_rates: dict[str, list[float]] = {}
    precisions: dict[str, str] = {}
    first: list[dict[str, int]] = []


_SAID_ELSEWHERE = {name: name for name in _Keys.model_fields if name in Parameters.model_fields}
_SAID_ELSEWHERE |= {"variant": "repeats", "p": "depths", "seeds": "repeats"}


class Profile(_Keys):
    """A grid: every variant at every depth. Its name is that of its file, and of the folder that its results go to."""

    name: str

    def cells(self) -> list[Parameters]:
        """The parameters of every cell, the cheap ones first. Raises ValueError."""
        repeated = sorted(p for p, times in Counter(self.depths).items() if times > 1)
        if repeated:
            raise ValueError(f"depths: holds {repeated[0]} more than once; allowed are different depths")
        for variant, rates in self.learning_rates.items():
            if variant not in self.repeats:
                raise ValueError(f"learning_rates: {variant} is not in repeats")
            if len(rates) != len(self.depths):
                raise ValueError(f"learning_rates: {variant} has {len(rates)}, needed is one for each of the depths")
        for variant in self.precisions.keys() - self.repeats.keys():
            raise ValueError(f"precisions: {variant} is not in repeats")
        for step in self.first:
            for variant in step.keys() - self.repeats.keys():
                raise ValueError(f"first: {variant} is not in repeats")
        for name, key in _SAID_ELSEWHERE.items():  # `parameters` would replace it in every cell, unseen
            if name in self.parameters:
                raise ValueError(f"parameters: holds {name}; that is said by the profile's own key {key}")
        return [self._cell(variant, p) for p in self.depths for variant in self.repeats]

    def in_order(self) -> list[Parameters]:
        """Its cells in the order to train them: the steps of `first`, then the rest, the cheap ones first in each."""

        def step_of(cell: Parameters) -> int:
            steps = (k for k, step in enumerate(self.first) if cell.p <= step.get(cell.variant, -1))
            return next(steps, len(self.first))

        return sorted(self.cells(), key=lambda cell: (step_of(cell), cell.p))

    def _cell(self, variant: str, p: int) -> Parameters:
        rates = self.learning_rates.get(variant)
        parts = VARIANTS[variant].parts if variant in VARIANTS else []
        return check_parameters(
            {
                "variant": variant,
                "p": p,
                "seeds": list(range(self.repeats[variant])),
                "epochs": self.epochs,
                "learning_rate": rates[self.depths.index(p)] if rates else self.learning_rate,
                "dataset": self.dataset,
                "precision": self.precisions.get(variant, self.precision),
                **{name: value for name, value in self.parameters.items() if has_effect(name, parts)},
            }
        )


def load_profile(name: str, folder: Path | None = None) -> Profile:
    """The profile `name`, all its cells checked. Raises ValueError, in one sentence for each fault."""
    folder = folder or REPOSITORY / "config"
    path = folder / f"{name}.yaml"
    if not path.is_file() or path.parent != folder:  # "../config/demo" would put its results elsewhere
        raise ValueError(
            unknown("profile", name, [*sorted(known.stem for known in folder.glob("*.yaml")), "studies", "site"])
        )
    content = read_mapping(path, ", ".join(_Keys.model_fields))
    try:
        profile = Profile(name=name, **_Keys.model_validate(content).model_dump())
    except ValidationError as error:
        raise ValueError(_prefixed(path, describe(error, _Keys))) from None
    for variant in profile.repeats:
        if variant not in VARIANTS:
            raise ValueError(_prefixed(path, unknown("variant", variant, VARIANTS)))
    try:
        profile.cells()
    except ValueError as error:
        raise ValueError(_prefixed(path, str(error))) from None
    return profile


def _prefixed(path: Path, message: str) -> str:
    return "\n".join(f"{path.name}: {line}" for line in message.splitlines())
