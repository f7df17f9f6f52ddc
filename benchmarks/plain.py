"""The plain way to write this training, over the library's trainer: an epoch of enorm with its evaluation.

What a tutorial would do, and the 2019 report's code did: PIL images through torchvision transforms in a DataLoader, one
`nn.Linear` after the other, `torch.optim.SGD`, ENorm by diagonal matrices, a test set in batches of 4.
"""

import time
from collections.abc import Callable
from itertools import pairwise

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from benchmarks.settings import Settings
from benchmarks.table import Row
from benchmarks.timing import interleaved, seconds
from benchmarks.trainer import Trainer
from reproduction.data.datasets import Dataset
from reproduction.protocol.parameters import Parameters

_AT_LEAST = {1: 8, 9: 4.5, 19: 3.3}
_WORKERS = 2
# Unless whole epochs are asked for: so many batches are timed as they come (the workers start up), then so many more at
# whose rate the rest of the epoch is counted.
_TRAINING_BATCHES = (8, 40)
_TEST_BATCHES = (25, 125)


def run(settings: Settings) -> list[Row]:
    return [_row(p, at_least, settings) for p, at_least in _AT_LEAST.items()]


def _row(p: int, at_least: float, settings: Settings) -> Row:
    trainer = Trainer("enorm", p, settings.dataset.to(torch.device("cpu")))
    plain = PlainTrainer(settings.dataset, trainer.parameters)
    times = interleaved(
        {"plain": lambda: plain.epoch_seconds(settings.full_epochs), "trainer": lambda: seconds(trainer.epoch)},
        settings.rounds(3),
    )
    whole = settings.full_epochs or settings.quick
    how = "whole epochs" if whole else f"plain: from {sum(_TRAINING_BATCHES)} steps and {4 * sum(_TEST_BATCHES)} images"
    return Row(
        f"the plain way over this trainer, an epoch of enorm with its evaluation, p = {p}",
        times["plain"] / times["trainer"],
        f"{times['plain'].median():.1f} s over {times['trainer'].median():.2f} s ({how})",
        at_least=at_least,
    )


class PlainTrainer:
    """Trains one network of enorm the plain way."""

    def __init__(self, dataset: Dataset, parameters: Parameters) -> None:
        transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(dataset.mean, dataset.std), transforms.Lambda(torch.flatten)]
        )
        train = Images(dataset.train_images, dataset.train_labels, transform)
        test = Images(dataset.test_images, dataset.test_labels, transform)
        self.train_loader = DataLoader(train, batch_size=parameters.batch_size, shuffle=True, num_workers=_WORKERS)
        self.test_loader = DataLoader(test, batch_size=4, num_workers=_WORKERS)
        self.network = network(parameters.p)
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), lr=parameters.initial_learning_rate, weight_decay=parameters.weight_decay
        )
        self.c = parameters.c
        self.running_loss, self.correct = 0.0, 0

    def epoch_seconds(self, whole: bool) -> float:
        """The time of an epoch with its evaluation; unless `whole`, told from a part of it."""
        self.network.train()
        training = _seconds(self.train_loader, self.step, None if whole else _TRAINING_BATCHES)
        self.network.eval()
        return training + _seconds(self.test_loader, self.test, None if whole else _TEST_BATCHES)

    def step(self, images: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad()
        loss = self.loss(self.network(images), labels)
        loss.backward()
        self.optimizer.step()
        balance(self.network, self.c)
        self.running_loss += loss.item()

    @torch.no_grad()
    def test(self, images: Tensor, labels: Tensor) -> None:
        predicted = self.network(images).argmax(dim=1)
        self.correct += (predicted == labels).sum().item()


def network(p: int) -> nn.Sequential:
    """3072 -> 500, p layers 500 -> 500, 500 -> 10; He initialization."""
    sizes = [3072] + [500] * (p + 1) + [10]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layer = nn.Linear(inputs, outputs, bias=False)
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@torch.no_grad()
def balance(network: nn.Sequential, c: float) -> None:
    """One cycle of ENorm as the paper writes it: diagonal matrices, one layer pair after the other."""
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    for left, right in pairwise(linear):
        row_norms = torch.norm(left.weight, dim=1)
        column_norms = torch.norm(right.weight, dim=0)
        d = torch.sqrt(column_norms / (c * row_norms))
        left.weight.copy_(torch.mm(torch.diag(d), left.weight))
        right.weight.copy_(torch.mm(right.weight, torch.diag(1 / d)))


class Images(TorchDataset):
    """PIL images and labels, as torchvision's CIFAR10 gives them."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Image.Image], Tensor]) -> None:
        self.images = images.view(-1, 3, 32, 32).permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def _seconds(loader: DataLoader, work: Callable[[Tensor, Tensor], None], part: tuple[int, int] | None) -> float:
    """The time of `work` on all batches of `loader`; with `part`, on some as they come and on the rest at the rate of
    some more."""
    as_they_come, more = part or (len(loader), 0)
    start = time.perf_counter()
    at_rate = None
    for done, (images, labels) in enumerate(loader, start=1):
        work(images, labels)
        if done == as_they_come:
            at_rate = time.perf_counter()
        if more and done == as_they_come + more:
            end = time.perf_counter()
            return (at_rate - start) + (end - at_rate) / more * (len(loader) - as_they_come)
    return time.perf_counter() - start
