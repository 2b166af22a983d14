"""A training step as one compiled function: objective, gradient, clipping and the optimiser's update.

Taken apart, the step of a small net is a third Python: an entry into compiled code forwards and another backwards, the
autograd engine, the optimiser's bookkeeping (docs/performance.md). Taken together it is entered once, and a gradient is
used where it is made, without a way through memory.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.optim import RMSprop

Terms = dict[str, Tensor]
BatchLoss = Callable[[nn.Module, Tensor, Tensor, Tensor], Terms]  # (net, raw images, labels, progress)


class CompiledStep:
    """(raw images, labels, progress, learning rate) -> the terms, summed over the batch; the net and the optimiser's
    moments are a step further on.

    optimiser: Adam, AdamW or RMSprop of all of the net's weights, in one group. Its state is what the step reads and
    writes, so that an eager step may come in between, and a checkpoint need not know who took the last one.
    """

    def __init__(
        self, batch_loss: BatchLoss, net: nn.Module, optimiser: torch.optim.Optimizer, clip_norm: float | None
    ) -> None:
        begin_moments(optimiser)
        group = optimiser.param_groups[0]
        self.weights: list[Tensor] = group["params"]
        self.moments: list[dict[str, Tensor]] = [optimiser.state[weight] for weight in self.weights]
        update = rmsprop if isinstance(optimiser, RMSprop) else adam
        constants = {name: group[name] for name in ("betas", "alpha", "eps", "weight_decay") if name in group}
        constants |= {"decoupled": isinstance(optimiser, torch.optim.AdamW)}
        weights, moments = self.weights, self.moments

        def step(raw: Tensor, y: Tensor, progress: Tensor, lr: Tensor) -> Terms:
            terms = batch_loss(net, raw, y, progress)
            # no net's loss depends on another's weights
            gradients = torch.autograd.grad(terms["loss"].sum() / y.shape[-1], weights, allow_unused=True)
            with torch.no_grad():
                scale = 1.0 if clip_norm is None else clip_scale(gradients, clip_norm)
                for weight, gradient, own in zip(weights, gradients, moments, strict=True):
                    if gradient is not None:
                        update(weight, scale * gradient, own, lr, **constants)
            return {name: term.detach() for name, term in terms.items()}

        # dynamic=False: a process that met another batch size first would otherwise compile other kernels, and a
        # resumed run would drift from an uninterrupted one. On a GPU the step becomes a CUDA graph where it can.
        on_gpu = self.weights[0].is_cuda
        self.step = torch.compile(step, dynamic=False, mode="reduce-overhead" if on_gpu else None)

    def __call__(self, raw: Tensor, y: Tensor, progress: Tensor, lr: Tensor) -> Terms:
        return self.step(raw, y, progress, lr)

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """What steps inside do to weights and moments is taken back."""
        tensors = [*self.weights, *(value for own in self.moments for value in own.values())]
        before = [value.detach().clone() for value in tensors]
        try:
            yield
        finally:
            with torch.no_grad():
                for value, old in zip(tensors, before, strict=True):
                    value.copy_(old)


def begin_moments(optimiser: torch.optim.Optimizer) -> None:
    """The moments as they are before the first step; torch makes them in it."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    if all(weight in optimiser.state for weight in weights):
        return
    before = [weight.detach().clone() for weight in weights]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    with torch.no_grad():
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)
            for value in optimiser.state[weight].values():
                value.zero_()


def clip_scale(gradients: tuple[Tensor | None, ...], clip_norm: float) -> Tensor:
    """What shortens all gradients together to a norm of `clip_norm`, where theirs is longer."""
    norm = nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
    return (clip_norm / (norm + 1e-6)).clamp(max=1.0)


def adam(
    weight: Tensor,
    gradient: Tensor,
    moments: dict[str, Tensor],
    lr: Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """Kingma & Ba 2015, algorithm 1; decoupled: Loshchilov & Hutter 2019, algorithm 2."""
    t, m, v = moments["step"], moments["exp_avg"], moments["exp_avg_sq"]
    t += 1
    if decoupled:
        weight.mul_(1 - lr * weight_decay)
    else:
        gradient = gradient + weight_decay * weight
    m.lerp_(gradient, 1 - betas[0])
    v.lerp_(gradient.square(), 1 - betas[1])
    unbiased = lr / (1 - betas[0] ** t) * m
    weight.sub_(unbiased / ((v / (1 - betas[1] ** t)).sqrt() + eps))


def rmsprop(
    weight: Tensor,
    gradient: Tensor,
    moments: dict[str, Tensor],
    lr: Tensor,
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
