"""ENorm on models of the usual kinds: their function stays, their channels are balanced, and the table says which."""

from dataclasses import make_dataclass
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import MODELS, make
from torch import nn
from torch.nn import functional

from equinorm import ENorm, parameter_groups, reference
from equinorm.algorithm import bias_step_factors
from equinorm.layers import Scaled

pytestmark = [pytest.mark.portable, pytest.mark.filterwarnings("ignore:ENorm. .* not used on the example")]

BALANCED = {  # of how many hidden activations; what is left is in the tests below
    "mlp": (2, 2),
    "vgg": (3, 3),
    "resnet": (4, 4),
    "resnet_bn": (4, 4),
    "mobilenet": (4, 5),
    "densenet": (5, 5),
    "unet": (5, 5),
    "other": (3, 4),
}


def changed(model, example, do):
    """How far `do` moves the model's output, relative to it."""
    with torch.no_grad():
        before = model(example)
        do()
        return float((model(example) - before).norm() / before.norm())


def norms(enorm):
    """L and R of each balanced channel, from the weights as they are."""
    for group in enorm.groups:
        if group.reason is None:
            sides = (*group.measured, *group.columns)
            layers = {side.layer: Scaled(side.layer, enorm.norm) for side in sides}
            left = sum(s.summed_powers(layers[s.layer].row_norms(), enorm.norm, group.count) for s in group.measured)
            right = sum(s.summed_powers(layers[s.layer].column_norms(), enorm.norm, group.count) for s in group.columns)
            yield left ** (1 / enorm.norm), right ** (1 / enorm.norm)


def line(enorm, makers):
    """The group whose makers are so called, separated by commas."""
    (found,) = [group for group in enorm.groups if ", ".join(group.makers) == makers]
    return found


# --- the function stays, and channels are balanced


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("norm", [2, 1])
def test_the_function_stays_as_it_is(name, dtype, tolerance, norm):
    model, example = make(name, dtype)
    enorm = ENorm(model, norm=norm, cycles=3, example=example, batch_norm="gamma_beta")
    weights = [parameter.clone() for parameter in model.parameters()]
    assert enorm.check(example) < tolerance
    assert changed(model, example, enorm.step) < tolerance
    assert not all(torch.equal(new, old) for new, old in zip(model.parameters(), weights, strict=True))
    balanced = [group for group in enorm.groups if group.reason is None]
    assert (len(balanced), len(enorm.groups)) == BALANCED[name]


@given(st.sampled_from(sorted(MODELS)), st.integers(0, 1000), st.sampled_from([0.7, 1.0, 1.5]))
def test_the_function_stays_for_any_weights(name, seed, c):
    model, example = make(name, seed=seed)
    enorm = ENorm(model, c=c, example=example, batch_norm="gamma_beta")
    assert changed(model, example, enorm.step) < 1e-12


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("c", [1.0, 1.2])
def test_many_cycles_end_where_the_norm_of_what_takes_a_channel_is_c_times_that_of_what_makes_it(name, c):
    model, example = make(name)
    enorm = ENorm(model, c=c, cycles=1600 if name == "other" else 400, example=example, batch_norm="gamma_beta")
    enorm.step()
    for left, right in norms(enorm):
        torch.testing.assert_close(right, c * left, rtol=1e-8, atol=0)


@torch.no_grad()
def test_training_with_batch_norm_goes_on_as_if_nothing_were():
    model, example = make("resnet_bn")
    model.train()
    enorm = ENorm(model, example=example, batch_norm="gamma_beta", cycles=5)
    assert changed(model, example, enorm.step) < 1e-12


class Repeated(nn.Module):
    """BatchNorm of several copies of each channel."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(3, 4), nn.BatchNorm1d(8), nn.Linear(8, 2)

    def forward(self, x):
        x = self.first(x)
        return self.last(self.norm(torch.cat([x, x], dim=1)).relu())


def flattened():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.BatchNorm1d(144), nn.ReLU(), nn.Linear(144, 3))
    return model.double(), torch.randn(6, 3, 8, 8).double(), lambda rows: rows.repeat_interleave(36)


def repeated():
    torch.manual_seed(0)
    return Repeated().double(), torch.randn(6, 3).double(), lambda rows: rows.repeat(2)


@torch.no_grad()
@pytest.mark.parametrize("make", [flattened, repeated])
@pytest.mark.parametrize("training", [True, False])
def test_each_channel_of_a_batch_norm_is_balanced_where_one_row_makes_several(make, training):
    model, example, spread = make()
    model.train(training)
    first, *_, last = (module for module in model.modules() if hasattr(module, "weight"))
    rows = first.weight.clone()
    enorm = ENorm(model, c=1.3, cycles=60, example=example, batch_norm="gamma_beta")
    (group,) = enorm.groups
    assert group.reason is None and group.count == last.in_features
    assert enorm.check(example) < 1e-12
    assert changed(model, example, enorm.step) < 1e-12
    assert torch.equal(first.weight, rows)
    torch.testing.assert_close(last.weight.norm(dim=0), 1.3 * spread(rows.flatten(1).norm(dim=1)))


class TwoNorms(nn.Module):
    """Two BatchNorms of one layer, which are added."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)
        self.norms = nn.ModuleList(nn.BatchNorm1d(4) for _ in range(2))

    def forward(self, x):
        x = self.first(x)
        return self.last(sum(norm(x) for norm in self.norms).relu())


@torch.no_grad()
def test_a_row_counts_once_for_the_batch_norms_of_it_that_are_added():
    model, example = TwoNorms().double(), torch.randn(6, 3).double()
    enorm = ENorm(model, c=1.3, cycles=60, example=example, batch_norm="gamma_beta")
    assert changed(model, example, enorm.step) < 1e-12
    torch.testing.assert_close(model.last.weight.norm(dim=0), 1.3 * model.first.weight.norm(dim=1))


def test_rows_under_batch_norm_are_rescaled_only_where_asked_and_the_function_changes():
    model, example = make("resnet_bn")
    enorm = ENorm(model, example=example, batch_norm="row")
    assert str(enorm).count("yes, and the function changes") == 4
    assert enorm.check(example) > 0.01
    with pytest.raises(ValueError, match=r"no hidden activation .* can be balanced: .*batch_norm"):
        ENorm(model, example=example)


# --- it is the algorithm


def test_on_a_chain_it_is_algorithm_1():
    model, example = make("mlp")
    enorm = ENorm(model, c=1.3, cycles=2, example=example)
    enorm._chain = None  # the way of other models
    layers = [model[0], model[3], model[5]]
    weights, biases, _ = reference.equi_normalize([m.weight for m in layers], [m.bias for m in layers], 1.3, 2, 2)
    enorm.step()
    for layer, weight, bias in zip(layers, weights, biases, strict=True):
        torch.testing.assert_close(layer.weight.detach(), weight, rtol=1e-12, atol=0)
        torch.testing.assert_close(layer.bias.detach(), bias, rtol=1e-12, atol=0)


def test_a_chain_of_linear_layers_has_the_same_bits_with_an_example_and_without():
    (one, example), (other, _) = make("mlp", torch.float32), make("mlp", torch.float32)
    ENorm(one, example=example).step()
    ENorm(other).step()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def conv_chain():
    torch.manual_seed(0)
    sizes = [3, 6, 8, 5, 4]
    layers = [part for a, b in pairwise(sizes) for part in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU())]
    return nn.Sequential(*layers[:-1]).double(), torch.randn(2, 3, 6, 6, dtype=torch.float64)


def test_a_convolution_is_balanced_like_the_matrix_of_its_unfolded_kernels():
    model, example = conv_chain()
    first, second = model[0], model[2]
    rows, columns = first.weight.flatten(1), second.weight.transpose(0, 1).flatten(1).t()
    _, _, (d,) = reference.equi_normalize([rows, columns], c=1.2)
    expected = first.weight.detach() * d.view(-1, 1, 1, 1)
    ENorm(model, example=example).step()
    torch.testing.assert_close(first.weight.detach(), expected)


@torch.no_grad()
def test_with_norms_taken_before_and_the_last_pair_left_out_it_is_the_authors_published_formula():
    model, example = conv_chain()
    weights = [layer.weight.clone() for layer in model[::2]]
    enorm = ENorm(model, c=1.1, norms="simultaneous", balance_last_pair=False, example=example)
    assert changed(model, example, enorm.step) < 1e-12
    before = torch.ones(3)
    for k, (left, right) in enumerate(pairwise(weights)):
        d = (right.transpose(0, 1).flatten(1).norm(dim=1) / (1.1 * left.flatten(1).norm(dim=1))).sqrt()
        d = d if k < 2 else torch.ones(5)
        torch.testing.assert_close(model[2 * k].weight, left * d.view(-1, 1, 1, 1) / before.view(-1, 1, 1).double())
        before = d
    assert torch.equal(model[6].weight, weights[-1])


def test_under_enorm_a_bias_of_a_convolution_learns_as_with_c_of_1():
    after = []
    for c in (1.0, 1.3):
        model, example = conv_chain()
        ENorm(model, c=c, cycles=400, example=example).step()
        biases = [layer.bias for layer in model[::2]]
        groups = parameter_groups(model, 0.1, c=c)
        optimizer = torch.optim.SGD([{"params": [], "lr": 0.1}, *groups[1:]])
        assert [g["lr"] for g in groups[1:]] == pytest.approx([0.1 * f for f in bias_step_factors(4, c)])
        assert [g["params"] for g in groups[1:]] == [[bias] for bias in biases]
        model(example).square().mean().backward()
        optimizer.step()
        after.append(model(example).detach())
    torch.testing.assert_close(*after, rtol=1e-6, atol=1e-9)


# --- what is between layers, and why they are left alone


class Between(nn.Module):
    def __init__(self, between, width=6):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(width, 3)
        self.scale = nn.Parameter(torch.rand(6))
        self.norm = nn.LayerNorm(6)
        self.plain_norm = nn.BatchNorm1d(6, affine=False)
        self.lstm = nn.LSTM(6, 6, batch_first=True)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.between = between

    def forward(self, x):
        return self.c(self.between(self, self.b(self.a(x).relu())))


def of(between, width=6, **options):
    """The group of layer b, and the ENorm."""
    enorm = ENorm(Between(between, width), example=torch.randn(5, 4), **options)
    assert enorm.check(torch.randn(5, 4)) < 1e-5
    return line(enorm, "b"), enorm


KEPT = {
    "nothing": lambda m, x: x,
    "a parameter as a factor": lambda m, x: (x * m.scale).relu(),
    "a constant": lambda m, x: -x / 3,
    "what is larger of two": lambda m, x: torch.maximum(x, x.neg()),
    "channels in another order": lambda m, x: torch.cat([x[:, 3:], x[:, :3].relu_()], dim=1),
    "in place": lambda m, x: functional.dropout(x, 0.3, m.training).mul_(2).relu_(),
    "split and stack": lambda m, x: torch.stack(x.chunk(2, dim=1), dim=1).flatten(1).abs(),
    "a factor of its shape alone": lambda m, x: x * x.new_empty(5, 1).bernoulli_(0.9).div_(0.9),
    "a constant of its type": lambda m, x: x * torch.ones(6, dtype=torch.int64).to(x),
    "a constant of that type": lambda m, x: x * torch.ones(6, dtype=torch.int64).type_as(x),
    "in the type of a parameter": lambda m, x: x.to(m.c.weight).type_as(m.c.weight),
    "one by itself only": lambda m, x: x * torch.sigmoid(torch.ones_like(m.scale)),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_keeps_the_function_is_passed(what):
    group, _ = of(KEPT[what])
    assert group.reason is None and group.count == 6 and group.takers == ["c"]


LEFT_ALONE = {
    "Tanh": (lambda m, x: x.tanh(), "tanh"),
    "Sigmoid": (lambda m, x: torch.sigmoid(x), "sigmoid"),
    "GELU": (lambda m, x: functional.gelu(x), "gelu"),
    "ReLU6": (lambda m, x: functional.relu6(x), "relu6"),
    "clamp": (lambda m, x: x.clamp(0, 1), "clamp"),
    "LayerNorm": (lambda m, x: m.norm(x), "layer_norm (norm)"),
    "BatchNorm": (lambda m, x: m.plain_norm(x), "batch_norm (plain_norm)"),
    "softmax": (lambda m, x: x.softmax(1), "softmax"),
    "a square": (lambda m, x: x * x, "mul of two activations"),
    "a norm": (lambda m, x: x / x.norm(dim=1, keepdim=True), "norm"),
    "an added constant": (lambda m, x: x + 1, "add of a constant"),
    "an added parameter": (lambda m, x: x.add_(m.scale), "add of a constant"),
    "a number read": (lambda m, x: x if x.sum().item() > 0 else -x, "item"),
    "written into": (lambda m, x: torch.zeros_like(x).copy_(x), "copy"),
    "written by place": (lambda m, x: torch.zeros(5, 6).index_put((torch.arange(5),), x), "index_put"),
    "assigned": (lambda m, x: assigned(x), "setitem"),
    "an LSTM": (lambda m, x: m.lstm(x[None])[0][0], "lstm (lstm)"),
    "attention": (
        lambda m, x: m.attention(x[None], x[None], x[None])[0][0],
        "multi_head_attention_forward (attention)",
    ),
    "weights used by hand": (lambda m, x: x + m.c.weight.sum(), "sum"),
    "a matrix by hand": (lambda m, x: x @ torch.ones(6, 6), "matmul"),
}


def assigned(x):
    out = torch.zeros(5, 6)
    out[:, :] = x
    return out


@pytest.mark.parametrize("what", LEFT_ALONE)
def test_what_does_not_is_the_reason_why_the_channels_are_left_alone(what):
    between, reason = LEFT_ALONE[what]
    group, enorm = of(between)
    assert group.reason == reason
    assert f"no: {reason}" in str(enorm)


@pytest.mark.parametrize("given", [torch.full((5,), 3), torch.tensor([900, 3, 2, 1, 7]), torch.ones(5).bool()])
def test_numbers_that_are_no_floats_are_a_constant_where_they_are_joined_to_activations(given):
    group, _ = of(lambda m, x: torch.cat([x.relu(), given[:, None]], dim=1), width=7)
    assert group.reason is None and group.count == 6 and group.takers == ["c"]


PREPARED = {
    "bytes": (torch.full((5, 4), 3, dtype=torch.uint8), lambda x: x.float() / 255),
    "classes": (torch.tensor([1, 0, 3, 2, 1]), lambda x: functional.one_hot(x, 4).float()),
    "normalised": (torch.randn(5, 4), lambda x: (x - 0.5) / x.std(dim=1, keepdim=True)),
    "whitened": (torch.randn(5, 4), lambda x: x @ torch.ones(4, 4)),
    "a spectrum": (torch.randn(5, 7), lambda x: torch.fft.rfft(x).real),
    "bordered": (torch.randn(5, 2), lambda x: torch.cat([torch.ones(5, 1), x.tanh(), torch.ones(5, 1)], dim=1)),
}


@pytest.mark.parametrize("what", PREPARED)
def test_what_is_made_of_the_input_alone_is_no_hidden_activation(what):
    example, prepare = PREPARED[what]

    class Preparing(nn.Sequential):
        def forward(self, x):
            return super().forward(prepare(x))

    enorm = ENorm(Preparing(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), example=example, strict=True)
    assert [group.makers for group in enorm.groups] == [["0"]]


def test_what_an_embedding_makes_is_a_hidden_activation():
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    with pytest.raises(ValueError, match=r"no layer → 1 \(embedding \(0\)\)"):
        ENorm(model, example=torch.arange(5), strict=True)


def outputs_of(kind, y, hidden):
    if kind == "dataclass":
        return make_dataclass("Both", ["y", "hidden"])(y, hidden)
    return SimpleNamespace(y=y, hidden=[hidden]) if kind == "namespace" else {"y": y, "hidden": (hidden,)}


@pytest.mark.parametrize("kind", ["dict", "dataclass", "namespace"])
def test_activations_that_a_model_returns_keep_their_scale(kind):
    class Returning(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x):
            hidden = self.b(self.a(x).relu()).relu()
            return outputs_of(kind, self.c(hidden), hidden)

    enorm = ENorm(Returning(), example=torch.randn(5, 4))
    assert line(enorm, "b").reason == "the model's output" and line(enorm, "a").reason is None
    assert enorm.check(torch.randn(5, 4)) < 1e-5


def test_a_weight_that_is_also_an_input_of_a_layer_stays():
    """Prototypes, say, that are projected for another loss."""
    model = Between(lambda m, x: x.relu())
    model.project = nn.Linear(6, 2)
    forward = model.forward
    model.forward = lambda x: (forward(x), model.project(model.c.weight))
    enorm = ENorm(model, example=torch.randn(5, 4))
    assert line(enorm, "b").reason == "c.weight is used by linear (project) as an input too"
    assert enorm.check(torch.randn(5, 4)) < 1e-5


@pytest.mark.parametrize("parameters", [(torch.ones(6), None), (torch.ones(6, 6), torch.ones(1))])
def test_a_layer_of_unusual_shape_is_the_reason(parameters):
    def layer(m, x):
        y = functional.linear(x.relu(), m.weight, m.bias)
        return y if y.dim() == 2 else y[:, None].expand(-1, 6)

    model = Between(layer)
    model.weight = nn.Parameter(parameters[0])
    model.bias = None if parameters[1] is None else nn.Parameter(parameters[1])
    enorm = ENorm(model, example=torch.randn(5, 4))
    assert line(enorm, "b").reason == "the shape of a parameter of linear"
    assert line(enorm, "a").reason is None and enorm.check(torch.randn(5, 4)) < 1e-5


@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is")
def test_a_scripted_module_is_run_and_no_hook_is_left():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), torch.jit.script(nn.Softplus()), nn.Linear(6, 3))
    enorm = ENorm(model, example=torch.randn(5, 4))
    assert line(enorm, "0").reason is None
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_one_of_two_activations_that_are_multiplied_is_balanced():
    def gated(m, x):
        one, other = x.chunk(2, dim=1)
        return one * other

    enorm = ENorm(Between(gated, 3), example=torch.randn(5, 4))
    assert enorm.check(torch.randn(5, 4)) < 1e-5
    found = [(group.count, group.takers, group.reason) for group in enorm.groups if group.makers == ["b"]]
    assert found == [(3, ["c"], None), (3, [], "mul of two activations")]


def sequential():
    layers = [part for _ in range(4) for part in (nn.Linear(4, 4), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def share_memory(model):
    model[6].weight = nn.Parameter(model[4].weight.data.t())


def share_a_bias(model):
    model[6].bias = model[4].bias


def freeze(model):
    model[4].weight.requires_grad = False


SHARED = {
    "memory of two parameters": (share_memory, "4.weight shares its memory with 6.weight"),
    "a bias of two layers": (share_a_bias, "4.bias is used by 6 too"),
    "a frozen layer": (freeze, "4.weight is frozen"),
    "weight_norm": (
        lambda model: nn.utils.parametrizations.weight_norm(model[4]),
        "the weight of linear (4) is computed or no parameter",
    ),
    "spectral_norm": (
        lambda model: nn.utils.spectral_norm(model[4]),
        "the weight of linear (4) is computed or no parameter",
    ),
}


@pytest.mark.parametrize("what", SHARED)
def test_layers_that_must_not_be_written_to_are_named_and_left_alone(what):
    change, reason = SHARED[what]
    model = sequential()
    change(model)
    enorm = ENorm(model, example=torch.randn(5, 4))
    kept = [parameter.clone() for parameter in model[4].parameters()]
    assert enorm.check(torch.randn(5, 4)) < 1e-5
    enorm.step()
    assert all(torch.equal(*pair) for pair in zip(model[4].parameters(), kept, strict=True))
    assert line(enorm, "2").reason == reason
    assert line(enorm, "0").reason is None


def test_a_layer_that_is_used_twice_is_balanced_for_both_uses_together():
    layer = nn.Linear(6, 6)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(6, 2))
    enorm = ENorm(model, example=torch.randn(3, 4))
    assert [(group.makers, group.takers) for group in enorm.groups] == [(["0", "2"], ["2", "6"])]
    assert changed(model, torch.randn(3, 4), enorm.step) < 1e-5


class TwoBiases(nn.Module):
    """A weight that is used with two biases."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.head = nn.Linear(4, 6), nn.Linear(6, 3)
        self.other_bias = nn.Parameter(torch.randn(6))

    def forward(self, x):
        other = functional.linear(x, self.hidden.weight, self.other_bias)
        return self.head(self.hidden(x).relu() + other.relu())


def test_all_biases_that_a_weight_is_used_with_are_rescaled():
    model, example = TwoBiases(), torch.randn(5, 4)
    enorm = ENorm(model, cycles=3, example=example)
    (group,) = enorm.groups
    assert group.reason is None
    assert enorm.check(example) < 1e-5
    assert changed(model, example, enorm.step) < 1e-5


def test_a_parameter_that_is_replaced_as_the_model_runs_stays():
    model = sequential()

    def replace(layer, *_):
        if layer.training:
            layer.weight = nn.Parameter(layer.weight.data.clone())

    model[4].register_forward_hook(replace)
    enorm = ENorm(model, example=torch.randn(5, 4))
    assert line(enorm, "2").reason == "the weight of 4 is replaced as the model runs"
    assert line(enorm, "0").reason is None and enorm.check(torch.randn(5, 4)) < 1e-5


def test_a_weight_that_two_kinds_of_layers_use_stays():
    layers = [nn.Conv1d(4, 4, 1) for _ in range(4)] + [nn.ConvTranspose1d(4, 4, 1), nn.Conv1d(4, 4, 1)]
    layers[4].weight = layers[3].weight
    enorm = ENorm(nn.Sequential(*layers), example=torch.randn(2, 4, 3))
    assert enorm.check(torch.randn(2, 4, 3)) < 1e-5
    assert line(enorm, "1").reason is None
    assert line(enorm, "2").reason == "3.weight is used by conv_transpose1d (4) too"
    assert line(enorm, "3").reason == "conv_transpose1d (4)"


def test_what_is_used_in_training_alone_counts():
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.other = nn.Linear(4, 5), nn.Linear(5, 2), nn.Linear(5, 3)

        def forward(self, x):
            x = self.a(x).relu()
            return (self.b(x), self.other(x)) if self.training else self.b(x)

    (group,) = ENorm(Auxiliary(), example=torch.randn(3, 4)).groups
    assert group.takers == ["b", "other"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantized_layers_are_named_and_left_alone():
    model = sequential()
    model[4] = torch.ao.nn.quantized.dynamic.Linear(4, 4)
    enorm = ENorm(model, example=torch.randn(3, 4))
    assert line(enorm, "0").reason is None
    assert line(enorm, "2").reason == "linear_dynamic (4)"
