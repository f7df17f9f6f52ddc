"""Hidden activations whose channels are balanced, or left alone with a reason, and cycles of ENorm over them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from equinorm.algorithm import unit_scales
from equinorm.channels import CONSTANT, INPUT
from equinorm.graph import Recorder
from equinorm.layers import Layer, Scaled


@dataclass
class Side:
    """Rows or columns of a layer that belong to a group.

    - places: which, None for all in their order
    - channels: of each, the channel of the group, None for the same numbers. A channel may have several of them, such
      as the H x W features that a flattened channel becomes. Where rows are only measured, one may be there several
      times, for a channel each
    """

    layer: Layer
    places: Tensor | None = None
    channels: Tensor | None = None

    def is_whole(self) -> bool:
        """Whether it is all rows or columns, in the order of the group's channels."""
        return self.places is None and self.channels is None

    def summed_powers(self, norms: Tensor, norm: float, count: int) -> Tensor:
        """For each of the group's channels ``[count]``, the sum of the p-th powers of its norms here."""
        powers = (norms if self.places is None else norms[self._on(norms, "places")]) ** norm
        if self.channels is None:
            return powers
        return norms.new_zeros(count).index_add_(0, self._on(norms, "channels"), powers)

    def spread(self, d: Tensor, like: Tensor) -> Tensor:
        """d of the group's channels as one factor for each row or column of the layer, 1 for those of other groups."""
        d = d.to(like)
        factors = d if self.channels is None else d[self._on(like, "channels")]
        if self.places is None:
            return factors
        return torch.ones_like(like).index_copy_(0, self._on(like, "places"), factors)

    def _on(self, like: Tensor, name: str) -> Tensor:
        """An index on the layer's device, where it then stays."""
        setattr(self, name, index := getattr(self, name).to(like.device))
        return index


@dataclass
class Group:
    """Channels that the same layers make and the same layers take, so that they are balanced at once.

    - makers, takers: names of layers; between: names of functions
    - reason: why it is left alone, None where it is balanced
    - rows, columns: what is multiplied by d, and what is divided
    - measured: the rows that L is the norm of: `rows`, but for BatchNorm those of the layer before it
    - is_last: whether a taker's channels are the model's output
    - changes_function: whether rows are rescaled before a BatchNorm
    """

    count: int
    makers: list[str]
    takers: list[str]
    between: list[str]
    reason: str | None = None
    rows: list[Side] = field(default_factory=list)
    columns: list[Side] = field(default_factory=list)
    measured: list[Side] = field(default_factory=list)
    is_last: bool = False
    changes_function: bool = False
    c: float = 1.0

    def factors(self, layers: Mapping[Layer, Scaled], norm: float) -> Tensor:
        """d ``[count]`` = sqrt(R / (c L)), where R and L are taken over all columns and rows of a channel.

        Where a layer both makes and takes the channels (``x + layer(x)``), all d at once would overshoot: the root is
        taken.
        """
        left, right = (
            sum(_to_first(side.summed_powers(norms(layers[side.layer]), norm, self.count) for side in sides))
            for sides, norms in ((self.measured, Scaled.row_norms), (self.columns, Scaled.column_norms))
        )
        d = unit_scales(left ** (1 / norm), right.to(left.device) ** (1 / norm), self.c)
        return d.sqrt() if {side.layer for side in self.rows} & {side.layer for side in self.columns} else d

    def multiply(self, layers: Mapping[Layer, Scaled], d: Tensor) -> None:
        for side in self.rows:
            scaled = layers[side.layer]
            scaled.multiply_rows(side.spread(d, scaled.rows))
        for side in self.columns:
            scaled = layers[side.layer]
            scaled.divide_columns(side.spread(d, scaled.columns))


def _to_first(parts: Iterable[Tensor]) -> list[Tensor]:
    """All on the device of the first; the layers of a model may be on several."""
    parts = list(parts)
    return [part.to(parts[0].device) for part in parts]


def cycles(groups: Sequence[Group], norm: float, count: int, simultaneous: bool) -> dict[Layer, Scaled]:
    """Go through the groups so many times; returns the layers, rescaled but not written.

    One after the other, each d is taken from the layers as the ones before have left them. `simultaneous`: all d of a
    cycle are taken from the layers as they were before it.
    """
    layers = {side.layer: None for group in groups for side in (*group.rows, *group.columns, *group.measured)}
    layers = {layer: Scaled(layer, norm) for layer in layers}
    for _ in range(count):
        if simultaneous:
            for group, d in [(group, group.factors(layers, norm)) for group in groups]:
                group.multiply(layers, d)
        else:
            for group in groups:
                group.multiply(layers, group.factors(layers, norm))
    return layers


def recorded_groups(recorder: Recorder) -> list[Group]:
    """All hidden activations that were seen, in the order of the layers that make them."""
    channels, uses = recorder.channels, list(recorder.uses.values())
    rows = [channels.roots(use.rows) for use in uses]
    _fix_what_cannot_be_measured(recorder, rows)
    columns = [[] if use.columns is None else channels.roots(use.columns) for use in uses]
    measured = [[] if use.measured is None else channels.roots(use.measured) for use in uses]
    outputs = {root for labels in recorder.outputs for root in channels.roots(labels)}
    rescaled_rows = {root for labels in recorder.rescaled_rows for root in channels.roots(labels)}
    makers, takers = _ends(rows), _ends(columns)
    normalised = set(_ends(measured))
    between = _passed(recorder)

    kinds: dict[tuple, list[int]] = {}
    for root in dict.fromkeys([*makers, *takers]):
        made, taken = tuple(makers.get(root, ())), tuple(takers.get(root, ()))
        reason = channels.reason(root)
        if not taken and (root in outputs or root in normalised):
            continue  # no hidden activation; or one that is shown with the BatchNorm that takes it
        if not made and reason in (INPUT, CONSTANT):
            continue
        if reason is None:
            reason = None if made and taken else f"no layer {'takes' if made else 'makes'} it"
        kinds.setdefault((made, taken, reason, root in rescaled_rows), []).append(root)

    found = []
    for (made, taken, reason, changes), roots in kinds.items():
        numbers = {root: number for number, root in enumerate(roots)}
        group = Group(
            len(roots),
            [_maker_name(uses[k].layer, measured[k], makers, uses) for k in made],
            [uses[k].layer.name for k in taken],
            list(dict.fromkeys(name for root in roots for name in between.get(root, ()))),
            reason,
            [_side(uses[k].layer, rows[k], numbers) for k in made],
            [_side(uses[k].layer, columns[k], numbers) for k in taken],
            is_last=any(root in outputs for k in taken for root in rows[k]),
            changes_function=changes,
        )
        group.measured = [side for side in group.rows if not side.layer.is_batch_norm]
        group.measured += _measured(made, measured, rows, uses, numbers)
        found.append((min(made, default=taken[0] if taken else 0), group))
    return [group for _, group in sorted(found, key=lambda pair: pair[0])]


def chain_groups(layers: Mapping[str, nn.Linear]) -> list[Group]:
    """Linear layers that follow each other."""
    ours = [
        Layer(name, (layer, "weight"), [(layer, "bias")] if layer.bias is not None else [])
        for name, layer in layers.items()
    ]
    return [
        Group(
            layers[left.name].out_features,
            [left.name],
            [right.name],
            [],
            rows=[Side(left)],
            columns=[Side(right)],
            measured=[Side(left)],
            is_last=right is ours[-1],
        )
        for left, right in pairwise(ours)
    ]


def plain_chain(groups: Sequence[Group]) -> list[Layer] | None:
    """The layers, where each group goes from one to the next, unit by unit, with one c for all."""
    layers = [groups[0].rows[0].layer, *(group.columns[0].layer for group in groups)]
    for group, (left, right) in zip(groups, pairwise(layers), strict=True):
        sides = [*group.rows, *group.columns]
        if [side.layer for side in sides] != [left, right] or not all(side.is_whole() for side in sides):
            return None
    is_chain = len(set(layers)) == len(layers) and len({group.c for group in groups}) == 1
    return layers if is_chain else None


def _ends(of_layers: Sequence[Sequence[int]]) -> dict[int, list[int]]:
    """For each root, the numbers of the layers that have it."""
    ends: dict[int, list[int]] = {}
    for k, roots in enumerate(of_layers):
        for root in dict.fromkeys(roots):
            ends.setdefault(root, []).append(k)
    return ends


def _side(layer: Layer, roots: Sequence[int], numbers: Mapping[int, int]) -> Side:
    """The rows or columns, whose roots are given, that belong to a group."""
    places = [place for place, root in enumerate(roots) if root in numbers]
    channels = [numbers[roots[place]] for place in places]
    return Side(
        layer,
        None if len(places) == len(roots) else torch.tensor(places),
        None if channels == list(range(len(numbers))) else torch.tensor(channels),
    )


def _measured(
    made: Sequence[int],
    measured: Sequence[Sequence[int]],
    rows: Sequence[Sequence[int]],
    uses: Sequence,
    numbers: Mapping[int, int],
) -> list[Side]:
    """For the BatchNorms among the layers `made`, the rows of those before them, by the channels of the group.

    A row is there once for each channel that it is the norm of: BatchNorm has a gamma for each of the features that a
    flattened channel becomes. It is there once where two BatchNorms of it are added.
    """
    channels: dict[int, dict[int, None]] = {}
    for k in made:
        for before, after in zip(measured[k], rows[k], strict=bool(measured[k])):
            if after in numbers:
                channels.setdefault(before, {})[numbers[after]] = None
    sides = []
    for use, roots in zip(uses, rows, strict=True):
        pairs = [(place, channel) for place, root in enumerate(roots) for channel in channels.get(root, ())]
        if pairs and not use.layer.is_batch_norm:
            sides.append(Side(use.layer, *torch.tensor(pairs).T))
    return sides


def _maker_name(layer: Layer, normalised: Sequence[int], makers: Mapping[int, list[int]], uses: Sequence) -> str:
    before = [uses[k].layer for k in dict.fromkeys(k for root in normalised for k in makers.get(root, ()))]
    names = [use.name for use in before if not use.is_batch_norm]
    return f"{layer.name} (after {_short(names)})" if names else layer.name


def _short(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


def _fix_what_cannot_be_measured(recorder: Recorder, rows: Sequence[Sequence[int]]) -> None:
    """BatchNorm of channels that no layer makes, such as the input's."""
    made = {
        root
        for use, roots in zip(recorder.uses.values(), rows, strict=True)
        if not use.layer.is_batch_norm
        for root in roots
    }
    for use in recorder.uses.values():
        if use.measured is not None:
            for place, root in enumerate(recorder.channels.roots(use.measured)):
                if root not in made:
                    recorder.channels.fix(use.rows[place : place + 1], "its BatchNorm follows no layer")


def _passed(recorder: Recorder) -> dict[int, dict[str, None]]:
    """For each root, the names of the functions that its channels went through."""
    passed: dict[int, dict[str, None]] = {}
    for name, labels in recorder.passed:
        for root in set(recorder.channels.roots(labels)):
            passed.setdefault(root, {})[name] = None
    return passed
