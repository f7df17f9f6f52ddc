"""Parts of 28 x 28 of the images: at random places and mirrored at random in training, the middle in tests."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SIZE = 28
_CROPS = 4  # tells these draws from those of `training.randomness`


def middle(images: Tensor) -> Tensor:
    """``[images, channels, height, width]`` -> ``[images, channels, SIZE, SIZE]``."""
    top, left = ((size - SIZE) // 2 for size in images.shape[-2:])
    return images[..., top : top + SIZE, left : left + SIZE]


@dataclass(frozen=True)
class Crops:
    """Where each training image is cut in an epoch, ``[images]`` each, and whether it is mirrored.

    They follow from seed and epoch alone, so that a resumed run draws what it would have drawn.
    """

    tops: Tensor
    lefts: Tensor
    mirrored: Tensor

    @classmethod
    def draw(cls, seed: int, epoch: int, images: int, size: int, device: torch.device) -> "Crops":
        """Of `images` images of ``size x size``, in a run's epoch number `epoch`, from 1."""
        generator = np.random.default_rng((_CROPS, seed, epoch))
        tops, lefts = generator.integers(0, size - SIZE + 1, (2, images))
        mirrored = generator.integers(0, 2, images).astype(bool)
        return cls(*(torch.from_numpy(drawn).to(device) for drawn in (tops, lefts, mirrored)))

    def cut(self, images: Tensor, batch: Tensor) -> Tensor:
        """The images number `batch` ``[images]``, given as ``[images, channels, size, size]``, cut to SIZE x SIZE."""
        windows = images.unfold(2, SIZE, 1).unfold(3, SIZE, 1)  # a view, [images, channels, top, left, SIZE, SIZE]
        every = torch.arange(len(images), device=images.device)
        cut = windows[every, :, self.tops[batch], self.lefts[batch]]
        return torch.where(self.mirrored[batch, None, None, None], cut.flip(-1), cut)
