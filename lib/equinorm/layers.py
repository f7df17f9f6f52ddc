"""A layer as ENorm sees it: rows, the weights that make an output channel, and columns, those that take an input
channel. The same for ``nn.Linear`` and all convolutions; BatchNorm's gamma and beta have rows alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

_TOGETHER = 2**18  # entries whose copy is made at once: it stays in the processor's cache


@dataclass(eq=False)
class Layer:
    """Where the parameters of a layer are; they are looked up again for each cycle.

    - name: of the layer in the model
    - weight: the module that holds it, and its attribute. ``[out, in / groups, ...]``, or ``[in, out / groups, ...]``
      where `transposed` (``nn.ConvTranspose1d``, 2d, 3d)
    - biases: likewise, ``[out]``. Whatever is there scales with the rows
    - is_batch_norm: then the weight is gamma ``[out]``, and there are no columns
    """

    name: str
    weight: tuple[nn.Module, str]
    biases: list[tuple[nn.Module, str]] = field(default_factory=list)
    groups: int = 1
    transposed: bool = False
    is_batch_norm: bool = False

    def parameters(self) -> tuple[Tensor, list[Tensor]]:
        """The weight and the biases. Raises ValueError where one is no parameter of its module any more."""
        return self._parameter(*self.weight), [self._parameter(*place) for place in self.biases]

    def _parameter(self, module: nn.Module, attribute: str) -> Tensor:
        parameter = module._parameters.get(attribute)
        if parameter is None:
            kind = "linear layer" if isinstance(module, nn.Linear) else "layer"
            raise ValueError(
                f"the {attribute} of the {kind} {self.name} is computed from other parameters (as weight_norm, "
                "spectral_norm and pruning do), and what ENorm writes there would be lost"
            )
        return parameter

    def view(self, tensor: Tensor) -> Tensor:
        """`tensor`, of the weight's shape, as ``[groups, out / groups, in / groups, ...]``; for BatchNorm
        ``[1, out, 1]``."""
        if self.is_batch_norm:
            return tensor[None, :, None]
        parts = tensor.unflatten(0, (self.groups, -1))
        return parts.transpose(1, 2) if self.transposed else parts


class Scaled:
    """A layer's weight, multiplied by d of its rows and divided by d of its columns; nothing is written but by `write`.

    All norms are taken in float64 (float32 on devices without), for weights of any dtype.
    """

    def __init__(self, layer: Layer, norm: float) -> None:
        self.layer, self.norm = layer, norm
        weight, biases = layer.parameters()
        self.weight, self.biases = (
            weight.data,
            [bias.data for bias in biases],
        )
        self._view = layer.view(self.weight)
        self.dtype = torch.float32 if weight.device.type == "mps" else torch.float64
        groups, out, in_ = self._view.shape[:3]
        self.rows = torch.ones(groups * out, dtype=self.dtype, device=weight.device)
        self.columns = torch.ones(groups * in_, dtype=self.dtype, device=weight.device)
        self.is_changed = False
        self._kept: list[tuple[slice, Tensor]] | None = None
        self._row_norms: Tensor | None = None
        self._column_norms: Tensor | None = None

    def row_norms(self) -> Tensor:
        """L ``[out]``: the p-norm of each output channel's weights, ``(in / groups, ...)``."""
        if self._row_norms is None:
            weights = (self.columns**-self.norm).view(len(self._view), -1, 1)
            sums = torch.cat([powers @ weights for _, powers in self._powers()], dim=1)
            self._row_norms = sums.flatten() ** (1 / self.norm) * self.rows
        return self._row_norms

    def column_norms(self) -> Tensor:
        """R ``[in]``: the p-norm of each input channel's weights, ``(out / groups, ...)``."""
        if self._column_norms is None:
            weights = (self.rows**self.norm).view(len(self._view), 1, -1)
            sums = sum(weights[..., rows] @ powers for rows, powers in self._powers())
            self._column_norms = sums.flatten() ** (1 / self.norm) / self.columns
        return self._column_norms

    def multiply_rows(self, d: Tensor) -> None:
        """By d ``[out]``."""
        self.is_changed = True
        self.rows = self.rows * d
        self._row_norms = None if self._row_norms is None else self._row_norms * d
        self._column_norms = None

    def divide_columns(self, d: Tensor) -> None:
        """By d ``[in]``."""
        self.is_changed = True
        self.columns = self.columns * d
        self._column_norms = None if self._column_norms is None else self._column_norms / d
        self._row_norms = None

    def write(self) -> None:
        """Rescale weight and biases in place."""
        self.scale_like_weight_(self.weight, 1)
        for bias in self.biases:
            self.scale_like_bias_(bias, 1)

    def scale_like_weight_(self, tensor: Tensor, power: int) -> None:
        """Multiply `tensor`, of the weight's shape, in place by the weight's own factors to the `power`.

        Each entry is written once: the factors of rows and columns may be out of range where their quotient is not.
        """
        view = self.layer.view(tensor)
        factors = self._broadcast(self.rows**power, 0)
        divisors = self._broadcast(self.columns**power, 1)
        for rows, copy in self._copies(view):
            view[:, rows].copy_(copy.mul_(factors[:, rows]).div_(divisors))

    def scale_like_bias_(self, tensor: Tensor, power: int) -> None:
        tensor.copy_(tensor.to(self.dtype) * self.rows**power)

    def _powers(self) -> list[tuple[slice, Tensor]] | Iterator[tuple[slice, Tensor]]:
        """Slices of rows, and the sums over the kernel of the p-th powers of their weights
        ``[groups, rows, in / groups]``; kept where they take less memory than the weight."""
        if self._kept is not None:
            return self._kept
        powers = ((rows, self._summed_powers(copy)) for rows, copy in self._copies(self._view))
        if self._view[0, 0, 0].numel() < 4:  # as large as the weight, and in float64
            return powers
        self._kept = list(powers)
        return self._kept

    def _summed_powers(self, copy: Tensor) -> Tensor:
        powers = copy.square_() if self.norm == 2 else copy.abs_().pow_(self.norm)
        return powers.flatten(3).sum(3) if copy.dim() > 3 else powers

    def _copies(self, view: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Slices of rows, and a copy of each ``[groups, rows, in / groups, ...]``, valid until the next one: to have
        memory anew for each takes longer than the arithmetic."""
        out = view.shape[1]
        together = max(1, _TOGETHER * out // max(1, view.numel()))
        buffer = torch.empty_like(view[:, :together], dtype=self.dtype, memory_format=torch.contiguous_format)
        for start in range(0, out, together):
            rows = slice(start, min(start + together, out))
            yield rows, buffer[:, : rows.stop - rows.start].copy_(view[:, rows])

    def _broadcast(self, factors: Tensor, axis: int) -> Tensor:
        """Factors of rows (axis 0) or columns (axis 1) in the shape of the view."""
        shape = [len(self._view), 1, 1, *[1] * (self._view.dim() - 3)]
        shape[1 + axis] = -1
        return factors.view(shape)
