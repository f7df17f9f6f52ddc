"""What a result calls float32 was computed in float32, whatever the process was set to before."""

import pytest
import torch

from reproduction.protocol.parameters import check_parameters
from reproduction.training import loop, numerics

CPU = torch.device("cpu")
TINY = check_parameters({"variant": "enorm", "p": 1, "epochs": 1, "dataset": "digits"})
STATES = {  # how to set it, with another value and the usual one
    "medium": (torch.set_float32_matmul_precision, "medium", "highest"),
    "float64": (torch.set_default_dtype, torch.float64, torch.float32),
    "meta": (torch.set_default_device, "meta", None),
    "flush": (torch.set_flush_denormal, True, False),
    "no_grad": (torch.set_grad_enabled, False, True),
    "autocast": (lambda enabled: torch.set_autocast_enabled("cpu", enabled), True, False),
}


@pytest.mark.parametrize("name", STATES)
def test_a_run_does_not_depend_on_how_the_process_was_set(name, small_digits):
    """As a startup file of IPython may do it."""
    undisturbed, _ = loop.train(TINY, small_digits, CPU)
    change, another, usual = STATES[name]
    try:
        change(another)
        disturbed, _ = loop.train(TINY, small_digits, CPU)
        assert torch.get_float32_matmul_precision() == "highest"
        assert (torch.tensor(1e-39) * 1).item() > 0  # or denormals are flushed, of which this training has none
    finally:
        change(usual)
    assert disturbed.rows == undisturbed.rows


def test_products_that_are_less_exact_than_float32_are_refused(small_digits, monkeypatch):
    """As oneDNN's are on some processors with ONEDNN_DEFAULT_FPMATH_MODE=BF16."""
    exact = numerics.multiply
    monkeypatch.setattr(numerics, "multiply", lambda a, b: exact(a.bfloat16(), b.bfloat16()).float())
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    with pytest.raises(ValueError, match=r"less exact than that; unset ONEDNN_DEFAULT_FPMATH_MODE=BF16, and start"):
        loop.train(TINY, small_digits, CPU)
    rounded = TINY.model_copy(update={"precision": "bfloat16"})
    assert loop.train(rounded, small_digits, CPU)[0].rows


def test_tf32_would_be_noticed():
    """Its products are of operands with 10 bits."""

    def rounded(x):
        return (x.view(torch.int32) & ~0x1FFF).view(torch.float32)

    exact = numerics.multiply
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(1, 300, 300, generator=generator) for _ in range(2))
    off = (exact(rounded(a), rounded(b)).double() - a.double() @ b.double()).norm() / (a.double() @ b.double()).norm()
    assert off > 10 * numerics._ROUNDING > 100 * numerics._rounding(CPU) / 4
