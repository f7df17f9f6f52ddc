"""What is set for a whole process and changes a run's numbers: set here before each training, and then measured.

A user's startup file may have lowered PyTorch's precision, and an environment variable oneDNN's. A result says
``float32``, so its products must be.
"""

import os

import torch

from reproduction.protocol.parameters import Precision
from reproduction.training.devices import check_precision
from reproduction.training.linear import multiply

_ROUNDING = 1e-5  # relative; float32 products of this size are off by 1e-7, TF32 by 3e-4, bfloat16 by 3e-3
SWITCHES = (
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
"""Environment variables by which oneDNN, CUDA and PyTorch lower the precision of float32 products."""


def set_up(precision: Precision, device: torch.device) -> None:
    """Set what a training at `precision` on `device` needs; raises ValueError where the products are not of it."""
    check_precision(precision, device)
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_flush_denormal(False)
    torch.set_grad_enabled(True)
    torch.set_autocast_enabled("cpu", False)
    torch.set_autocast_enabled("cuda", False)
    if precision == "float32" and _rounding(device) > _ROUNDING:
        found = ", ".join(f"{name}={os.environ[name]}" for name in SWITCHES if name in os.environ)
        raise ValueError(
            "precision = 'float32': something makes PyTorch's products less exact than that"
            f"{f'; unset {found}' if found else ''}, and start Python anew"
        )


def _rounding(device: torch.device) -> float:
    """By how much a product of float32 matrices is off, relative to its size."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, *size, generator=generator, device="cpu").to(device) for size in ((500, 500), (500, 256)))
    exact = a.double() @ b.double()
    return float((multiply(a, b) - exact).norm() / exact.norm())
