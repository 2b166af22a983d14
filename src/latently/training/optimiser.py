"""The optimiser, and the learning rate as a function of progress."""

import math
from typing import Any

import torch
from torch import nn

from latently.training.settings import Training


def learning_rate(settings: Training, progress: float) -> float:
    """The rate at `progress` 0..1 of the run: rises from lr/25 to lr over the warm-up, then half a cosine to 0.

    One-cycle after Smith & Topin 2018, with the cosine of Loshchilov & Hutter 2017 in both halves.
    """
    if settings.schedule == "constant":
        return settings.lr
    if progress < settings.warmup:
        rise = progress / settings.warmup
        rise = rise if settings.schedule == "cosine" else 0.5 - 0.5 * math.cos(math.pi * rise)
        return settings.lr * (0.04 + 0.96 * rise)
    fall = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.lr * (0.5 + 0.5 * math.cos(math.pi * fall))


def build_optimiser(settings: Training, net: nn.Module) -> torch.optim.Optimizer:
    arguments: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optimiser == "rmsprop":
        return torch.optim.RMSprop(net.parameters(), alpha=0.9, eps=1e-7, foreach=True, **arguments)
    kind = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.AdamW
    return kind(net.parameters(), betas=(0.9, settings.beta2), fused=settings.device != "mps", **arguments)
