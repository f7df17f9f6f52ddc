"""What ENorm balances in torchvision's models, as lib/equinorm/README.md has it.

`python tests/test_torchvision_models.py` prints the table. The models are on the meta device: nothing is computed.
"""

from collections import Counter

import pytest
import torch

from equinorm import ENorm
from reproduction.checkout import REPOSITORY

NAMES = ["alexnet", "vgg11", "vgg11_bn", "resnet18", "mobilenet_v2", "densenet121", "squeezenet1_1", "googlenet"]


def groups(name, batch_norm):
    models = pytest.importorskip("torchvision.models", reason="torchvision, whose models these are, is not installed")
    extra = {"init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        model, example = models.get_model(name, weights=None, **extra), torch.empty(2, 3, 224, 224)
    try:
        return ENorm(model, example=example, batch_norm=batch_norm).groups
    except ValueError as error:
        assert "no hidden activation" in str(error)
        return None


def said(found):
    """Of how many activations how many are balanced; why the others are not, by the function's name."""
    if found is None:
        return "none, which is an error"
    left = Counter(group.reason.split(" (")[0] for group in found if group.reason is not None)
    why = "; left alone: " + ", ".join(f"{count} by {reason}" for reason, count in left.items()) if left else ""
    return f"{len(found) - left.total()} of {len(found)}{why}"


def line(name):
    return f"| {name} | {said(groups(name, None))} | {said(groups(name, 'gamma_beta'))} |"


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_table_is_what_is_balanced(name):
    assert line(name) in (REPOSITORY / "lib" / "equinorm" / "README.md").read_text().splitlines()


def test_channels_of_a_residual_network_are_tied_over_the_blocks_of_a_stage():
    found = groups("resnet18", "gamma_beta")
    (stage,) = [group for group in found if any("layer2.0.downsample" in maker for maker in group.makers)]
    assert stage.count == 128
    assert stage.makers == [
        "layer2.0.bn2 (after layer2.0.conv2)",
        "layer2.0.downsample.1 (after layer2.0.downsample.0)",
        "layer2.1.bn2 (after layer2.1.conv2)",
    ]
    assert stage.takers == ["layer2.1.conv1", "layer3.0.conv1", "layer3.0.downsample.0"]


def test_what_is_used_in_training_alone_is_seen_too():
    """GoogLeNet has two more classifiers then."""
    takers = {taker for group in groups("googlenet", "gamma_beta") for taker in group.takers}
    assert {"aux1.conv.conv", "aux2.fc2"} <= takers


if __name__ == "__main__":
    for name in NAMES:
        print(line(name))
