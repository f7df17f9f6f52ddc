"""The floor: the matrix products of training and evaluation, and nothing else."""

import torch
from torch import Tensor

from reproduction.training.evaluation import EVALUATION_BATCH
from reproduction.training.linear import multiply
from reproduction.training.network import FullyConnected


class Products:
    """The products of the network of depth p, in the trainer's shapes and layouts, chained as they are there.

    By the trainer's own `multiply`, the fastest products known here.
    """

    def __init__(
        self,
        p: int,
        runs: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        weights = FullyConnected(p, seeds=range(runs)).weights
        self._runs, self._options = runs, {"device": device, "dtype": dtype}
        self._weights = [w.detach().to(**self._options) for w in weights]
        self._gradients = [torch.empty_like(w) for w in self._weights]
        self._buffers: dict[int, tuple[list[Tensor], list[Tensor]]] = {}

    def forward(self, batch: int) -> None:
        """One product per layer."""
        activations, _ = self._activations(batch)
        for k, weight in enumerate(self._weights):
            activations[k + 1] = multiply(weight, activations[k])

    def step(self, batch: int) -> None:
        """Forward; then, from the last layer, the gradients of the layer's input (not of the images) and weight."""
        self.forward(batch)
        x, gradients = self._activations(batch)
        for k in reversed(range(len(self._weights))):
            if k > 0:
                gradients[k] = multiply(self._weights[k].mT, gradients[k + 1])
            self._gradients[k] = multiply(gradients[k + 1], x[k].mT)

    def steps(self, count: int, batch: int = 256) -> None:
        for _ in range(count):
            self.step(batch)

    def train_epoch(self, train: int, batch: int = 256) -> None:
        """The products of training on `train` images."""
        self.steps(train // batch, batch)
        if train % batch:
            self.step(train % batch)

    def epoch(self, train: int, test: int) -> None:
        """The products of training on `train` images and evaluating on `test`."""
        self.train_epoch(train)
        for start in range(0, test, EVALUATION_BATCH):
            self.forward(min(EVALUATION_BATCH, test - start))

    def _activations(self, batch: int) -> tuple[list[Tensor], list[Tensor]]:
        """Each layer's input and the output, ``[runs, features, batch]``, and the gradients with respect to them."""
        if batch not in self._buffers:
            sizes = [self._weights[0].shape[-1], *(w.shape[-2] for w in self._weights)]
            images = torch.randn(self._runs, batch, sizes[0]).to(**self._options)
            activations = [torch.empty(self._runs, size, batch, **self._options) for size in sizes]
            activations[0] = images.mT  # gathered images are [batch, features]
            gradients = [torch.empty_like(x) for x in activations]
            gradients[-1].copy_(torch.randn(gradients[-1].shape) / batch)
            self._buffers[batch] = activations, gradients
        return self._buffers[batch]
