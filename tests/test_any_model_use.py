"""ENorm in use: what happens to optimizers, its options, dtypes and wrappers of models, and what it refuses."""

import copy
import doctest
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import make
from torch import nn
from torch.nn import functional

from equinorm import ENorm, layers
from equinorm.layers import Layer, Scaled
from equinorm.optimizers import state_to_scale
from reproduction.checkout import REPOSITORY

pytestmark = pytest.mark.portable


def bits(model):
    return [tensor.clone() for tensor in model.state_dict().values()]


def same(ours, theirs):
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


# --- optimizers

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1),
    "Nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1, eps=0, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, eps=0, weight_decay=0.1),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.1, eps=0),
    "RAdam": lambda p: torch.optim.RAdam(p, lr=0.1, eps=0),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, eps=0),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1, eps=0, momentum=0.9, centered=True),
}


def convolution(seed, kind):
    torch.manual_seed(seed)
    layer = kind(4, 6, 3, groups=2).double()
    return layer, Layer("layer", (layer, "weight"), [(layer, "bias")], groups=2, transposed=layer.transposed)


@given(
    st.sampled_from(sorted(OPTIMIZERS)), st.sampled_from([nn.Conv2d, nn.ConvTranspose1d]), st.integers(0, 99),
    st.integers(1, 4),
)  # fmt: skip
def test_steps_a_rescaling_and_a_step_are_the_same_in_the_coordinates_of_the_rescaled_weights(name, kind, seed, steps):
    """In which all gradients had been divided by what the weights are multiplied by."""
    (ours, layer), (theirs, _) = convolution(seed, kind), convolution(seed, kind)
    scaled = Scaled(layer, 2)
    scaled.multiply_rows(2 ** torch.randn(6).double())
    scaled.divide_columns(2 ** torch.randn(4).double())
    weight_factor, bias_factor = torch.ones_like(ours.weight), torch.ones_like(ours.bias)
    scaled.scale_like_weight_(weight_factor, 1)
    scaled.scale_like_bias_(bias_factor, 1)
    factors = [weight_factor.detach(), bias_factor.detach()]
    one, other = (OPTIMIZERS[name](model.parameters()) for model in (ours, theirs))

    def step(optimizer, gradients):
        for parameter, gradient in zip(optimizer.param_groups[0]["params"], gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()

    for _ in range(steps):
        gradients = [torch.randn_like(parameter) for parameter in ours.parameters()]
        step(one, gradients)
        step(other, [gradient / factor for gradient, factor in zip(gradients, factors, strict=True)])
    scaled.write()
    for buffer, power in state_to_scale(one, ours.weight):
        scaled.scale_like_weight_(buffer, power)
    for buffer, power in state_to_scale(one, ours.bias):
        scaled.scale_like_bias_(buffer, power)
    with torch.no_grad():
        for parameter, its in zip(ours.parameters(), theirs.parameters(), strict=True):
            its.copy_(parameter)  # what the steps so far have done to the weights is not the same, and not meant
    gradients = [torch.randn_like(parameter) for parameter in ours.parameters()]
    step(one, gradients)
    step(other, gradients)
    for parameter, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter, its, rtol=1e-9, atol=1e-12)
        for key, value in one.state[parameter].items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(value, other.state[its][key], rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ["vgg", "resnet_bn", "mobilenet", "unet"])
def test_momentum_is_that_of_the_rescaled_model_with_c_of_1(name):
    model, example = make(name)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)  # the buffers are the gradient
    enorm = ENorm(model, c=1.0, cycles=2, optimizer=optimizer, example=example, batch_norm="gamma_beta")
    model(example).square().sum().backward()
    optimizer.step()
    enorm.step()
    optimizer.zero_grad()
    model(example).square().sum().backward()
    for parameter in model.parameters():
        torch.testing.assert_close(optimizer.state[parameter]["momentum_buffer"], parameter.grad, rtol=1e-8, atol=1e-8)


def test_at_the_fixed_point_for_c_of_1_steps_are_those_without_enorm():
    """There a cycle changes nothing; after each step it takes back the little that the step has unbalanced."""
    model, example = make("unet")
    ENorm(model, c=1.0, cycles=600, example=example).step()
    old, enorm = copy.deepcopy(model), ENorm(model, c=1.0, example=example)
    enorm.step()
    for ours, theirs in zip(model.parameters(), old.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0)


class Remembering(torch.optim.SGD):
    def step(self):
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["last"] = parameter.detach().clone()


def test_an_optimizer_that_keeps_what_is_not_known_is_an_error_before_anything_changes():
    model, example = make("mlp")
    optimizer = Remembering(model.parameters(), lr=0.1)
    enorm = ENorm(model, optimizer=optimizer, example=example)
    optimizer.step()
    old = bits(model)
    with pytest.raises(ValueError, match=r"optimizer \(Remembering\) keeps 'last' for each weight"):
        enorm.step()
    assert same(bits(model), old)


# --- options


def test_every_so_manieth_step_balances_also_after_a_restart():
    model, example = make("vgg")
    enorm, changed = ENorm(model, every=3, example=example), []
    for k in range(6):
        if k == 4:
            state = enorm.state_dict()
            enorm = ENorm(model, every=3, example=example)
            enorm.load_state_dict(state)
        old = bits(model)
        enorm.step()
        changed.append(not same(bits(model), old))
    assert changed == [False, False, True] * 2


@pytest.mark.parametrize(
    "c",
    [lambda k: (0.8, 1.0, 1.3)[k - 1], [0.8, 1.0, 1.3], {"0": 0.8, "3": 1.0, "7": 1.3}],
    ids=["depth", "list", "names"],
)
def test_c_may_differ_from_layer_to_layer(c):
    model, example = make("vgg", wild=False)
    ENorm(model, c=c, cycles=200, example=example).step()
    layers = [model[0], model[3], model[7], model[9]]
    for (left, right), its_c, channels in zip(pairwise(layers), (0.8, 1.0, 1.3), (6, 8, 10), strict=True):
        made = left.weight.flatten(1).norm(dim=1)
        taken = right.weight.transpose(0, 1).reshape(channels, -1).norm(dim=1)
        torch.testing.assert_close(taken, its_c * made)


@pytest.mark.parametrize("without", [True, False], ids=["no example", "example"])
def test_c_may_be_set_anew_as_training_goes_on(without):
    model, example = make("mlp")
    enorm = ENorm(model, c=1.2, example=None if without else example)
    for c in (0.7, [2, 0.5], 1.5):
        enorm.c = c
        ours = [tensor.clone() for tensor in model.parameters()]
        enorm.step()
        theirs, _ = make("mlp")
        for tensor, value in zip(theirs.parameters(), ours, strict=True):
            tensor.data.copy_(value)
        ENorm(theirs, c=c, example=example).step()
        for one, other in zip(model.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one, other)
    assert "c = 1.5" in str(enorm)


@pytest.mark.parametrize("without", [True, False], ids=["no example", "example"])
@pytest.mark.parametrize(
    "c", [torch.tensor(1.25), np.array(1.25), np.float32(1.25), torch.tensor([1.25, 1.25]), [torch.tensor(1.25)] * 2]
)
def test_c_may_be_a_number_of_numpy_or_pytorch(c, without):
    (one, example), (other, _) = make("mlp"), make("mlp")
    ENorm(one, c=c, example=None if without else example).step()
    ENorm(other, c=1.25, example=None if without else example).step()
    assert same(bits(one), bits(other))


def test_a_c_that_is_out_of_range_leaves_the_one_that_was():
    model, example = make("mlp")
    enorm = ENorm(model, c=1.2, example=example)
    for wrong in (0, [1, -1], [1, 1, 1]):
        with pytest.raises(ValueError, match=r"^c (is|has) "):
            enorm.c = wrong
    assert enorm.c == 1.2 and {group.c for group in enorm.groups} == {1.2}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float16, 0.01)])
def test_weights_of_16_bits_are_balanced_with_norms_of_more(dtype, tolerance):
    model, example = make("densenet", dtype, wild=False)
    exact = copy.deepcopy(model).double()
    assert ENorm(model, cycles=4, example=example).check(example) < tolerance
    ENorm(model, cycles=4, example=example).step()
    ENorm(exact, cycles=4, example=example.double()).step()
    for ours, theirs in zip(model.parameters(), exact.parameters(), strict=True):
        assert ours.dtype == dtype
        assert torch.equal(ours, theirs.to(dtype))  # each entry is rounded once, however many cycles


def test_on_the_meta_device_everything_goes_the_same_way():
    model, example = make("resnet_bn")
    there = ENorm(model.to("meta"), example=example.to("meta"), batch_norm="gamma_beta")
    there.step()
    model, _ = make("resnet_bn")
    assert str(ENorm(model, example=example, batch_norm="gamma_beta")) == str(there)


def test_a_copy_of_both_is_independent():
    model, example = make("resnet_bn")
    optimizer = torch.optim.Adam(model.parameters())
    enorm = ENorm(model, optimizer=optimizer, example=example, batch_norm="gamma_beta")
    old = bits(model)
    its_model, its_enorm = copy.deepcopy((model, enorm))
    its_enorm.step()
    assert its_enorm.model is its_model
    assert same(bits(model), old) and not same(bits(its_model), old)


@pytest.mark.parametrize("assign", [False, True])
def test_weights_may_be_loaded_after_enorm_was_made(assign):
    (model, example), (other, _) = make("vgg"), make("vgg", seed=1)
    enorm = ENorm(model, example=example)
    model.load_state_dict(copy.deepcopy(other.state_dict()), assign=assign)
    enorm.step()
    ENorm(other, example=example).step()
    assert same(bits(model), bits(other))


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 7), nn.ReLU()), nn.Linear(7, 3))


def give(model, bias):
    model[2][0].bias = bias


REPLACED = {
    "the last layer": (lambda m: m.__setitem__(3, nn.Linear(7, 3)), "the layer 3 was replaced"),
    "a layer of a block": (lambda m: m[2].__setitem__(0, nn.Linear(8, 7)), "the layer 2.0 was replaced"),
    "a block": (lambda m: m.__setitem__(2, nn.Linear(8, 7)), "the layer 2.0 was replaced"),
    "less layers": (lambda m: m.__delitem__(3), "the layer 3 was replaced"),
    "no bias": (lambda m: give(m, None), "the layer 2.0 had bias, weight when ENorm was made, and now has weight;"),
    "a further parameter": (
        lambda m: m[0].register_parameter("low_rank", nn.Parameter(torch.ones(8))),
        "the layer 0 had bias, weight when ENorm was made, and now has bias, low_rank, weight;",
    ),
}


@pytest.mark.parametrize("without", [True, False], ids=["no example", "example"])
@pytest.mark.parametrize("what", REPLACED)
def test_a_layer_that_is_another_one_than_was_seen_is_refused(what, without):
    replace, said = REPLACED[what]
    model, x = small(), torch.randn(5, 6)
    enorm = ENorm(model, optimizer=torch.optim.SGD(model.parameters()), example=None if without else x)
    enorm.step()
    replace(model)
    old = bits(model)
    for call in (enorm.step, lambda: enorm.check(x)):
        with pytest.raises(ValueError, match=f"^{said}.* make ENorm anew$"):
            call()
    assert same(bits(model), old)


@pytest.mark.parametrize("at", ["0", "2", "2.0"])
def test_a_layer_that_is_compiled_since_is_the_same_one(at):
    (model, other), x = (small(), small()), torch.randn(5, 6)
    enorm = ENorm(model, example=x)
    model.set_submodule(at, torch.compile(model.get_submodule(at), backend="eager"))
    enorm.step()
    ENorm(other, example=x).step()
    assert same(bits(model), bits(other))


def test_a_bias_that_is_there_only_since_is_refused():
    model = small()
    give(model, None)
    enorm = ENorm(model)
    give(model, nn.Parameter(torch.ones(7)))
    with pytest.raises(ValueError, match=r"^the layer 2.0 had weight when ENorm was made, and now has bias, weight;"):
        enorm.step()


@torch.no_grad()
@pytest.mark.parametrize("without", [True, False], ids=["no example", "example"])
def test_a_model_may_be_cast_and_moved_after_enorm_was_made(without):
    model, x = small(), torch.randn(5, 6)
    enorm = ENorm(model, example=None if without else x)
    for dtype, tolerance in ((torch.bfloat16, 0.03), (torch.float64, 1e-12), (torch.float16, 0.003)):
        model.to(dtype)
        model[0].weight *= 4
        before = model(x.to(dtype))
        weight = model[0].weight.clone()
        enorm.step()
        assert not torch.equal(model[0].weight, weight)
        assert (model(x.to(dtype)) - before).norm() < tolerance * before.norm()
    model.to("meta")
    enorm.step()


@pytest.mark.parametrize("wrap", [lambda model: torch.compile(model, backend="eager"), nn.DataParallel])
def test_a_wrapped_model_is_balanced_as_it_is_without(wrap):
    (model, example), (other, _) = make("resnet"), make("resnet")
    wrapped = wrap(model)
    with torch.no_grad():
        before = wrapped(example)
        enorm = ENorm(wrapped, example=example)
        enorm.step()
        torch.testing.assert_close(wrapped(example), before, rtol=1e-10, atol=1e-10)
    ENorm(other, example=example).step()
    assert same(bits(model), bits(other))
    assert enorm.groups[0].makers[0] == "stem"


def test_autograd_notices_a_step_between_forward_and_backward():
    model, example = make("vgg")
    enorm = ENorm(model, example=example)
    loss = model(example).sum()
    enorm.check(example)
    loss.backward(retain_graph=True)
    enorm.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_making_it_leaves_no_trace():
    model, example = make("resnet_bn")
    model.train()
    model.bn.eval()
    old, given, random = bits(model), example.clone(), torch.get_rng_state()
    ENorm(model, example=example, batch_norm="gamma_beta")
    assert same(bits(model), old) and torch.equal(example, given) and torch.equal(torch.get_rng_state(), random)
    assert model.training and model.stem.training and not model.bn.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def slices(kind, together, monkeypatch):
    """The norms of a weight, and a buffer and a weight that are rescaled like it, taken by so many numbers at once."""
    monkeypatch.setattr(layers, "_TOGETHER", together)
    module, layer = convolution(0, kind)
    scaled = Scaled(layer, 2)
    norms = [scaled.row_norms().clone(), scaled.column_norms().clone()]
    scaled.multiply_rows(torch.linspace(0.5, 2, 6).double())
    scaled.divide_columns(torch.linspace(0.4, 3, 4).double())
    buffer = torch.ones_like(module.weight)
    scaled.scale_like_weight_(buffer, 2)
    scaled.write()
    return [*norms, buffer, module.weight.detach()]


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose1d])
def test_a_weight_that_is_too_large_to_be_copied_at_once_is_rescaled_as_others_are(kind, monkeypatch):
    whole, sliced = slices(kind, 2**18, monkeypatch), slices(kind, 10, monkeypatch)
    for one, other in zip(whole, sliced, strict=True):
        torch.testing.assert_close(one, other)


OPTIONS = {
    "norms taken before": {"norms": "simultaneous"},
    "c of each": {"c": [2.0, 0.5]},
    "without the last pair": {"balance_last_pair": False},
}


@pytest.mark.parametrize("what", OPTIONS)
@pytest.mark.parametrize("without", [True, False], ids=["no example", "example"])
def test_options_do_on_a_chain_of_linear_layers_what_they_say(what, without):
    model, example = make("mlp")
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    weights = [layer.weight.detach().clone() for layer in linear]
    at_first = [weight.clone() for weight in weights]
    cs = OPTIONS[what].get("c", [1.2, 1.2])
    for k, c in enumerate(cs if what != "without the last pair" else cs[:1]):
        left, right = (at_first if what == "norms taken before" else weights)[k : k + 2]
        d = (right.norm(dim=0) / (c * left.norm(dim=1))).sqrt()
        weights[k] *= d[:, None]
        weights[k + 1] /= d
    ENorm(model, example=None if without else example, **OPTIONS[what]).step()
    for layer, weight in zip(linear, weights, strict=True):
        torch.testing.assert_close(layer.weight.detach(), weight)


# --- refusals


class Unseen(nn.Module):
    """A function that TorchScript has compiled, in which PyTorch shows nothing."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 5), nn.Linear(5, 3)
        self.exp = torch.jit.trace(torch.exp, torch.ones(2, 5))

    def forward(self, x):
        x = self.a(x).relu()
        return self.b(x) + self.exp(x).sum()


class Counting(nn.Module):
    """Keeps a state in an attribute, which ENorm does not put back."""

    def __init__(self, model):
        super().__init__()
        self.model, self.calls = model, 0

    def forward(self, x):
        self.calls += 1
        return self.model(x) * 1.8**self.calls


def spoilt(model, layer):
    model = copy.deepcopy(model)
    model[layer].weight.data[2, 1] = torch.nan
    return model


REFUSED = {
    "nothing to balance": (lambda m, x: ENorm(m[0], example=x), "no hidden activation of this model can be"),
    "nothing that may be": (
        lambda m, x: ENorm(nn.Sequential(nn.Linear(12, 3), nn.Tanh(), nn.Linear(3, 2)).double(), example=x),
        r"no hidden activation of this model can be balanced: 0 → 2 \(tanh \(1\)\)",
    ),
    "a shape that does not fit": (
        lambda m, x: ENorm(m, example=x[:, :3]),
        r"the model cannot be run on the example \(RuntimeError: .*mat1 and mat2 shapes cannot be multiplied",
    ),
    "not enough arguments": (
        lambda m, x: ENorm(m, example=()),
        r"the model cannot be run on the example \(TypeError: ",
    ),
    "c of 0": (lambda m, x: ENorm(m, c=0, example=x), "c is 0; allowed are finite numbers above 0"),
    "c of too many": (lambda m, x: ENorm(m, c=[1, 1, 1], example=x), "c has 3 values; needed is one for each of 2"),
    "c of other names": (lambda m, x: ENorm(m, c={"1": 1}, example=x), "c has values for 1; needed is one for each"),
    "c below 0 at depth": (lambda m, x: ENorm(m, c=lambda k: 1.0 - k, example=x), "c is 0.0; allowed"),
    "c of no number": (lambda m, x: ENorm(m, c="1.2", example=x), "c is '1.2'; allowed are finite numbers above 0"),
    "c of no numbers": (lambda m, x: ENorm(m, c=[1, None], example=x), "c is None; allowed are finite numbers above 0"),
    "a norm of no number": (lambda m, x: ENorm(m, norm="2", example=x), "norm is '2'; allowed are finite numbers"),
    "NaN in a weight": (lambda m, x: ENorm(spoilt(m, 3), example=x), "the weight of 3 holds NaN or infinity"),
    "NaN in what it makes": (
        lambda m, x: ENorm(m, example=x * torch.nan),
        "the model's output on the example holds NaN or infinity",
    ),
    "another output each time": (
        lambda m, x: ENorm(Counting(m), example=x),
        "two runs of the model on the example differ by 0.8 of the output's norm with the same weights and generators",
    ),
    "every": (lambda m, x: ENorm(m, every=0, example=x), "every is 0; allowed are whole numbers from 1"),
    "batch_norm": (lambda m, x: ENorm(m, batch_norm="gamma", example=x), "batch_norm is 'gamma'; allowed are None"),
    "batch_norm unseen": (lambda m, x: ENorm(m, batch_norm="row"), "batch_norm = 'row' needs an example"),
    "norms": (lambda m, x: ENorm(m, norms="both", example=x), "norms is 'both'; allowed are 'sequential' and"),
    "an optimizer of other weights": (
        lambda m, x: ENorm(m, example=x, optimizer=torch.optim.SGD([torch.ones(3, requires_grad=True)])),
        "optimizer is not over the weight of 0, which ENorm would rescale",
    ),
    "an unknown optimizer": (
        lambda m, x: ENorm(m, example=x, optimizer=torch.optim.LBFGS(m.parameters())),
        "optimizer is of type LBFGS; ENorm knows what to do with the state of SGD, Adam",
    ),
    "no weight yet": (
        lambda m, x: ENorm(nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.Linear(3, 2)), example=x),
        r"0\.weight has no shape yet; call the model once",
    ),
    "strict": (
        lambda m, x: ENorm(nn.Sequential(m, nn.Tanh(), nn.Linear(5, 2)).double(), example=x, strict=True),
        r"not all hidden activations can be balanced: 0\.5 → 2 \(tanh \(1\)\)",
    ),
    "what cannot be seen": (
        lambda m, x: ENorm(Unseen(), example=torch.ones(2, 12)),
        "rescaling the layers that were seen changes the model's output on the example by .* of its norm, so that",
    ),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace. is")
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_done_is_refused_in_one_sentence_and_the_model_is_as_it_was(what):
    attempt, said = REFUSED[what]
    model, example = make("mlp")
    old = bits(model)
    with pytest.raises(ValueError, match=f"^{said}") as refused:
        attempt(model, example)
    assert "\n" not in str(refused.value)
    assert same(bits(model), old)


def test_a_model_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"^model is of type list; allowed is a torch\.nn\.Module"):
        ENorm([nn.Linear(3, 3)])


def test_a_run_in_training_mode_that_fails_is_told():
    class InEvalModeOnly(nn.Sequential):
        def forward(self, x):
            if self.training:
                raise KeyError("targets")
            return super().forward(x)

    model = InEvalModeOnly(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    assert "in eval mode alone (in training mode: KeyError: 'targets')" in str(ENorm(model, example=torch.ones(1, 4)))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_two_lines_in_a_training_loop_train_a_small_network(optimizer):
    torch.manual_seed(0)
    model, _ = make("resnet_bn", torch.float32)
    model.train()
    x = torch.randn(64, 3, 8, 8)
    y = x.mean(dim=(2, 3)).argmax(dim=1)
    optimizer = optimizer(model.parameters(), lr=0.01)
    enorm = ENorm(model, c=1.1, optimizer=optimizer, example=x, batch_norm="gamma_beta")
    losses = []
    for _ in range(80):
        loss = functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        enorm.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_the_readmes_example_prints_what_it_says():
    failed, tried = doctest.testfile(str(REPOSITORY / "lib" / "equinorm" / "README.md"), module_relative=False)
    assert tried >= 5 and not failed
