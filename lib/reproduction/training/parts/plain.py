"""A linear layer whose matrix is the parameter itself."""

from torch import Tensor, nn

from reproduction.protocol.parameters import Parameters, Precision
from reproduction.training.linear import SGD, LinearSGD


class Plain(nn.Module):
    """y = W x for activations ``[runs, in, batch]``; `weight` is ``[runs, out, in]``."""

    def __init__(self, weight: Tensor, precision: Precision) -> None:
        super().__init__()
        self.weight, self.precision = nn.Parameter(weight), precision

    def forward(self, x: Tensor, sgd: SGD | None = None) -> Tensor:
        """With `sgd`, the backward pass makes the step of the matrix; else it gets its gradient."""
        return LinearSGD.apply(x, self.weight, sgd, self.precision)


def layer(weight: Tensor, parameters: Parameters) -> Plain:
    return Plain(weight, parameters.precision)
