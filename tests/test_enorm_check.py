"""`ENorm.check`: its number tells rounding from a changed function, and it leaves no trace."""

import copy
import random

import pytest
import torch
from torch import nn
from torch.nn import functional

from equinorm.enorm import ENorm

pytestmark = pytest.mark.filterwarnings("ignore:what the forward of .* is not seen")

ROUNDING = 1e-5


def chain(depth=3, width=16):
    torch.manual_seed(0)
    layers = [part for _ in range(depth) for part in (nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.5))]
    return nn.Sequential(*layers, nn.Linear(width, 5))


class Hidden(nn.Module):
    """A chain of three layers to look at, with what `forward` does in between."""

    def __init__(self, between, width=16):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.last = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.between = between
        self.weights = [self.second.weight]  # not seen from outside either

    def forward(self, x):
        return self.last(self.between(self, self.first(x).relu()))


CHANGED = {
    "a residual connection": lambda model, x: x + model.second(x).relu(),
    "a functional activation": lambda model, x: model.second(x).tanh(),
    "a layer twice": lambda model, x: model.second(model.second(x).relu()).relu(),
    "a weight used by hand": lambda model, x: functional.linear(model.second(x).relu(), model.weights[0]).relu(),
    "attention by hand": lambda model, x: functional.scaled_dot_product_attention(x, model.second(x), x),
}


@pytest.mark.parametrize("depth", [1, 3, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_a_plain_chain_it_is_rounding(depth, dtype):
    model = chain(depth).to(dtype)
    change = ENorm(model).check(torch.randn(30, 16, dtype=dtype))
    assert 0 < change < (ROUNDING if dtype == torch.float32 else 1e-13)


class Stateful(nn.Module):
    """Harmless: what `forward` keeps and writes is the same before a step and after it."""

    def __init__(self, what):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.what = nn.Linear(4, 6), nn.Linear(6, 3), what
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("cache", None)

    def forward(self, x):
        if self.what == "moving mean":
            self.mean = 0.9 * self.mean + 0.1 * x[0].mean(0)[:3]
        elif self.what == "counter":
            self.mean += 1
        elif self.what == "written to":
            x[0].sub_(2).div_(3)
        elif self.cache is None:
            self.cache = torch.ones(3)
        else:
            raise RuntimeError("filled already")
        return self.last(self.first(x[0]).relu()) + self.mean


@pytest.mark.parametrize("what", ["moving mean", "counter", "written to", "filled"])
def test_a_model_with_a_state_is_run_from_the_same_state_and_input_each_time(what):
    model, x = Stateful(what).eval(), torch.randn(5, 4)
    given = x.clone()
    enorm = ENorm(model, example=([x],))
    assert enorm.check([x]) < ROUNDING
    assert torch.equal(x, given) and not model.mean.any() and model.cache is None


@torch.no_grad()
@pytest.mark.parametrize("what", CHANGED)
def test_what_cannot_be_seen_from_outside_is_measured(what):
    model, x = Hidden(CHANGED[what]), torch.randn(30, 16)
    enorm = ENorm(model)
    change = enorm.check(x)
    assert change > 100 * ROUNDING
    before = model(x)
    enorm.step()
    assert change == pytest.approx(float((model(x) - before).norm() / before.norm()), rel=1e-5)


@torch.no_grad()
def test_it_measures_what_a_step_does_with_its_c_norm_and_cycles():
    model, x = Hidden(CHANGED["a residual connection"]), torch.randn(30, 16)
    enorm = ENorm(model, c=2.0, norm=1, cycles=3)
    change, before = enorm.check(x), model(x)
    enorm.step()
    assert change == pytest.approx(float((model(x) - before).norm() / before.norm()), rel=1e-5)


def test_it_leaves_model_optimizer_modes_and_random_numbers_as_they_are():
    torch.manual_seed(0)
    noisy = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    with pytest.warns(UserWarning, match="BatchNorm1d"):
        enorm = ENorm(noisy, optimizer=(optimizer := torch.optim.SGD(noisy.parameters(), lr=0.1, momentum=0.9)))
    x = torch.randn(20, 6)
    noisy(x).sum().backward()
    optimizer.step()
    noisy[1].eval()  # a BatchNorm that is frozen while the rest trains
    state = copy.deepcopy([noisy.state_dict(), optimizer.state_dict(), torch.get_rng_state(), random.getstate()])
    gradients, given = [parameter.grad.clone() for parameter in noisy.parameters()], x.clone()
    assert enorm.check(x) > 0.01
    assert [module.training for module in noisy.modules()] == [True, True, False, True, True, True]
    torch.testing.assert_close(
        [noisy.state_dict(), optimizer.state_dict(), torch.get_rng_state(), random.getstate()], state, rtol=0, atol=0
    )
    for parameter, gradient in zip(noisy.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)
    assert torch.equal(x, given)


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_numbers_that_are_infinite_before_and_after_are_no_change(factor):
    """Those of classes that are masked, say."""

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))

        def forward(self, x):
            y = self.body(x) * (1 if self.calls == 0 else factor)
            self.calls += 1
            return y.masked_fill(torch.tensor([False, True, False]), -torch.inf)

    model = Masked()
    model.calls = 0
    assert ENorm(model).check(torch.randn(5, 4)) == pytest.approx(factor - 1, abs=1e-5)


def test_it_leaves_the_model_as_it_is_where_forward_fails():
    def fail_the_second_time(model, x):
        model.calls = getattr(model, "calls", 0) + 1
        if model.calls == 2:
            raise RuntimeError("out of memory, say")
        return model.second(x)

    model = Hidden(fail_the_second_time).train()
    old = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match="out of memory"):
        ENorm(model).check(torch.randn(3, 16))
    assert all(torch.equal(new, old[name]) for name, new in model.state_dict().items())
    assert model.training and model.first.training


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("factor", torch.tensor(3.0))

    def forward(self, x):
        return x * self.factor


@pytest.mark.filterwarnings("ignore:Scaled")
def test_it_may_come_between_forward_and_backward():
    model, x = nn.Sequential(chain(1), Scaled(), chain(1, 5)), torch.randn(30, 16)
    model.eval()
    model(x).sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    loss = model(x).sum()
    ENorm(model).check(x)
    loss.backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert torch.equal(parameter.grad, gradient)


class Counting(nn.Module):
    """Changes its buffers and its input whenever it is called, and returns several things in a dict."""

    def __init__(self):
        super().__init__()
        self.layers = chain(1)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(2))

    def forward(self, x, scale=1.0):
        assert not self.training
        self.calls += 1
        self.last = x[0, :2].detach().clone()
        noise = torch.rand(())
        out = self.layers(x.mul_(0.5)) + noise
        return {"parts": (out * scale, [out[:, :2]]), "best": out.argmax(dim=1), "name": "counting"}


def test_it_takes_any_arguments_and_outputs_and_keeps_buffers_and_inputs():
    model, x = Counting(), torch.randn(30, 16)
    given, last = x.clone(), model.last
    for _ in range(2):
        assert ENorm(model).check(x, scale=2.0) < ROUNDING  # noise too is the same both times
    assert model.calls == 0 and model.last is last and torch.equal(x, given)


def test_it_is_not_fooled_by_weights_that_autocast_keeps():
    with torch.autocast("cpu", torch.bfloat16):
        assert ENorm(Hidden(CHANGED["a residual connection"])).check(torch.randn(30, 16)) > 0.1


def test_an_output_without_numbers_is_refused():
    model = nn.Sequential(chain(), nn.Identity())
    model.forward = lambda x: x.argmax(dim=1)
    with pytest.raises(ValueError, match="holds no floating-point numbers"):
        ENorm(model).check(torch.randn(3, 16))
