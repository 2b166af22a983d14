"""A learned prior over codes by flow matching (Lipman et al. 2023, eq. 9 and 23; Liu et al. 2023, eq. 1).

Codes x_1 of a trained model are joined to noise x_0 ~ N(0, I) by straight paths, and a network learns their velocity:

    x_t = (1 - t) x_0 + t x_1                                  t in 0..1
    loss = | v(x_t, t, y) - (x_1 - x_0) |^2                    whose minimum is v = E[x_1 - x_0 | x_t, y]
    dx / dt = v(x, t, y)                                       takes noise at t = 0 to new codes at t = 1

t is the logistic function of a normal (Esser et al. 2024): the middle of a path is the hardest part. The class y is
hidden from a tenth of the codes, so that one network knows both velocities, and guidance w sharpens the class (Ho &
Salimans 2022, eq. 6, with w counted from 0, no class; 1 is the learned distribution itself):

    v_w = v(x, t) + w (v(x, t, y) - v(x, t))

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
        self, net: Velocity, x: Tensor, y: Tensor, guidance: float, start: float = 0.0, steps: int = 20
    ) -> Tensor:
        """x_start (B, Z) -> codes (B, Z): dx/dt = v_w to t = 1, by Heun's method, of second order.

        y (B,) class indices, -1 = none.
        """

        def velocity(x: Tensor, t: float) -> Tensor:
            times = x.new_full((len(x),), t)
            v: Tensor = net(x, times, y)
            if guidance == 1:
                return v
            return torch.lerp(net(x, times, torch.full_like(y, -1)), v, guidance)

        dt = (1 - start) / steps
        for step in range(steps):
            t = start + step * dt
            v = velocity(x, t)
            x = x + dt / 2 * (v + velocity(x + dt * v, t + dt))
        return net.scale.undone(x)


def kind_of(image_shape: Shape) -> Literal["vector", "grid"]:
    """Of codes that the loop holds as images of this shape."""
    return "grid" if image_shape[1] > 1 else "vector"
