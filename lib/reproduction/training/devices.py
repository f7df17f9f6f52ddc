"""The device that a training runs on."""

import os
import platform
from pathlib import Path

import torch

from reproduction.protocol.parameters import Precision


def resolve_device(name: str) -> torch.device:
    """The device called `name`; "auto" is a CUDA GPU where there is one, else the CPU. Raises ValueError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise ValueError(f"device = {name!r}: allowed are auto, cpu, cuda, cuda:0, cuda:1, ...") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device = {name!r}: allowed are auto, cpu, cuda, cuda:0, cuda:1, ...")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device = {name!r}: this machine has {torch.cuda.device_count()} CUDA GPUs")
    return device


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raise ValueError where `device` has no products of this precision, in a sentence that says what to take."""
    if precision == "tf32" and device.type != "cuda":
        raise ValueError(f"precision = 'tf32': a CUDA GPU is needed, the device is {device.type}")
    if precision != "float32" and device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        name = torch.cuda.get_device_name(device)
        raise ValueError(f"precision = {precision!r}: the {name} has no such products; take precision = 'float32'")


def describe_device(device: torch.device) -> dict[str, str | int]:
    """Name and threads of `device`."""
    if device.type == "cuda":
        return {"type": "cuda", "name": torch.cuda.get_device_name(device)}
    return {
        "type": "cpu",
        "name": _processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count() or 0,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
