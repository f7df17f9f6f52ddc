"""How curved the loss is along the biases, which bounds their steps.

Gradient descent shrinks an error along a direction of curvature h only where learning rate * h < 2.

As long as no ReLU switches, the logits are linear in all biases together. So the Hessian of the mean cross-entropy with
respect to them is J^T (diag(q) - q q^T) J, averaged over images, with q the softmax of the logits: it has no negative
eigenvalue, and power iteration finds the largest.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def largest_curvature(
    weights: Sequence[Tensor], biases: Sequence[Tensor], x: Tensor, scales: Tensor, iterations: int = 30
) -> Tensor:
    """The largest eigenvalue ``[cases]`` of that Hessian, in a case where layer k's biases are multiplied by
    ``scales[case, k]`` before they are added.

    weights ``[out, in]`` and biases ``[out]`` are of one ReLU network, x is ``[in, images]``, scales are
    ``[cases, layers]``.
    """
    masks, q = _forward(weights, biases, x)
    cases, images = len(scales), x.shape[1]
    columns = scales.to(x).t().unsqueeze(1)  # [layers, 1, cases]

    def through(own: Sequence[Tensor]) -> Tensor:
        """By how much the logits change, ``[outputs, cases, images]``, with the biases ``[out, cases]``."""
        change = None
        for weight, mask, bias, scale in zip(weights, masks, own, columns, strict=True):
            added = (bias * scale).unsqueeze(-1)
            change = added if change is None else _product(weight, change) + added
            change = change * mask
        return change

    def back(gradient: Tensor) -> list[Tensor]:
        """The gradient ``[out, cases]`` of the biases, given that of the logits."""
        own = []
        for k in reversed(range(len(weights))):
            gradient = gradient * masks[k]
            own.insert(0, gradient.sum(dim=-1) * columns[k])
            gradient = _product(weights[k].t(), gradient) if k else gradient
        return own

    generator = torch.Generator().manual_seed(0)
    vector = [torch.randn(len(bias), 1, generator=generator).to(x).expand(-1, cases) for bias in biases]
    for _ in range(iterations):
        length = sum(part.square().sum(dim=0) for part in vector).sqrt()
        vector = [part / length for part in vector]
        change = through(vector)
        change = q * (change - (q * change).sum(dim=0, keepdim=True)) / images
        vector = back(change)
    return sum(part.square().sum(dim=0) for part in vector).sqrt()


def _forward(weights: Sequence[Tensor], biases: Sequence[Tensor], x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Where each layer passes on what it gets, ``[out, 1, images]``, and the softmax ``[outputs, 1, images]``."""
    masks = []
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = weight @ x + bias.unsqueeze(-1)
        masks.append((x > 0).to(x) if k < len(weights) - 1 else torch.ones_like(x))
        x = x * masks[-1]
    return [mask.unsqueeze(1) for mask in masks], x.softmax(dim=0).unsqueeze(1)


def _product(weight: Tensor, x: Tensor) -> Tensor:
    """``[out, in] @ [in, cases, images]``."""
    return (weight @ x.flatten(1)).unflatten(1, x.shape[1:])
