"""Noise that belongs to an image: the same pixels get the same noise, in any batch, order or process.

A figure that samples (an ELBO, a static binarisation) can then be repeated, and does not depend on how the images
were batched. One noise vector shared by all images would be repeatable too, but its error is the same for every image
and does not average out: 0.5 nats in the mean over 10,000 images against 0.02 (docs/log.md).
"""

import torch
from torch import Tensor

GOLDEN = -7046029254386353131  # 2^64 / golden ratio, as a signed 64-bit integer: the step of splitmix64
MIX_1, MIX_2 = -4658895280553007687, -7723592293110705685


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical shift: torch shifts the sign in."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _splitmix(x: Tensor) -> Tensor:
    """The finaliser of splitmix64 (Steele, Lea & Flood 2014): every input bit moves every output bit."""
    x = (x ^ _shift_right(x, 30)) * MIX_1
    x = (x ^ _shift_right(x, 27)) * MIX_2
    return x ^ _shift_right(x, 31)


def _signed(n: int) -> int:
    """n modulo 2^64 as a signed integer: torch wraps its own sums so, but takes no larger number."""
    return (n + 2**63) % 2**64 - 2**63


def image_key(x: Tensor) -> Tensor:
    """A 64-bit hash of each image's pixels, by which the same pixels are found again. x: float32 (B, ...) -> (B,)"""
    bits = x.flatten(1).contiguous().view(torch.int32).long()  # (B, D)
    place = torch.arange(1, bits.shape[1] + 1, device=x.device) * GOLDEN
    return _splitmix(bits * 2654435761 + place).sum(1)  # integer sums are exact in any order


def image_uniform(x: Tensor, n: int, seed: int = 0, start: int = 0) -> Tensor:
    """n uniforms in (0, 1) for each image, a function of (pixels, seed) alone. x: float32 (B, ...) -> (B, n).

    They are numbers `start` and on of an endless row, which may so be taken piece by piece.
    """
    digest = image_key(x)[:, None]  # (B, 1)
    counter = torch.arange(start + 1, start + n + 1, device=x.device) * GOLDEN  # (n,)
    random = _splitmix(_splitmix(digest + _signed(seed * MIX_1)) + counter)
    # 23 bits and a half are exact in float32; of 24, the largest would round to 1, whose normal quantile is infinite
    return (_shift_right(random, 41).float() + 0.5) / (1 << 23)


def image_normal(x: Tensor, n: int, seed: int = 0, start: int = 0) -> Tensor:
    """n standard normals for each image, through the normal's quantile function. -> (B, n)"""
    # Apple's MPS has neither float64 nor the quantile function.
    uniform = image_uniform(x.cpu() if x.device.type == "mps" else x, n, seed, start)
    normal: Tensor = torch.special.ndtri(uniform.double())
    return normal.float().to(x.device)


def binarise(x: Tensor, seed: int = 0) -> Tensor:
    """Black and white: each pixel is 1 with the probability that its grey value gives, by the image's own noise."""
    return (image_uniform(x, x[0].numel(), seed).view_as(x) < x).float()
