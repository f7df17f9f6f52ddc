"""Training: the schedule, the rows, and that runs neither see each other nor the interruptions."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from reproduction.protocol.history import COLUMNS
from reproduction.protocol.parameters import check_parameters
from reproduction.protocol.variants import VARIANTS
from reproduction.training import evaluation, loop
from reproduction.training.network import FullyConnected

pytestmark = pytest.mark.portable

CPU = torch.device("cpu")


def parameters(variant="baseline", **changes):
    """300 images make two batches of 128 and one of 44."""
    given = {"p": 0, "seeds": [0], "epochs": 2, "batch_size": 128, "learning_rate": 0.01, "dataset": "digits"}
    return check_parameters({"variant": variant} | given | changes)


def rows_of(dataset, variant="baseline", **changes):
    history, _ = loop.train(parameters(variant, **changes), dataset, CPU)
    return history.rows


def of_seed(rows, seed):
    return [row for row in rows if row["seed"] == seed]


# --- rows


def test_there_is_one_row_per_run_and_epoch_with_all_columns(small_digits):
    rows = rows_of(small_digits, "enorm", p=1, seeds=[3, 5], epochs=3)
    assert [(row["epoch"], row["seed"], row["step"]) for row in rows] == [
        (1, 3, 3),
        (1, 5, 3),
        (2, 3, 6),
        (2, 5, 6),
        (3, 3, 9),
        (3, 5, 9),
    ]
    for row in rows:
        assert tuple(row) == COLUMNS
        assert (row["variant"], row["p"], row["diverged"]) == ("enorm", 1, False)
        assert 0 <= row["test_accuracy"] <= 1


def test_the_learning_rate_falls_linearly_once_per_epoch(small_digits, monkeypatch):
    used, forward = [], FullyConnected.forward

    def spy(network, x, steps=None, *others):
        used.extend(steps[:1] if steps else [])
        return forward(network, x, steps, *others)

    monkeypatch.setattr(FullyConnected, "forward", spy)
    rows = rows_of(small_digits, epochs=4, learning_rate=0.08, weight_decay=0.002)
    expected = [0.08, 0.06, 0.04, 0.02]
    assert [row["learning_rate"] for row in rows] == pytest.approx(expected)
    assert [sgd.learning_rate for sgd in used] == pytest.approx(np.repeat(expected, 3))
    assert {sgd.weight_decay for sgd in used} == {0.002}


def test_every_epoch_shows_each_image_once_in_another_order(small_digits, monkeypatch):
    seen = []

    def note(batch):
        seen.append(batch)
        return torch.zeros(len(batch))

    monkeypatch.setattr(loop, "step_of", lambda *arguments: note)
    rows_of(small_digits, seeds=[0, 1])
    assert [batch.shape[1] for batch in seen] == [128, 128, 44] * 2
    orders = [torch.cat(seen[k : k + 3], dim=1)[run] for k in (0, 3) for run in (0, 1)]
    for k, order in enumerate(orders):
        assert torch.equal(order.sort().values, torch.arange(300))
        assert not any(torch.equal(order, other) for other in orders[:k])


def test_train_loss_is_the_mean_over_all_images_though_the_last_batch_is_smaller(small_digits):
    # With hardly a step made, the mean over the epoch is the initial network's loss on the training images.
    frozen = parameters(learning_rate=1e-30, weight_decay=0.0, epochs=1)
    history, model = loop.train(frozen, small_digits, CPU)
    data = small_digits.to(CPU)
    loss, _ = evaluation.evaluate(model, data.train_images, data.train_labels, data)
    assert history.rows[0]["train_loss"] == pytest.approx(float(loss[0]), rel=1e-6)


def test_rows_hold_the_final_models_loss_accuracy_and_norm(small_digits):
    history, model = loop.train(parameters("enorm_bias", seeds=[0, 1]), small_digits, CPU)
    data = small_digits.to(CPU)
    losses, accuracies = evaluation.evaluate(model, data.test_images, data.test_labels, data)
    for r, row in enumerate(history.rows[-2:]):
        assert row["test_loss"] == float(losses[r])
        assert row["test_accuracy"] == float(accuracies[r])
        squares = sum(float(weight[r].detach().double().square().sum()) for weight in model.weights)
        assert row["weight_norm"] == pytest.approx(math.sqrt(squares), rel=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_learns_digits(small_digits, variant):
    rows = rows_of(small_digits, variant, p=1, epochs=4)
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    assert rows[-1]["test_accuracy"] > 0.6


def test_c_and_cycles_are_those_of_the_parameters(small_digits):
    _, model = loop.train(parameters("enorm", p=1, c=1.5, cycles=60, epochs=1), small_digits, CPU)
    for left, right in pairwise(model.weights):
        torch.testing.assert_close(right.norm(dim=-2), 1.5 * left.norm(dim=-1), rtol=1e-4, atol=0)


def test_the_initialization_is_that_of_the_parameters():
    normal, uniform = (FullyConnected(parameters(initialization=name)) for name in ("he_normal", "he_uniform"))
    assert normal.weights[0].abs().max() > 2 * uniform.weights[0].abs().max()


@pytest.mark.parametrize("variant", ["baseline_bias", "batch_norm"])
def test_evaluate_is_the_mean_over_all_images(digits, variant):
    _, model = loop.train(parameters(variant, seeds=[0, 1], epochs=1, batch_size=300), digits, CPU)
    data = digits.to(CPU)
    ours = evaluation.evaluate(model, data.train_images, data.train_labels, data)  # 1500 images: more than one batch
    assert [tensor.dtype for tensor in ours] == [torch.float64, torch.float64]
    x = (digits.train_images.double() / 255 - digits.mean[0]) / digits.std[0]
    logits = x.float().t().expand(2, -1, -1)
    with torch.no_grad():
        logits = model.eval()(logits).double().transpose(1, 2)
    for run in range(2):
        loss = functional.cross_entropy(logits[run], digits.train_labels)
        right = (logits[run].argmax(dim=1) == digits.train_labels).double().mean()
        assert float(ours[0][run]) == pytest.approx(float(loss), rel=1e-5)
        assert float(ours[1][run]) == pytest.approx(float(right), abs=1e-3)


# --- reproducibility


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_runs_rows_do_not_depend_on_the_other_seeds(small_digits, variant):
    together = rows_of(small_digits, variant, seeds=[0, 1, 2])
    alone = rows_of(small_digits, variant, seeds=[2])
    assert of_seed(together, 2) == alone


@pytest.mark.parametrize("variant", ["enorm_bias", "enorm_batch_norm"])
def test_the_same_seed_gives_the_same_bits(small_digits, variant):
    first, again = (loop.train(parameters(variant, p=1), small_digits, CPU) for _ in range(2))
    assert first[0].rows == again[0].rows
    for ours, theirs in zip(first[1].state_dict().values(), again[1].state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_other_seeds_give_other_rows(small_digits):
    rows = rows_of(small_digits, seeds=[0, 1], epochs=1)
    assert rows[0]["train_loss"] != rows[1]["train_loss"]


class Interruption(Exception):
    pass


def interrupt_after(epochs):
    def on_epoch(history):
        if len(history.epoch_seconds) == epochs:
            raise Interruption

    return on_epoch


@pytest.mark.parametrize("variant", ["baseline", "enorm_bias", "enorm_batch_norm"])
def test_an_interrupted_training_goes_on_where_it_was(small_digits, tmp_path, variant):
    p, path = parameters(variant, seeds=[0, 1], epochs=3), tmp_path / "checkpoint.pt"
    whole, expected = loop.train(p, small_digits, CPU)
    with pytest.raises(Interruption):
        loop.train(p, small_digits, CPU, checkpoint=path, on_epoch=interrupt_after(2))
    seen = []
    resumed, model = loop.train(
        p, small_digits, CPU, checkpoint=path, on_epoch=lambda history: seen.append(len(history.epoch_seconds))
    )
    assert seen == [2, 3]  # only the third epoch was trained
    assert resumed.rows == whole.rows
    for ours, theirs in zip(model.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_on_epoch_is_called_before_the_first_epoch_and_after_each(small_digits):
    seen = []
    loop.train(
        parameters(),
        small_digits,
        CPU,
        on_epoch=lambda history: seen.append((len(history.epoch_seconds), len(history.rows))),
    )
    assert seen == [(0, 0), (1, 1), (2, 2)]


def test_a_finished_training_is_not_trained_again(small_digits, tmp_path, monkeypatch):
    p, path = parameters(), tmp_path / "checkpoint.pt"
    first, _ = loop.train(p, small_digits, CPU, checkpoint=path)
    monkeypatch.setattr(loop, "train_epoch", None)
    again, _ = loop.train(p, small_digits, CPU, checkpoint=path)
    assert again == first


# --- divergence


@pytest.fixture
def break_run(monkeypatch):
    """break_run(r, k) makes a weight of run r NaN right after the k-th SGD step of the training."""

    def set_up(run, step):
        step_of, made = loop.step_of, []

        def broken_step_of(network, *arguments):
            make = step_of(network, *arguments)

            def broken(batch):
                losses = make(batch)
                made.append(losses)
                if len(made) == step:
                    network.weights[0].data[run, 7, 7] = math.nan
                return losses

            return broken

        monkeypatch.setattr(loop, "step_of", broken_step_of)

    return set_up


@pytest.mark.parametrize("variant", ["enorm_bias", "enorm_batch_norm"])
@pytest.mark.parametrize(
    ("broken_after", "epoch", "step"),
    [(1, 1, 2), (3, 1, 3), (4, 2, 5)],
    ids=["early", "seen by the evaluation", "second epoch"],
)
def test_a_diverged_run_is_recorded_and_its_siblings_go_on_the_same(
    small_digits, break_run, variant, broken_after, epoch, step
):
    sound = rows_of(small_digits, variant, seeds=[4, 5, 6])
    break_run(1, broken_after)
    rows = rows_of(small_digits, variant, seeds=[4, 5, 6])
    assert of_seed(rows, 4) == of_seed(sound, 4)
    assert of_seed(rows, 6) == of_seed(sound, 6)
    *earlier, last = of_seed(rows, 5)
    assert earlier == of_seed(sound, 5)[: epoch - 1]
    assert (last["epoch"], last["step"], last["diverged"]) == (epoch, step, True)
    assert tuple(last) == COLUMNS
    assert all(last[name] is None for name in ("train_loss", "test_loss", "test_accuracy", "weight_norm"))


def test_the_model_returned_holds_the_runs_that_did_not_diverge(small_digits, break_run):
    _, expected = loop.train(parameters(seeds=[4, 6]), small_digits, CPU)
    break_run(1, 2)
    _, model = loop.train(parameters(seeds=[4, 5, 6]), small_digits, CPU)
    for ours, theirs in zip(model.weights, expected.weights, strict=True):
        assert torch.equal(ours, theirs)


def test_a_rate_that_is_far_too_large_is_recorded_with_the_first_step_whose_loss_is_not_finite(
    small_digits, monkeypatch
):
    losses, step_of = [], loop.step_of

    def spied(*arguments):
        step = step_of(*arguments)

        def spy(batch):
            losses.append(step(batch))
            return losses[-1]

        return spy

    monkeypatch.setattr(loop, "step_of", spied)
    rows = rows_of(small_digits, "enorm_bias", p=2, seeds=[0, 1], epochs=8, learning_rate=1000)
    diverged = [row for row in rows if row["diverged"]]
    assert sorted(row["seed"] for row in diverged) == [0, 1]
    for row in diverged:
        assert of_seed(rows, row["seed"])[-1] is row
    assert not losses[diverged[0]["step"] - 1].isfinite().all()
    assert all(loss.isfinite().all() for loss in losses[: min(row["step"] for row in diverged) - 1])


def test_training_stops_when_all_runs_have_diverged_and_is_resumed_as_such(small_digits, break_run, tmp_path):
    p, path = parameters(epochs=5), tmp_path / "checkpoint.pt"
    break_run(0, 2)
    history, model = loop.train(p, small_digits, CPU, checkpoint=path)
    assert [(row["epoch"], row["diverged"]) for row in history.rows] == [(1, True)]
    assert len(history.epoch_seconds) == 1
    assert model.runs == 0
    resumed, _ = loop.train(p, small_digits, CPU, checkpoint=path)
    assert resumed == history


def test_an_interrupted_training_with_a_diverged_run_goes_on_where_it_was(small_digits, break_run, tmp_path):
    p, path = parameters("enorm_batch_norm", seeds=[0, 1, 2], epochs=3), tmp_path / "checkpoint.pt"
    break_run(1, 2)
    with pytest.raises(Interruption):
        loop.train(p, small_digits, CPU, checkpoint=path, on_epoch=interrupt_after(1))
    resumed, _ = loop.train(p, small_digits, CPU, checkpoint=path)
    assert of_seed(resumed.rows, 1)[-1]["diverged"]
    without = rows_of(small_digits, "enorm_batch_norm", seeds=[0, 2], epochs=3)
    assert [row for row in resumed.rows if row["seed"] != 1] == without


# --- warm-up, draws, cycles before training


def test_a_warm_up_grows_step_by_step_and_then_the_schedule_goes_on(small_digits, monkeypatch):
    used, forward = [], FullyConnected.forward

    def spy(network, x, steps=None, *others):
        used.extend(steps[:1] if steps else [])
        return forward(network, x, steps, *others)

    monkeypatch.setattr(FullyConnected, "forward", spy)
    rows_of(small_digits, epochs=3, learning_rate=0.06, warmup=2)
    grown = [0.06 * (k + 1) / 6 for k in range(3)] + [0.04 * (k + 1) / 6 for k in range(3, 6)]
    assert [sgd.learning_rate for sgd in used] == pytest.approx([*grown, *[0.02] * 3])


def test_a_training_cut_off_in_its_warm_up_goes_on_bit_for_bit(small_digits, tmp_path):
    p, path = parameters("path_sgd", epochs=3, warmup=2), tmp_path / "checkpoint.pt"
    whole, _ = loop.train(p, small_digits, CPU)
    with pytest.raises(Interruption):
        loop.train(p, small_digits, CPU, checkpoint=path, on_epoch=interrupt_after(1))
    resumed, _ = loop.train(p, small_digits, CPU, checkpoint=path)
    assert resumed.rows == whole.rows


def test_independent_draws_are_others_at_each_depth_and_the_same_for_all_variants():
    def first_weights(variant, p, draws):
        return FullyConnected(parameters(variant, p=p, draws=draws)).weights[0]

    assert torch.equal(first_weights("baseline", 1, "shared"), first_weights("baseline", 2, "shared"))
    drawn = [
        first_weights("baseline", p, draws) for p, draws in ((1, "shared"), (1, "independent"), (2, "independent"))
    ]
    assert not any(torch.equal(a, b) for a, b in combinations(drawn, 2))
    assert torch.equal(drawn[1], first_weights("enorm", 1, "independent"))


def test_independent_draws_shuffle_in_another_order(small_digits):
    data = small_digits.to(CPU)
    orders = [
        torch.cat(loop.epoch_batches(data, parameters(p=p, draws=draws), [0], 1), dim=1)[0]
        for p, draws in ((1, "shared"), (2, "shared"), (1, "independent"), (2, "independent"))
    ]
    assert torch.equal(orders[0], orders[1])
    assert not any(torch.equal(a, b) for a, b in combinations(orders[1:], 2))


@pytest.mark.parametrize(("own", "c"), [({"variant": "baseline"}, 1.0), ({"variant": "enorm", "c": 1.3}, 1.3)])
def test_initial_cycles_balance_the_network_once(own, c):
    balanced, plain = (FullyConnected(parameters(p=2, initial_cycles=cycles, **own)) for cycles in (300, 0))
    for left, right in pairwise(balanced.weights):
        torch.testing.assert_close(c * left.norm(dim=2), right.norm(dim=1), rtol=1e-3, atol=1e-3)
    x = torch.randn(1, 3072, 5)
    torch.testing.assert_close(balanced(x), plain(x), rtol=1e-3, atol=1e-3)
