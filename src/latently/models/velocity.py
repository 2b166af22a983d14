"""Networks of a velocity v(x, t, y) over codes, for flow_matching.py. No losses here.

A code is a vector, or a grid of places with a few channels each. Both networks are residual, and are told the time and
the class in each block. That of grids keeps the places: a U-Net (Ronneberger et al. 2015), which halves the grid until
its sides are 4 to 7, where a few convolutions see all of it.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latently.models.frozen import Standardised
from latently.models.layers import Shape
from latently.models.modules import group_norm

FREQUENCIES = 32  # of sines and cosines of the time
LEAST_SIDE = 4  # of a grid's smallest map


class Velocity(nn.Module):
    """v(x, t, y) over standardised codes, and the `scale` that standardises them; h begins with `enter` and ends with
    `leave`."""

    def __init__(self, dim: int, n_classes: int, width: int, enter: nn.Module, leave: nn.Module) -> None:
        super().__init__()
        self.scale = Standardised(dim)
        self.n_classes = n_classes
        self.enter, self.leave = enter, leave
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(n_classes + 1, width)  # the last: no class

    def about(self, t: Tensor, y: Tensor) -> Tensor:
        """Times (B,) in 0..1 and class indices (B,), -1 = none, as each block is told them. -> (B, width)"""
        steps = torch.arange(FREQUENCIES, device=t.device) / (FREQUENCIES - 1)
        angles = t[:, None] * (0.5 * math.pi * 64.0**steps)  # (B, F): from a quarter of a turn to 16 turns
        told = self.time(torch.cat([angles.sin(), angles.cos()], 1)) + self.label(y % (self.n_classes + 1))
        return F.silu(told)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """x (B, Z), t (B,) in 0..1, y (B,) class indices, -1 = none -> (B, Z)"""
        raise NotImplementedError


class VectorBlock(nn.Module):
    """h + MLP(normalised h, with time and class added)"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.told = nn.LayerNorm(width), nn.Linear(width, width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, h: Tensor, about: Tensor) -> Tensor:
        step: Tensor = self.second(F.silu(self.first(self.norm(h)) + self.told(about)))
        return h + step


class VectorVelocity(Velocity):
    """Of codes (B, Z) without places."""

    def __init__(self, dim: int, n_classes: int, width: int, blocks: int) -> None:
        super().__init__(dim, n_classes, width, nn.Linear(dim, width), nn.Linear(width, dim))
        self.blocks = nn.ModuleList(VectorBlock(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        about, h = self.about(t, y), self.enter(x)
        for block in self.blocks:
            h = block(h, about)
        velocity: Tensor = self.leave(F.silu(self.norm(h)))
        return velocity


class GridBlock(nn.Module):
    """h + two convolutions of the normalised h, with time and class added between them"""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm, self.told = group_norm(channels), nn.Linear(width, channels)
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, h: Tensor, about: Tensor) -> Tensor:
        step: Tensor = self.second(F.silu(self.first(F.silu(self.norm(h))) + self.told(about)[:, :, None, None]))
        return h + step


class Stage(nn.ModuleList):
    """Blocks at one size, one after the other."""

    def forward(self, h: Tensor, about: Tensor) -> Tensor:
        for block in self:
            h = block(h, about)
        return h


class GridVelocity(Velocity):
    """Of grids of codes, (channels, height, width), each flattened to (B, Z). `width` channels at the grid's own size,
    twice as many at each half; `blocks` at the smallest size, half as many on the way down and up at each other."""

    def __init__(self, grid: Shape, n_classes: int, width: int, blocks: int) -> None:
        channels, *sides = grid
        enter, leave = nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, channels, 3, padding=1)
        super().__init__(math.prod(grid), n_classes, 2 * width, enter, leave)
        self.grid = grid
        self.place = nn.Parameter(torch.zeros(width, *sides))  # what is usual at each place, to begin with
        halvings = max(0, int(math.log2(min(sides) / LEAST_SIDE)))
        widths = [width * 2**level for level in range(halvings + 1)]

        def stage(channels: int, n: int) -> Stage:
            return Stage(GridBlock(channels, 2 * width) for _ in range(n))

        some = math.ceil(blocks / 2)
        self.down = nn.ModuleList(stage(each, some) for each in widths[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(each, 2 * each, 3, 2, 1) for each in widths[:-1])
        self.middle = stage(widths[-1], blocks)
        self.grow = nn.ModuleList(nn.Conv2d(2 * each, each, 3, padding=1) for each in widths[:-1])
        self.up = nn.ModuleList(stage(each, some) for each in widths[:-1])
        self.norm = group_norm(width)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        about, h = self.about(t, y), self.enter(x.view(-1, *self.grid)) + self.place
        before: list[Tensor] = []  # h at each size, on the way down
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            h = blocks(h, about)
            before.append(h)
            h = shrink(h)
        h = self.middle(h, about)
        for blocks, grow in zip(reversed(list(self.up)), reversed(list(self.grow)), strict=True):
            straight = before.pop()
            h = straight + grow(F.interpolate(h, straight.shape[2:]))
            h = blocks(h, about)
        velocity: Tensor = self.leave(F.silu(self.norm(h)))
        return velocity.flatten(1)
