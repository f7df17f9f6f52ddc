"""The paper's convolutional network: what it is, how its images are cut, its training, its results, its notebook."""

import json
import os
import re
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from reproduction.checkout import REPOSITORY
from reproduction.convolutional import results
from reproduction.convolutional.crops import Crops, middle
from reproduction.convolutional.network import fully_convolutional, weights
from reproduction.convolutional.parameters import check_parameters
from reproduction.convolutional.run import run
from reproduction.convolutional.training import images_of, set_up, train

CPU = torch.device("cpu")
VARIANTS = ("baseline", "batch_norm", "enorm", "enorm_batch_norm")
SMALL = {"epochs": 3, "width": 1 / 16, "learning_rate": 0.01, "batch_size": 64, "dataset": "digits"}


def small(variant="enorm_batch_norm", **changes):
    return check_parameters(SMALL | {"variant": variant} | changes)


def stop_after_one(rows):
    if rows:
        raise KeyboardInterrupt
    return ""


def names(network):
    return [name for name, layer in network.named_children() if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d))]


def test_the_network_is_the_papers():
    network = fully_convolutional(1.0, batch_norm_everywhere=False, seed=0)
    assert [tuple(weight.shape) for weight in weights(network)] == [
        *[(128, 3, 3, 3), (128, 128, 3, 3), (128, 128, 3, 3)],
        *[(256, 128, 3, 3), (256, 256, 3, 3), (256, 256, 3, 3)],
        *[(320, 256, 3, 3), (320, 320, 1, 1), (10, 320, 1, 1)],
    ]
    assert " ".join(names(network)) == "conv1 conv2 conv3 bn3 conv4 conv5 conv6 bn6 conv7 conv8 conv9"
    seen = {}
    for name, layer in network.named_children():
        layer.register_forward_hook(lambda _, given, out, name=name: seen.update({name: tuple(out.shape[1:])}))
    assert network(torch.randn(2, 3, 28, 28)).shape == (2, 10)
    places = {name: seen[name] for name in ("relu3", "pool3", "pool6", "conv9")}
    assert places == {"relu3": (128, 28, 28), "pool3": (128, 14, 14), "pool6": (256, 7, 7), "conv9": (10, 7, 7)}
    order = list(seen)
    assert order[order.index("conv6") : order.index("conv7")] == ["conv6", "bn6", "relu6", "pool6"]


def test_batch_norm_everywhere_is_before_every_relu_and_starts_from_the_same_weights():
    plain, everywhere = (fully_convolutional(0.125, own, seed=3) for own in (False, True))
    order = [name for name, _ in everywhere.named_children()]
    for k in range(1, 9):
        assert order[order.index(f"conv{k}") + 1 :][:2] == [f"bn{k}", f"relu{k}"]
    assert [len(weight) for weight in weights(everywhere)] == [16, 16, 16, 32, 32, 32, 40, 40, 10]
    for own, other in zip(weights(plain), weights(everywhere), strict=True):
        assert torch.equal(own, other)
    assert not torch.equal(weights(plain)[0], weights(fully_convolutional(0.125, False, seed=4))[0])


def test_crops_are_parts_of_their_images_mirrored_or_not_and_follow_from_seed_and_epoch():
    images = torch.rand(40, 3, 32, 32)
    crops = Crops.draw(0, 1, 40, 32, CPU)
    batch = torch.randperm(40)[:25]
    cut = crops.cut(images[batch], batch)
    assert cut.shape == (25, 3, 28, 28)
    for own, k in zip(cut, batch, strict=True):
        part = images[k, :, crops.tops[k] :, crops.lefts[k] :][:, :28, :28]
        assert torch.equal(own, part.flip(-1) if crops.mirrored[k] else part)
    everywhere = Crops.draw(0, 1, 10_000, 32, CPU)
    for drawn, values in ((everywhere.tops, 5), (everywhere.lefts, 5), (everywhere.mirrored, 2)):
        assert np.allclose(np.bincount(drawn, minlength=values), 10_000 / values, rtol=0.1)
    assert torch.equal(Crops.draw(0, 1, 40, 32, CPU).cut(images, torch.arange(40)), crops.cut(images, torch.arange(40)))
    for seed, epoch in ((1, 1), (0, 2)):
        assert not torch.equal(Crops.draw(seed, epoch, 40, 32, CPU).tops, crops.tops)
    assert torch.equal(middle(images), images[:, :, 2:30, 2:30])


def test_images_are_channels_of_rows_as_they_are_stored(small_digits):
    data = small_digits.to(CPU)
    images = images_of(data, data.train_images[:5])
    assert images.shape == (5, 3, 32, 32)
    stored = data.train_images[:5].reshape(5, 3, 32, 32).float() / 255
    assert torch.allclose(images, (stored - small_digits.mean[0]) / small_digits.std[0], atol=1e-6)


@pytest.mark.parametrize("variant", ["enorm", "enorm_batch_norm"])
@pytest.mark.parametrize("rescaling", ["row", "gamma_beta"])
def test_enorm_balances_all_eight_activations_and_keeps_the_function_of_the_untrained_network(
    variant, rescaling, small_digits
):
    data = small_digits.to(CPU)
    training = set_up(small(variant, batch_norm_rescaling=rescaling), data)
    assert "ENorm balances 8 of 8 hidden activations, c = 1.1" in str(training.enorm)
    images = middle(images_of(data, data.test_images))
    assert training.enorm.check(images) < 1e-5
    before = [weight.clone() for weight in weights(training.model)]
    training.enorm.step()
    # Where BN follows every layer, its gammas are what makes the first activation.
    changed = [not torch.equal(own, other) for own, other in zip(before, weights(training.model), strict=True)]
    assert changed == [(variant, rescaling) != ("enorm_batch_norm", "gamma_beta")] + [True] * 8


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_that_was_cut_off_goes_on_to_the_same_bits(variant, small_digits, tmp_path):
    parameters, checkpoint = small(variant), tmp_path / "checkpoint.pt"
    rows, training = train(parameters, small_digits, CPU)

    def cut_off(done):
        if len(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(parameters, small_digits, CPU, checkpoint=checkpoint, on_epoch=cut_off)
    seen = []
    again, resumed = train(
        parameters, small_digits, CPU, checkpoint=checkpoint, on_epoch=lambda rows: seen.append(len(rows))
    )
    assert seen == [2, 3]
    for own, other in zip(rows, again, strict=True):
        assert own | {"seconds": None} == other | {"seconds": None}
    for (name, own), other in zip(
        training.model.state_dict().items(), resumed.model.state_dict().values(), strict=True
    ):
        assert torch.equal(own, other), name
    assert train(small(variant, seed=1), small_digits, CPU)[0][0]["train_loss"] != rows[0]["train_loss"]


def test_convolutions_are_of_float32_whatever_the_process_was_set_to(small_digits):
    if not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("this version of PyTorch has allow_tf32 alone")
    before = torch.backends.fp32_precision
    try:
        torch.backends.fp32_precision = "tf32"
        train(small(epochs=1, width=1 / 128), small_digits, CPU)
        for backend in (torch.backends.mkldnn, torch.backends.cudnn):
            assert backend.conv.fp32_precision == "ieee"
        assert not torch.backends.cudnn.allow_tf32  # can be read: PyTorch refuses where settings contradict each other
    finally:
        torch.backends.fp32_precision = before


def test_training_lowers_the_loss_at_falling_rates(small_digits):
    rows, training = train(small(epochs=4, batch_size=16), small_digits, CPU)
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["test_accuracy"] > 0.3  # by chance 0.1
    norms = [rows[-1][f"norm_{k}"] for k in range(1, 10)]
    assert norms == pytest.approx([float(weight.detach().norm()) for weight in weights(training.model)], rel=1e-5)
    assert rows[-1]["weight_norm"] == pytest.approx(np.linalg.norm(norms))


def test_enorm_holds_the_norms_of_layers_together(small_digits):
    """With c = 1 the norms on both sides of a hidden activation are equal, and so are those of all layers."""

    def spread(variant):
        (row,), _ = train(small(variant, c=1.0, epochs=1), small_digits, CPU)
        norms = [row[f"norm_{k}"] for k in range(1, 10)]
        return max(norms) / min(norms)

    assert spread("baseline") > 1.3
    assert spread("enorm") < 1.2


def test_divergence_is_recorded_and_ends_the_run(small_digits, tmp_path):
    rows, _ = train(small("baseline", learning_rate=1000.0), small_digits, CPU, checkpoint=tmp_path / "c.pt")
    assert len(rows) < 3
    assert rows[-1]["diverged"]
    assert rows[-1]["test_accuracy"] is None
    assert train(small("baseline", learning_rate=1000.0), small_digits, CPU, checkpoint=tmp_path / "c.pt")[0] == rows


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"variant": "enrom"}, "variant = 'enrom': unknown variant 'enrom' (did you mean 'enorm'?)"),
        ({"variant": "path_sgd"}, "known are baseline, batch_norm, enorm, enorm_batch_norm"),
        ({"width": 0.0}, "width = 0.0: must be greater than or equal to 0.0078125"),
        ({"epochs": 0}, "epochs = 0: must be greater than or equal to 1"),
        ({"dataset": "mnist"}, "dataset = 'mnist': unknown data set 'mnist'"),
        ({"batch_norm_rescaling": "rows"}, "batch_norm_rescaling = 'rows': must be 'row' or 'gamma_beta'"),
        ({"depth": 3}, "unknown parameter 'depth'"),
    ],
)
def test_a_wrong_parameter_is_named_in_a_sentence(given, said, tmp_path):
    with pytest.raises(ValueError) as error:
        run(outputs=tmp_path, **{"variant": "enorm"} | given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_was_cut_off_is_kept_while_another_learning_rate_is_tried(tmp_path, monkeypatch):
    parameters = SMALL | {"variant": "enorm", "width": 1 / 128, "epochs": 2}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("reproduction.convolutional.run._describe", stop_after_one)
        run(outputs=tmp_path, device="cpu", **parameters)
    (checkpoint,) = tmp_path.rglob("*.checkpoint.pt")
    run(outputs=tmp_path, device="cpu", **parameters | {"learning_rate": 0.02})
    assert checkpoint.exists()
    seen = []
    monkeypatch.setattr("reproduction.convolutional.run._describe", lambda rows: seen.append(len(rows)) or "")
    files = results.Files(tmp_path, check_parameters(parameters))
    assert files.checkpoint == checkpoint
    files.json.unlink()  # of the other learning rate
    run(outputs=tmp_path, device="cpu", **parameters)
    assert seen == [1, 2]


def test_where_there_is_nothing_to_compare_the_folder_is_named(tmp_path):
    folder = tmp_path / "digits_width_0.0625_epochs_3"
    with pytest.raises(ValueError, match=f"^{re.escape(str(folder))}: holds no run with these parameters"):
        results.comparison(tmp_path, **SMALL | {"variant": "enorm"})


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook's outputs folder, and the notebook after its run there, on a machine that has nothing else."""
    outputs = tmp_path_factory.mktemp("outputs")
    parameters = {"variant": "enorm", "epochs": 1, "width": 1 / 128, "dataset": "digits", "learning_rate": 0.01}
    command = [
        sys.executable, REPOSITORY / "workflow" / "run_notebook.py", "notebooks/convolutional.ipynb",
        "--save-as", outputs / "executed.ipynb", "--outputs", outputs, "--device", "cpu",
        "--parameters", json.dumps(parameters),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return outputs, parameters, nbformat.read(outputs / "executed.ipynb", as_version=4)


def test_the_notebook_trains_shows_what_enorm_balances_and_leaves_its_results(executed):
    outputs, _, notebook = executed
    folder = outputs / "digits_width_0.0078125_epochs_1"
    frame = pd.read_csv(folder / "enorm_seed_0.csv")
    assert frame["epoch"].tolist() == [1]
    assert {"train_loss", "test_loss", "test_accuracy", "weight_norm", "norm_1", "norm_9", "seconds"} <= set(frame)
    made_with = json.loads((folder / "enorm_seed_0.json").read_text())
    assert made_with["parameters"]["width"] == 1 / 128
    assert made_with["device"]["type"] == "cpu"
    assert made_with["data"]["description"] == "digits (scikit-learn), not CIFAR-10"
    shown = json.dumps(notebook)
    assert "ENorm balances 8 of 8 hidden activations" in shown
    assert f"the files are in {folder}" in shown
    assert not list(outputs.rglob("*.pt"))


def test_a_result_is_taken_as_it_is_and_one_that_does_not_fit_or_was_changed_is_named(executed):
    outputs, parameters, _ = executed
    first = run(outputs=outputs, **parameters)
    assert run(outputs=outputs, **parameters).equals(first)  # the seconds, too: nothing is trained
    with pytest.raises(ValueError, match=r"enorm_seed_0.json: is of c = 1.1; give another folder .* remake = True"):
        run(outputs=outputs, **parameters, c=1.2)
    baseline = run(outputs=outputs, **parameters | {"variant": "baseline", "c": 1.2})  # where c has no effect
    assert run(outputs=outputs, **parameters | {"variant": "baseline"}).equals(baseline)
    run(outputs=outputs, **parameters | {"variant": "batch_norm", "momentum": 0.8})  # another training: not compared
    both = results.comparison(outputs, **parameters)
    assert both[["variant", "seed"]].values.tolist() == [["Baseline", 0], ["ENorm", 0]]
    folder = outputs / "digits_width_0.0078125_epochs_1"
    of_ours = (folder / "baseline_seed_0.json").read_text()
    found = json.loads(of_ours)
    found["data"] |= {"description": "other digits", "fingerprint": "0" * 64}
    (folder / "baseline_seed_0.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match=r"its runs are of different data, and not compared: digits .*; other digits"):
        results.comparison(outputs, **parameters)
    with pytest.raises(ValueError, match=r"baseline_seed_0.json: is of other digits .*, at hand is digits .*; give"):
        run(outputs=outputs, **parameters | {"variant": "enorm", "seed": 1})
    assert not (folder / "enorm_seed_1.json").exists()
    (folder / "baseline_seed_0.json").write_text(of_ours)
    path = outputs / "digits_width_0.0078125_epochs_1" / "enorm_seed_0.csv"
    path.write_text(path.read_text().replace("False", "True"))
    with pytest.raises(ValueError, match=r"enorm_seed_0.json: it or its CSV is not as it was written"):
        run(outputs=outputs, **parameters)
    again = run(outputs=outputs, **parameters, remake=True)
    assert again.drop(columns="seconds").equals(first.drop(columns="seconds"))
