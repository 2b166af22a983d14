"""The denoising autoencoder. Vincent et al. 2008 and 2010: rebuild the clean image x from a damaged one.

    loss(x) = -log p(x | z),  z = encoder(x~),  x~ ~ q(x~ | x) drawn anew at every step

The loss is against the clean image, so that the identity is no solution: the network must know what images look like.
q(x~ | x) is one of the three kinds of Vincent et al. 2010, section 3.3.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from latently.common.errors import require
from latently.common.settings import NonNegative
from latently.models.ae import AE, Pixels
from latently.models.networks import EncoderDecoder


@dataclass
class DAE(AE):
    """Denoising autoencoder: sees damaged images, and rebuilds the clean ones."""

    name: ClassVar[str] = "dae"

    noise: Literal["gaussian", "masking", "salt-and-pepper"] = "gaussian"
    """gaussian: normal noise on every pixel; masking: some pixels become 0; salt-and-pepper: some become 0 or 1."""
    level: NonNegative = 0.5
    """Noise level: the standard deviation, or the fraction of pixels changed by masking or salt-and-pepper."""
    lowest_level: NonNegative | None = None
    """Draw a level for each training image, uniform between this and `level`; none: always `level`."""
    unclipped: bool = False
    """Do not clip noisy pixels to 0..1. If clipped, clean pixels must lie in 0..1, too."""

    def loss(self, net: EncoderDecoder, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        reconstruction = -self.denoise(net, self.corrupt(x)).log_prob(x)  # (B,), against the clean image
        return {"loss": reconstruction, "reconstruction": reconstruction}

    def corrupt(self, x: Tensor, level: float | None = None, noise: Tensor | None = None) -> Tensor:
        """x~ ~ q(x~ | x), of the shape of x. level None: as in training. noise: standard normals of the shape of x."""
        amount = self.levels(x) if level is None else level
        noise = torch.randn_like(x) if noise is None else noise
        if self.noise == "gaussian":
            return self.clipped(x + amount * noise)
        uniform = 0.5 + 0.5 * torch.erf(noise / math.sqrt(2))  # the same normals serve every kind of noise
        if self.noise == "masking":
            return torch.where(uniform < amount, 0.0, x)
        return torch.where(uniform < amount / 2, 0.0, torch.where(uniform > 1 - amount / 2, 1.0, x))

    def levels(self, x: Tensor) -> Tensor | float:
        """One for all images, or one for each (B, 1, 1, 1)."""
        if self.lowest_level is None:
            return self.level
        return self.lowest_level + (self.level - self.lowest_level) * torch.rand(len(x), 1, 1, 1, device=x.device)

    def denoise(self, net: EncoderDecoder, x: Tensor) -> Pixels:
        """p(clean image | damaged image x)"""
        return self.decode(net, self.encode(net, self.clipped(x)).mean)

    def clipped(self, x: Tensor) -> Tensor:
        return x if self.unclipped else x.clamp(0, 1)

    def check(self) -> Self:
        super().check()
        lowest = 0.0 if self.lowest_level is None else self.lowest_level
        require(lowest <= self.level, f"lowest_level is {lowest:g}; expected at most level, which is {self.level:g}")
        share = self.noise == "gaussian" or self.level <= 1
        require(share, f"level is {self.level:g}; expected a share of pixels from 0 to 1, as the noise is {self.noise}")
        return self

    def check_pixels(self, low: float, high: float) -> None:
        super().check_pixels(low, high)
        within = low >= 0 and high <= 1
        require(
            within or self.unclipped,
            f"the pixels reach from {low:g} to {high:g}, and damaged ones are held to 0..1: rescale them, or train "
            "with unclipped noise",
        )
