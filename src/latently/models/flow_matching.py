"""A learned prior over codes by flow matching (Lipman et al. 2023, eq. 9 and 23; Liu et al. 2023, eq. 1).

Codes x_1 of a trained model are joined to noise x_0 ~ N(0, I) by straight paths, and a network learns their velocity:

    x_t = (1 - t) x_0 + t x_1                                  t in 0..1
    loss = | v(x_t, t, y) - (x_1 - x_0) |^2                    whose minimum is v = E[x_1 - x_0 | x_t, y]
    dx / dt = v(x, t, y)                                       takes noise at t = 0 to new codes at t = 1

t is the logistic function of a normal (Esser et al. 2024): the middle of a path is the hardest part. The class y is
hidden from a tenth of the codes, so that one network knows both velocities, and guidance w sharpens the class (Ho &
Salimans 2022, eq. 6, with w counted from 0, no class; 1 is the learned distribution itself):

    v_w = v(x, t) + w (v(x, t, y) - v(x, t))

The equation also runs backwards, and tells the noise of which a code is made.

The page sees codes and never images, so it serves every model that has codes. Codes are standardised first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from latently.common.settings import Count, Probability
from latently.models.base import Model
from latently.models.densities import SquaredError
from latently.models.layers import Shape
from latently.models.velocity import GridVelocity, VectorVelocity, Velocity

MEASURED_FROM = 100_000  # codes from which mean and spread are taken
WIDTHS = {"vector": 384, "grid": 64}  # of a network whose width is `auto`
BATCHES = {"vector": 512, "grid": 64}  # codes of a step
GRID_EPOCHS = 24  # of a training that leaves them open
STEPS = 20  # of the solver
LEAST_SINE = 1e-3  # of an angle that is one


@dataclass
class FlowMatching(Model):
    """A prior over the codes of a run, learned by flow matching; it is told the classes where there are any."""

    name: ClassVar[str] = "flow-matching"

    width: Count | Literal["auto"] = "auto"
    """Units of each layer; of codes on a grid channels, at the grid's own size. auto: 384, on a grid 64."""
    blocks: Count = 4
    """Residual blocks; of codes on a grid those at its smallest size."""
    hidden_classes: Probability = 0.1
    """Fraction of the codes whose class is hidden in a step; guidance needs some."""

    @property
    def loss_unit(self) -> str:
        return "squared error"

    def build(self, image_shape: Shape, n_classes: int = 0) -> Velocity:
        """For codes (Z,), which the loop holds as images (1, 1, Z), or for grids of codes (C, H, W)."""
        self.check()
        kind = kind_of(image_shape)
        width = WIDTHS[kind] if self.width == "auto" else self.width
        if kind == "grid":
            return GridVelocity(image_shape, n_classes, width, self.blocks)
        return VectorVelocity(math.prod(image_shape), n_classes, width, self.blocks)

    def suited(self, image_shape: Shape) -> dict[str, Any]:
        return {"batch_size": BATCHES[kind_of(image_shape)]}

    def length(self, image_shape: Shape, epochs: int, steps: int) -> tuple[int, int]:
        return (GRID_EPOCHS if kind_of(image_shape) == "grid" else epochs), steps

    def prepare(self, net: nn.Module, some: Callable[[int], Tensor]) -> None:
        assert isinstance(net, Velocity)
        net.scale.learn(some(MEASURED_FROM).flatten(1))

    def loss(self, net: Velocity, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        x_1 = net.scale(x.flatten(1))  # (B, Z)
        x_0, t = torch.randn_like(x_1), torch.randn_like(x_1[:, 0]).sigmoid()
        none = torch.full_like(t, -1, dtype=torch.int64)
        hidden = torch.rand_like(t) < self.hidden_classes
        y = none if y is None else torch.where(hidden, none, y)
        v = net(torch.lerp(x_0, x_1, t[:, None]), t, y)
        return {"loss": -SquaredError(v).log_prob(x_1 - x_0)}  # (B,)

    def noised(self, net: Velocity, z: Tensor, noise: Tensor, t: float) -> Tensor:
        """Codes z (B, Z) taken back along their path to the time t: x_t, from which `guided_flow` makes others."""
        return torch.lerp(noise, net.scale(z), t)

    def guided_flow(
        self, net: Velocity, x: Tensor, y: Tensor, guidance: float, start: float = 0.0, steps: int = STEPS
    ) -> Tensor:
        """x_start (B, Z) -> codes (B, Z), along the flow to t = 1. y (B,) class indices, -1 = none."""
        return net.scale.undone(self.solved(net, x, y, guidance, start, 1.0, steps))

    def noise_of(self, net: Velocity, z: Tensor, y: Tensor, steps: int = STEPS) -> Tensor:
        """Codes z (B, Z) -> the noise (B, Z) that the flow takes to them: back from t = 1 to 0, without guidance."""
        return self.solved(net, net.scale(z), y, 1.0, 1.0, 0.0, steps)

    def solved(
        self, net: Velocity, x: Tensor, y: Tensor, guidance: float, start: float, end: float, steps: int
    ) -> Tensor:
        """x_start (B, Z) -> x_end (B, Z): dx/dt = v_w in equal steps of Heun's method, of second order."""
        dt = (end - start) / steps
        for step in range(steps):
            x = self.heun_step(net, x, start + step * dt, dt, y, guidance)
        return x

    def heun_step(
        self, net: Velocity, x: Tensor, t: float | Tensor, dt: float | Tensor, y: Tensor, guidance: float | Tensor
    ) -> Tensor:
        """x_t (B, Z) -> x_(t + dt) (B, Z)"""
        v = self.guided_velocity(net, x, t, y, guidance)
        return x + dt / 2 * (v + self.guided_velocity(net, x + dt * v, t + dt, y, guidance))

    def guided_velocity(
        self, net: Velocity, x: Tensor, t: float | Tensor, y: Tensor, guidance: float | Tensor
    ) -> Tensor:
        """v_w (B, Z). Of the number 1 alone the velocity without a class is not computed."""
        times = torch.zeros_like(x[:, 0]) + t
        v: Tensor = net(x, times, y)
        if isinstance(guidance, float | int) and guidance == 1:
            return v
        return torch.lerp(net(x, times, torch.full_like(y, -1)), v, guidance)


def on_sphere(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Noise a and b (B, Z), and shares (n,) of the way from a to b -> noise (B, n, Z) on the great circle through both
    (Shoemake 1985): sin((1 - s) u) / sin(u) a + sin(s u) / sin(u) b, for the angle u between them.

    On a straight line the middle would be shorter than any noise is: by the root of 2, in many dimensions. Where a and
    b lie on one line there is no such circle, and the line is taken.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b)  # (B,)
    angle = cosine.clamp(-1, 1).acos()[:, None, None]  # (B, 1, 1)
    s = share[:, None]  # (n, 1)
    arc = ((1 - s) * angle).sin() * a[:, None] + (s * angle).sin() * b[:, None]
    line = (1 - s) * a[:, None] + s * b[:, None]
    return torch.where(angle.sin() > LEAST_SINE, arc / angle.sin(), line)


def kind_of(image_shape: Shape) -> Literal["vector", "grid"]:
    """Of codes that the loop holds as images of this shape."""
    return "grid" if image_shape[1] > 1 else "vector"
