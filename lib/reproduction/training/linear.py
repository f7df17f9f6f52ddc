"""Matrix products over a leading *runs* axis, and the linear layer whose backward pass makes its own SGD step.

A training step is as fast as its matrix products if nothing else touches the weights. So the gradient of a weight
matrix is never stored: the product that would give it adds it, scaled, to the matrix itself.
"""

import platform
from dataclasses import dataclass

import torch
from torch import Tensor

from reproduction.protocol.parameters import Precision


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent without momentum: w <- w - learning_rate * (gradient + weight_decay * w).

    With `rows` ``[runs, out]`` and `columns` ``[runs, in]``, the gradient of a matrix is multiplied by them first.
    """

    learning_rate: float
    weight_decay: float = 0.0
    rows: Tensor | None = None
    columns: Tensor | None = None

    @property
    def shrinkage(self) -> float:
        return 1 - self.learning_rate * self.weight_decay


def operand(x: Tensor, precision: Precision) -> Tensor:
    """`x` as the products take it: rounded to bfloat16 for that precision, else as it is (TF32 rounds by itself)."""
    return x.bfloat16() if precision == "bfloat16" else x


_X86 = platform.machine() in ("x86_64", "AMD64")


def _supported(place: object, name: str) -> bool:
    """What PyTorch's own question `name` says of this processor. These names are private, and may be gone in another
    version: then the answer is no, which is slower on some processors, and right on all."""
    ask = getattr(place, name, None)
    return ask is not None and ask()


# oneDNN has AVX-512 kernels for float32 on every processor with AVX-512; MKL, which torch.mm calls, on Intel's only:
# on an AMD EPYC it takes twice as long. Without AVX-512, MKL is the faster: products with a transposed matrix take
# oneDNN up to 1.7 times as long there. The operator is the one that torch.compile calls for linear layers.
_ONEDNN = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if _X86 and torch.backends.mkldnn.is_available() and _supported(torch.cpu, "_is_avx512_supported")
    else None
)

# Without instructions for bfloat16, oneDNN multiplies such matrices with those of AVX-512, five times slower than
# float32; without AVX-512, or on ARM, it does not, and PyTorch's own loops are a hundred times slower.
_BFLOAT16 = (
    torch.backends.mkldnn.is_available()
    and _supported(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")
    and (not _X86 or _supported(torch.cpu, "_is_avx512_bf16_supported"))
)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """``[n, k] @ [k, m]`` on a CPU."""
    if a.dtype == torch.bfloat16 and not _BFLOAT16:  # the same: sums are float32 either way, and are rounded once
        return _product(a.float(), b.float()).bfloat16()
    if _ONEDNN is None or a.dtype != torch.float32:
        return torch.mm(a, b)
    return _ONEDNN(a, b.t(), None, "none", [], "")


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """``[runs, n, k] @ [runs, k, m]``.

    On a CPU a run's product does not depend, bit by bit, on which other runs are there, as long as each run's matrices
    start at multiples of 16 bytes (float32: sizes divisible by 4, such as batches of 256).
    """
    if a.device.type != "cpu" or (torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)):
        return torch.bmm(a, b)
    # On a CPU a batched product of a few matrices is up to 1.3 times slower than one product after the other.
    if a.shape[0] == 1:
        return _product(a[0], b[0]).unsqueeze_(0)  # no copy
    product = a.new_empty(a.shape[0], a.shape[1], b.shape[2])
    for r in range(a.shape[0]):
        product[r] = _product(a[r], b[r])
    return product


def add_product_(target: Tensor, a: Tensor, b: Tensor, *, beta: float, alpha: float) -> None:
    """target <- beta * target + alpha * a @ b, in place, for ``[runs, n, m]``, ``[runs, n, k]``, ``[runs, k, m]``."""
    if a.dtype != target.dtype:  # bfloat16 products, float32 sums
        for some, added in zip(_blocks(target), _blocks(multiply(a, b)), strict=True):
            some.mul_(beta).add_(added, alpha=alpha)
    elif target.device.type != "cpu":
        target.baddbmm_(a, b, beta=beta, alpha=alpha)
    else:
        a = a * alpha  # `a` is smaller than the product; so one pass over the target is enough
        for r in range(target.shape[0]):
            torch.add(_product(a[r], b[r]), target[r], alpha=beta, out=target[r])


def _blocks(x: Tensor) -> tuple[Tensor, ...]:
    """`x` ``[runs, n, m]`` by rows, on a CPU a few at a time: they stay in its cache, and the float32 copy that PyTorch
    makes of bfloat16 numbers is so small that its memory is not asked of the system anew each time."""
    if x.device.type != "cpu":
        return (x,)
    return x.split(max(1, 2**18 // x[:, :1].numel()), dim=1)


class LinearSGD(torch.autograd.Function):
    """y = W x for ``[runs, in, batch]``; backward passes the gradient on and then steps W in place. y is of the
    products' precision: what follows and keeps it exact, such as a ReLU, need not make it float32 in between.

    The gradient with respect to x is computed before W changes, so the step is that of ``torch.optim.SGD``. Without
    `sgd`, W gets its gradient instead.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, sgd: SGD | None, precision: Precision) -> Tensor:  # noqa: ANN001
        ctx.weight, ctx.sgd, ctx.precision = weight, sgd, precision
        x, rounded = operand(x, precision), operand(weight, precision)
        ctx.save_for_backward(x, rounded)
        return multiply(rounded, x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # noqa: ANN001
        (x, rounded), sgd = ctx.saved_tensors, ctx.sgd
        left = operand(gradient, ctx.precision)
        passed_on = multiply(rounded.transpose(1, 2), left) if ctx.needs_input_grad[0] else None
        if sgd is None:
            return passed_on, multiply(left, x.transpose(1, 2)), None, None
        if sgd.rows is not None:
            left = operand(gradient * sgd.rows.unsqueeze(-1), ctx.precision)
            x = operand(x.float() * sgd.columns.unsqueeze(-1), ctx.precision)
        add_product_(ctx.weight, left, x.transpose(1, 2), beta=sgd.shrinkage, alpha=-sgd.learning_rate)
        return passed_on, None, None, None
