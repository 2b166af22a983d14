"""The variational autoencoder. Kingma & Welling 2013, eq. 3:

    log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || p(z)) = ELBO,   q(z|x) a diagonal normal, p(z) = N(0, I)

With flow steps q(z|x) is that normal after a flow (flows.py), and the KL is log q(z|x) - log p(z) of the sample z.

With the parameters below the objective becomes

    loss(x) = beta * warm-up * max(KL, free bits) - log p(x|z),   z ~ q(z|x), one sample,

or, with K > 1 importance samples, that of the importance-weighted autoencoder (Burda et al. 2015, eq. 8):

    loss(x) = -log 1/K sum_k w_k,   log w = log p(x|z) + beta * warm-up * (log p(z) - log q(z|x)),   z_k ~ q(z|x),

while the figures that are reported stay bounds on log p(x), at weight 1.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Count, Fraction, NonNegative, Positive, WholeNumber
from latently.models.base import Model, check_unit_interval
from latently.models.densities import Bernoulli, Mixture, Normal, free_bits, log_mean_exp, sum_per_image
from latently.models.flows import Flow, Flowed
from latently.models.layers import Shape
from latently.models.networks import EncoderDecoder, Network

Posterior = Normal | Flowed
Prior = Normal | Mixture


@dataclass
class VAE(Model):
    """Variational autoencoder; beta-VAE (Higgins et al. 2017) is `VAE(beta=4)`."""

    name: ClassVar[str] = "vae"
    learns_prior: ClassVar[bool] = False

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
    flow_steps: WholeNumber = 0
    """Coupling steps that bend the posterior (Dinh et al. 2017; Kingma et al. 2016); 0: it stays a diagonal normal."""
    flow_width: Count = 64
    """Hidden units of each step, and values that the encoder tells it of the image."""
    importance_samples: Count = 1
    """Codes drawn for each image and step; more than 1: the importance-weighted autoencoder (Burda et al. 2015)."""

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        self.check()
        encoder = self.network.build_encoder(image_shape, self.encoder_width)
        return self.completed(EncoderDecoder(encoder, self.network.build_decoder(image_shape, self.latent_dim)))

    @property
    def codes_per_image(self) -> int:
        return self.importance_samples

    @property
    def encoder_width(self) -> int:
        """Mean and spread; the flow's context."""
        return 2 * self.latent_dim + (self.flow_width if self.flow_steps else 0)

    def completed(self, net: EncoderDecoder) -> EncoderDecoder:
        """With the flow, and with the variance of the likelihood where it is learned."""
        if self.flow_steps:
            net.flow = Flow(self.flow_steps, self.latent_dim, self.flow_width)
        if self.likelihood == "gaussian" and self.variance == "learned":
            net.log_variance = nn.Parameter(torch.zeros(()))
        return net

    def loss(self, net: EncoderDecoder, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        if self.importance_samples > 1:
            return self.importance_loss(net, x, y, progress)
        terms = self.bound(net, x, y=y)
        reconstruction, kl = terms["reconstruction"], sum_per_image(terms["kl"])  # (B,) each
        penalty = free_bits(terms["kl"], self.free_bits) if self.free_bits else kl
        return {"loss": self.weight(progress) * penalty + reconstruction, "reconstruction": reconstruction, "kl": kl}

    def importance_loss(
        self, net: EncoderDecoder, x: Tensor, y: Tensor | None, progress: Tensor | float
    ) -> dict[str, Tensor]:
        """Minus the bound of K samples; beside it the terms of minus the ELBO, averaged over them."""
        noise = torch.randn(self.importance_samples, len(x), self.latent_dim, device=x.device)
        q, prior = self.encode(net, x, y), self.prior(net)
        reconstruction, kl = self.sampled_terms(net, x, q, prior, noise, y)  # (K, B) each
        log_weights = -reconstruction - self.weight(progress) * kl
        return {"loss": -log_mean_exp(log_weights), "reconstruction": reconstruction.mean(0), "kl": kl.mean(0)}

    def log_weights(
        self, net: EncoderDecoder, x: Tensor, q: Posterior, prior: Prior, noise: Tensor, y: Tensor | None = None
    ) -> Tensor:
        """log w = log p(x, z) - log q(z|x) of K codes z ~ q(z|x) of each image, by noise (K, B, Z). -> (K, B)

        q and prior are what `encode` and `prior` give: so each image is encoded once, however many pieces K comes in.
        """
        reconstruction, kl = self.sampled_terms(net, x, q, prior, noise, y)
        return -reconstruction - kl

    def sampled_terms(
        self, net: EncoderDecoder, x: Tensor, q: Posterior, prior: Prior, noise: Tensor, y: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """-log p(x|z) and log q(z|x) - log p(z) of K codes z ~ q(z|x) of each image, (K, B) each."""
        k, shape = len(noise), noise.shape[:2]
        q = q.repeated(k)  # (K B, Z)
        z = q.rsample(noise.flatten(0, 1))
        log_px = self.decode(net, z, y if y is None else y.repeat(k)).log_prob(x.repeat(k, 1, 1, 1))
        return -log_px.view(shape), (q.log_prob(z) - prior.log_prob(z)).view(shape)

    def bound(
        self, net: EncoderDecoder, x: Tensor, noise: Tensor | None = None, y: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Minus the ELBO is the sum of these: reconstruction (B,) from one z ~ q(z|x), and what `kl` gives.

        y is for the conditional VAE (cvae.py), where it stands beside every x and z.
        """
        q = self.encode(net, x, y)
        z = q.rsample(noise)
        log_px = self.decode(net, z, y).log_prob(x)  # (B,)
        return {"reconstruction": -log_px, "kl": self.kl(net, q, z)}

    def kl(self, net: EncoderDecoder, q: Posterior, z: Tensor) -> Tensor:
        """KL(q(z|x) || p(z)): of each dimension (B, Z) in closed form; by the sample z (B,) where there is none."""
        if isinstance(q, Normal) and not self.learns_prior:
            return q.kl_to_standard_normal_per_dimension()
        return q.log_prob(z) - self.prior(net).log_prob(z)

    def weight(self, progress: Tensor | float) -> Tensor | float:
        """beta, reached along a straight line over the first `kl_warmup` of the run."""
        if not self.kl_warmup:
            return self.beta
        return self.beta * torch.clamp(torch.as_tensor(progress) / self.kl_warmup, max=1.0)

    def encode(self, net: EncoderDecoder, x: Tensor, y: Tensor | None = None) -> Posterior:
        return self.as_posterior(net, net.encoder(x))  # q(z|x)

    def decode(self, net: EncoderDecoder, z: Tensor, y: Tensor | None = None) -> Bernoulli | Normal:
        return self.as_likelihood(net, net.decoder(z))  # p(x|z)

    def as_posterior(self, net: EncoderDecoder, output: Tensor) -> Posterior:
        mean, spread, context = output.float().tensor_split((self.latent_dim, 2 * self.latent_dim), dim=1)
        if self.posterior == "softplus":
            spread = 2 * torch.log(F.softplus(spread) + 1e-6)
        elif self.posterior == "stddev":
            spread = torch.log(spread.square() + 1e-8)
        base = Normal(mean, spread)  # (B, Z)
        return Flowed(base, net.flow, context) if self.flow_steps else base

    def as_likelihood(self, net: EncoderDecoder, output: Tensor) -> Bernoulli | Normal:
        """output (B, C, H, W)"""
        if self.likelihood == "bernoulli":
            return Bernoulli(output)
        if self.variance == "learned":
            return Normal(output, net.log_variance)
        # float32, whatever the output is: rounded to bfloat16, log 0.01 is off by 4.5 nats over 784 pixels
        return Normal(output, torch.full((), math.log(self.variance), device=output.device))

    def prior(self, net: EncoderDecoder) -> Prior:
        """p(z) = N(0, I)."""
        zeros = torch.zeros(1, self.latent_dim, device=next(net.parameters()).device)
        return Normal(zeros, zeros)

    def check(self) -> Self:
        super().check()
        by_sample = self.flow_steps or self.importance_samples > 1 or self.learns_prior
        sentence = f"free_bits is {self.free_bits:g}, but with a flow, a learned prior or several importance samples"
        require(not (self.free_bits and by_sample), f"{sentence} no dimension has a KL of its own; leave it out")
        halves = not self.flow_steps or self.latent_dim >= 2
        one = f"flow_steps is {self.flow_steps}, but a step halves the code, and this one has a single dimension"
        require(halves, f"{one}; give a wider code, or leave it out")
        return self

    def check_pixels(self, low: float, high: float) -> None:
        if self.likelihood == "bernoulli":
            check_unit_interval(low, high)
