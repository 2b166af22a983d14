"""How one step of an optimiser updates one weight, in place: each rule once, for compiled steps and our own optimiser.

lr and corrections (1 - beta^t of each moment) are numbers or tensors (); moments are what the optimiser keeps of the
weight.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Number = Tensor | float
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of Jordan et al. 2024: singular values to 0.7 .. 1.2
NEWTON_SCHULZ_STEPS = 5
MUON_RMS = 2.0  # root mean square of an update of kernels, in learning rates; AdamW's is 0.2 or so (docs/log.md)


def adam(
    weight: Tensor,
    gradient: Tensor,
    moments: dict[str, Tensor],
    lr: Number,
    corrections: Sequence[Number],
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """Kingma & Ba 2015, algorithm 1; decoupled: Loshchilov & Hutter 2019, algorithm 2. corrections: 1 - beta^t"""
    m, v = moments["exp_avg"], moments["exp_avg_sq"]
    moments["step"] += 1
    if decoupled:
        weight.mul_(1 - lr * weight_decay)
    else:
        gradient = gradient + weight_decay * weight
    m.lerp_(gradient, 1 - betas[0])
    v.lerp_(gradient.square(), 1 - betas[1])
    weight.sub_(lr / corrections[0] * m / ((v / corrections[1]).sqrt() + eps))


def rmsprop(
    weight: Tensor,
    gradient: Tensor,
    moments: dict[str, Tensor],
    lr: Number,
    _: Sequence[Number],
    alpha: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """Tieleman & Hinton 2012, lecture 6.5, with the weight decay in the gradient."""
    v = moments["square_avg"]
    moments["step"] += 1
    gradient = gradient + weight_decay * weight
    v.lerp_(gradient.square(), 1 - alpha)
    weight.sub_(lr * gradient / (v.sqrt() + eps))


def is_kernel(weight: Tensor) -> bool:
    """Of a convolution: what `muon` orthogonalises. A gain for each channel, (C, 1, 1, 1), is none."""
    return weight.ndim == 4 and weight[0].numel() > 1


def muon(
    weight: Tensor,
    gradient: Tensor,
    moments: dict[str, Tensor],
    lr: Number,
    corrections: Sequence[Number],
    **constants: Any,
) -> None:
    """Jordan et al. 2024: the momentum's nearest orthogonal matrix, a kernel taken as (out, in h w); of one size
    whatever its shape (Liu et al. 2025, eq. 4), so that one learning rate serves both. constants: as in `adam`, which
    updates all other weights."""
    if not is_kernel(weight):
        return adam(weight, gradient, moments, lr, corrections, **constants)
    m, beta = moments["exp_avg"], constants["betas"][0]
    moments["step"] += 1
    weight.mul_(1 - lr * constants["weight_decay"])
    m.lerp_(gradient, 1 - beta)
    nesterov = torch.lerp(gradient, m, beta).flatten(1)
    scale = MUON_RMS * max(nesterov.shape) ** 0.5
    weight.sub_(lr * scale * orthogonalised(nesterov).view(weight.shape))


def orthogonalised(matrix: Tensor) -> Tensor:
    """U V' of the singular value decomposition U S V', roughly, by Newton and Schulz's iteration of a quintic.

    Each step of it multiplies X by a polynomial of X X'. These commute, so all but the last product are taken of the
    small square matrices: less than half of the work for a kernel.
    """
    a, b, c = NEWTON_SCHULZ
    wide = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + 1e-7)
    square = x @ x.mT
    one = torch.eye(len(square), dtype=x.dtype, device=x.device)
    product = one
    for _ in range(NEWTON_SCHULZ_STEPS):
        polynomial = a * one + b * square + c * square @ square
        product = polynomial @ product
        square = polynomial @ square @ polynomial
    x = product @ x
    return x.mT if matrix.shape[0] > matrix.shape[1] else x
