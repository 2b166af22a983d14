"""Random distortions of training images, drawn anew for every batch, on the device.

Each image is moved, turned, scaled and bent by its own draw: x'(p) = x(A p + t + d(p)), A a rotation and a zoom, t a
shift, d a smooth field. Bilinear between pixels; beyond the edge the edge goes on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latently.common.settings import NonNegative, Probability, Settings

CELLS = 4  # of the elastic field, on a side: its free points stand a quarter of the image apart


@dataclass
class Augmentation(Settings):
    """Limits of the random distortion of training images; all 0: none. Rows of features are never distorted."""

    shift: Probability = 0.07
    """Largest shift of a training image in each direction, as a fraction of its side."""
    rotation: NonNegative = 10.0
    """Largest rotation of a training image in either direction, in degrees."""
    zoom: Probability = 0.1
    """Largest relative change of a training image's width and height, drawn independently."""
    elastic: NonNegative = 0.025
    """Elastic distortion (Simard et al. 2003): standard deviation of the displacement at the control points of a smooth
    field, as a fraction of the image's side."""

    @classmethod
    def none(cls) -> "Augmentation":
        return cls(0.0, 0.0, 0.0, 0.0)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape, each image distorted by its own random draw."""
        is_row = x.shape[2] == 1
        # On the meta device there are only shapes, and inferring them for bicubic interpolation takes 0.1 s.
        if is_row or x.is_meta or self == Augmentation.none():
            return x
        grid = affine_grid(self.affine(x), x.shape[2:])
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
        top = torch.stack([across * angle.cos(), -across * angle.sin() * aspect, spread(2 * self.shift)], 1)
        bottom = torch.stack([down * angle.sin() / aspect, down * angle.cos(), spread(2 * self.shift)], 1)
        return torch.stack([top, bottom], 1)

    def field(self, x: Tensor) -> Tensor:
        """Displacements (B, H, W, 2): normal at the corners of the cells, bicubic in between."""
        coarse = torch.randn(len(x), 2, CELLS + 1, CELLS + 1, device=x.device)
        fine = F.interpolate(coarse, x.shape[2:], mode="bicubic", align_corners=True)
        return 2 * self.elastic * fine.permute(0, 2, 3, 1)  # a side is 2 long


def affine_grid(affine: Tensor, sides: Sequence[int]) -> Tensor:
    """Where each pixel comes from, (B, H, W, 2) float32, x and y in -1..1 from edge to edge.

    As torch's of that name, but for a matrix product, which autocast would take in bfloat16: an eighth of a pixel.
    """
    y, x = ((torch.arange(side, device=affine.device) + 0.5) * 2 / side - 1 for side in sides)
    column, row, shift = affine[:, None, None].unbind(-1)  # (B, 1, 1, 2) each
    return column * x[None, None, :, None] + row * y[None, :, None, None] + shift
