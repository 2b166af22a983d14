"""The plain autoencoder. Hinton & Salakhutdinov 2006: minimise the reconstruction error of x through a narrow code z.

loss(x) = -log p(x | z),  z = encoder(x)
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from latently.common.settings import Count
from latently.models.base import Model, check_unit_interval
from latently.models.densities import AbsoluteError, Bernoulli, Point, SquaredError
from latently.models.layers import ActivationName, Shape
from latently.models.modules import activation
from latently.models.networks import EncoderDecoder, Network

Pixels = Bernoulli | SquaredError | AbsoluteError
LIKELIHOODS: dict[str, type[Pixels]] = {
    "bernoulli": Bernoulli, "squared-error": SquaredError, "absolute-error": AbsoluteError,
}  # fmt: skip


@dataclass
class AE(Model):
    """Plain autoencoder: no prior, no noise; the code is a point."""

    name: ClassVar[str] = "ae"

    latent_dim: Count = 20
    """Width of the code."""
    network: Network = field(default_factory=Network)
    code_activation: ActivationName = "linear"
    """Activation of the code itself."""
    likelihood: Literal["bernoulli", "squared-error", "absolute-error"] = "bernoulli"
    """bernoulli: cross-entropy in nats, for pixels in 0..1; squared-error and absolute-error: summed over pixels, of
    any range."""

    @property
    def loss_unit(self) -> str:
        return "nats" if self.likelihood == "bernoulli" else self.likelihood.replace("-", " ")

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        self.check()
        width, network = self.code_width(image_shape), self.own_network(image_shape)
        return EncoderDecoder(network.build_encoder(image_shape, width), network.build_decoder(image_shape, width))

    def loss(self, net: EncoderDecoder, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        reconstruction = self.bound(net, x)["reconstruction"]
        return {"loss": reconstruction, "reconstruction": reconstruction}

    def encode(self, net: EncoderDecoder, x: Tensor) -> Point:
        return Point(activation(self.code_activation)(net.encoder(x).float()))  # (B, Z)

    def decode(self, net: EncoderDecoder, z: Tensor) -> Pixels:
        return self.pixels(net.decoder(z))  # (B, C, H, W)

    def pixels(self, made: Tensor) -> Pixels:
        """The likelihood that a decoder's output (B, C, H, W) stands for."""
        return LIKELIHOODS[self.likelihood](made)

    def code_grid(self, image_shape: Shape) -> Shape | None:
        """(channels, height, width) of a code that is a grid; None: it has no places."""
        grid = self.own_network(image_shape).code_grid(image_shape)
        return grid if grid and math.prod(grid) == self.code_width(image_shape) else None

    def code_width(self, image_shape: Shape) -> int:
        return self.latent_dim

    def own_network(self, image_shape: Shape) -> Network:
        """The network that was given; a model that leaves it open to the image's shape overrides this."""
        return self.network

    def bound(self, net: EncoderDecoder, x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Minus log p(x | encoder(x)): no bound on log p(x), for there is no prior. `noise` is not used."""
        return {"reconstruction": -self.decode(net, self.encode(net, x).mean).log_prob(x)}  # (B,)

    def check_pixels(self, low: float, high: float) -> None:
        if self.likelihood == "bernoulli":
            check_unit_interval(low, high)
