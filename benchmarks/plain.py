"""The plain way to write this training, as a tutorial would, and as the 2019 report's code did.

PIL images through torchvision transforms in a DataLoader, one `nn.Linear` after the other, `torch.optim.SGD`, ENorm by
diagonal matrices, a test set in batches of 4.
"""

import time
from collections.abc import Callable
from itertools import pairwise

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms

from benchmarks.cell import Cell
from benchmarks.table import ratio
from benchmarks.timing import interleaved, timed
from reproduction.data.datasets import Dataset
from reproduction.protocol.parameters import Parameters

_AT_LEAST = {1: 12, 9: 10, 19: 9}  # at the fastest precision


def run(asked):
    """The plain way over this trainer: an epoch of enorm with its evaluation (the plain one, told from a part)."""
    for p in asked.p or _AT_LEAST:
        cells = {name: Cell(asked.images, "enorm", p, name) for name in asked.precision or ["float32", "bfloat16"]}
        plain = Plain(asked.images, next(iter(cells.values())).parameters)
        measures = {"plain": plain.epoch_seconds} | {name: timed(cell.epoch) for name, cell in cells.items()}
        times = interleaved(measures, asked.rounds(3))
        fastest = times[list(cells)].median().idxmin()
        for name in cells:
            goal = _AT_LEAST.get(p) if name == fastest else None
            yield ratio(times, "plain", name, f"an epoch, p = {p}", goal, at_least=True)


class Plain:
    """Trains one network of enorm the plain way."""

    def __init__(self, images: Dataset, parameters: Parameters) -> None:
        normalise = transforms.Normalize(images.mean, images.std)
        transform = transforms.Compose([transforms.ToTensor(), normalise, transforms.Lambda(torch.flatten)])
        train = Images(images.train_images, images.train_labels, transform)
        test = Images(images.test_images, images.test_labels, transform)
        self.train_batches = DataLoader(train, parameters.batch_size, shuffle=True, num_workers=2)
        self.test_batches = DataLoader(test, 4, num_workers=2)
        layers = [nn.Linear(in_, out, bias=False) for in_, out in pairwise(parameters.sizes())]
        self.network = nn.Sequential(layers[0], *(module for layer in layers[1:] for module in (nn.ReLU(), layer)))
        self.layers, self.loss, self.c = layers, nn.CrossEntropyLoss(), parameters.c
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-3, weight_decay=parameters.weight_decay)

    def epoch_seconds(self) -> float:
        return _seconds(self.train_batches, self.step, 8, 40) + _seconds(self.test_batches, self.test, 25, 125)

    def step(self, images: Tensor, labels: Tensor) -> float:
        self.optimizer.zero_grad()
        loss = self.loss(self.network(images), labels)
        loss.backward()
        self.optimizer.step()
        self.balance()
        return loss.item()

    @torch.no_grad()
    def balance(self) -> None:
        """One cycle of ENorm, as the paper writes it."""
        for left, right in pairwise(self.layers):
            d = torch.sqrt(torch.norm(right.weight, dim=0) / (self.c * torch.norm(left.weight, dim=1)))
            left.weight.copy_(torch.mm(torch.diag(d), left.weight))
            right.weight.copy_(torch.mm(right.weight, torch.diag(1 / d)))

    @torch.no_grad()
    def test(self, images: Tensor, labels: Tensor) -> int:
        return (self.network(images).argmax(dim=1) == labels).sum().item()


class Images:
    """PIL images and labels, as torchvision's CIFAR10 gives them."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Image.Image], Tensor]) -> None:
        self.images = images.view(-1, 3, 32, 32).permute(0, 2, 3, 1).contiguous().numpy()
        self.labels, self.transform = labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def _seconds(batches: DataLoader, work: Callable[[Tensor, Tensor], float], first: int, more: int) -> float:
    """Of `work` on all batches: the `first` as they come, while workers start, the rest at the rate of some `more`."""
    start = time.perf_counter()
    for done, (images, labels) in enumerate(batches, start=1):
        work(images, labels)
        if done == first:
            middle = time.perf_counter()
        if done == first + more:
            return middle - start + (time.perf_counter() - middle) / more * (len(batches) - first)
    return time.perf_counter() - start
