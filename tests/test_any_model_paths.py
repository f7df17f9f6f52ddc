"""What a model may do on other inputs than the example: pick other channels, call other layers."""

import pytest
import torch
from torch import nn

from equinorm import ENorm

pytestmark = pytest.mark.portable


def changed(model, inputs, do):
    with torch.no_grad():
        before = model(*inputs)
        do()
        return float((model(*inputs) - before).norm() / before.norm())


def group(enorm, maker):
    (found,) = [group for group in enorm.groups if group.makers == [maker]]
    return found


class Heads(nn.Module):
    """A head for each domain; `split` says how the images of a domain are found."""

    def __init__(self, split):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.a = nn.Linear(6, 7), nn.Linear(7, 8)
        self.heads = nn.ModuleList(nn.Linear(8, 4) for _ in range(3))
        self.split = split

    def forward(self, x, domain):
        return self.split(self, self.a(self.first(x).relu()).relu(), domain)


def by_mask(model, h, domain):
    out = h.new_zeros(len(h), 4)
    for k, head in enumerate(model.heads):
        out[domain == k] = head(h[domain == k])
    return out


def by_order(model, h, domain):
    parts = h[domain.argsort()].split(domain.bincount(minlength=3).tolist())
    return torch.cat([head(part) for head, part in zip(model.heads, parts, strict=True)])


@pytest.mark.parametrize("split", [by_mask, by_order])
def test_a_layer_that_gets_nothing_on_the_example_is_not_forgotten(split):
    model, x, domain = Heads(split).double(), torch.randn(9, 6).double(), torch.arange(9) % 3
    enorm = ENorm(model, example=(x[:1], domain[:1]))
    assert group(enorm, "a").reason == "nothing was selected on the example"
    assert group(enorm, "first").reason is None
    assert changed(model, (x, domain), enorm.step) < 1e-12


def test_with_an_example_that_has_something_for_all_layers_they_are_balanced():
    model, x, domain = Heads(by_order).double(), torch.randn(9, 6).double(), torch.arange(9) % 3
    enorm = ENorm(model, example=(x, domain), strict=True)
    (found,) = [group for group in enorm.groups if group.makers == ["a"]]
    assert found.reason is None and found.takers == ["heads.0", "heads.1", "heads.2"]
    assert changed(model, (x[:1], domain[:1]), enorm.step) < 1e-12


class Picking(nn.Module):
    """Three layers, stacked to [batch, 3, 8], and what `pick` makes of that, [batch, 8]."""

    def __init__(self, pick):
        super().__init__()
        torch.manual_seed(0)
        self.parts, self.last = nn.ModuleList(nn.Linear(6, 8) for _ in range(3)), nn.Linear(8, 2)
        self.register_buffer("second", torch.tensor([1]))
        self.pick = pick

    def forward(self, x, k):
        return self.last(self.pick(self, torch.stack([part(x) for part in self.parts], dim=1), k).relu())


PICKED = {
    "of each its own": lambda m, h, k: h[torch.arange(len(h)), k],
    "after an ellipsis": lambda m, h, k: h[..., k[:1], :][:, 0],
    "after a new axis": lambda m, h, k: h[None, :, k[:1]][0, :, 0],
    "one number": lambda m, h, k: h[:, k[0]],
    "a mask": lambda m, h, k: h[torch.arange(3) == k[:, None]],
    "a slice": lambda m, h, k: h[:, k[0] : k[0] + 1][:, 0],
    "index_select": lambda m, h, k: h.index_select(1, k[:1])[:, 0],
    "narrow": lambda m, h, k: h.narrow(1, k[0], 1)[:, 0],
    "select": lambda m, h, k: h.select(1, k[0]),
}


@pytest.mark.parametrize("what", PICKED)
def test_what_a_tensor_picks_among_has_one_scale(what):
    model, x, k = Picking(PICKED[what]).double(), torch.randn(9, 6).double(), torch.arange(9) % 3
    with torch.no_grad():
        for scale, part in zip((0.01, 1, 100), model.parts, strict=True):
            part.weight *= scale
    enorm = ENorm(model, c=1, example=(x[:1], k[:1]))
    (found,) = enorm.groups
    assert found.reason is None and found.count == 8 and found.makers == ["parts.0", "parts.1", "parts.2"]
    for inputs in ((x, k), (x, k + (k == 0).long()), (x.flip(0), 2 - k)):
        assert changed(model, inputs, enorm.step) < 1e-12


SAME_CHANNELS = {
    "images": lambda m, h, k: h[k][:, 1],
    "images by a mask": lambda m, h, k: h[k < 2][:, 1],
    "a number": lambda m, h, k: h[:, 1],
    "a buffer": lambda m, h, k: h[:, m.second][:, 0],
    "a shape": lambda m, h, k: torch.cat([h[:, 1], k[:, None].expand(-1, 3)], dim=1)[:, :8],
}


@pytest.mark.filterwarnings("ignore:ENorm:UserWarning")
@pytest.mark.parametrize("what", SAME_CHANNELS)
def test_what_picks_the_same_channels_on_all_inputs_ties_none(what):
    model, x, k = Picking(SAME_CHANNELS[what]).double(), torch.randn(9, 6).double(), torch.arange(9) % 3
    enorm = ENorm(model, example=(x, k))
    found = [group for group in enorm.groups if group.takers == ["last"]]
    assert [(group.makers, group.count, group.reason) for group in found] == [(["parts.1"], 8, None)]


def test_a_way_to_pick_that_is_not_known_is_the_reason():
    model = Picking(lambda m, h, k: h.tensor_split(k[1:2], dim=1)[1][:, 0])
    x, k = torch.randn(9, 6), torch.arange(9) % 3
    with pytest.raises(ValueError, match=r"no hidden activation of this model can be balanced: .*\(tensor_split\)"):
        ENorm(model, example=(x, k))


class Tasks(nn.Module):
    """A head for each task, one of which is called."""

    def __init__(self, names):
        super().__init__()
        torch.manual_seed(0)
        self.trunk, self.heads = nn.Linear(6, 8), nn.ModuleDict({name: nn.Linear(8, 3) for name in names})

    def forward(self, x, task):
        return self.heads[task](self.trunk(x).relu())


def test_layers_that_are_not_used_are_warned_of_and_named():
    model = Tasks("abcdefg")
    said = "^ENorm: heads.b, heads.c, heads.d and 3 more are not used on the example, and .*; give an example"
    with pytest.warns(UserWarning, match=said) as warned:
        enorm = ENorm(model, example=(torch.randn(5, 6), "a"))
    assert warned[0].filename == __file__
    assert str(enorm).endswith("not used on the example: heads.b, heads.c, heads.d, heads.e, heads.f, heads.g")
    with pytest.raises(ValueError, match=said):
        ENorm(model, example=(torch.randn(5, 6), "a"), strict=True)
    with pytest.warns(UserWarning, match="^ENorm: heads.b is not used on the example, and where it takes"):
        ENorm(Tasks("ab"), example=(torch.randn(5, 6), "a"))


def test_several_examples_are_followed_where_one_cannot_use_all(recwarn):
    model, x = Tasks("ab").double(), torch.randn(5, 6).double()
    enorm = ENorm(model, example=(x, "a"), examples=[{"x": x[:2], "task": "b"}], strict=True)
    (found,) = enorm.groups
    assert found.takers == ["heads.a", "heads.b"] and "running the model on 2 examples" in str(enorm)
    assert changed(model, (x, "a"), enorm.step) < 1e-12 and changed(model, (x, "b"), enorm.step) < 1e-12
    assert str(ENorm(Tasks("ab"), examples=[(x.float(), "a"), (x.float(), "b")])) == str(enorm)
    assert not recwarn


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace. is")
def test_what_is_unseen_in_a_further_example_is_found():
    class Bent(Tasks):
        def forward(self, x, task):
            unseen = torch.jit.trace(torch.exp, torch.ones(5, 8))
            return super().forward(x, task) + (unseen(self.trunk(x)).sum() if task == "b" else 0)

    x = torch.randn(5, 6)
    with pytest.raises(ValueError, match="rescaling the layers that were seen changes"):
        ENorm(Bent("ab"), example=(x, "a"), examples=[(x, "b")])


def test_examples_are_a_list():
    with pytest.raises(ValueError, match=r"^examples is of type Tensor; allowed is a list"):
        ENorm(Tasks("a"), examples=torch.randn(5, 6))
