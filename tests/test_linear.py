"""Matrix products: the same numbers whichever library makes them, and whichever other runs are there."""

import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch

from reproduction.training import linear
from reproduction.training.linear import add_product_, multiply

pytestmark = pytest.mark.portable

SHAPES = [(500, 3072, 256), (500, 500, 256), (10, 500, 256), (500, 256, 500), (500, 500, 80)]


@pytest.fixture(params=["oneDNN", "MKL"])
def library(request, monkeypatch):
    """Each of the two, also where the other is used because it is faster there."""
    if request.param == "MKL":
        monkeypatch.setattr(linear, "_ONEDNN", None)
    elif linear._X86 and torch.backends.mkldnn.is_available():
        monkeypatch.setattr(linear, "_ONEDNN", torch.ops.mkldnn._linear_pointwise)
    else:
        pytest.skip("oneDNN's float32 products are for x86-64 only")


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "k", "m"), SHAPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_product_is_right(library, n, k, m, transposed):
    a, b = random(2, n, k), random(2, k, m, seed=1)
    if transposed:  # as in the backward pass: views, not copies
        a, b = a.mT.contiguous().mT, b.mT.contiguous().mT
    expected = a.double() @ b.double()
    assert (multiply(a, b) - expected).abs().max() < 1e-5 * k


def test_a_pytorch_without_the_private_names_multiplies_too(monkeypatch):
    spec = importlib.util.spec_from_file_location("linear_elsewhere", linear.__file__)
    elsewhere = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, elsewhere)
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    for name in ("_is_avx512_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    spec.loader.exec_module(elsewhere)
    a, b = random(2, 50, 40), random(2, 40, 30, seed=1)
    assert torch.allclose(elsewhere.multiply(a, b), torch.bmm(a, b), atol=1e-4)
    rounded = elsewhere.multiply(a.bfloat16(), b.bfloat16())
    torch.testing.assert_close(rounded, torch.bmm(a.bfloat16().float(), b.bfloat16().float()).bfloat16())


@pytest.mark.parametrize(("n", "k", "m"), SHAPES)
def test_a_runs_product_does_not_depend_on_its_siblings(library, n, k, m):
    a, b = random(3, n, k), random(3, k, m, seed=1)
    together = multiply(a, b)
    for r in range(3):
        assert torch.equal(multiply(a[r : r + 1], b[r : r + 1])[0], together[r])


def test_added_product_is_right_and_in_place(library):
    target, a, b = random(2, 500, 400, seed=2), random(2, 500, 256), random(2, 256, 400, seed=1)
    expected = 0.9 * target.double() - 0.1 * (a.double() @ b.double())
    place = target.data_ptr()
    add_product_(target, a, b, beta=0.9, alpha=-0.1)
    assert (target - expected).abs().max() < 1e-4
    assert target.data_ptr() == place


def test_what_is_not_finite_stays_so(library):
    target = torch.full((1, 4, 4), float("nan"))
    add_product_(target, random(1, 4, 8), random(1, 8, 4), beta=1.0, alpha=1.0)
    assert target.isnan().all()


@pytest.fixture(params=["processor's", "float32"])
def bfloat16(request, monkeypatch):
    """Whose products those of bfloat16 matrices are."""
    monkeypatch.setattr(linear, "_BFLOAT16", request.param == "processor's")


@pytest.mark.parametrize("transposed", [False, True])
def test_product_of_bfloat16_matrices_is_rounded_once(bfloat16, transposed):
    a, b = random(2, 60, 500).bfloat16(), random(2, 500, 80, seed=1).bfloat16()
    if transposed:
        a, b = a.mT.contiguous().mT, b.mT.contiguous().mT
    expected, product = a.double() @ b.double(), multiply(a, b)
    assert product.dtype == torch.bfloat16
    off = (product.double() - expected).abs()
    assert (off <= 2**-8 * expected.abs() + 1e-4).all()  # half a unit in the last place of 8 bits, and of float32 sums
    assert off.max() > 0.01  # a float32 number it is not


def test_a_runs_product_of_bfloat16_matrices_does_not_depend_on_its_siblings(bfloat16):
    a, b = random(3, 60, 500).bfloat16(), random(3, 500, 256, seed=1).bfloat16()
    together = multiply(a, b)
    for r in range(3):
        assert torch.equal(multiply(a[r : r + 1], b[r : r + 1])[0], together[r])
