"""The network of many runs: the same, run by run, as one plain torch.nn network."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from equinorm import equi_normalize_, layer_rate_groups, reference
from reproduction.data.datasets import DeviceData
from reproduction.protocol.parameters import check_parameters
from reproduction.protocol.variants import VARIANTS
from reproduction.training import loop
from reproduction.training.linear import SGD
from reproduction.training.network import FullyConnected
from reproduction.training.parts import enorm, layer_rates, path_sgd
from reproduction.training.step import step_of

pytestmark = pytest.mark.portable

# As in the experiments, all sizes are such that a run's matrices start at multiples of 16 bytes: a CPU's matrix
# product may add in another order where they do not.
INPUTS, WIDTH, CLASSES = 24, 12, 4
RATE, DECAY = 0.05, 1e-2


def parameters(name, p=2, seeds=(0,), **changed):
    return check_parameters({"variant": name, "p": p, "seeds": list(seeds), **changed})


def variant_model(name, p=2, seeds=(0,), inputs=INPUTS, width=WIDTH):
    changed = {"width": width} | ({"groups": 2} if "group_norm" in VARIANTS[name].parts else {})
    return FullyConnected(parameters(name, p, seeds, **changed), [inputs, *[width] * (p + 1), CLASSES])


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


# --- against torch.nn, in float64


def plain_copy(model, name, run):
    """The same network of one run as an nn.Sequential, with the same weights."""
    variant, modules = VARIANTS[name], []
    assert variant.between in ("relu", "batch_norm", "group_norm"), "say here what the part is in torch.nn"
    norm = {"batch_norm": nn.BatchNorm1d, "group_norm": lambda out: nn.GroupNorm(2, out)}.get(variant.between)
    for k, weight in enumerate(model.weights):
        _, out, in_ = weight.shape
        linear = nn.Linear(in_, out, bias=variant.biases)
        linear.weight.data = weight.data[run].clone()
        if variant.biases:
            linear.bias.data.zero_()
        modules.append(weight_norm(linear, dim=0) if variant.layer == "weight_norm" else linear)
        if k < len(model.weights) - 1:
            modules += [*([norm(out)] if norm else []), nn.ReLU()]
    return nn.Sequential(*modules).double()


def squared_paths(linear):
    """Path-SGD's kappa of each weight: how much the sum of the outputs, for an input of ones, changes with its square,
    in the network of the squares."""
    squares = [module.weight.detach().square().requires_grad_() for module in linear]
    x = torch.ones(squares[0].shape[1], dtype=torch.float64)
    for square in squares:
        x = square @ x
    return torch.autograd.grad(x.sum(), squares)


class PathSGD:
    """As torch.optim.SGD is used, with kappa from autograd."""

    def __init__(self, linear):
        self.linear, self.ratio = linear, None

    def zero_grad(self):
        for module in self.linear:
            module.weight.grad = None

    @torch.no_grad()
    def step(self):
        with torch.enable_grad():
            kappas = squared_paths(self.linear)
        gradients = [module.weight.grad for module in self.linear]
        if self.ratio is None:
            plain = sum(gradient.square().sum() for gradient in gradients)
            scaled = sum((gradient / kappa).square().sum() for gradient, kappa in zip(gradients, kappas, strict=True))
            self.ratio = (plain / scaled).sqrt()
        for module, gradient, kappa in zip(self.linear, gradients, kappas, strict=True):
            module.weight.mul_(1 - RATE * DECAY).sub_(RATE * self.ratio * gradient / kappa)


def optimizer_of(name, plain, linear):
    """What steps the plain network in the first epoch."""
    if name == "path_sgd":
        return PathSGD(linear)
    groups = plain.parameters()
    if name == "layer_rates":
        groups = layer_rate_groups(plain, RATE, 1.2 ** (1 / layer_rates.RAMP), weight_decay=DECAY)
    return torch.optim.SGD(groups, lr=RATE, weight_decay=DECAY)


@torch.no_grad()
def balance(linear):
    """Algorithm 1."""
    biases = [module.bias for module in linear]
    weights, biases, _ = reference.equi_normalize([module.weight for module in linear], biases, c=1.2)
    for module, weight, bias in zip(linear, weights, biases, strict=True):
        module.weight.copy_(weight)
        if bias is not None:
            module.bias.copy_(bias)


def follow_step(name, linear):
    """What is done to the plain network after each step."""
    after = VARIANTS[name].after_step
    assert after in (None, "enorm"), "say here what the part is in plain PyTorch"
    if after == "enorm":
        balance(linear)


@pytest.mark.parametrize("p", [0, 2])
@pytest.mark.parametrize("name", VARIANTS)
def test_five_steps_are_those_of_a_plain_network_with_torch_sgd(name, p):
    data, run = toy_data(), 1
    model = variant_model(name, p, seeds=(0, 7))
    plain = plain_copy(model, name, run)
    linear = [module for module in plain if isinstance(module, nn.Linear)]
    optimizer = optimizer_of(name, plain, linear)
    batches, expected = batches_of(runs=2, steps=5), []
    for batch in batches[:, run]:
        x = data.train_images[batch].double() / 64 - 2
        loss = functional.cross_entropy(plain(x), data.train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follow_step(name, linear)
        expected.append(loss.detach())
    losses = train(model, name, batches, data)
    close(losses[:, run], torch.stack(expected))
    for weight, module in zip(model.weights, linear, strict=True):
        close(weight[run], module.weight)
    for bias, module in zip(model.biases, linear, strict=False):
        close(bias[run], module.bias)
    norms = [module for module in plain if isinstance(module, nn.BatchNorm1d | nn.GroupNorm)]
    for ours, theirs in zip(model.between, norms, strict=bool(norms)):
        close(ours.gamma[run], theirs.weight)
        close(ours.beta[run], theirs.bias)
        if isinstance(theirs, nn.BatchNorm1d):
            close(ours.running_mean[run], theirs.running_mean)
            close(ours.running_variance[run], theirs.running_var)
    if VARIANTS[name].layer == "weight_norm":
        for ours, theirs in zip(model.layers, linear, strict=True):
            close(ours.g[run].unsqueeze(-1), theirs.parametrizations.weight.original0)
            close(ours.v[run], theirs.parametrizations.weight.original1)
    images = data.normalise(data.test_images)
    with torch.no_grad():
        expected = plain.eval()(images.double())
    close(outputs(model, images.t())[run].t(), expected, 1e-4)


@pytest.mark.parametrize("name", ["batch_norm", "group_norm"])
def test_rates_of_layers_are_those_of_their_matrices_and_gamma_and_beta_have_the_plain_one(name):
    """As `equinorm.layer_rate_groups` has it, whether the backward pass steps gamma and beta or not."""
    data, run = toy_data(), 1
    model = variant_model(name, p=2, seeds=(0, 7))
    model.update = layer_rates.update(1, parameters("layer_rates"))
    plain = plain_copy(model, name, run)
    optimizer = optimizer_of("layer_rates", plain, [])
    batches = batches_of(runs=2, steps=5)
    for batch in batches[:, run]:
        x = data.train_images[batch].double() / 64 - 2
        optimizer.zero_grad()
        functional.cross_entropy(plain(x), data.train_labels[batch]).backward()
        optimizer.step()
    train(model, name, batches, data)
    linear = [module for module in plain if isinstance(module, nn.Linear)]
    for weight, module in zip(model.weights, linear, strict=True):
        close(weight[run], module.weight)
    norms = [module for module in plain if isinstance(module, nn.BatchNorm1d | nn.GroupNorm)]
    for ours, theirs in zip(model.between, norms, strict=True):
        close(ours.gamma[run], theirs.weight)
        close(ours.beta[run], theirs.bias)


def close(ours, theirs, tolerance=1e-5):
    torch.testing.assert_close(ours.detach().double(), theirs.detach().double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", VARIANTS)
def test_autograd_agrees_with_the_steps_that_the_backward_pass_makes(name):
    """A network without steps in its backward pass gets the gradients that the others step by."""
    data, batch = toy_data(), batches_of(runs=2, steps=1)[0]
    stepping, plain = (variant_model(name, seeds=(0, 7)).train() for _ in range(2))
    x = data.normalise(data.train_images[batch]).transpose(1, 2)
    rate = 1e-3
    before = [parameter.detach().clone() for parameter in stepping.parameters()]
    functional.cross_entropy(
        stepping(x, [SGD(rate)] * len(stepping.layers), SGD(rate)), data.train_labels[batch]
    ).backward()
    functional.cross_entropy(plain(x), data.train_labels[batch]).backward()
    for own, old, theirs in zip(stepping.parameters(), before, plain.parameters(), strict=True):
        moved = own.grad if own.grad is not None else (old - own.detach()) / rate
        torch.testing.assert_close(moved, theirs.grad, rtol=1e-2, atol=3e-4)


def test_path_sgd_is_the_same_after_a_rescaling_of_the_network():
    """Its steps commute with rescalings of hidden units; SGD's do not (without weight decay)."""
    data, batches = toy_data(), batches_of(runs=1, steps=4)
    for name, same in (("path_sgd", True), ("baseline", False)):
        model, rescaled = variant_model(name), variant_model(name)
        factors = 2 ** torch.linspace(-2, 2, WIDTH)
        rescaled.weights[0].data *= factors.unsqueeze(-1)
        rescaled.weights[1].data /= factors
        for network in (model, rescaled):
            changed = {"path_ratio": "none"} if name == "path_sgd" else {}
            if changed:
                network.update = path_sgd.update(1, parameters(name, **changed))
            step = step_of(network.train(), data, parameters(name, **changed), 1, SGD(0.02))
            for batch in batches:
                step(batch)
        x = data.normalise(data.test_images).t()
        assert torch.allclose(outputs(model, x), outputs(rescaled, x), rtol=1e-3, atol=1e-3) == same


def test_path_sgd_does_not_overflow_at_p_19(digits):
    cell = {"variant": "path_sgd", "p": 19, "epochs": 1, "batch_size": 64, "dataset": "digits", "learning_rate": 0.01}
    history, _ = loop.train(check_parameters(cell), digits, torch.device("cpu"))
    (row,) = history.rows
    assert not row["diverged"] and row["train_loss"] < 2.6


def test_per_layer_rates_are_what_c_does_to_enorm():
    """ENorm with c after each step is ENorm with c = 1 and the rates c^(L + 1 - 2k), once at its fixed point."""
    data, batches, x = toy_data(), batches_of(runs=1, steps=30), torch.randn(INPUTS, 20)
    settled = {}
    for c, rates in ((1.2, False), (1.0, True), (1.0, False)):
        model = variant_model("enorm")
        equi_normalize_(model.weights, c=c, cycles=300)
        model.after_steps = [enorm.after_step(parameters("enorm", c=c, cycles=100))]
        if rates:
            model.update = layer_rates.update(1, parameters("layer_rates"))
        step = step_of(model.train(), data, parameters("enorm"), layer_rates.RAMP, SGD(0.02))
        for batch in batches:
            step(batch)
        settled[c, rates] = outputs(model, x)
    assert torch.allclose(settled[1.2, False], settled[1.0, True], rtol=1e-3, atol=1e-3)
    assert not torch.allclose(settled[1.2, False], settled[1.0, False], rtol=1e-2, atol=1e-2)
