"""Features for comparison, read out of the layers of a trained encoder.

What views share is all that training asks of the last layer; the layers before it know more, and where in the image it
is (Chen et al. 2020, section 4.2, find the same of their last layers). So features are the encoder's maps at its last
two sizes, averaged over 2 x 2 places, and for photographs over the image and its mirror. A few directions hold most of
their variance and little of what tells images apart, so their principal components are half whitened: a component of
variance v is divided by v^(1/4). Measured in docs/log.md, "Features read out of the layers".
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latently.models.densities import in_float32
from latently.models.layers import Shape
from latently.models.modules import principal_components

LEVELS = 2  # sizes of maps that are read, the last ones
PLACES = 2  # along each side
LEAST_VARIANCE = 1e-6  # share of the largest component's below which one counts as constant
ENDS = (nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear)  # layers after which there are no places


class Readout(nn.Module):
    """Pooled maps (B, W) -> (B, n_features) of unit length; what it does with them is made by `learn`."""

    mean: Tensor  # (W,)
    directions: Tensor  # (W, n_features), principal components, each divided by its variance^(1/4)

    def __init__(self, widths: list[int], n_features: int) -> None:
        super().__init__()
        self.widths = widths  # of the levels, sum W
        self.register_buffer("mean", torch.zeros(sum(widths)))
        self.register_buffer("directions", torch.eye(sum(widths), n_features))

    def forward(self, pooled: Tensor) -> Tensor:
        with in_float32(pooled):
            return F.normalize((pooled - self.mean) @ self.directions, dim=1)

    @torch.no_grad()
    def learn(self, parts: Iterable[Tensor]) -> None:
        """From the pooled maps of images, in parts (b, W)."""
        pooled = torch.cat(list(parts)).double()
        variances = pooled.var(0, correction=0)
        levels = [part.sum().clamp(min=1e-30).rsqrt().expand(len(part)) for part in torch.split(variances, self.widths)]
        scale = torch.cat(levels)  # of (W,): all levels count alike
        mean, components, variance = principal_components(pooled * scale, self.directions.shape[1])
        kept = torch.where(variance > LEAST_VARIANCE * variance[0], variance, torch.inf)
        self.mean.copy_(mean / scale)
        self.directions.copy_(scale[:, None] * components * kept**-0.25)


def level_widths(encoder: nn.Module, image_shape: Shape) -> list[int]:
    """How many values each level of `pooled_maps` holds; none where the encoder is no sequence of layers with maps."""
    if not isinstance(encoder, nn.Sequential):
        return []
    with torch.no_grad():
        return [PLACES**2 * level.shape[1] for level in last_maps(encoder, torch.zeros(1, *image_shape))]


def pooled_maps(encoder: nn.Sequential, x: Tensor, mirrored: bool) -> Tensor:
    """Images (B, C, H, W) -> (B, W): the maps of an encoder at its last sizes, each averaged over 2 x 2 places.

    mirrored: also over the image and its mirror."""
    pooled = torch.cat([F.adaptive_avg_pool2d(level.float(), PLACES).flatten(1) for level in last_maps(encoder, x)], 1)
    return (pooled + pooled_maps(encoder, x.flip(3), mirrored=False)) / 2 if mirrored else pooled


def maps_of(encoder: nn.Module, x: Tensor) -> list[Tensor]:
    """The maps (B, C, H, W) of any encoder at two sizes, the larger first: its own `maps`, or those of its layers; none
    where it has no places."""
    if isinstance(encoder, nn.Sequential):
        return last_maps(encoder, x)
    own = getattr(encoder, "maps", None)
    return own(x) if callable(own) else []


def last_maps(encoder: nn.Sequential, x: Tensor) -> list[Tensor]:
    """The outputs (B, C, H, W) of the last layer at each of the last sizes."""
    by_size = {}
    for module in encoder:
        if isinstance(module, ENDS):
            break
        x = module(x)
        if x.ndim == 4:
            by_size[x.shape[2:]] = x
    return list(by_size.values())[-LEVELS:]
