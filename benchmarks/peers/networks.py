"""The two networks in plain torch, for peers that bring none: 784-512-20-512-784, and study 2's convolutions."""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LATENT = {"mlp": 20, "conv": 10}


def arguments() -> tuple[Tensor, Tensor, str, int]:
    """-> training images (N, 1, 28, 28) uint8, test images, the network's name, epochs"""
    folder, network, epochs = sys.argv[1:]
    arrays = np.load(folder + "/mnist.npz")
    train, test = (torch.tensor(arrays[name]).unsqueeze(1) for name in ("train", "test"))
    return train, test, network, int(epochs)


def encoder(network: str) -> nn.Sequential:
    """(B, 1, 28, 28) -> features (B, width)"""
    if network == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU())
    convolutions = [nn.Conv2d(1, 32, 3, 1, 1), nn.Conv2d(32, 64, 3, 2, 1), nn.Conv2d(64, 64, 3, 1, 1)]
    convolutions += [nn.Conv2d(64, 64, 3, 1, 1)]
    layers = [each for convolution in convolutions for each in (convolution, nn.ReLU())]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(12544, 32), nn.ReLU())


WIDTH = {"mlp": 512, "conv": 32}


def decoder(network: str) -> nn.Sequential:
    """(B, latent) -> logits (B, 1, 28, 28)"""
    if network == "mlp":
        return nn.Sequential(nn.Linear(20, 512), nn.ReLU(), nn.Linear(512, 784), nn.Unflatten(1, (1, 28, 28)))
    return nn.Sequential(
        nn.Linear(10, 12544), nn.ReLU(), nn.Unflatten(1, (64, 14, 14)),
        nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), nn.ReLU(), nn.Conv2d(32, 1, 3, 1, 1),
    )  # fmt: skip


class VAE(nn.Module):
    def __init__(self, network: str) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder(network), decoder(network)
        self.code = nn.Linear(WIDTH[network], 2 * LATENT[network])

    def forward(self, x: Tensor) -> Tensor:
        """Minus the ELBO, summed over the batch."""
        mean, log_variance = self.code(self.encoder(x)).chunk(2, 1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") + kl


def optimiser(network: str, parameters: Any) -> torch.optim.Optimizer:
    if network == "mlp":
        return torch.optim.Adam(parameters, lr=1e-3)
    return torch.optim.RMSprop(parameters, lr=1e-3, alpha=0.9, eps=1e-7)


@torch.no_grad()
def report(train: Tensor, epochs: int, seconds: float, test: Tensor, minus_elbo: Callable[[Tensor], float]) -> str:
    """The line that the other side waits for. minus_elbo: of scaled images, summed over them."""
    torch.manual_seed(0)
    began = time.monotonic()
    total = sum(minus_elbo(part.float().div(255)) for part in test.split(1000))
    return (
        f'{{"images_per_second": {len(train) * epochs / seconds}, "minus_elbo_nats": {total / len(test)}, '
        f'"evaluation_s": {time.monotonic() - began}}}'
    )
