"""Random distortions of training images, drawn anew for every batch, on the device.

Each image is moved, turned, scaled and bent by its own draw: x'(p) = x(A p + t + d(p)), A a rotation and a zoom, t a
shift, d a smooth field. Bilinear between pixels; beyond the edge the edge goes on.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latently.settings import NonNegative, Probability, Settings

CELL = 7  # pixels between the free points of the elastic field


@dataclass
class Augmentation(Settings):
    """How far a training image may be distorted; 0 everywhere: not at all."""

    shift: NonNegative = 0.0
    """Most pixels that a training image is moved, each way."""
    rotation: NonNegative = 0.0
    """Most degrees that a training image is turned, either way."""
    zoom: Probability = 0.0
    """Largest share by which a training image is made larger or smaller, each side by itself."""
    elastic: NonNegative = 0.0
    """Standard deviation in pixels of a smooth random field that bends a training image (Simard et al. 2003)."""

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape, every image distorted by a draw of its own."""
        if not (self.shift or self.rotation or self.zoom or self.elastic):
            return x
        grid = F.affine_grid(self.affine(x), list(x.shape), align_corners=False)  # (B, H, W, 2): x and y in -1..1
        if self.elastic:
            grid = grid + self.field(x)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)

    def affine(self, x: Tensor) -> Tensor:
        """Rotation, zoom and shift as matrices (B, 2, 3), from where a pixel goes to where it comes from."""
        n, _, height, width = x.shape

        def spread(most: float) -> Tensor:
            return most * (2 * torch.rand(n, device=x.device) - 1)  # uniform in +-most

        angle = spread(math.radians(self.rotation))
        across, down = 1 + spread(self.zoom), 1 + spread(self.zoom)
        aspect = height / width  # the grid is -1..1 both ways, whatever the sides
        top = torch.stack([across * angle.cos(), -across * angle.sin() * aspect, spread(2 * self.shift / width)], 1)
        bottom = torch.stack([down * angle.sin() / aspect, down * angle.cos(), spread(2 * self.shift / height)], 1)
        return torch.stack([top, bottom], 1)

    def field(self, x: Tensor) -> Tensor:
        """Displacements (B, H, W, 2) of `elastic` pixels: normal at points `CELL` pixels apart, bicubic in between."""
        n, _, height, width = x.shape
        coarse = torch.randn(n, 2, math.ceil(height / CELL) + 1, math.ceil(width / CELL) + 1, device=x.device)
        fine = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
        return fine * torch.tensor([2 * self.elastic / width, 2 * self.elastic / height], device=x.device)
