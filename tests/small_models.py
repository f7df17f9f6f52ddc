"""Small models of the usual kinds, for tests of what ENorm sees of them."""

import torch
from torch import nn
from torch.nn import functional


def mlp():
    layers = [nn.Linear(12, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 9), nn.PReLU(), nn.Linear(9, 5)]
    return nn.Sequential(*layers), torch.randn(4, 12)


def vgg():
    features = [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.LeakyReLU(0.1)]
    head = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10), nn.ReLU(), nn.Linear(10, 4)]
    return nn.Sequential(*features, *head), torch.randn(4, 3, 12, 12)


class Residual(nn.Module):
    """A stem, two blocks of which the second halves the image and has a 1x1 convolution beside it, and a head."""

    def __init__(self, norm=False):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=not norm)
        self.bn = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.first, self.second = Block(6, 6, 1, norm), Block(6, 8, 2, norm)
        self.shortcut = nn.Sequential(nn.Conv2d(6, 8, 1, 2), nn.BatchNorm2d(8) if norm else nn.Identity())
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.bn(self.stem(x)).relu()
        x = functional.relu(x + self.first(x))
        y = self.second(x)
        y += self.shortcut(x)
        return self.head(y.relu_().mean(dim=(2, 3)))


class Block(nn.Sequential):
    def __init__(self, in_, out, stride, norm):
        normal = nn.BatchNorm2d if norm else nn.Identity
        first, second = nn.Conv2d(in_, out, 3, stride, 1), nn.Conv2d(out, out, 3, padding=1, groups=2)
        super().__init__(first, normal(out), nn.ReLU(), second, normal(out))


def resnet():
    return Residual(), torch.randn(4, 3, 8, 8)


def resnet_bn():
    return Residual(norm=True), torch.randn(4, 3, 8, 8)


class Separable(nn.Module):
    """Depthwise and pointwise convolutions, channel shuffle, and squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.expand = nn.Conv2d(3, 12, 1)
        self.depthwise = nn.Conv2d(12, 24, 3, padding=1, groups=12)
        self.grouped = nn.Conv2d(24, 8, 1, groups=4)
        self.squeeze, self.excite = nn.Conv2d(8, 3, 1), nn.Conv2d(3, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = functional.relu(self.expand(x))
        x = functional.leaky_relu(self.depthwise(x), 0.2)
        x = functional.channel_shuffle(x, 2)
        x = torch.clamp(self.grouped(x), min=0)
        gate = functional.adaptive_avg_pool2d(x, 1)
        x = x * torch.sigmoid(self.excite(functional.relu(self.squeeze(gate))))
        return self.head(x.mean([2, 3]))


def mobilenet():
    return Separable(), torch.randn(4, 3, 8, 8)


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(4 + 3 * k, 3, 3, padding=1) for k in range(3))
        self.transition = nn.Conv2d(13, 6, 1)
        self.head = nn.Linear(6 * 4 * 4, 5)

    def forward(self, x):
        found = [self.stem(x).relu()]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)).relu())
        x = functional.avg_pool2d(self.transition(torch.cat(found, 1)).relu(), 2)
        return self.head(x.view(len(x), -1))


def densenet():
    return Dense(), torch.randn(4, 3, 8, 8)


class UNet(nn.Module):
    """Down, up by a transposed convolution and by interpolation, and what was before beside it."""

    def __init__(self):
        super().__init__()
        self.first, self.down = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2, groups=2)
        self.joined, self.last = nn.Conv2d(8, 6, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x):
        before = self.first(x).relu()
        x = functional.relu(self.down(functional.max_pool2d(before, 2)))
        x = self.deep(x).relu()
        x = torch.cat([before, self.up(x).relu()], dim=1)
        return self.last(functional.interpolate(self.joined(x).relu(), scale_factor=2, mode="bilinear"))


def unet():
    return UNet(), torch.randn(4, 3, 8, 8)


class Other(nn.Module):
    """1d and 3d convolutions, control flow, a layer used twice, ties within a layer, zeros as further channels."""

    def __init__(self):
        super().__init__()
        self.volume, self.line = nn.Conv3d(1, 4, 3, padding=1), nn.Conv1d(4, 6, 3, padding=1)
        self.back = nn.ConvTranspose1d(6, 8, 3)
        self.twice, self.onto_itself, self.last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(10, 3)

    def forward(self, x):
        x = functional.relu(self.volume(x)).amax(dim=(-1, -2))
        if float(torch.zeros(())) == 0:
            x = self.line(x).relu()
        x = self.back(x).relu().transpose(1, 2)
        for _ in range(2):
            x = self.twice(x).relu()
        x = functional.pad(x + functional.relu(self.onto_itself(x)), (1, 1))
        return self.last(x / 3.0)


def other():
    return Other(), torch.randn(4, 1, 6, 4, 4)


MODELS = {make.__name__: make for make in (mlp, vgg, resnet, resnet_bn, mobilenet, densenet, unet, other)}


def make(name, dtype=torch.float64, seed=0, wild=True):
    """A model in eval mode with channels of very different scales, and an example."""
    torch.manual_seed(seed)
    model, example = MODELS[name]()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm2d,)):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
                module.bias.normal_()
            elif wild and hasattr(module, "weight") and module.weight.dim() > 1:
                module.weight *= 10 ** (torch.rand(len(module.weight), *[1] * (module.weight.dim() - 1)) * 3 - 1.5)
    return model.to(dtype).eval(), example.to(dtype)
