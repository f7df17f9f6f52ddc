"""What is wrong with an input, in plain words: where, what it is, what is allowed."""

import difflib
import math
from typing import TypeVar

from pydantic import BaseModel, ValidationError

_Model = TypeVar("_Model", bound=BaseModel)


def checked(model: type[_Model], given: dict[str, object]) -> _Model:
    """`given` as `model`, or a ValueError of one clear sentence per fault: name, value, what is allowed."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ValueError(describe(error, model)) from None


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
        elif not name:  # about several parameters
            lines.append(_allowed(fault))
        else:
            lines.append(f"{name} = {_shortened(fault['input'])}: {_allowed(fault)}{_hint(fault)}")
    return "\n".join(dict.fromkeys(lines))


def unknown(kind: str, name: object, known: object) -> str:
    """Say that `name` is unknown, which one is nearest, and all there are."""
    names = [str(k) for k in known]
    nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return f"unknown {kind} {_shortened(str(name))}{hint}; known are {', '.join(names)}"


def _allowed(fault: dict) -> str:
    if fault["type"] == "too_short":
        return f"needs at least {fault['ctx']['min_length']} item"
    return fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _hint(fault: dict) -> str:
    """What helps where a number came as text: YAML reads 1e-3, which has no point, as a word."""
    hints = {"float_type": "1.0e-3 or 0.001", "int_type": "1000"}
    return f" (in YAML write {hints[fault['type']]}, without quotes)" if _is_number_as_text(fault, hints) else ""


def _is_number_as_text(fault: dict, types: object) -> bool:
    try:
        return fault["type"] in types and isinstance(fault["input"], str) and math.isfinite(float(fault["input"]))
    except ValueError:
        return False


def _shortened(value: object) -> str:
    text = "NaN" if isinstance(value, float) and math.isnan(value) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
