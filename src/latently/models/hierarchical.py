"""Two layers of codes with a learned prior on top: the ladder of Sonderby et al. 2016 with the VampPrior of Tomczak &
Welling 2018 (their section 4). An image is made from z1, which is made from z2:

    p(x, z1, z2) = p(z2) p(z1|z2) p(x|z1, z2),   p(z2) = 1/M sum_m q(z2|u_m), u_m learned images (vamp.py)
    q(z1, z2|x)  = q(z2|x) q(z1|x, z2),          q(z1|x, z2) proportional to p(z1|z2) N(z1; mu(x), s(x)^2)

    log p(x) >= E_q[log p(x|z1,z2) + log p(z1|z2) + log p(z2) - log q(z1|x,z2) - log q(z2|x)] = ELBO

The posterior of z1 multiplies what z2 makes expected by what the image says (eq. 11 and 12 of the ladder): precisions
add, so z1 has to say only in what the image differs. Two conditions on z2 share one network, p(z1|z2).

The code is [z2, z1] in one row, both densities are over it (`TopDown`), and all else is the VAE's: objective,
likelihoods, the importance-weighted bound (iwae.py).
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Count, Probability
from latently.models.densities import Mixture, Normal, in_float32
from latently.models.layers import Shape
from latently.models.modules import activation
from latently.models.networks import EncoderDecoder
from latently.models.posterior import TopDown, posterior
from latently.models.vamp import VampVAE

LOG_VARIANCES = -6.0, 2.0  # of z1 where z2 is known, as in Tomczak & Welling's code; without limits a run may diverge


@dataclass
class HierarchicalVAE(VampVAE):
    """Variational autoencoder with two layers of codes, the upper one under a VampPrior."""

    name: ClassVar[str] = "hierarchical"

    latent_dim: Count = 80
    """Width of the code, both layers together."""
    upper: Probability = 0.5
    """Fraction of the code that is z2, the layer from which the other is made."""
    between: Count = 300
    """Units of each of the two hidden layers from z2 to z1."""

    def encode(self, net: EncoderDecoder, x: Tensor, y: Tensor | None = None) -> TopDown:
        """q(z2, z1|x)"""
        z2, z1 = self.seen(net, x)
        return TopDown(z2, net.between, z1)

    def prior(self, net: EncoderDecoder) -> TopDown:
        """p(z2, z1)"""
        return TopDown(Mixture(self.seen(net, self.pseudo_images(net))[0]), net.between)

    def seen(self, net: EncoderDecoder, x: Tensor) -> tuple[Normal, Normal]:
        """q(z2|x), and N(mu(x), s(x)^2), what an image says of z1 without z2."""
        output = net.encoder(x)
        upper = posterior(output[:, : 2 * self.upper_dim], self.upper_dim, self.posterior, None)
        lower = posterior(output[:, 2 * self.upper_dim :], self.latent_dim - self.upper_dim, self.posterior, None)
        assert isinstance(upper, Normal)
        assert isinstance(lower, Normal)
        return upper, lower

    # The network ----------------------------------------------------------------------------------

    @property
    def upper_dim(self) -> int:
        """Width of z2: at least 1, and less than the whole."""
        return min(max(1, round(self.upper * self.latent_dim)), self.latent_dim - 1)

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        net = super().build(image_shape, n_classes)
        net.between = Between(self.upper_dim, self.between, self.latent_dim - self.upper_dim, self.network.activation)
        return net

    def check(self) -> Self:
        super().check()
        require(self.latent_dim >= 2, "latent_dim is 1, but a code of two layers has a dimension for each; give 2")
        return self


class Between(nn.Module):
    """p(z1|z2): (B, Z2) -> a normal over (B, Z1), by two hidden layers."""

    def __init__(self, n_upper: int, n_hidden: int, n_lower: int, act: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_upper, n_hidden), activation(act), nn.Linear(n_hidden, n_hidden), activation(act)
        )
        self.last = nn.Linear(n_hidden, 2 * n_lower)

    def forward(self, z2: Tensor) -> Normal:
        with in_float32(z2):  # bfloat16 gradients of prior and posterior, both large, would not cancel
            mean, log_variance = self.last(self.layers(z2)).chunk(2, 1)
            return Normal(mean, log_variance.clamp(*LOG_VARIANCES))
