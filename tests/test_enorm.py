"""Algorithm 1 and its two-line use: against a second implementation, and by the properties it is there for."""

import copy
import math
import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.nn import functional

from equinorm import ENorm, chain, equi_normalize_, reference

pytestmark = pytest.mark.portable

RTOL = {torch.float32: 1e-5, torch.float64: 1e-11}


@dataclass
class Network:
    """Weights [..., out, in] and biases [..., out] (some None), in network order."""

    weights: list[torch.Tensor]
    biases: list[torch.Tensor | None]

    def copy(self):
        return Network(clones(self.weights), clones(self.biases))

    def run(self, index):
        return Network(
            [w[index].clone() for w in self.weights],
            [None if b is None else b[index].clone() for b in self.biases],
        )

    def __call__(self, x):
        """The ReLU network's outputs [..., out, images] for x [in, images]."""
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = weight @ x if bias is None else weight @ x + bias.unsqueeze(-1)
            x = x.relu() if k + 1 < len(self.weights) else x
        return x


def clones(tensors):
    return [None if tensor is None else tensor.clone() for tensor in tensors]


def network(sizes, *, seed=0, dtype=torch.float64, bias=True, leading=()):
    generator = torch.Generator().manual_seed(seed)
    pairs = list(pairwise(sizes))
    weights = [torch.randn(*leading, out, in_, generator=generator, dtype=dtype) for in_, out in pairs]
    biases = [torch.randn(*leading, out, generator=generator, dtype=dtype) if bias else None for out in sizes[1:]]
    return Network(weights, biases)


@st.composite
def networks(draw, dtypes=(torch.float32, torch.float64), leading=(), zeros=True):
    """ReLU networks of 2 to 5 layers whose units are of very different sizes; some rows and columns are zero."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=3, max_size=6))
    seed = draw(st.integers(0, 2**31))
    net = network(sizes, seed=seed, dtype=draw(st.sampled_from(dtypes)), leading=leading)
    generator = torch.Generator().manual_seed(seed + 1)
    sparse = zeros and draw(st.booleans())
    for k, weight in enumerate(net.weights):
        out, in_ = weight.shape[-2:]
        weight *= 10 ** (torch.rand(*leading, out, 1, generator=generator) * 4 - 2)
        if sparse:
            weight *= torch.rand(*leading, out, 1, generator=generator) > 0.3
            weight *= torch.rand(*leading, 1, in_, generator=generator) > 0.3
        if draw(st.booleans()):
            net.biases[k] = None
    return net


def assert_same_bits(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


def assert_close(tensors, arrays, rtol):
    for tensor, array in zip(tensors, arrays, strict=True):
        assert (tensor is None) == (array is None)
        if tensor is not None:
            np.testing.assert_allclose(tensor.double().numpy(), array, rtol=rtol, atol=0)


def norms(net):
    """For each pair of layers, L and R of each hidden unit."""
    for left, right in pairwise(net.weights):
        yield left.norm(dim=-1), right.norm(dim=-2)


# --- Algorithm 1


@given(networks(), st.sampled_from([0.5, 1.0, 1.2, 3.0]), st.sampled_from([2, 1, 3, 1.5]), st.integers(1, 3))
def test_it_is_algorithm_1(net, c, norm, cycles):
    weights, biases, factors = reference.equi_normalize(net.weights, net.biases, c, norm, cycles)
    totals = equi_normalize_(net.weights, net.biases, c=c, norm=norm, cycles=cycles)
    rtol = RTOL[net.weights[0].dtype]
    assert_close(net.weights, weights, rtol)
    assert_close(net.biases, biases, rtol)
    assert_close(totals, factors, rtol)


@given(networks(dtypes=[torch.float64]), st.sampled_from([0.8, 1.2]), st.sampled_from([2, 1]))
def test_the_network_computes_the_same_function(net, c, norm):
    x = torch.randn(net.weights[0].shape[1], 20, generator=torch.Generator().manual_seed(1)).double()
    before = net(x)
    equi_normalize_(net.weights, net.biases, c=c, norm=norm, cycles=3)
    torch.testing.assert_close(net(x), before, rtol=1e-9, atol=1e-10 * float(before.abs().max()))


@given(networks(dtypes=[torch.float64]))
def test_with_c_of_1_no_cycle_makes_the_global_norm_larger(net):
    def global_norm():
        return math.sqrt(sum(float(weight.square().sum()) for weight in net.weights))

    for _ in range(5):
        before = global_norm()
        equi_normalize_(net.weights, net.biases, c=1)
        assert global_norm() <= before * (1 + 1e-12)


@pytest.mark.parametrize("c", [1.0, 1.2, 0.7])
@pytest.mark.parametrize("sizes", [(5, 4, 3), (4, 6, 5, 6, 3)])
def test_many_cycles_end_where_each_right_norm_is_c_times_the_left_norm(sizes, c):
    net = network(sizes)
    equi_normalize_(net.weights, net.biases, c=c, cycles=300)
    for left, right in norms(net):
        torch.testing.assert_close(right, c * left, rtol=1e-9, atol=0)


def test_the_factors_returned_are_those_the_rows_were_multiplied_by():
    net, old = network((4, 5, 3)), network((4, 5, 3))
    (factors,) = equi_normalize_(net.weights, net.biases, cycles=4)
    torch.testing.assert_close(net.weights[0], old.weights[0] * factors.unsqueeze(-1))
    torch.testing.assert_close(net.weights[1], old.weights[1] / factors)
    torch.testing.assert_close(net.biases[0], old.biases[0] * factors)


@pytest.mark.parametrize("biases", [None, [None, None]])
def test_biases_may_be_left_out(biases):
    net, other = network((4, 5, 3)), network((4, 5, 3))
    equi_normalize_(net.weights, biases)
    equi_normalize_(other.weights, other.biases)
    assert_same_bits(net.weights, other.weights)


def test_the_last_bias_is_not_touched():
    net, old = network((4, 5, 5, 3)), network((4, 5, 5, 3))
    equi_normalize_(net.weights, net.biases)
    assert torch.equal(net.biases[-1], old.biases[-1])
    assert not torch.equal(net.biases[-2], old.biases[-2])


# --- units that cannot be balanced


@pytest.mark.parametrize("norm", [2, 3])
@pytest.mark.parametrize("fault", ["row", "column", "both"])
@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_a_unit_without_finite_factor_stays_as_it_is_and_the_others_are_balanced(value, fault, norm):
    net = network((4, 5, 3), dtype=torch.float32)
    if fault in ("row", "both"):
        net.weights[0][2, :] = value
    if fault in ("column", "both"):
        net.weights[1][:, 2] = value
    old = net.copy()
    (factors,) = equi_normalize_(net.weights, net.biases, norm=norm)
    assert factors[2] == 1
    for new, previous in [
        (net.weights[0][2], old.weights[0][2]),
        (net.weights[1][:, 2], old.weights[1][:, 2]),
        (net.biases[0][2], old.biases[0][2]),
    ]:
        assert torch.equal(new.nan_to_num(7), previous.nan_to_num(7))
        assert torch.equal(new.isfinite(), previous.isfinite())
    others = [0, 1, 3, 4]
    weights, biases, _ = reference.equi_normalize(
        [old.weights[0][others], old.weights[1][:, others]], [old.biases[0][others], None], norm=norm
    )
    ours = [net.weights[0][others], net.weights[1][:, others], net.biases[0][others]]
    assert_close(ours, [*weights, biases[0]], 1e-5)


@pytest.mark.parametrize("norm", [2, 3])
def test_a_nan_in_one_run_changes_no_bit_of_another(norm):
    net = network((4, 5, 6, 3), dtype=torch.float32, leading=(3,))
    sound = net.copy()
    net.weights[1][1, 0, 0] = math.nan
    net.weights[0][1] = math.inf
    for n in (net, sound):
        equi_normalize_(n.weights, n.biases, norm=norm, cycles=2)
    assert net.weights[1][1].isnan().any()
    for run in (0, 2):
        assert_same_bits(net.run(run).weights, sound.run(run).weights)
        assert_same_bits(net.run(run).biases, sound.run(run).biases)


@given(
    st.lists(st.sampled_from([1e-30, 1e-10, 1.0, 1e10, 1e30]), min_size=2, max_size=4),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([2, 3]),
    st.integers(1, 3),
)
@example([1e-30, 1e30, 1e30], torch.float32, 2, 1)  # 1e30 * d_2 would overflow before it is divided by d_1
@example([1e30, 1e30, 1e-30], torch.float32, 2, 1)
def test_layers_of_any_scale_stay_finite_and_right(scales, dtype, norm, cycles):
    net = network([4] * (len(scales) + 1), dtype=dtype, bias=False)
    for weight, scale in zip(net.weights, scales, strict=True):
        weight *= scale
    weights, _, _ = reference.equi_normalize(net.weights, None, 1.2, norm, cycles)
    equi_normalize_(net.weights, norm=norm, cycles=cycles)
    assert all(weight.isfinite().all() for weight in net.weights)
    assert_close(net.weights, weights, RTOL[dtype])


# --- leading axes and memory layout


@given(networks(leading=(3,)), st.integers(1, 2))
def test_each_run_of_a_batch_is_bit_for_bit_what_it_is_alone(batch, cycles):
    alone = [batch.run(r) for r in range(3)]
    totals = equi_normalize_(batch.weights, batch.biases, cycles=cycles)
    for r, net in enumerate(alone):
        factors = equi_normalize_(net.weights, net.biases, cycles=cycles)
        assert_same_bits(batch.run(r).weights, net.weights)
        assert_same_bits(batch.run(r).biases, net.biases)
        assert_same_bits([total[r] for total in totals], factors)


@pytest.mark.parametrize("norm", [2, 3])
def test_there_may_be_several_leading_axes(norm):
    net = network((4, 5, 3), leading=(2, 3))
    run = net.run((1, 2))
    equi_normalize_(net.weights, net.biases, norm=norm)
    weights, biases, _ = reference.equi_normalize(run.weights, run.biases, norm=norm)
    assert_close(net.run((1, 2)).weights, weights, 1e-12)
    assert_close(net.run((1, 2)).biases, biases, 1e-12)


@given(networks(leading=(2,)))
def test_tensors_that_are_not_contiguous_give_the_same(net):
    strided = [
        weight.transpose(1, 2).clone(memory_format=torch.contiguous_format).transpose(1, 2) for weight in net.weights
    ]
    biases = clones(net.biases)
    equi_normalize_(strided, biases, cycles=2)
    equi_normalize_(net.weights, net.biases, cycles=2)
    rtol = RTOL[net.weights[0].dtype]
    for ours, theirs in zip([*strided, *biases], [*net.weights, *net.biases], strict=True):
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=rtol, atol=0)


def test_leading_axes_may_be_in_any_order_in_memory():
    net = network((4, 5, 3), leading=(2, 3))
    permuted = [weight.transpose(0, 1).contiguous().transpose(0, 1) for weight in net.weights]
    equi_normalize_(permuted)
    equi_normalize_(net.weights)
    for ours, theirs in zip(permuted, net.weights, strict=True):
        torch.testing.assert_close(ours, theirs)


# --- faults


def test_layers_that_do_not_fit_are_named_with_both_shapes():
    with pytest.raises(ValueError, match=r"weights\[0\].*\(7, 4\).*weights\[1\].*\(3, 8\)"):
        equi_normalize_([torch.ones(7, 4), torch.ones(3, 8)])
    with pytest.raises(ValueError, match=r"\(2, 7, 4\).*\(3, 3, 7\)"):
        equi_normalize_([torch.ones(2, 7, 4), torch.ones(3, 3, 7)])


@pytest.mark.parametrize("weights", [[], [torch.ones(3, 4)]])
def test_one_layer_is_not_enough(weights):
    with pytest.raises(ValueError, match=f"{len(weights)} weight.*at least 2"):
        equi_normalize_(weights)


def test_a_vector_is_no_weight_matrix():
    with pytest.raises(ValueError, match=r"weights\[0\].*\(4,\)"):
        equi_normalize_([torch.ones(4), torch.ones(3, 4)])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match=rf"weights\[1\].*{dtype}"):
        equi_normalize_([torch.ones(4, 3), torch.ones(2, 4, dtype=dtype)])


@pytest.mark.parametrize("name", ["c", "norm"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, None, [1.0], pytest.param(10**400, id="too large")])
def test_c_and_norm_must_be_finite_and_positive(name, value):
    with pytest.raises(ValueError, match=f"^{name} is {re.escape(str(value))}; allowed are finite"):
        equi_normalize_([torch.ones(4, 3), torch.ones(2, 4)], **{name: value})


@pytest.mark.parametrize("cycles", [0, -1, True, 1.5])
def test_cycles_must_be_a_whole_number_from_1(cycles):
    with pytest.raises(ValueError, match=f"cycles is {cycles}"):
        equi_normalize_([torch.ones(4, 3), torch.ones(2, 4)], cycles=cycles)


@pytest.mark.parametrize("biases", [[torch.ones(4)], [torch.ones(3), None], [None, torch.ones(1, 2)]])
def test_biases_that_do_not_fit_are_refused_and_nothing_is_changed(biases):
    net = network((3, 4, 2))
    old = net.copy()
    with pytest.raises(ValueError, match="bias"):
        equi_normalize_(net.weights, biases)
    assert_same_bits(net.weights, old.weights)


@pytest.mark.parametrize("part", ["weights", "biases"])
def test_the_same_tensor_twice_is_refused_and_nothing_is_changed(part):
    net = network((4, 4, 4, 4))
    tensors = getattr(net, part)
    tensors[2] = tensors[0]
    old = net.copy()
    with pytest.raises(ValueError, match=rf"^{part}\[0\] and {part}\[2\] are the same tensor; each layer needs"):
        equi_normalize_(net.weights, net.biases)
    assert_same_bits([*net.weights, *net.biases], [*old.weights, *old.biases])


@pytest.mark.parametrize("part", ["weights", "biases"])
def test_weights_and_biases_on_several_devices_are_refused_and_nothing_is_changed(part):
    net = network((3, 4, 5, 2))
    old = net.copy()
    given = {"weights": list(net.weights), "biases": list(net.biases)}
    given[part][1] = given[part][1].to("meta")
    with pytest.raises(ValueError, match=rf"^{part}\[1\] is on meta, weights\[0\] on cpu; needed is one device"):
        equi_normalize_(given["weights"], given["biases"])
    assert_same_bits([*net.weights, *net.biases], [*old.weights, *old.biases])


# --- class ENorm


def model(dtype=torch.float64, bias=True):
    torch.manual_seed(0)
    layers = [
        nn.Linear(6, 8, bias=bias),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(8, 7, bias=bias),
        nn.ReLU(),
        nn.Linear(7, 3, bias=bias),
    ]
    return nn.Sequential(*layers).to(dtype)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_a_step_leaves_the_outputs_of_a_sequential_model(bias, training):
    net, x = model(bias=bias).train(training), torch.randn(10, 6).double()

    def output():
        torch.manual_seed(3)  # the same dropout masks
        return net(x)

    before, weight = output(), net[0].weight.clone()
    ENorm(net).step()
    assert not torch.allclose(net[0].weight, weight)
    torch.testing.assert_close(output(), before)


def test_a_step_is_algorithm_1_on_the_linear_layers():
    net = model()
    linear = [net[0], net[3], net[5]]
    weights, biases, _ = reference.equi_normalize([m.weight for m in linear], [m.bias for m in linear], 1.5, 1, 2)
    ENorm(net, c=1.5, norm=1, cycles=2).step()
    assert_close([m.weight.detach() for m in linear], weights, 1e-12)
    assert_close([m.bias.detach() for m in linear], biases, 1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_momentum_buffers_become_those_of_the_rescaled_weights(bias):
    net = model(bias=bias).eval()
    x, y = torch.randn(20, 6).double(), torch.randint(3, (20,))
    # A rate of 0: the buffers are the gradient at the present weights, which is what can be compared.
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9)
    enorm = ENorm(net, cycles=3, optimizer=optimizer)
    functional.cross_entropy(net(x), y).backward()
    old = [parameter.grad.clone() for parameter in net.parameters()]
    optimizer.step()
    enorm.step()
    optimizer.zero_grad()
    functional.cross_entropy(net(x), y).backward()
    for parameter, gradient in zip(net.parameters(), old, strict=True):
        torch.testing.assert_close(optimizer.state[parameter]["momentum_buffer"], parameter.grad)
        assert (parameter is net[-1].bias) == torch.allclose(parameter.grad, gradient)


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_before_the_first_sgd_step_there_is_no_buffer_to_rescale(momentum):
    net, other = model(), model()
    ENorm(net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1, momentum=momentum)).step()
    ENorm(other).step()
    assert_same_bits(net.state_dict().values(), other.state_dict().values())


def test_other_optimizers_are_refused_by_name():
    net = model()
    with pytest.raises(ValueError, match="optimizer is of type Adadelta"):
        ENorm(net, optimizer=torch.optim.Adadelta(net.parameters()))


def test_faults_show_when_enorm_is_made_not_at_the_first_step():
    with pytest.raises(ValueError, match="1 weight"):
        ENorm(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    with pytest.raises(ValueError, match=r"^0\.weight with shape \(4, 3\) and 1\.weight .* not adjacent"):
        ENorm(nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2)))
    with pytest.raises(TypeError, match=r"^0\.weight is torch\.float8_e5m2; allowed are torch\.float32, .* and torch"):
        ENorm(model(torch.float8_e5m2))
    with pytest.raises(ValueError, match="c is 0"):
        ENorm(model(), c=0)


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.01), (torch.float16, 0.001)])
def test_a_chain_of_weights_of_16_bits_is_balanced(dtype, tolerance):
    net, x = model(dtype).eval(), torch.randn(20, 6).to(dtype)
    exact = copy.deepcopy(net).double()
    enorm, before = ENorm(net, cycles=4), net(x)
    assert enorm.check(x) < tolerance
    enorm.step()
    ENorm(exact, cycles=4).step()
    for ours, theirs in zip(net.parameters(), exact.parameters(), strict=True):
        assert torch.equal(ours, theirs.to(dtype))  # each entry is rounded once
    assert (net(x) - before).norm() < tolerance * before.norm()


def test_a_chain_may_go_over_several_devices(monkeypatch):
    monkeypatch.setattr(chain, "span", lambda tensor: None)  # fake tensors have no memory
    with FakeTensorMode():  # which refuses what a GPU would
        devices = ["cpu", "cuda:0", "cuda:1"]
        try:
            net = nn.Sequential(*[part for d in devices for part in (nn.Linear(4, 4, device=d), nn.ReLU())])
        except RuntimeError as error:
            if "CUDA driver" not in str(error):
                raise
            pytest.skip(f"torch {torch.__version__} asks for a real GPU where a fake one would do")
        ENorm(net, cycles=2, optimizer=torch.optim.SGD(net.parameters(), lr=0.1)).step()
        assert [str(parameter.device) for parameter in net.parameters()] == [d for d in devices for _ in range(2)]


def test_two_lines_in_a_training_loop_train_a_toy_problem():
    net = model(torch.float32).eval()
    x = torch.randn(200, 6)
    y = x[:, :3].argmax(dim=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    enorm = ENorm(net, optimizer=optimizer)
    losses = []
    for _ in range(150):
        loss = functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        enorm.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    for left, right in norms(Network([net[0].weight, net[3].weight, net[5].weight], [])):
        torch.testing.assert_close(right, 1.2 * left, rtol=0.05, atol=0)
