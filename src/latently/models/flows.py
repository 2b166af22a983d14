"""Normalizing flows: invertible maps that make a normal posterior more flexible. No losses here.

A step is affine coupling (Dinh et al. 2017, eq. 4 and 6): half of z, a, sets how the other half, b, is stretched and
moved, so that the inverse is as cheap as the step, and its Jacobian's determinant the product of the stretches:

    b' = b * exp(s(a, h)) + t(a, h),   a' = a,   log |det| = sum s

h, the context, is what the encoder says of the image beside mean and spread (Kingma et al. 2016).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latently.models.densities import Normal, in_float32, sum_per_image

MOST_STRETCH = 2.0  # largest |s|: scaling by more than e^2 in one step only ever leads to divergence


class Coupling(nn.Module):
    """One step over codes of Z dimensions: an MLP of one hidden layer gives s and t; it begins near the identity."""

    def __init__(self, latent_dim: int, context: int) -> None:
        super().__init__()
        self.kept = latent_dim // 2
        moved = latent_dim - self.kept
        self.hidden, self.out = nn.Linear(self.kept + context, context), nn.Linear(context, 2 * moved)
        nn.init.normal_(self.out.weight, std=1e-3)
        nn.init.zeros_(self.out.bias)

    def stretch_and_shift(self, a: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.out(torch.relu(self.hidden(torch.cat([a, h], 1)))).chunk(2, dim=1)
        return MOST_STRETCH * torch.tanh(s / MOST_STRETCH), t

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, Z), h (B, H) -> z' (B, Z), log |det dz'/dz| (B,). The halves change places for the next step."""
        a, b = z[:, : self.kept], z[:, self.kept :]
        s, t = self.stretch_and_shift(a, h)
        return torch.cat([b * s.exp() + t, a], 1), sum_per_image(s)

    def inverse(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """z' -> z, and the same log |det dz'/dz|."""
        moved = z.shape[1] - self.kept
        b, a = z[:, :moved], z[:, moved:]
        s, t = self.stretch_and_shift(a, h)
        return torch.cat([a, (b - t) * torch.exp(-s)], 1), sum_per_image(s)


class Flow(nn.Module):
    """Couplings one after another."""

    def __init__(self, steps: int, latent_dim: int, context: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList([Coupling(latent_dim, context) for _ in range(steps)])

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, Z), h (B, H) -> z' (B, Z), log |det dz'/dz| (B,)"""
        return self.through(z, h, False)

    def inverse(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """z' -> z, and the same log |det dz'/dz|."""
        return self.through(z, h, True)

    def through(self, z: Tensor, h: Tensor, back: bool) -> tuple[Tensor, Tensor]:
        log_det = torch.zeros(len(z), device=z.device)
        with in_float32(z):  # rounded to bfloat16, there and back would not meet
            for step in list(self.steps)[:: -1 if back else 1]:
                z, more = (step.inverse if back else step)(z, h)  # type: ignore[operator]
                log_det = log_det + more
        return z, log_det


@dataclass
class Flowed:
    """The density of a normal `base` (B, Z) after a flow, with its context (B, H)."""

    base: Normal
    flow: Flow
    context: Tensor

    @property
    def mean(self) -> Tensor:
        """Where the flow takes the base's mean: a point in the midst of the density, not its expectation. (B, Z)"""
        z: Tensor = self.flow(self.base.mean, self.context)[0]
        return z

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        z: Tensor = self.flow(self.base.rsample(noise), self.context)[0]
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z) = log base(z_0) - log |det dz/dz_0|, z_0 the inverse of z. -> (B,)"""
        z_0, log_det = self.flow.inverse(z, self.context)
        return self.base.log_prob(z_0) - log_det

    def kl_to_standard_normal(self, z: Tensor) -> Tensor:
        """KL(q || N(0, I)) by one sample z ~ q, for it has no closed form. -> (B,)"""
        zeros = torch.zeros_like(z[:1])
        return self.log_prob(z) - Normal(zeros, zeros).log_prob(z)

    def repeated(self, k: int) -> "Flowed":
        """The B densities k times, one whole batch after the other. -> (k B, Z)"""
        return Flowed(self.base.repeated(k), self.flow, self.context.repeat(k, 1))
