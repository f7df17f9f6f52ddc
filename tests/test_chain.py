"""ENorm on a model that it does not understand: what can be seen from outside is refused or warned of, by name."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from equinorm.enorm import ENorm


def sequential(*between):
    return nn.Sequential(nn.Linear(4, 4), *between, nn.Linear(4, 4))


class Parts(nn.Module):
    """Modules in an order that `forward` need not follow."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        raise NotImplementedError


class Tied(nn.Module):
    """An autoencoder whose second weight is the first one's transpose."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 3), nn.Linear(3, 4)
        self.decoder.weight = nn.Parameter(self.encoder.weight.data.t())


def with_own_names(module):
    module.a, module.b = nn.Linear(4, 4), nn.Linear(4, 4)
    return module


def sharing(first, second):
    second.weight = first.weight
    return nn.Sequential(first, nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), second)


def one_bias():
    model = sequential(nn.ReLU())
    model[2].bias = model[0].bias
    return model


def taking(kind):
    """The last layer takes two rows of the first one's weight."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    rows = model[0].weight.data[1:3]
    if kind == "buffer":
        model[2].register_buffer("kept", rows)
    else:
        model[2].weight = nn.Parameter(rows)
    return model


SHARED_BLOCK = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
REFUSED = {
    "a layer twice": (
        lambda: nn.Sequential(layer := nn.Linear(4, 4), nn.ReLU(), layer, nn.ReLU(), nn.Linear(4, 2)),
        r"the linear layers 0 and 2 are the same one",
    ),
    "a block twice": (
        lambda: nn.Sequential(SHARED_BLOCK, SHARED_BLOCK, nn.Linear(4, 2)),
        r"the linear layers 0\.0 and 1\.0 are the same one",
    ),
    "a weight of two layers": (
        lambda: sharing(nn.Linear(4, 4), nn.Linear(4, 4)),
        r"0\.weight and 4\.weight are the same numbers",
    ),
    "a bias of two layers": (one_bias, r"0\.bias and 2\.bias are the same numbers"),
    "a weight of an embedding": (
        lambda: Parts(embedding=(e := nn.Embedding(4, 4)), layers=sharing(nn.Linear(4, 4), e)[:3], out=nn.Linear(4, 4)),
        r"layers\.0\.weight and embedding\.weight are the same numbers",
    ),
    "rows of another's weight": (lambda: taking("weight"), r"0\.weight and 2\.weight are the same numbers"),
    "a weight that is a buffer too": (lambda: taking("buffer"), r"0\.weight and 2\.kept are the same numbers"),
    "a weight and its transpose": (Tied, r"encoder\.weight and decoder\.weight are the same numbers"),
    "weight_norm": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), parametrizations.weight_norm(nn.Linear(4, 4))),
        r"the weight of the linear layer 2 is computed",
    ),
    "spectral_norm": (
        lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 4)),
        r"the weight of the linear layer 0 is computed",
    ),
    "the older weight_norm": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), weight_norm(nn.Linear(4, 4))),
        r"the weight of the linear layer 2 is computed",
    ),
    "the older spectral_norm": (
        lambda: nn.Sequential(spectral_norm(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 4)),
        r"the weight of the linear layer 0 is computed",
    ),
    "pruning of biases": (
        lambda: nn.Sequential(prune.l1_unstructured(nn.Linear(4, 4), "bias", 0.5), nn.ReLU(), nn.Linear(4, 4)),
        r"the bias of the linear layer 0 is computed",
    ),
    "no weight yet": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.LazyLinear(4)),
        r"the linear layer 2 has no weight yet",
    ),
    "attention": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.MultiheadAttention(4, 2), nn.Linear(4, 4)),
        r"the linear layer 1\.out_proj is part of attention \(1, MultiheadAttention\)",
    ),
    "a Transformer": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 1, enable_nested_tensor=False),
        r"the linear layer layers\.0\.self_attn\.out_proj is part of attention \(layers\.0\.self_attn",
    ),
    "a convolution": (lambda: sequential(nn.Conv1d(4, 4, 1)), r"1 \(Conv1d\) is between the linear layers 0 and 2"),
    "Tanh": (lambda: sequential(nn.ReLU(), nn.Sequential(nn.Tanh())), r"2\.0 \(Tanh\) is between"),
    "GELU, there before too": (
        lambda: nn.Sequential(act := nn.GELU(), nn.Linear(4, 4), act, nn.Linear(4, 4)),
        r"2 \(GELU\) is between the linear layers 1 and 3",
    ),
    "ReLU6": (lambda: sequential(nn.ReLU6()), r"1 \(ReLU6\) is between"),
    "LayerNorm": (lambda: sequential(nn.LayerNorm(4)), r"1 \(LayerNorm\) is between"),
    "pooling over units": (lambda: sequential(nn.AvgPool1d(3, 1, 1)), r"1 \(AvgPool1d\) is between"),
    "an LSTM": (lambda: sequential(nn.LSTM(4, 4)), r"1 \(LSTM\) is between"),
    "in a module of one's own": (
        lambda: Parts(a=nn.Linear(4, 4), act=nn.SiLU(), b=nn.Linear(4, 4)),
        r"act \(SiLU\) is between the linear layers a and b",
    ),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
@pytest.mark.parametrize("what", REFUSED)
def test_what_can_be_seen_is_refused_in_one_sentence_that_names_the_layer(what):
    make, said = REFUSED[what]
    model = make()
    parameters = [parameter for parameter in model.parameters() if not nn.parameter.is_lazy(parameter)]
    old = [parameter.clone() for parameter in parameters]
    with pytest.raises(ValueError, match=f"^{said}") as refused:
        ENorm(model)
    assert "\n" not in str(refused.value) and ". " not in str(refused.value)
    assert all(torch.equal(new, earlier) for new, earlier in zip(parameters, old, strict=True))


def test_weight_norm_after_enorm_was_made_is_refused_at_the_next_step():
    model = sequential(nn.ReLU())
    enorm = ENorm(model)
    enorm.step()
    parametrizations.weight_norm(model[2])
    for call in (enorm.step, lambda: enorm.check(torch.ones(1, 4))):
        with pytest.raises(ValueError, match="the weight of the linear layer 2 is computed"):
            call()


def test_views_of_one_memory_that_do_not_overlap_are_layers_of_their_own():
    model = sequential(nn.ReLU())
    flat = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(flat, model.parameters())
    assert model[0].weight.untyped_storage().data_ptr() == model[2].weight.untyped_storage().data_ptr()
    assert ENorm(model).check(torch.randn(5, 4)) < 1e-5


class Mine(nn.Module):
    def forward(self, x):
        return functional.softplus(x)


class Added(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class MyReLU(nn.ReLU):
    """Inherits what it computes."""


class MyLinear(nn.Linear):
    def forward(self, x):
        return functional.linear(x, self.weight.sign(), self.bias)


WARNED = {
    "a plain chain": (lambda: sequential(nn.ReLU()), []),
    "other homogeneous modules": (lambda: sequential(nn.LeakyReLU(), nn.PReLU(), nn.Dropout(), MyReLU()), []),
    "around the layers": (
        lambda: nn.Sequential(nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4), *sequential(nn.ReLU()), nn.Softmax(dim=1)),
        [],
    ),
    "around the Sequential that holds them": (
        lambda: Parts(first=nn.Tanh(), body=sequential(nn.ReLU()), last=nn.Softmax(dim=1)),
        [],
    ),
    "a forward of one's own": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), Added(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 4)),
        ["what the forward of Added does is not seen without an example: "],
    ),
    "a list, and a forward of one's own": (
        lambda: Parts(layers=nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])),
        ["what the forward of Parts does is not seen without an example: "],
    ),
    "BatchNorm": (lambda: sequential(nn.BatchNorm1d(4), nn.ReLU()), ["BatchNorm1d between the linear layers: "]),
    "someone's module": (lambda: sequential(Mine()), ["Mine between the linear layers: "]),
    "someone's linear layer": (lambda: nn.Sequential(MyLinear(4, 4), nn.ReLU(), nn.Linear(4, 4)), ["MyLinear between"]),
    "an activation that forward may use anywhere": (
        lambda: Parts(a=nn.Linear(4, 4), b=nn.Linear(4, 4), act=nn.Tanh(), pool=nn.MaxPool1d(2)),
        ["Tanh beside the linear layers; what the forward of Parts does is not seen without an example: "],
    ),
    "a parameter that forward may use anywhere": (
        lambda: with_own_names(Parts(scale=nn.Parameter(torch.ones(4)))),
        ["parameters beside the linear layers (scale of the model); what the forward of Parts does is not seen"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WARNED)
def test_what_may_change_the_function_is_warned_of(what, recwarn):
    make, starts = WARNED[what]
    ENorm(make())
    said = [str(warning.message) for warning in recwarn]
    assert len(said) == len(starts)
    for message, start in zip(said, starts, strict=True):
        assert message.startswith(start) and "ENorm may change what this model computes" in message
        assert "`check`" in message
