"""The network of many runs: the same, run by run, as one plain torch.nn network."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from equinorm import reference
from reproduction.data.datasets import DeviceData
from reproduction.protocol.parameters import check_parameters
from reproduction.protocol.variants import VARIANTS
from reproduction.training.linear import SGD
from reproduction.training.network import FullyConnected
from reproduction.training.step import step_of

pytestmark = pytest.mark.portable

# As in the experiments, all sizes are such that a run's matrices start at multiples of 16 bytes: a CPU's matrix
# product may add in another order where they do not.
INPUTS, WIDTH, CLASSES = 24, 12, 4
RATE, DECAY = 0.05, 1e-2


def parameters(name, p=2, seeds=(0,), **changed):
    return check_parameters({"variant": name, "p": p, "seeds": list(seeds), **changed})


def variant_model(name, p=2, seeds=(0,), inputs=INPUTS, width=WIDTH):
    return FullyConnected(parameters(name, p, seeds), [inputs, *[width] * (p + 1), CLASSES])


def toy_data(inputs=INPUTS, classes=CLASSES, images=64):
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randint(256, (images, inputs), generator=generator, dtype=torch.uint8)
    labels = torch.randint(classes, (images,), generator=generator)
    scale, offset = torch.full((inputs,), 1 / 64), torch.full((inputs,), -2.0)
    return DeviceData(pixels, labels, pixels, labels, scale, offset)


def train(model, name, batches, data):
    """One step for each of `batches` [runs, batch]; returns the losses [steps, runs]."""
    step = step_of(model.train(), data, parameters(name), 1, SGD(RATE, DECAY))
    return torch.stack([step(batch) for batch in batches])


@torch.no_grad()
def outputs(model, x):
    """The trained network's [runs, classes, images] for x [inputs, images], the same for all runs."""
    return model.eval()(x.expand(model.runs, -1, -1))


def batches_of(runs, steps, size=12, images=64):
    generator = torch.Generator().manual_seed(6)
    return torch.randint(images, (steps, runs, size), generator=generator)


# --- initial weights


@pytest.mark.parametrize("initialization", ["he_uniform", "he_normal"])
def test_initial_weights_have_variance_2_over_in_and_mean_0(initialization):
    model = FullyConnected(parameters("baseline", 1, [3], initialization=initialization))
    assert [tuple(w.shape) for w in model.weights] == [(1, 500, 3072), (1, 500, 500), (1, 10, 500)]
    for weight, tolerance in zip(model.weights, (0.01, 0.01, 0.1), strict=True):
        deviation = (2 / weight.shape[-1]) ** 0.5
        assert weight.dtype == torch.float32
        assert weight.std().item() == pytest.approx(deviation, rel=tolerance)
        assert abs(weight.mean().item()) < 5 * deviation / weight.numel() ** 0.5


def test_he_uniform_fills_its_bounds_and_he_normal_does_not_keep_to_them():
    bound = (6 / 3072) ** 0.5
    uniform, normal = (
        FullyConnected(parameters("baseline", 0, [3], initialization=name)).weights[0]
        for name in ("he_uniform", "he_normal")
    )
    assert 0.9999 * bound < uniform.max().item() <= bound
    assert -bound <= uniform.min().item() < -0.9999 * bound
    # Of a normal distribution 8.3 % lie beyond sqrt(3) standard deviations.
    assert float((normal.abs() > bound).float().mean()) == pytest.approx(0.083, abs=0.002)


def test_all_variants_with_the_same_seed_and_p_start_from_the_same_weights():
    models = [FullyConnected(parameters(name, 1, [4])) for name in VARIANTS]
    for model in models[1:]:
        for ours, theirs in zip(model.weights, models[0].weights, strict=True):
            assert torch.equal(ours, theirs)


def test_runs_start_from_different_weights_that_depend_on_their_seed_only():
    both, second = variant_model("baseline", seeds=(1, 2)), variant_model("baseline", seeds=(2,))
    for ours, theirs in zip(both.weights, second.weights, strict=True):
        assert torch.equal(ours[1], theirs[0])
        assert not torch.equal(ours[0], ours[1])


def test_layers_start_from_different_weights():
    _, second, third, _ = variant_model("baseline", p=2).weights
    assert not torch.equal(second, third)


def test_biases_and_beta_start_at_0_and_gamma_at_1():
    assert all(not bias.any() for bias in variant_model("enorm_bias").biases)
    for batch_norm in variant_model("batch_norm").between:
        assert not batch_norm.beta.any()
        assert (batch_norm.gamma == 1).all()


@pytest.mark.parametrize("p", [0, 1, 3])
def test_p_layers_lie_between_the_first_and_the_last(p):
    model = variant_model("enorm_bias", p)
    shapes = [(1, 12, 24)] + [(1, 12, 12)] * p + [(1, 4, 12)]
    assert [tuple(weight.shape) for weight in model.weights] == shapes
    assert [tuple(bias.shape) for bias in model.biases] == [shape[:2] for shape in shapes]
    assert len(model.between) == p + 1
    assert outputs(model, torch.randn(24, 5)).shape == (1, 4, 5)


# --- runs


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    ("p", "sizes"), [(0, {}), (3, {}), (1, {"inputs": 3072, "width": 500})], ids=["flat", "deep", "real"]
)
def test_a_run_is_bit_for_bit_what_it_is_alone(name, p, sizes):
    seeds, data = (3, 1, 2), toy_data(**{k: v for k, v in sizes.items() if k == "inputs"})
    together = variant_model(name, p, seeds, **sizes)
    batches = batches_of(runs=3, steps=3)
    x = data.normalise(data.train_images[:20]).t()
    before = outputs(together, x)
    losses = train(together, name, batches, data)
    after = outputs(together, x)
    for r in range(3):
        alone = variant_model(name, p, seeds[r : r + 1], **sizes)
        assert torch.equal(outputs(alone, x)[0], before[r])
        assert torch.equal(train(alone, name, batches[:, r : r + 1], data)[:, 0], losses[:, r])
        assert torch.equal(outputs(alone, x)[0], after[r])
        for ours, theirs in zip(alone.state_dict().values(), together.state_dict().values(), strict=True):
            assert torch.equal(ours[0], theirs[r])


@pytest.mark.parametrize("name", ["enorm_bias", "enorm_batch_norm"])
def test_runs_go_on_bit_for_bit_after_others_are_dropped(name):
    data, batches = toy_data(), batches_of(runs=3, steps=4)
    model, alone = variant_model(name, seeds=(0, 1, 2)), variant_model(name, seeds=(0, 2))
    train(model, name, batches[:2], data)
    model.keep_runs([0, 2])
    train(model, name, batches[2:, [0, 2]], data)
    train(alone, name, batches[:, [0, 2]], data)
    for ours, theirs in zip(model.state_dict().values(), alone.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


# --- against torch.nn


def plain_copy(model, name, run):
    """The same network of one run as an nn.Sequential, with the same weights."""
    variant, modules = VARIANTS[name], []
    last = len(model.weights) - 1
    for k, weight in enumerate(model.weights):
        _, out, in_ = weight.shape
        modules.append(nn.Linear(in_, out, bias=variant.biases))
        modules[-1].weight.data = weight.data[run].clone()
        if variant.biases:
            modules[-1].bias.data.zero_()
        if k < last:
            modules += [nn.BatchNorm1d(out)] * (variant.between == "batch_norm") + [nn.ReLU()]
    return nn.Sequential(*modules)


@pytest.mark.parametrize("p", [0, 2])
@pytest.mark.parametrize("name", VARIANTS)
def test_five_steps_are_those_of_a_plain_network_with_torch_sgd(name, p):
    data, run = toy_data(), 1
    model = variant_model(name, p, seeds=(0, 7))
    plain = plain_copy(model, name, run)
    linear = [module for module in plain if isinstance(module, nn.Linear)]
    optimizer = torch.optim.SGD(plain.parameters(), lr=RATE, weight_decay=DECAY)
    batches, expected = batches_of(runs=2, steps=5), []
    for batch in batches[:, run]:
        x = data.train_images[batch].float() / 64 - 2
        loss = functional.cross_entropy(plain(x), data.train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if VARIANTS[name].after_step == "enorm":
            biases = [m.bias for m in linear] if VARIANTS[name].biases else None
            weights, biases, _ = reference.equi_normalize([m.weight for m in linear], biases, c=1.2)
            for module, weight, bias in zip(linear, weights, biases, strict=True):
                module.weight.data = weight.float()
                if bias is not None:
                    module.bias.data = bias.float()
        expected.append(loss.detach())
    losses = train(model, name, batches, data)
    tolerance = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(losses[:, run], torch.stack(expected), **tolerance)
    for weight, module in zip(model.weights, linear, strict=True):
        torch.testing.assert_close(weight[run], module.weight, **tolerance)
    for bias, module in zip(model.biases, linear, strict=False):
        torch.testing.assert_close(bias[run], module.bias, **tolerance)
    batch_norms = [module for module in plain if isinstance(module, nn.BatchNorm1d)]
    for ours, theirs in zip(model.between, batch_norms, strict=bool(batch_norms)):
        torch.testing.assert_close(ours.gamma[run], theirs.weight, **tolerance)
        torch.testing.assert_close(ours.beta[run], theirs.bias, **tolerance)
        torch.testing.assert_close(ours.running_mean[run], theirs.running_mean, **tolerance)
        torch.testing.assert_close(ours.running_variance[run], theirs.running_var, **tolerance)
    images = data.normalise(data.test_images)
    with torch.no_grad():
        expected = plain.eval()(images)
    torch.testing.assert_close(outputs(model, images.t())[run].t(), expected, rtol=1e-4, atol=1e-4)
