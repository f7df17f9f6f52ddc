"""The floor: the matrix products of training and evaluation, and nothing else."""

import torch
from torch import Tensor

from benchmarks.cell import Cell
from reproduction.training.evaluation import EVALUATION_BATCH
from reproduction.training.linear import multiply, operand


class Products:
    """The products of a cell, in its shapes, layouts and precision, by the trainer's own `multiply`."""

    def __init__(self, cell: Cell) -> None:
        precision, self.batch_size = cell.parameters.precision, cell.parameters.batch_size
        self.weights = [operand(weight.detach().clone(), precision) for weight in cell.network.weights]
        runs, _, inputs = self.weights[0].shape
        self.images = operand(torch.randn(runs, EVALUATION_BATCH, inputs, device=self.weights[0].device), precision)
        self.train, self.test = len(cell.data.train_labels), len(cell.data.test_labels)

    def forward(self, images: int) -> list[Tensor]:
        """One product per layer; returns each layer's input, and the output."""
        x = [self.images[:, :images].mT]  # gathered images are [batch, features]
        for weight in self.weights:
            x.append(multiply(weight, x[-1]))
        return x

    def step(self, images: int | None = None) -> None:
        """Forward; then, from the last layer, the gradients of the layer's weight and input (not of the images)."""
        x = self.forward(images or self.batch_size)
        gradient = x[-1]  # any numbers of its shape
        for k in reversed(range(len(self.weights))):
            multiply(gradient, x[k].mT)
            if k > 0:
                gradient = multiply(self.weights[k].mT, gradient)

    def train_epoch(self) -> None:
        for start in range(0, self.train, self.batch_size):
            self.step(min(self.batch_size, self.train - start))

    def epoch(self) -> None:
        """The products of training and of the evaluation on the test images."""
        self.train_epoch()
        for start in range(0, self.test, EVALUATION_BATCH):
            self.forward(min(EVALUATION_BATCH, self.test - start))
