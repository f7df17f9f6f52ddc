"""A call of one of PyTorch's functions, and the tensors that are in nested arguments."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor


@dataclass
class Call:
    """A call of a function. `shapes` are those of its tensors before it, by id."""

    function: Callable
    args: tuple
    kwargs: dict
    shapes: dict[int, torch.Size]
    result: object = None

    @property
    def name(self) -> str:
        """``relu`` for `torch.relu`, `Tensor.relu_` and the like; of a property, its name."""
        name = getattr(self.function, "__name__", str(self.function))
        if name == "__get__":
            name = getattr(self.function.__self__, "__name__", name)
        return name.strip("_")

    def argument(self, place: int, name: str, default: object = None) -> object:
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def tensors(self) -> list[Tensor]:
        return list(tensors((self.args, self.kwargs)))


def tensors(nested: object) -> Iterator[Tensor]:
    """All tensors of tuples, lists, dicts, and of the attributes of an object that holds some, such as a dataclass."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, Mapping):
        for part in nested.values():
            yield from tensors(part)
    elif isinstance(nested, (tuple, list)):
        for part in nested:
            yield from tensors(part)
    elif isinstance(nested, SimpleNamespace) or (dataclasses.is_dataclass(nested) and not isinstance(nested, type)):
        yield from tensors(vars(nested))


def map_tensors(change: Callable[[Tensor], object], nested: object) -> object:
    """The same tuples, lists and dicts with each tensor changed."""
    if isinstance(nested, Tensor):
        return change(nested)
    if isinstance(nested, dict):
        return {key: map_tensors(change, part) for key, part in nested.items()}
    if type(nested) in (tuple, list):
        return type(nested)(map_tensors(change, part) for part in nested)
    return nested
