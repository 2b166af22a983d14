"""The objective over a batch while training, and its mean over the validation images."""

import math

import torch
from torch import Tensor, nn

from latently.data.batches import Batches
from latently.models.base import Model
from latently.models.stack import Stack
from latently.training.compiled import BatchLoss, Terms
from latently.training.distributed import SINGLE_PROCESS, Processes
from latently.training.hardware import (
    seeded,
)
from latently.training.settings import Training

# Most images and pixels in a validation batch. Metrics do not depend on the training batch size, nor memory on image
# size.
VALIDATION_BATCH, VALIDATION_PIXELS = 1000, 2**22


def training_loss(model: Model, images: Batches, settings: Training) -> BatchLoss:
    """(net, raw images, labels, progress) -> each term summed over the batch, () or (K,); scales and binarises"""
    autocast = settings.precision == "bfloat16"

    def loss(net: nn.Module, raw: Tensor, y: Tensor, progress: Tensor) -> Terms:
        x = images.training_pixels(raw)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=autocast):
            terms = net.losses(x, y, progress) if isinstance(net, Stack) else model.objective(net, x, y, progress)
        return {name: term.sum(-1) for name, term in terms.items()}

    return loss


def validate(model: Model, net: nn.Module, images: Batches, seed: int, processes: Processes = SINGLE_PROCESS) -> Terms:
    """Mean of each term over all images, () or (K,) float64; computed in float32, with the same noise at every call."""
    net.eval()
    nets = [net.member(k) for k in range(net.n_nets)] if isinstance(net, Stack) else [net]
    pairs = zip(nets, images.members, strict=True)
    each = [mean_terms(model, one, images, members, seed, processes) for one, members in pairs]
    net.train()
    means = {name: torch.tensor([terms[name] for terms in each], dtype=torch.float64) for name in each[0]}
    return {name: mean.view(images.nets) for name, mean in means.items()}


@torch.no_grad()
def mean_terms(
    model: Model, net: nn.Module, images: Batches, members: Tensor, seed: int, processes: Processes
) -> dict[str, float]:
    """Noise is seeded by batch, so the means do not depend on the number of processes."""
    totals: Terms = {}
    pixels = math.prod(images.shape) * model.codes_per_image
    batches = members.split(max(1, min(VALIDATION_BATCH, VALIDATION_PIXELS // pixels)))
    own = range(processes.rank, len(batches), processes.n)
    for number in own or [0]:  # a process without a batch takes part with weight 0
        with seeded(seed + number, images.device):
            raw, y = images.gather(batches[number])
            terms = model.objective(net, images.evaluation_pixels(raw), y, 1.0)
        totals = {name: term.sum() * bool(own) + totals.get(name, 0) for name, term in terms.items()}
    sums = processes.sum(torch.tensor([float(total) for total in totals.values()], dtype=torch.float64))
    return dict(zip(totals, (sums / len(members)).tolist(), strict=True))
