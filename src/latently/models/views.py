"""Views of a photograph: crops, mirrored or not, in other colours, drawn anew for every batch, on the device.

Two views of one image show the same thing and agree in little else; what a network must find the same in both is what
self-supervision teaches it (self_supervised.py). All images of a batch are cropped by one interpolation, and recoloured
by one 3 x 3 matrix each. Chen et al. 2020, section 3, names the kinds of change; hue is turned about the grey axis.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from latently.common.settings import Fraction, Settings
from latently.data.preparation import LUMA
from latently.models.augmentation import affine_grid
from latently.models.layers import Layer, Mean, Shape

Change = Literal["auto", "photograph", "drawing"]  # what is altered at random: crops and colours, or warps
LEAST_SIDE = 8  # of a view, in pixels, where the image has so many
GREY = 0.5  # of pixels in 0..1
LONGEST = 4 / 3  # aspect ratio of a crop, either way


@dataclass
class Views(Settings):
    """How far two views of a photograph may differ; 0 everywhere and smallest_crop 1: not at all."""

    smallest_crop: Fraction = 0.25
    """Smallest part of the image's area that a view shows; the largest is all of it."""
    mirror: bool = True
    """Whether half of the views are mirrored, left to right."""
    jitter: Fraction = 0.4
    """Largest relative change of brightness, contrast and saturation, in colours of `recoloured` views."""
    hue: Fraction = 0.1
    """Largest turn of the hue, as a fraction of the circle, of `recoloured` views."""
    recoloured: Fraction = 0.8
    """Fraction of the views whose brightness, contrast, saturation and hue change."""
    grey: Fraction = 0.2
    """Fraction of the views that lose their colours."""

    def __call__(self, x: Tensor, sides: Sequence[int]) -> Tensor:
        """Images (B, C, H, W) -> one view of each, (B, C, *sides); colours of images with three channels alone."""
        grid = affine_grid(self.crops(x), sides)
        crops = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
        return self.colours(crops) if x.shape[1] == len(LUMA) else crops

    def crops(self, x: Tensor) -> Tensor:
        """(B, 2, 3): where each pixel of a view comes from, in -1..1 from edge to edge, always inside the image."""
        n, device = len(x), x.device
        area = self.smallest_crop + (1 - self.smallest_crop) * torch.rand(n, device=device)
        longest = (-area.log()).clamp(max=math.log(LONGEST))  # no side is longer than the image's
        stretch = torch.exp(0.5 * longest * (2 * torch.rand(n, device=device) - 1))
        width, height = area.sqrt() * stretch, area.sqrt() / stretch
        across, down = ((2 * torch.rand(n, device=device) - 1) * (1 - side) for side in (width, height))
        mirrored = self.mirror & (torch.rand(n, device=device) < 0.5)
        zero = torch.zeros(n, device=device)
        top = torch.stack([torch.where(mirrored, -width, width), zero, across], 1)
        return torch.stack([top, torch.stack([zero, height, down], 1)], 1)

    def colours(self, x: Tensor) -> Tensor:
        """(B, 3, H, W): brightness, contrast, saturation and hue, each by a draw of its own, as one matrix an image."""
        n, device = len(x), x.device

        def draw(most: float) -> Tensor:
            """Uniform in +-most where the view is recoloured, else 0."""
            return most * (2 * torch.rand(n, device=device) - 1) * on

        on = (torch.rand(n, device=device) < self.recoloured).float()
        brightness, contrast, saturation = (1 + draw(self.jitter) for _ in range(3))
        saturation = saturation * (torch.rand(n, device=device) >= self.grey)
        luma, unit = torch.tensor(LUMA, device=device), torch.eye(3, device=device)
        saturate = unit * saturation[:, None, None] + luma * (1 - saturation)[:, None, None]  # (B, 3, 3)
        matrix = (brightness * contrast)[:, None, None] * saturate @ turned_hue(draw(2 * math.pi * self.hue))
        mean = brightness * (x.mean((2, 3)) @ luma)  # the grey about which contrast spreads
        offset = (1 - contrast) * mean
        return torch.baddbmm(offset[:, None, None], matrix, x.flatten(2)).view_as(x)


def cut_square(x: Tensor, share: float) -> Tensor:
    """(B, C, H, W) with a square of each image grey, somewhere, its sides `share` of the image's (DeVries & Taylor
    2017)."""
    height, width = x.shape[2:]
    centre = torch.rand(len(x), 2, 1, 1, 1, device=x.device)
    down = ((torch.arange(height, device=x.device)[:, None] + 0.5) / height - centre[:, 0]).abs()  # (B, 1, H, 1)
    across = ((torch.arange(width, device=x.device) + 0.5) / width - centre[:, 1]).abs()
    return torch.where((down < share / 2) & (across < share / 2), GREY, x)


def is_photograph(change: Change, channels: int) -> bool:
    """Whether images of so many channels are altered as photographs are; auto: where they have colours."""
    return channels > 1 if change == "auto" else change == "photograph"


def view_sides(image_shape: Shape, share: float, layers: list[Layer]) -> tuple[int, int]:
    """Height and width of a view, `share` of the image's sides; all of them, unless the layers average over places and
    so take images of any size."""
    share = share if any(isinstance(layer, Mean) for layer in layers) else 1.0
    height, width = (max(round(share * side), min(side, LEAST_SIDE)) for side in image_shape[1:])
    return height, width


def turned_hue(angle: Tensor) -> Tensor:
    """Rotations of (red, green, blue) about the grey axis by angles (B,) in radians: Rodrigues' formula. (B, 3, 3)"""
    grey_axis = torch.full((3,), 1 / math.sqrt(3), device=angle.device)
    cross = torch.linalg.cross(grey_axis.expand(3, 3), torch.eye(3, device=angle.device)).T
    along = torch.outer(grey_axis, grey_axis)
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    turned: Tensor = cosine * torch.eye(3, device=angle.device) + sine * cross + (1 - cosine) * along
    return turned
