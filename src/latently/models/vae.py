"""The variational autoencoder. Kingma & Welling 2013, eq. 3:

    log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || p(z)) = ELBO,   q(z|x) a diagonal normal, p(z) = N(0, I)

The objective weighs the KL, and figures are reported at weight 1:

    loss(x) = beta * warm-up * max(KL, free bits) - log p(x|z),   z ~ q(z|x), one sample

With flow steps q(z|x) is that normal after a flow (flows.py), with several importance samples the objective is that of
the importance-weighted autoencoder (iwae.py). How a network's outputs become q(z|x) and p(x|z) stands in posterior.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Count, Fraction, NonNegative, Positive, WholeNumber
from latently.models.base import PREPARED_FROM, check_unit_interval
from latently.models.densities import Normal, best_log_variance, free_bits, sum_per_image
from latently.models.flows import Flow
from latently.models.iwae import ImportanceWeighted
from latently.models.layers import Shape
from latently.models.networks import EncoderDecoder, Network, begin_at
from latently.models.posterior import (
    Likelihood,
    LikelihoodName,
    Posterior,
    Prior,
    Spread,
    TopDown,
    likelihood,
    posterior,
)


@dataclass
class VAE(ImportanceWeighted):
    """Variational autoencoder; beta-VAE (Higgins et al. 2017) is `VAE(beta=4)`."""

    name: ClassVar[str] = "vae"

    latent_dim: Count = 20
    """Width of the code."""
    network: Network = field(default_factory=Network)
    likelihood: LikelihoodName = "bernoulli"
    """p(x|z): bernoulli for pixels in 0..1, gaussian for any real values; discretised-logistic for pixels that were
    bytes, whose bits it counts (Salimans et al. 2017)."""
    variance: Positive | Literal["learned"] = "learned"
    """Variance of pixels that are not Bernoulli: a fixed number, or one learned value for all (Rybkin et al. 2021)."""
    posterior: Spread = "log-variance"
    """Second half of the encoder's output: log variance, or standard deviation by softplus or absolute value."""
    beta: NonNegative = 1.0
    """Weight of the KL in the objective; the reported ELBO has weight 1."""
    kl_warmup: Fraction = 0.0
    """Fraction of the run over which the KL's weight rises from 0 to beta."""
    free_bits: NonNegative = 0.0
    """Free bits: KL in nats per latent dimension that is not penalised (Kingma et al. 2016)."""
    flow_steps: WholeNumber = 0
    """Coupling steps of the posterior's flow (Dinh et al. 2017; Kingma et al. 2016); 0: a diagonal normal."""
    flow_width: Count = 64
    """Hidden units of each coupling step, and size of the context that the encoder passes to it."""

    def loss(self, net: EncoderDecoder, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        q = self.encode(net, x, y)  # q(z|x)
        z, kl = self.draw(net, q)  # (B, Z), and KL(q(z|x) || p(z)) of each dimension (B, Z)
        log_px = self.decode(net, z, y).log_prob(x)  # log p(x|z), (B,)
        penalty = free_bits(kl, self.free_bits) if self.free_bits else sum_per_image(kl)  # (B,)
        return {
            "loss": self.weight(progress) * penalty - log_px,
            "reconstruction": -log_px,
            "kl": sum_per_image(kl),
        }

    def encode(self, net: EncoderDecoder, x: Tensor, y: Tensor | None = None) -> Posterior:
        """q(z|x)"""
        return posterior(net.encoder(x), self.latent_dim, self.posterior, self.flow(net))

    def decode(self, net: EncoderDecoder, z: Tensor, y: Tensor | None = None) -> Likelihood:
        """p(x|z)"""
        return likelihood(net.decoder(z), self.likelihood, self.pixel_variance(net))

    def prior(self, net: EncoderDecoder) -> Prior:
        """p(z) = N(0, I)"""
        zeros = torch.zeros(1, self.latent_dim, device=next(net.parameters()).device)
        return Normal(zeros, zeros)

    def kl(self, net: EncoderDecoder, q: Posterior, z: Tensor) -> Tensor:
        """KL(q(z|x) || N(0, I)) of each dimension (B, Z), in closed form; after a flow by the sample z, (B,)."""
        assert not isinstance(q, TopDown)
        return q.kl_to_standard_normal(z)

    def draw(self, net: EncoderDecoder, q: Posterior, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z ~ q(z|x) (B, Z), from noise (B, Z) ~ N(0, I) where it is given, and its `kl`."""
        z = q.rsample(noise)
        return z, self.kl(net, q, z)

    def weight(self, progress: Tensor | float) -> Tensor | float:
        """The KL's weight: rises linearly from 0 to beta over the first `kl_warmup` of the run, then stays there."""
        if not self.kl_warmup:
            return self.beta
        return self.beta * torch.clamp(torch.as_tensor(progress) / self.kl_warmup, max=1.0)

    def bound(
        self, net: EncoderDecoder, x: Tensor, noise: Tensor | None = None, y: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The terms of the reported ELBO: -ELBO = reconstruction (B,), from one z ~ q(z|x), + kl."""
        q = self.encode(net, x, y)
        z, kl = self.draw(net, q, noise)
        return {"reconstruction": -self.decode(net, z, y).log_prob(x), "kl": kl}

    # The network ----------------------------------------------------------------------------------

    def prepare(self, net: Any, some: Callable[[int], Tensor]) -> None:
        """Pixels that are not Bernoulli begin where they are best while the code says nothing: at the mean image, and
        with the variance that it leaves. Begun at 0 and 1, a short run may end before either is reached, or collapse.
        """
        super().prepare(net, some)
        if self.likelihood != "bernoulli":
            x = some(PREPARED_FROM)  # (n, C, H, W)
            if "decoder" not in self.modules:
                begin_at(net.decoder, x.mean(0))
            if self.learns_variance:
                net.log_variance.data.copy_(best_log_variance(x, x.mean(0)))

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        self.check()
        return self.completed(EncoderDecoder(*self.coders(image_shape)))

    def coders(self, image_shape: Shape) -> tuple[nn.Module, nn.Module]:
        """Encoder and decoder."""
        encoder = self.network.build_encoder(image_shape, self.encoder_width)
        return encoder, self.network.build_decoder(image_shape, self.latent_dim)

    @property
    def encoder_width(self) -> int:
        """Width of the encoder's output: mean and spread of q, and the context of the flow."""
        return 2 * self.latent_dim + (self.flow_width if self.flow_steps else 0)

    def completed(self, net: EncoderDecoder) -> EncoderDecoder:
        """`net` with the flow and the learned variance of the likelihood added, if the model has them."""
        if self.flow_steps:
            net.flow = Flow(self.flow_steps, self.latent_dim, self.flow_width)
        if self.learns_variance:
            net.log_variance = nn.Parameter(torch.zeros(()))
        return net

    def flow(self, net: EncoderDecoder) -> Flow | None:
        return net.flow if self.flow_steps else None

    @property
    def learns_variance(self) -> bool:
        return self.likelihood != "bernoulli" and self.variance == "learned"

    def pixel_variance(self, net: EncoderDecoder) -> float | Tensor:
        """Variance of a pixel: the given number, or the log of the learned one."""
        if self.learns_variance:
            return net.log_variance
        return 1.0 if self.variance == "learned" else self.variance

    # What cannot be -------------------------------------------------------------------------------

    def check(self) -> Self:
        super().check()
        by_sample = self.flow_steps or self.importance_samples > 1
        sentence = f"free_bits is {self.free_bits:g}, but with a flow or several importance samples"
        require(not (self.free_bits and by_sample), f"{sentence} no dimension has a KL of its own; leave it out")
        halves = not self.flow_steps or self.latent_dim >= 2
        one = f"flow_steps is {self.flow_steps}, but a step halves the code, and this one has a single dimension"
        require(halves, f"{one}; give a wider code, or leave it out")
        return self

    def check_pixels(self, low: float, high: float) -> None:
        if self.likelihood != "gaussian":
            check_unit_interval(low, high, self.likelihood.replace("bernoulli", "Bernoulli"))
