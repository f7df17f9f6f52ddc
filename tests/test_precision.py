"""Precision as a parameter: named in every result, never mixed, and close to float32 where it should be."""

import dataclasses

import pytest
import torch

from reproduction.protocol.parameters import check_parameters
from reproduction.run import run as run_cell
from reproduction.training import loop
from reproduction.training.network import FullyConnected

pytestmark = pytest.mark.portable

CPU = torch.device("cpu")
GIVEN = {"variant": "enorm", "p": 1, "seeds": [0], "epochs": 3, "learning_rate": 0.01, "dataset": "digits"}


def losses(digits, precision):
    history, model = loop.train(check_parameters(GIVEN | {"precision": precision}), digits, CPU)
    assert all(weight.dtype == torch.float32 for weight in model.weights)
    return [row["train_loss"] for row in history.rows]


def test_bfloat16_products_train_like_float32_but_not_the_same(digits):
    exact, rounded = losses(digits, "float32"), losses(digits, "bfloat16")
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.05)


def test_bfloat16_training_does_not_depend_on_siblings(small_digits):
    alone = loop.train(check_parameters(GIVEN | {"precision": "bfloat16", "seeds": [1]}), small_digits, CPU)[0]
    both = loop.train(check_parameters(GIVEN | {"precision": "bfloat16", "seeds": [0, 1]}), small_digits, CPU)[0]
    assert [row for row in both.rows if row["seed"] == 1] == alone.rows


def test_precision_is_in_the_result(tmp_path):
    result = run_cell(**GIVEN, precision="bfloat16", outputs=str(tmp_path), device="cpu")
    assert result.metadata["parameters"]["precision"] == result.parameters.precision == "bfloat16"


def test_tf32_is_refused_without_a_gpu(digits):
    with pytest.raises(ValueError, match="precision = 'tf32': a CUDA GPU is needed"):
        loop.train(check_parameters(GIVEN | {"precision": "tf32"}), digits, CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU: its numbers against the CPU's")
@pytest.mark.parametrize("variant", ["baseline", "batch_norm", "enorm", "enorm_batch_norm", "enorm_bias"])
def test_gpu_gives_the_losses_of_the_cpu(digits, variant):
    parameters = check_parameters(GIVEN | {"variant": variant, "seeds": [0, 1], "epochs": 9})
    on_cpu, on_gpu = (
        torch.cat([loop.train_epoch(model, data, parameters, [0, 1], epoch) for epoch in range(1, 10)], dim=1).cpu()
        for data, model in (
            (digits.to(device), FullyConnected(parameters).to(device)) for device in (CPU, torch.device("cuda"))
        )
    )
    assert on_cpu.shape == (2, 54)
    torch.testing.assert_close(on_gpu[:, :50], on_cpu[:, :50], rtol=1e-4, atol=0)


def test_a_data_set_of_one_image_too_many_is_refused_for_bn(small_digits):
    one_more = dataclasses.replace(
        small_digits,
        train_images=small_digits.train_images[:257],
        train_labels=small_digits.train_labels[:257],
    )
    with pytest.raises(ValueError, match="batch_size = 256: leaves a last batch of 1 image"):
        loop.train(check_parameters(GIVEN | {"variant": "batch_norm"}), one_more, CPU)
