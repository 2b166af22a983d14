"""Images on the device: gathered by index and scaled there, no worker processes, no per-image Python."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latently import noise

Binarise = Literal["none", "static", "dynamic"]


def to_channels_first(images: np.ndarray) -> Tensor:
    """(N, F), (N, H, W) or (N, H, W, C) -> (N, C, H, W); a row of F features is an image of height 1."""
    if images.ndim == 2:
        images = images[:, None, :]
    channels = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return torch.tensor(channels)


def scale(raw: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1; floats stay as they are."""
    return raw.float() / 255 if raw.dtype == torch.uint8 else raw


class Batches:
    """N images and labels on a device.

    images: (N, C, H, W) uint8, or float32. labels: (N,) int64, -1 = unlabelled.
    binarise: static = one draw, made here and kept (a function of seed and pixels alone, so that whatever is given
    later is drawn the same way); dynamic = a new draw whenever a batch is used.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, device: torch.device, binarise: Binarise = "none", seed: int = 0
    ) -> None:
        self.raw = to_channels_first(images).to(device)
        self.labels = torch.as_tensor(labels, dtype=torch.int64, device=device)
        self.device, self.seed = device, seed
        self.dynamic = binarise == "dynamic"
        if binarise == "static":
            self.raw = torch.cat([binary(part, seed) for part in self.raw.split(1024)])

    def __len__(self) -> int:
        return len(self.raw)

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Raw images and labels at `index`."""
        return self.raw.index_select(0, index), self.labels.index_select(0, index)

    def training_pixels(self, raw: Tensor) -> Tensor:
        """What a training step sees: float32, drawn anew from the global generator if binarisation is dynamic."""
        x = scale(raw)
        return (torch.rand_like(x) < x).float() if self.dynamic else x

    def evaluation_pixels(self, raw: Tensor) -> Tensor:
        """What an evaluation sees: repeatable, by each image's own noise if binarisation is dynamic."""
        x = scale(raw)
        return noise.binarise(x, self.seed) if self.dynamic else x


def binary(raw: Tensor, seed: int) -> Tensor:
    """uint8 0 or 255 by the image's own noise."""
    return (noise.binarise(scale(raw), seed) * 255).to(torch.uint8)
