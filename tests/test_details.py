"""What the studies change: each detail of the protocol does what it says, and nothing else."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from equinorm import ENorm, equi_normalize_, layer_rate_groups, parameter_groups
from equinorm.algorithm import bias_step_factors
from reproduction.data.datasets import DeviceData
from reproduction.protocol.parameters import check_parameters
from reproduction.training import evaluation, loop
from reproduction.training.linear import SGD
from reproduction.training.losses import softmax_cross_entropy
from reproduction.training.measures import measure
from reproduction.training.network import FullyConnected
from reproduction.training.parts import enorm
from reproduction.training.step import step_of

pytestmark = pytest.mark.portable

CPU = torch.device("cpu")
INPUTS, CLASSES = 24, 4


def parameters(variant="enorm_bias", **changed):
    return check_parameters({"variant": variant, "p": 2, **changed})


def network(variant="enorm_bias", seeds=(0, 1)):
    """Weights, biases, gamma and beta all away from their initial values."""
    generator = torch.Generator().manual_seed(4)
    model = FullyConnected(parameters(variant, seeds=list(seeds)), [INPUTS, 12, 12, 12, CLASSES])
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.rand(parameter.shape, generator=generator)
    return model


def images(runs=2, count=9):
    return torch.randn(runs, INPUTS, count, generator=torch.Generator().manual_seed(5))


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


# --- the cure for biases


def linear_layers(c):
    """A float64 network with biases at ENorm's fixed point for c; the same function for every c."""
    torch.manual_seed(0)
    layers = [nn.Linear(in_, out, dtype=torch.float64) for in_, out in [(6, 9), (9, 9), (9, 9), (9, 3)]]
    equi_normalize_([layer.weight for layer in layers], [layer.bias for layer in layers], c=c, cycles=400)
    return layers


def activations(layers, x):
    results = [x]
    for k, layer in enumerate(layers):
        x = layer(x)
        results.append(x.relu() if k < len(layers) - 1 else x)
    return results[1:]


def test_at_the_fixed_point_activations_are_s_k_times_those_for_c_1():
    x = torch.randn(20, 6, dtype=torch.float64)
    plain, scaled = activations(linear_layers(1.0), x), activations(linear_layers(1.3), x)
    for ours, theirs, factor in zip(scaled, plain, bias_step_factors(4, 1.3), strict=True):
        torch.testing.assert_close(ours, theirs * factor**0.5)


@pytest.mark.parametrize("rescaled", [True, False])
def test_bias_steps_times_s_k_squared_are_those_for_c_1(rescaled):
    x, labels = torch.randn(20, 6, dtype=torch.float64), torch.randint(3, (20,))
    after = []
    for c in (1.0, 1.3):
        layers = linear_layers(c)
        functional.cross_entropy(activations(layers, x)[-1], labels).backward()
        with torch.no_grad():
            for layer, factor in zip(layers, bias_step_factors(4, c if rescaled else 1.0), strict=True):
                layer.bias -= 0.1 * factor * layer.bias.grad
            after.append(activations(layers, x)[-1])
    assert torch.allclose(*after, rtol=1e-8) == rescaled


@pytest.mark.parametrize("c", [-1.2, 0.0, float("nan")])
def test_parameter_groups_refuse_a_c_that_enorm_refuses(c):
    with pytest.raises(ValueError, match=r"c is .*; allowed are finite numbers above 0"):
        parameter_groups(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), 0.05, c=c)


@pytest.mark.parametrize("bias", [True, False])
def test_layer_rate_groups_hold_every_parameter_once_with_the_same_decay(bias):
    model = nn.Sequential(nn.Linear(4, 3, bias), nn.ReLU(), nn.Linear(3, 3, bias), nn.ReLU(), nn.Linear(3, 2, bias))
    groups = layer_rate_groups(model, 0.1, c=2.0, weight_decay=0.01)
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(map(id, model.parameters()))
    assert [group["lr"] for group in groups[-3:]] == pytest.approx([0.4, 0.1, 0.025])
    assert [group["lr"] * group["weight_decay"] for group in groups] == pytest.approx([0.001] * len(groups))


def test_parameter_groups_give_torch_sgd_the_trainers_bias_steps():
    model = network(seeds=(0,))
    layers = [nn.Linear(w.shape[2], w.shape[1]) for w in model.weights]
    for layer, weight, bias in zip(layers, model.weights, model.biases, strict=True):
        layer.weight.data, layer.bias.data = weight.data[0].clone(), bias.data[0].clone()
    plain = nn.Sequential(*[m for layer in layers[:-1] for m in (layer, nn.ReLU())], layers[-1])
    optimizer = torch.optim.SGD(parameter_groups(plain, 0.05), weight_decay=0.01)
    balance = ENorm(plain, optimizer=optimizer)
    pixels = torch.randint(256, (16, INPUTS), dtype=torch.uint8)
    labels = torch.randint(CLASSES, (16,))
    scale, offset = torch.full((INPUTS,), 1 / 64), torch.full((INPUTS,), -2.0)
    data = DeviceData(pixels, labels, pixels, labels, scale, offset)
    for _ in range(4):
        optimizer.zero_grad()
        functional.cross_entropy(plain(data.normalise(pixels)), labels).backward()
        optimizer.step()
        balance.step()
        batch = torch.arange(16).unsqueeze(0)
        step_of(model, data, parameters(bias_step="rescaled"), 1, SGD(0.05, 0.01))(batch)
    for layer, weight, bias in zip(layers, model.weights, model.biases, strict=True):
        torch.testing.assert_close(weight[0], layer.weight)
        torch.testing.assert_close(bias[0], layer.bias)


def diverged_seeds(dataset, **changed):
    """Of three, after more than 200 steps of ENorm with biases at p = 19 with Table 1's rate and c = 1.2."""
    cell = {"variant": "enorm_bias", "p": 19, "seeds": [0], "epochs": 9, "batch_size": 64, "dataset": "digits"}
    history, _ = loop.train(check_parameters(cell | changed), dataset, CPU)
    assert history.rows[-1]["step"] >= 200 or history.rows[-1]["diverged"]
    return sorted(row["seed"] for row in history.rows if row["diverged"])


def test_rescaled_bias_steps_keep_enorm_with_biases_finite_at_p_19(digits):
    assert diverged_seeds(digits, bias_step="rescaled") == []
    assert diverged_seeds(digits) == [0]


# --- other cycles


def test_biases_that_are_not_balanced_stay_and_weights_are_rescaled_as_ever():
    model, reference = network(), network()
    enorm.after_step(parameters(balance_biases=False))(model)
    enorm.after_step(parameters())(reference)
    for name, tensor in state(network()).items():
        expected = tensor if name.startswith("biases") else reference.state_dict()[name]
        assert torch.equal(model.state_dict()[name], expected)


def test_the_last_matrix_stays_where_the_last_pair_is_not_balanced():
    model, before = network(), network()
    enorm.after_step(parameters(balance_last_pair=False))(model)
    for ours, theirs in ((model.weights, before.weights), (model.biases, before.biases)):
        assert torch.equal(ours[-1], theirs[-1])
        assert not torch.equal(ours[0], theirs[0])
    assert torch.equal(model.biases[-2], before.biases[-2])


def test_simultaneous_norms_are_those_from_before_the_cycle():
    model, before = network(), network()
    expected = before(images())
    enorm.after_step(parameters(norms="simultaneous"))(model)
    torch.testing.assert_close(model(images()), expected)
    previous = torch.ones(2, INPUTS)
    for k in range(3):
        rows, columns = before.weights[k].norm(dim=2), before.weights[k + 1].norm(dim=1)
        d = (columns / (1.2 * rows)).sqrt()
        torch.testing.assert_close(
            model.weights[k], before.weights[k] * d.unsqueeze(-1) / previous.unsqueeze(-2), rtol=1e-5, atol=1e-6
        )
        previous = d


def test_gamma_and_beta_instead_of_the_row_leave_the_function_as_it_is_under_batch_norm():
    plain, preserving = network("enorm_batch_norm"), network("enorm_batch_norm")
    expected = plain.train()(images())
    enorm.after_step(parameters("enorm_batch_norm"))(plain)
    assert not torch.allclose(plain(images()), expected, rtol=1e-2)
    gamma_beta = enorm.after_step(parameters("enorm_batch_norm", batch_norm_rescaling="gamma_beta"))
    for _ in range(60):
        gamma_beta(preserving)
    torch.testing.assert_close(preserving.train()(images()), expected, rtol=1e-4, atol=1e-4)
    for left, right in zip(preserving.weights, preserving.weights[1:], strict=False):
        torch.testing.assert_close(right.norm(dim=1), 1.2 * left.norm(dim=2), rtol=1e-4, atol=1e-4)


# --- data, loss, learning rate


def test_each_image_by_itself_has_mean_0_and_deviation_1_in_every_channel(small_digits):
    colours = dataclasses.replace(small_digits, train_images=torch.randint(256, (300, 3072), dtype=torch.uint8))
    x = colours.to(CPU, normalisation="image").normalise(colours.train_images).unflatten(1, (3, 1024))
    torch.testing.assert_close(x.mean(dim=2), torch.zeros(300, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(x.std(dim=2, correction=0), torch.ones(300, 3))


def test_an_image_of_one_colour_by_itself_is_0(small_digits):
    data = small_digits.to(CPU, normalisation="image")
    assert not data.normalise(torch.full((2, 3072), 7, dtype=torch.uint8)).any()


def test_a_split_trains_on_the_first_images_and_validates_on_the_rest(small_digits):
    cell = {"variant": "baseline", "p": 0, "epochs": 1, "learning_rate": 0.01, "dataset": "digits"}
    split = check_parameters(cell | {"training_images": 240, "measures": ["validation"]})
    history, model = loop.train(split, small_digits, CPU)
    first = dataclasses.replace(
        small_digits, train_images=small_digits.train_images[:240], train_labels=small_digits.train_labels[:240]
    )
    alone, _ = loop.train(check_parameters(cell), first, CPU)
    assert {key: history.rows[0][key] for key in alone.rows[0]} == alone.rows[0]
    data = small_digits.to(CPU)
    _, accuracy = evaluation.evaluate(model, data.train_images[240:], data.train_labels[240:], data)
    assert history.rows[0]["validation_accuracy"] == accuracy.item()


@pytest.mark.parametrize("count", [300, 301])
def test_a_split_that_leaves_no_validation_images_is_refused(small_digits, count):
    with pytest.raises(ValueError, match=f"training_images = {count}: allowed is less than the 300 of digits"):
        small_digits.to(CPU, training_images=count)


def test_softmax_cross_entropy_is_the_cross_entropy_of_probabilities():
    logits, labels = torch.randn(2, 4, 5), torch.randint(4, (2, 5))
    for r in range(2):
        for i in range(5):
            probabilities = logits[r, :, i].exp() / logits[r, :, i].exp().sum()
            expected = probabilities.exp().sum().log() - probabilities[labels[r, i]]
            torch.testing.assert_close(softmax_cross_entropy(logits, labels)[r, i], expected)


def test_other_decays_of_the_learning_rate():
    cell = {"variant": "enorm_batch_norm", "p": 19, "epochs": 60}
    constant = check_parameters(cell | {"decay": "constant"})
    published = check_parameters(cell | {"decay": "published"})
    assert constant.schedule() == [0.05] * 60
    assert published.schedule()[:2] == [0.05, 0.05 - 0.1 / 60]
    assert published.epoch_learning_rate(31) == pytest.approx(0, abs=1e-12)
    assert published.epoch_learning_rate(32) < 0


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"variant": "enorm", "bias_step": "rescaled"}, "needs a variant with enorm and biases"),
        ({"variant": "baseline_bias", "bias_step": "rescaled"}, "baseline_bias is made of relu, plain, sgd, biases"),
        ({"variant": "enorm", "batch_norm_rescaling": "gamma_beta"}, "with enorm and batch_norm"),
        ({"variant": "enorm", "measures": ["validation"]}, "needs training_images"),
        ({"variant": "enorm", "norms": "both"}, "norms = 'both': must be 'sequential' or"),
    ],
)
def test_a_detail_without_effect_or_unknown_is_refused_in_one_sentence(cell, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_parameters({"p": 1} | cell)
    assert "\n" not in str(caught.value)


# --- measures


def test_layer_norms_are_those_of_each_run_and_layer(small_digits):
    model = network()
    columns = measure(
        model, small_digits.to(CPU), check_parameters({"variant": "enorm", "p": 2, "measures": ["layer_norms"]})
    )
    assert list(columns) == [f"weight_norm_{k:02d}" for k in (1, 2, 3, 4)]
    for values, weight in zip(columns.values(), model.weights, strict=True):
        torch.testing.assert_close(values.float(), weight.flatten(1).norm(dim=1))


def test_reestimated_statistics_are_those_of_the_training_images_and_leave_the_model_as_it_was(small_digits):
    data = small_digits.to(CPU)
    model = FullyConnected(check_parameters({"variant": "batch_norm", "p": 1, "seeds": [0, 1]}))
    with torch.no_grad():
        for layer in model.between:
            layer.running_mean += 5  # stale
    before = state(model)
    wanted = check_parameters({"variant": "batch_norm", "p": 1, "seeds": [0, 1], "measures": ["reestimated"]})
    ours = measure(model, data, wanted)["reestimated_accuracy"]
    for name, tensor in state(model).items():
        assert torch.equal(tensor, before[name])
    assert all(layer.momentum == 0.1 for layer in model.between)
    stale = evaluation.evaluate(model, data.test_images, data.test_labels, data)[1]
    model.train()
    for _ in range(200):  # running statistics go to those of this one batch
        with torch.no_grad():
            model(data.normalise(data.train_images).t().expand(2, -1, -1))
    fresh = evaluation.evaluate(model, data.test_images, data.test_labels, data)[1]
    assert torch.equal(ours, fresh)
    assert not torch.equal(ours, stale)


def test_a_last_part_of_one_image_is_left_out_of_reestimated_statistics(small_digits, monkeypatch):
    """As with training_images = 1001: a single image has no variance."""
    monkeypatch.setattr("reproduction.training.measures._REESTIMATION_BATCH", 23)  # 300 = 13 * 23 + 1
    wanted = check_parameters({"variant": "batch_norm", "p": 1, "dataset": "digits", "measures": ["reestimated"]})
    network, data = FullyConnected(wanted), small_digits.to(CPU)
    column = measure(network, data, wanted)["reestimated_accuracy"]
    fewer = dataclasses.replace(small_digits, train_images=small_digits.train_images[:299])
    assert torch.equal(column, measure(network, fewer.to(CPU), wanted)["reestimated_accuracy"])
