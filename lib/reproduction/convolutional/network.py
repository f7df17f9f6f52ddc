"""The network: CIFAR-NV of Gitman and Ginsburg (2017), as Stock et al. (2019) and their published code have it."""

from collections import OrderedDict

from torch import nn

from reproduction.training import randomness

LAYERS = (  # name, channels at full width, kernel
    ("conv1", 128, 3), ("conv2", 128, 3), ("conv3", 128, 3),
    ("conv4", 256, 3), ("conv5", 256, 3), ("conv6", 256, 3),
    ("conv7", 320, 3), ("conv8", 320, 1),
)  # fmt: skip
"""The hidden layers. The last, `conv9`, is 1 x 1 and gives the classes."""
BLOCK_ENDS = ("conv3", "conv6")
"""Layers that BatchNorm follows in every variant, and max-pooling after the ReLU."""


def fully_convolutional(
    width: float, batch_norm_everywhere: bool, seed: int, in_channels: int = 3, classes: int = 10
) -> nn.Sequential:
    """The untrained network: images ``[images, in_channels, 28, 28]`` -> logits ``[images, classes]``.

    Weights are normal with variance 2 / fan_in, the same for a seed whatever the variant; there are no biases.
    """
    modules, channels = OrderedDict(), in_channels
    for name, full, kernel in LAYERS:
        number, channels_in, channels = name.removeprefix("conv"), channels, round(full * width)
        modules[name] = nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=False)
        if batch_norm_everywhere or name in BLOCK_ENDS:
            modules[f"bn{number}"] = nn.BatchNorm2d(channels)
        modules[f"relu{number}"] = nn.ReLU()
        if name in BLOCK_ENDS:
            modules[f"pool{number}"] = nn.MaxPool2d(3, stride=2, padding=1)
    modules["conv9"] = nn.Conv2d(channels, classes, 1, bias=False)
    modules["average"] = nn.AdaptiveAvgPool2d(1)
    modules["logits"] = nn.Flatten()
    generator = randomness.initialization(seed)
    for layer in modules.values():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
    return nn.Sequential(modules)


def weights(network: nn.Sequential) -> list[nn.Parameter]:
    """Of the nine convolutions, from the input to the output."""
    return [layer.weight for layer in network if isinstance(layer, nn.Conv2d)]
