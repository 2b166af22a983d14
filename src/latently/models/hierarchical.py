"""Two layers of codes with a learned prior on top: the ladder of Sonderby et al. 2016 with the VampPrior of Tomczak &
Welling 2018 (their section 4). An image is made from z1, which is made from z2:

    p(x, z1, z2) = p(z2) p(z1|z2) p(x|z1, z2),   p(z2) = 1/M sum_m q(z2|u_m), u_m learned images (vamp.py)
    q(z1, z2|x)  = q(z2|x) q(z1|x, z2),          q(z1|x, z2) proportional to p(z1|z2) N(z1; mu(x), s(x)^2)

    log p(x) >= E_q[log p(x|z1,z2) + log p(z1|z2) + log p(z2) - log q(z1|x,z2) - log q(z2|x)] = ELBO

The posterior of z1 multiplies what z2 makes expected by what the image says (eq. 11 and 12 of the ladder): precisions
add, so z1 has to say only in what the image differs. Two conditions on z2 share one network, p(z1|z2).

With `grid` z1 is a grid of the places in which the convolutions of the encoder end, each the matter of its own part of
the image, and z2 stays a row of values, which says what the whole is.

The code is [z2, z1] in one row, both densities are over it (`TopDown`), and all else is the VAE's: objective,
likelihoods, the importance-weighted bound (iwae.py).
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Count, Probability
from latently.models.densities import Mixture, Normal, in_float32, sum_per_image
from latently.models.layers import Shape
from latently.models.modules import activation
from latently.models.networks import EncoderDecoder, assemble, initialise
from latently.models.posterior import Posterior, TopDown, posterior
from latently.models.vamp import VampVAE

LOG_VARIANCES = -6.0, 2.0  # of z1 where z2 is known, as in Tomczak & Welling's code; without limits a run may diverge


@dataclass
class HierarchicalVAE(VampVAE):
    """Variational autoencoder with two layers of codes, the upper one under a VampPrior."""

    name: ClassVar[str] = "hierarchical"

    latent_dim: Count = 80
    """Width of the code, both layers together."""
    upper: Probability = 0.5
    """Fraction of the code that is z2, the layer from which the other is made; with `grid` about so much."""
    between: Count = 300
    """Units of each of the two hidden layers from z2 to z1; with `grid` their channels."""
    grid: bool = False
    """Whether z1 is a grid, of as many places as the encoder's layers end in; these are then convolutions."""

    def encode(self, net: EncoderDecoder, x: Tensor, y: Tensor | None = None) -> TopDown:
        """q(z2, z1|x)"""
        z2, z1 = self.seen(net, x)
        return TopDown(z2, net.between, z1)

    def prior(self, net: EncoderDecoder) -> TopDown:
        """p(z2, z1)"""
        return TopDown(Mixture(self.seen(net, self.pseudo_images(net))[0]), net.between)

    def draw(self, net: EncoderDecoder, q: Posterior, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[z2, z1] ~ q(z2, z1|x), and log q(z2|x) - log p(z2) of z2 + KL(q(z1|x, z2) || p(z1|z2)) in closed form, (B,).
        Both need p(z1|z2), which is computed once."""
        assert isinstance(q, TopDown)
        assert isinstance(q.upper, Normal)
        assert q.known is not None
        n_upper = net.between.n_upper
        z2 = q.upper.rsample(None if noise is None else noise[:, :n_upper])
        expected = net.between(z2)  # p(z1|z2)
        lower = expected.times(q.known)  # q(z1|x, z2)
        kl = q.upper.log_prob(z2) - self.prior(net).upper.log_prob(z2) + sum_per_image(lower.kl(expected))
        z1 = lower.rsample(None if noise is None else noise[:, n_upper:])
        return torch.cat([z2, z1], 1), kl

    def seen(self, net: EncoderDecoder, x: Tensor) -> tuple[Normal, Normal]:
        """q(z2|x), and N(mu(x), s(x)^2), what an image says of z1 without z2."""
        output, n_upper = net.encoder(x), net.between.n_upper
        upper = posterior(output[:, : 2 * n_upper], n_upper, self.posterior, None)
        lower = posterior(output[:, 2 * n_upper :], self.latent_dim - n_upper, self.posterior, None)
        assert isinstance(upper, Normal)
        assert isinstance(lower, Normal)
        return upper, lower

    # The network ----------------------------------------------------------------------------------

    @property
    def upper_dim(self) -> int:
        """Width of z2 where z1 is no grid: at least 1, and less than the whole."""
        return min(max(1, round(self.upper * self.latent_dim)), self.latent_dim - 1)

    def grid_shape(self, places: Shape) -> Shape:
        """Of z1, (channels, height, width), where the encoder's layers end in `places` (C, height, width)."""
        ends = f"grid is given, but the encoder's layers end at {places}"
        require(len(places) == 3, f"{ends}; z1 has the places of a convolution: let them end in one")
        n_places = math.prod(places[1:])
        channels = max(1, round((1 - self.upper) * self.latent_dim / n_places))
        wide = f"latent_dim is {self.latent_dim}, of which a grid of {channels} x {n_places} values leaves none for z2"
        require(channels * n_places < self.latent_dim, f"{wide}; give a wider code, or a larger upper")
        return channels, *places[1:]

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        net, act = super().build(image_shape, n_classes), self.network.activation
        if not self.grid:
            net.between = Between(self.upper_dim, self.between, self.latent_dim - self.upper_dim, act)
            return net
        grid = self.grid_shape(self.network.encoder_shape(image_shape))
        net.between = BetweenGrids(self.latent_dim - math.prod(grid), self.between, grid, act)
        return net

    def coders(self, image_shape: Shape) -> tuple[nn.Module, nn.Module]:
        if not self.grid:
            return super().coders(image_shape)
        trunk, places = assemble(self.network.encoder_layers(image_shape), image_shape, self.network.init)
        grid = self.grid_shape(places)
        n_upper = self.latent_dim - math.prod(grid)
        layers = self.network.decoder_layers(image_shape)
        layers = layers if self.network.decoder else layers[2:]  # the first two of a mirror make places of a row
        rest, made = assemble(layers, places, self.network.init)
        require(made == image_shape, f"the decoder {self.network.decoder!r} ends at {made}, not at {image_shape}")
        to_both, from_both = ToBoth(places, n_upper, grid), FromBoth(n_upper, grid, places)
        for part in (to_both, from_both):
            initialise(part, self.network.init, None)
        act = activation(self.network.activation)
        return nn.Sequential(trunk, to_both), nn.Sequential(from_both, act, rest)

    def check(self) -> Self:
        super().check()
        require(self.latent_dim >= 2, "latent_dim is 1, but a code of two layers has a dimension for each; give 2")
        module = self.grid and self.modules
        require(not module, "grid puts layers of its own next to the places of a convolution: give a line of text")
        return self


class Between(nn.Module):
    """p(z1|z2): (B, Z2) -> a normal over (B, Z1), by two hidden layers."""

    def __init__(self, n_upper: int, n_hidden: int, n_lower: int, act: str) -> None:
        super().__init__()
        self.n_upper = n_upper
        self.layers = nn.Sequential(
            nn.Linear(n_upper, n_hidden), activation(act), nn.Linear(n_hidden, n_hidden), activation(act)
        )
        self.last: nn.Module = nn.Linear(n_hidden, 2 * n_lower)

    def forward(self, z2: Tensor) -> Normal:
        with in_float32(z2):  # bfloat16 gradients of prior and posterior, both large, would not cancel
            mean, log_variance = self.last(self.layers(z2)).flatten(1).chunk(2, 1)
            return Normal(mean, log_variance.clamp(*LOG_VARIANCES))


class BetweenGrids(Between):
    """The same for z1 that is a grid (C, height, width) in one row, by hidden layers of channels in its places."""

    def __init__(self, n_upper: int, n_hidden: int, grid: Shape, act: str) -> None:
        super().__init__(n_upper, 1, 1, act)
        self.layers = nn.Sequential(
            nn.Linear(n_upper, n_hidden * math.prod(grid[1:])), nn.Unflatten(1, (n_hidden, *grid[1:])), activation(act),
            nn.Conv2d(n_hidden, n_hidden, 3, padding=1), activation(act),
        )  # fmt: skip
        self.last = nn.Conv2d(n_hidden, 2 * grid[0], 3, padding=1)


class ToBoth(nn.Module):
    """Places (B, C, height, width) -> means and spreads of z2, then those of the grid z1, in one row."""

    def __init__(self, places: Shape, n_upper: int, grid: Shape) -> None:
        super().__init__()
        self.upper = nn.Linear(math.prod(places), 2 * n_upper)
        self.lower = nn.Conv2d(places[0], 2 * grid[0], 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.upper(x.flatten(1)), self.lower(x).flatten(1)], 1)


class FromBoth(nn.Module):
    """[z2, z1] (B, Z) -> places (B, C, height, width): what z2 adds everywhere, and z1 near each place."""

    def __init__(self, n_upper: int, grid: Shape, places: Shape) -> None:
        super().__init__()
        self.n_upper, self.grid, self.places = n_upper, grid, places
        self.upper = nn.Linear(n_upper, math.prod(places))
        self.lower = nn.Conv2d(grid[0], places[0], 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        z2, z1 = z.tensor_split([self.n_upper], 1)
        made: Tensor = self.upper(z2).view(-1, *self.places) + self.lower(z1.reshape(-1, *self.grid))
        return made
