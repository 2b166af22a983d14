"""Codes by comparison. SimCLR, Chen et al. 2020, eq. 1, with V views of each image:

    contrast(i, j) = -log exp(s_ij / T) / (exp(s_ij / T) + sum_k exp(s_ik / T)),  s = cosine of projector(encoder(.))

i and j are two views of one image, k runs over the views of the other images in the batch: the code must tell from
which image a view was made, whatever was changed on the way. What views change is what the code need not keep.

With `rotations`, an image turned by a quarter, a half and three quarters is three more images (CSI, Tack et al. 2020,
section 2.2: shifted instances). The code must then tell which way up an image is, which images of a class have in
common, and what is odd among them has not.

Views, network and the decoder that learns beside it are every self-supervised model's (self_supervised.py).
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from latently.common.errors import require
from latently.common.settings import Positive
from latently.models.densities import nt_xent
from latently.models.layers import Shape
from latently.models.networks import EncoderDecoder
from latently.models.self_supervised import SelfSupervised


@dataclass
class SimCLR(SelfSupervised):
    """Self-supervised code: views of one image are alike, those of others are not; a decoder learns beside it.

    `Autoencoder(SimCLR(), optimiser="muon", lr=1e-3, batch_size=256)`, as `latently train simclr` has it, learns faster
    than with an autoencoder's own defaults.
    """

    name: ClassVar[str] = "simclr"
    monitor: ClassVar[str] = "contrast"
    projector_widths: ClassVar[tuple[int, ...]] = (512, 512, 128)

    temperature: Positive = 0.2
    """T: smaller, and the most similar other images count for more."""
    rotations: bool = False
    """Whether an image turned by quarters counts as others, to find the odd ones; takes square images, and 4 times as
    long."""

    def compare(self, projected: Tensor) -> Tensor:
        return nt_xent(projected, self.n_views, self.temperature)

    def instances(self, x: Tensor) -> list[Tensor]:
        """Images (B, C, H, W), and with `rotations` the same turned by 90, 180 and 270 degrees: I of that shape."""
        return [x.rot90(quarters, (2, 3)) for quarters in range(self.n_instances)]

    @property
    def n_instances(self) -> int:
        return 4 if self.rotations else 1

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        height, across = image_shape[1:]
        square = not self.rotations or height == across
        require(square, f"rotations take square images, and these are {height} x {across}; leave it out")
        return super().build(image_shape, n_classes)
