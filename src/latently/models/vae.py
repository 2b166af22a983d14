"""The variational autoencoder. Kingma & Welling 2013, eq. 3:

    log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || p(z)) = ELBO,   q(z|x) a diagonal normal, p(z) = N(0, I)

With the parameters below the objective becomes

    loss(x) = beta * warm-up * max(KL, free bits) - log p(x|z),   z ~ q(z|x), one sample,

while the figure that is reported stays the ELBO, at weight 1.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latently.densities import Bernoulli, Normal, free_bits
from latently.models.base import Model, check_unit_interval
from latently.networks import EncoderDecoder, Network, Shape
from latently.settings import Count, Fraction, NonNegative, Positive


@dataclass
class VAE(Model):
    """Variational autoencoder; beta-VAE (Higgins et al. 2017) is `VAE(beta=4)`."""

    name: ClassVar[str] = "vae"

    latent_dim: Count = 20
    """Width of the code."""
    network: Network = field(default_factory=Network)
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    """p(x|z): bernoulli for pixels in 0..1, gaussian for any real ones."""
    variance: Positive | Literal["learned"] = "learned"
    """Of the gaussian likelihood: a fixed number, or one for all pixels, learned (Rybkin et al. 2021)."""
    posterior: Literal["log-variance", "softplus", "stddev"] = "log-variance"
    """The encoder's second half: log variance; or the standard deviation, through a softplus or of any sign."""
    beta: NonNegative = 1.0
    """Weight of the KL in the objective; the reported ELBO has weight 1."""
    kl_warmup: Fraction = 0.0
    """Share of the run over which the KL's weight rises from 0 to beta."""
    free_bits: NonNegative = 0.0
    """Nats per latent dimension that cost no KL (Kingma et al. 2016)."""

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        self.check()
        encoder = self.network.build_encoder(image_shape, 2 * self.latent_dim)  # mean and spread
        return self.completed(EncoderDecoder(encoder, self.network.build_decoder(image_shape, self.latent_dim)))

    def completed(self, net: EncoderDecoder) -> EncoderDecoder:
        """With the variance of the likelihood, where it is learned."""
        if self.likelihood == "gaussian" and self.variance == "learned":
            net.log_variance = nn.Parameter(torch.zeros(()))
        return net

    def loss(self, net: EncoderDecoder, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        terms = self.bound(net, x, y=y)
        reconstruction, kl = terms["reconstruction"], terms["kl"]  # (B,), (B, Z)
        penalty = free_bits(kl, self.free_bits) if self.free_bits else kl.sum(1)  # (B,)
        return {
            "loss": self.weight(progress) * penalty + reconstruction,
            "reconstruction": reconstruction,
            "kl": kl.sum(1),
        }

    def bound(
        self, net: EncoderDecoder, x: Tensor, noise: Tensor | None = None, y: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Minus the ELBO is the sum of these: reconstruction (B,) from one z ~ q(z|x), and kl (B, Z) in closed form.

        y is for the conditional VAE (cvae.py), where it stands beside every x and z.
        """
        q = self.encode(net, x, y)
        log_px = self.decode(net, q.rsample(noise), y).log_prob(x)  # (B,)
        return {"reconstruction": -log_px, "kl": q.kl_to_standard_normal_per_dimension()}

    def weight(self, progress: Tensor | float) -> Tensor | float:
        """beta, reached along a straight line over the first `kl_warmup` of the run."""
        if not self.kl_warmup:
            return self.beta
        return self.beta * torch.clamp(torch.as_tensor(progress) / self.kl_warmup, max=1.0)

    def encode(self, net: EncoderDecoder, x: Tensor, y: Tensor | None = None) -> Normal:
        return self.as_posterior(net.encoder(x))  # q(z|x)

    def decode(self, net: EncoderDecoder, z: Tensor, y: Tensor | None = None) -> Bernoulli | Normal:
        return self.as_likelihood(net, net.decoder(z))  # p(x|z)

    def as_posterior(self, output: Tensor) -> Normal:
        mean, spread = output.float().chunk(2, dim=1)  # (B, Z) each
        if self.posterior == "softplus":
            spread = 2 * torch.log(F.softplus(spread) + 1e-6)
        elif self.posterior == "stddev":
            spread = torch.log(spread.square() + 1e-8)
        return Normal(mean, spread)

    def as_likelihood(self, net: EncoderDecoder, output: Tensor) -> Bernoulli | Normal:
        """output (B, C, H, W)"""
        if self.likelihood == "bernoulli":
            return Bernoulli(output)
        if self.variance == "learned":
            return Normal(output, net.log_variance)
        # float32, whatever the output is: rounded to bfloat16, log 0.01 is off by 4.5 nats over 784 pixels
        return Normal(output, torch.full((), math.log(self.variance), device=output.device))

    def prior(self) -> Normal:
        """p(z) = N(0, I)."""
        return Normal(torch.zeros(1, self.latent_dim), torch.zeros(1, self.latent_dim))

    def check_pixels(self, low: float, high: float) -> None:
        if self.likelihood == "bernoulli":
            check_unit_interval(low, high)
