"""Distributions from network outputs: an encoder's output as q(z|x), a decoder's as p(x|z)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from latently.models.densities import Bernoulli, DiscretisedLogistic, Mixture, Normal
from latently.models.flows import Flow, Flowed

TRIED = 2000  # draws by which the spread of a density without a closed form is measured


@dataclass
class TopDown:
    """One density over codes z = [z2, z1] of two layers: `upper` over z2 (B, Z2) and then, given z2, `lower(z2)` over
    z1, times what is `known` of z1 without it, if anything is (hierarchical.py)."""

    upper: Normal | Mixture
    lower: Callable[[Tensor], Normal]
    known: Normal | None = None

    def given(self, z2: Tensor) -> Normal:
        """The density of z1 where z2 is known. (B, Z1)"""
        expected = self.lower(z2)
        return expected if self.known is None else expected.times(self.known)

    @property
    def mean(self) -> Tensor:
        """The mean of z2, and that of z1 given it: a point in the midst, not the expectation of z1. (B, Z)"""
        return torch.cat([self.upper.mean, self.given(self.upper.mean).mean], 1)

    @property
    def stddev(self) -> Tensor:
        """Of a single density, by draws. (1, Z)"""
        return self.sample(TRIED, torch.Generator().manual_seed(0)).std(0, keepdim=True)

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        """noise (B, Z) ~ N(0, I) where it is given. -> (B, Z)"""
        assert isinstance(self.upper, Normal)
        n_upper = self.upper.mean.shape[1]
        z2 = self.upper.rsample(None if noise is None else noise[:, :n_upper])
        return torch.cat([z2, self.given(z2).rsample(None if noise is None else noise[:, n_upper:])], 1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws from a single density, by a generator of the CPU. -> (n, Z)"""
        z2 = self.upper.sample(n, generator)
        z1 = self.given(z2)
        return torch.cat([z2, z1.rsample(torch.randn(z1.mean.shape, generator=generator).to(z2.device))], 1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z2) + log p(z1|z2) -> (B,)"""
        z2, z1 = z.tensor_split([self.upper.mean.shape[1]], 1)
        return self.upper.log_prob(z2) + self.given(z2).log_prob(z1)

    def repeated(self, k: int) -> "TopDown":
        """The B densities k times, one whole batch after the other. -> (k B, Z)"""
        assert isinstance(self.upper, Normal)
        return TopDown(self.upper.repeated(k), self.lower, self.known and self.known.repeated(k))


Posterior = Normal | Flowed | TopDown
Prior = Normal | Mixture | TopDown
Likelihood = Bernoulli | Normal | DiscretisedLogistic
LikelihoodName = Literal["bernoulli", "gaussian", "discretised-logistic"]
Spread = Literal["log-variance", "softplus", "stddev"]


def posterior(output: Tensor, latent_dim: int, spread: Spread, flow: Flow | None) -> Posterior:
    """output (B, 2 Z + context): mean, spread, context -> q(z|x), a diagonal normal, after the flow if one is given."""
    mean, second, context = output.float().tensor_split((latent_dim, 2 * latent_dim), dim=1)
    normal = Normal(mean, log_variance(second, spread))  # (B, Z)
    return normal if flow is None else Flowed(normal, flow, context)


def log_variance(output: Tensor, spread: Spread) -> Tensor:
    """Log variance from an output that is the log variance, or gives the stddev by softplus or by absolute value."""
    if spread == "softplus":
        return 2 * torch.log(F.softplus(output) + 1e-6)
    if spread == "stddev":
        return torch.log(output.square() + 1e-8)
    return output


def likelihood(output: Tensor, kind: LikelihoodName, variance: float | Tensor) -> Likelihood:
    """output (B, C, H, W) -> p(x|z). variance: of one that has means, a number or the log of a learned one."""
    if kind == "bernoulli":
        return Bernoulli(output)
    of_means = Normal if kind == "gaussian" else DiscretisedLogistic
    if isinstance(variance, Tensor):
        return of_means(output, variance)
    # float32, whatever the output is: rounded to bfloat16, log 0.01 is off by 4.5 nats over 784 pixels
    return of_means(output, torch.full((), math.log(variance), device=output.device))
