"""Convolution of maps with few places, for processors whose instructions multiply tiles of matrices (Intel's AMX).

The gradient of a convolution's weights sums over places, row by row, and a tile takes 32 places at once: of rows of
five, most of it stays empty. So eight images are laid side by side, with columns of zeros between them where one image
would see the next. The result is the same; forward and back take half of the time, or a third (docs/performance.md).
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from latently.common.processor import processor_has

SMALL = 8  # places along a side, at most: larger maps fill the tiles by themselves
ABREAST = 8  # images side by side, or as many as divide the batch


def convolve(
    x: Tensor, kernels: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """torch's conv2d of x (B, C, H, W), -> (B, C', H', W')."""
    abreast = math.gcd(len(x), ABREAST) if gains_side_by_side(x, kernels, stride, padding) else 1
    if abreast == 1:
        return F.conv2d(x, kernels, bias, stride, padding)
    between = padding[1]
    wide = F.conv2d(side_by_side(x, abreast, between), kernels, bias, stride, padding)
    return apart(wide, abreast, between)


def gains_side_by_side(x: Tensor, kernels: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> bool:
    """Whether maps are small, keep their size, and are multiplied in tiles."""
    keeps_size = stride == (1, 1) and kernels.shape[2:] == tuple(2 * edge + 1 for edge in padding)
    small = max(x.shape[2:]) <= SMALL and padding[1] > 0
    return keeps_size and small and x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and has_tiles()


@functools.cache
def has_tiles() -> bool:
    return processor_has("amx_bf16")


def side_by_side(x: Tensor, abreast: int, between: int) -> Tensor:
    """(B, C, H, W) -> (B / n, C, H, n (W + between)), channels last"""
    _, channels, height, width = x.shape
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, between))  # (B, H, W + between, C)
    rows = padded.view(-1, abreast, height, width + between, channels).transpose(1, 2)
    return rows.flatten(2, 3).permute(0, 3, 1, 2)


def apart(x: Tensor, abreast: int, between: int) -> Tensor:
    """What `side_by_side` put together: (B / n, C, H, n (W + between)) -> (B, C, H, W), channels last"""
    _, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(-1, height, abreast, width // abreast, channels)
    return rows[..., :-between, :].transpose(1, 2).flatten(0, 1).permute(0, 3, 1, 2)
