"""Codes by many crops. EMP-SSL, Tong et al. 2023, eq. 5, with V crops of each of B images:

    loss = -1/V sum_v [lambda D(Z_v, mean of Z) + R(Z_v)],   D: mean cosine of a crop and the mean of its image's crops
    R(Z) = 1/2 log det(I + P / (B e^2) Z^T Z),               Z_v (B, P): crop v of each image, vectors of length 1

R is the coding rate (Ma et al. 2007): how far the images spread, in all directions together. The crops of an image are
drawn to their mean, and no pair of images is told apart one by one, as in SimCLR (simclr.py). R grows with the
batch, so that this loss compares with others of the same batch size alone.

Views, network and the decoder that learns beside it are every self-supervised model's (self_supervised.py).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from latently.common.settings import Count, Fraction, Positive
from latently.models.densities import coding_rate
from latently.models.layers import Shape
from latently.models.self_supervised import SelfSupervised

USUAL_VIEWS = 4  # of an image in an epoch, of runs that take as long as usual


@dataclass
class EMPSSL(SelfSupervised):
    """Self-supervised code by many crops of an image, which are alike, while images spread out; with a decoder.

    `Autoencoder(EMPSSL(), **EMPSSL.suited_training)` trains as `latently train emp-ssl` does.
    """

    name: ClassVar[str] = "emp-ssl"
    monitor: ClassVar[str] = "crops"
    projector_widths: ClassVar[tuple[int, ...]] = (1024, 1024, 1024)
    suited_training: ClassVar[dict[str, Any]] = {"optimiser": "muon", "lr": 1e-3, "batch_size": 85}

    n_views: Count = 12
    """Crops of each image in a step, V, at least 2."""
    rebuilt: Fraction = 0.75
    """Fraction of a batch that the decoder learns from."""
    alike: Positive = 200.0
    """lambda: weight of the crops of an image being alike, beside the rate."""
    distortion: Positive = 0.2
    """e^2, the error that the rate allows: the smaller, the more it gains from images that differ."""

    def compare(self, projected: Tensor) -> Tensor:
        z = F.normalize(projected.float(), dim=1).view(self.n_views, -1, projected.shape[1])  # (V, B, P)
        cosine = F.cosine_similarity(z, z.mean(0, keepdim=True), dim=2).mean(0)  # (B,)
        return -self.alike * cosine - coding_rate(z, self.distortion).mean()

    def length(self, image_shape: Shape, epochs: int, steps: int) -> tuple[int, int]:
        """Fewer epochs, as each has more views."""
        epochs, steps = super().length(image_shape, epochs, steps)
        return max(1, round(epochs * USUAL_VIEWS / self.n_views)), steps
