"""The importance-weighted autoencoder. Burda, Grosse & Salakhutdinov 2015, eq. 8:

    log p(x) >= E[log 1/K sum_k w_k] = L_K,   w_k = p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)

L_1 is the ELBO, and L_K rises to log p(x) with K. Trained on it, q(z|x) need not fit every code by itself:

    loss(x) = -log 1/K sum_k w_k,   log w = log p(x|z) - weight * (log q(z|x) - log p(z))

with the weight of the model's own KL (beta and its warm-up); figures are reported at weight 1. With one sample the
objective is the model's own `loss`, whose KL may have a closed form. Every model with q(z|x), p(x|z) and p(z) can be
trained so: `VAE(importance_samples=50)`, `VampVAE(importance_samples=50)`.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from latently.common.settings import Count
from latently.models.base import Model
from latently.models.densities import log_mean_exp
from latently.models.posterior import Posterior, Prior


@dataclass
class ImportanceWeighted(Model):
    """A model with `encode`, `decode`, `prior` and `weight`, trained on the bound of K importance samples."""

    importance_samples: Count = field(default=1, kw_only=True)
    """Samples of z per image in the objective; above 1: the importance-weighted autoencoder (Burda et al. 2015)."""

    def objective(self, net: Any, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        if self.importance_samples == 1:
            return self.loss(net, x, y, progress)
        q, prior = self.encode(net, x, y), self.prior(net)
        noise = torch.randn(self.importance_samples, len(x), q.mean.shape[1], device=x.device)
        log_px, log_ratio = self.sampled(net, x, q, prior, noise, y)  # (K, B) each
        loss = -log_mean_exp(log_px - self.weight(progress) * log_ratio)  # (B,)
        return {"loss": loss, "reconstruction": -log_px.mean(0), "kl": log_ratio.mean(0)}

    def log_weights(
        self, net: Any, x: Tensor, q: Posterior, prior: Prior, noise: Tensor, y: Tensor | None = None
    ) -> Tensor:
        """log w of K codes z ~ q(z|x) for each image, from noise (K, B, Z). -> (K, B)

        q and prior are the results of `encode` and `prior`, so that an image is encoded once even if K is split.
        """
        log_px, log_ratio = self.sampled(net, x, q, prior, noise, y)
        return log_px - log_ratio

    def sampled(
        self, net: Any, x: Tensor, q: Posterior, prior: Prior, noise: Tensor, y: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """log p(x|z) and log q(z|x) - log p(z) for K codes z ~ q(z|x) of each image, (K, B) each."""
        k, shape = len(noise), noise.shape[:2]
        q = q.repeated(k)  # (K B, Z)
        z = q.rsample(noise.flatten(0, 1))
        log_px = self.decode(net, z, y if y is None else y.repeat(k)).log_prob(x.repeat(k, 1, 1, 1))
        return log_px.view(shape), (q.log_prob(z) - prior.log_prob(z)).view(shape)

    @property
    def codes_per_image(self) -> int:
        return self.importance_samples

    # What a subclass provides ---------------------------------------------------------------------

    def encode(self, net: Any, x: Tensor, y: Tensor | None = None) -> Posterior:
        """q(z|x)"""
        raise NotImplementedError

    def decode(self, net: Any, z: Tensor, y: Tensor | None = None) -> Any:
        """p(x|z)"""
        raise NotImplementedError

    def prior(self, net: Any) -> Prior:
        """p(z)"""
        raise NotImplementedError

    def weight(self, progress: Tensor | float) -> Tensor | float:
        """Weight of the KL at `progress` 0..1 of the run."""
        raise NotImplementedError
