"""Codes that others made, decoded. h is given: a table of codes, or a network whose weights stay as they are. Of

    z = h(x), or its standardised features, or their principal components
    loss(x) = -log p(x | z)

only p, the decoder, learns; so codes of any origin can be looked at, and moved.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Count
from latently.models import given, pretrained
from latently.models.ae import AE
from latently.models.base import Parts, check_unit_interval
from latently.models.code_table import CodeTable
from latently.models.frozen import FrozenEncoder, Standardised
from latently.models.layers import Shape
from latently.models.networks import EncoderDecoder, Network
from latently.models.pretrained import Pretrained


@dataclass
class Decoder(AE):
    """Decoder of codes that others made: by a table (--codes), or a network of timm (--encoder timm:NAME)."""

    name: ClassVar[str] = "decoder"

    latent_dim: Count | None = None  # type: ignore[assignment]
    """Width of the code: the first principal components of the standardised features; none: all features."""
    network: Network = field(default_factory=Network)
    weights: str = ""
    """A .safetensors file with the weights of timm:NAME; empty: those that timm names on the Hugging Face hub."""

    def encode(self, net: EncoderDecoder, x: Tensor) -> Any:
        with torch.no_grad():
            return super().encode(net, x)  # (B, Z)

    # The network ----------------------------------------------------------------------------------

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        self.check()
        encoder, n_features = self.given_encoder(image_shape)
        latent_dim = self.latent_dim or n_features
        fewer = f"latent_dim is {latent_dim}, but the encoder gives {n_features} features: give fewer, or leave it out"
        require(latent_dim <= n_features, fewer)
        as_given = isinstance(encoder, CodeTable) and latent_dim == n_features
        network = replace(self.network, encoder=encoder)  # a module, which the decoder does not mirror
        return EncoderDecoder(
            FrozenEncoder(encoder, n_features, latent_dim, as_given),
            nn.Sequential(Standardised(latent_dim), network.build_decoder(image_shape, latent_dim)),
        )

    def given_encoder(self, image_shape: Shape) -> tuple[nn.Module, int]:
        """A copy of the encoder to keep, and the number of its features."""
        encoder = self.network.encoder
        if isinstance(encoder, str):
            came = f"the encoder is {encoder!r}" if encoder else "there is none"
            wanted = "a decoder needs codes that were made elsewhere (--codes FILE) or an encoder (--encoder timm:NAME)"
            require(encoder.startswith(pretrained.PREFIX), f"{wanted}, and {came}")
            pretrained.require_photographs(image_shape)
            network = Pretrained(encoder)
            return network, network.width
        alone = "weights are those of an encoder timm:NAME, and another one is given: leave them out"
        require(not self.weights, alone)
        own = given.own_copy(encoder, "encoder")
        if isinstance(encoder, CodeTable):
            return own, encoder.width
        made = given.output_shape(encoder, image_shape, "encoder")
        name, sizes = type(encoder).__name__, given.sizes(made)
        require(len(made) == 1, f"the encoder {name} makes (B, {sizes}) of images; expected features (B, width)")
        return own, made[0]

    def settle(self, image_shape: Shape) -> None:
        self.latent_dim = self.latent_dim or self.given_encoder(image_shape)[1]

    def prepare(self, net: Any, some: Callable[[int], Tensor]) -> None:
        super().prepare(net, some)
        if isinstance(net.encoder.network, Pretrained):
            net.provenance = net.encoder.network.load(self.weights)

    @contextmanager
    def precomputed(self, net: Any, train: Parts, validation: Parts) -> Iterator[None]:
        """The codes of all images, and the scale of those of the training images."""
        net.decoder[0].learn(net.encoder.learn(train, validation))
        try:
            yield
        finally:
            net.encoder.forget()

    def code_grid(self, image_shape: Shape) -> Shape | None:
        return None  # the encoder is others'

    @property
    def encodes_new(self) -> bool:
        return not isinstance(self.network.encoder, CodeTable)

    @property
    def knows_its_layers(self) -> bool:
        return isinstance(self.network.encoder, CodeTable)

    def check_pixels(self, low: float, high: float) -> None:
        super().check_pixels(low, high)
        if isinstance(self.network.encoder, str):
            check_unit_interval(low, high)

    def check(self) -> Self:
        super().check()
        linear = self.code_activation == "linear"
        require(linear, f"code_activation is {self.code_activation!r}, but codes are taken as they are: leave it out")
        return self
