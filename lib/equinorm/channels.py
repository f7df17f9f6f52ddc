"""Which channels of a network are rescaled by one factor, and which may not be rescaled, and why."""

import torch
from torch import Tensor

INPUT, OUTPUT, CONSTANT = "the model's input", "the model's output", "a constant"
"""Reasons to keep their scale: what the model is given, or makes of that alone; what it returns; what it takes from
elsewhere."""


class Channels:
    """Disjoint sets of channels (union-find). A channel is a whole number; labels are integer tensors of such.

    Each set stands for one factor d. Channels are *tied* where the function of the model asks for the same factor, and
    *fixed* where it allows none but 1.
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._reasons: dict[int, str] = {}

    def new(self, count: int = 1) -> Tensor:
        """Labels ``[count]`` of channels that nothing is known of yet."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return torch.arange(first, first + count)

    def root(self, channel: int) -> int:
        """The channel that stands for a set."""
        parents = self._parents
        while parents[channel] != channel:
            parents[channel] = channel = parents[parents[channel]]
        return channel

    def roots(self, labels: Tensor) -> list[int]:
        return [self.root(channel) for channel in labels.flatten().tolist()]

    def tie(self, first: Tensor, second: Tensor) -> None:
        """Make the sets of labels at the same place one; the shapes are broadcast."""
        pairs = (labels.flatten().tolist() for labels in torch.broadcast_tensors(first, second))
        for one, other in set(zip(*pairs, strict=True)):
            kept, root = self.root(one), self.root(other)
            if kept != root:
                self._parents[root] = kept
                if root in self._reasons:
                    self._reasons.setdefault(kept, self._reasons.pop(root))

    def fix(self, labels: Tensor, reason: str) -> None:
        """Say why these channels keep their scale. The first reason given for a set is kept."""
        for root in set(self.roots(labels)):
            self._reasons.setdefault(root, reason)

    def reason(self, root: int) -> str | None:
        return self._reasons.get(root)


def compact(labels: Tensor) -> Tensor:
    """`labels` with size 1 along each axis on which they do not depend."""
    for axis, size in enumerate(labels.shape):
        if size > 1:
            first = labels.narrow(axis, 0, 1)
            if torch.equal(first.expand_as(labels), labels):
                labels = first
    return labels
