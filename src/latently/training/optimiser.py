"""The optimiser, and the learning rate as a function of progress."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from latently.training.settings import Training
from latently.training.updates import is_kernel, muon


def learning_rate(settings: Training, progress: float) -> float:
    """The rate at `progress` 0..1 of the run: rises from lr/25 to lr over the warm-up, then half a cosine to 0.

    One-cycle after Smith & Topin 2018, with the cosine of Loshchilov & Hutter 2017 in both halves.
    """
    if settings.schedule == "constant":
        return settings.rate
    if progress < settings.warmup:
        rise = progress / settings.warmup
        rise = rise if settings.schedule == "cosine" else 0.5 - 0.5 * math.cos(math.pi * rise)
        return settings.rate * (0.04 + 0.96 * rise)
    fall = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.rate * (0.5 + 0.5 * math.cos(math.pi * fall))


class Muon(torch.optim.Optimizer):
    """Orthogonalised updates of convolutions (Jordan et al. 2024), AdamW's of all other weights.

    eps is AdamW's. A compiled step takes the same updates (see `updates`), and needs none of this class but its state.
    """

    def __init__(
        self, weights: Iterable[nn.Parameter], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        super().__init__(weights, {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            betas, constants = group["betas"], {name: group[name] for name in ("betas", "eps", "weight_decay")}
            for weight in (weight for weight in group["params"] if weight.grad is not None):
                own = self.state[weight]
                if not own:
                    names = ("exp_avg",) if is_kernel(weight) else ("exp_avg", "exp_avg_sq")
                    own.update({name: torch.zeros_like(weight) for name in names}, step=torch.zeros(()))
                t = float(own["step"]) + 1
                corrections = [1 - beta**t for beta in betas]
                muon(weight, weight.grad, own, group["lr"], corrections, decoupled=True, **constants)


def build_optimiser(settings: Training, net: nn.Module) -> torch.optim.Optimizer:
    arguments: dict[str, Any] = {"lr": settings.rate, "weight_decay": settings.weight_decay}
    if settings.optimiser == "rmsprop":
        return torch.optim.RMSprop(net.parameters(), alpha=0.9, eps=1e-7, foreach=True, **arguments)
    if settings.optimiser == "muon":
        return Muon(net.parameters(), betas=(0.9, settings.beta2), **arguments)
    kind = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.AdamW
    return kind(net.parameters(), betas=(0.9, settings.beta2), fused=settings.device != "mps", **arguments)
