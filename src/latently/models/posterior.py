"""Distributions from network outputs: an encoder's output as q(z|x), a decoder's as p(x|z)."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from latently.models.densities import Bernoulli, DiscretisedLogistic, Normal
from latently.models.flows import Flow, Flowed

Posterior = Normal | Flowed
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
