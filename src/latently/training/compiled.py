"""A training step as one compiled function: objective, gradient, clipping and the optimiser's update.

In separate parts, a third of a small net's step is Python overhead: entering compiled code for the forward and for the
backward pass, the autograd engine, the optimiser's bookkeeping (docs/performance.md). As one function, compiled code is
entered once, and gradients need not go through memory.
"""

import contextlib
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.optim import RMSprop

from latently.training.optimiser import Muon
from latently.training.updates import adam, muon, rmsprop

CONSTANTS = ("betas", "alpha", "eps", "weight_decay")  # of an optimiser, over a run
Terms = dict[str, Tensor]
BatchLoss = Callable[[nn.Module, Tensor, Tensor, Tensor], Terms]  # (net, raw images, labels, progress)


class Objective(nn.Module):
    """A net and its batch loss as one module, for `functional_call` with other weights."""

    def __init__(self, net: nn.Module, batch_loss: BatchLoss) -> None:
        super().__init__()
        self.net, self.batch_loss = net, batch_loss

    def forward(self, raw: Tensor, y: Tensor, progress: Tensor) -> tuple[Tensor, Terms]:
        """-> the mean loss over the batch, and all terms summed over it"""
        terms = self.batch_loss(self.net, raw, y, progress)
        return terms["loss"].sum() / y.shape[-1], terms  # no net's loss depends on another's weights


class CompiledStep:
    """(raw images, labels, `step_scalars`) -> the terms, summed over the batch. Updates net and moments in place.

    optimiser: Adam, AdamW or RMSprop over all weights, in one group. The step reads and writes its state, so that eager
    and compiled steps can alternate, and a checkpoint is the same after either.
    """

    def __init__(
        self, batch_loss: BatchLoss, net: nn.Module, optimiser: torch.optim.Optimizer, clip_norm: float | None
    ) -> None:
        begin_moments(optimiser)
        group = optimiser.param_groups[0]
        objective = Objective(net, batch_loss)
        names, parameters = zip(*objective.named_parameters(), strict=True)
        self.weights: list[Tensor] = [parameter.detach() for parameter in parameters]  # the same memory
        self.moments: list[dict[str, Tensor]] = [optimiser.state[parameter] for parameter in parameters]
        update = rmsprop if isinstance(optimiser, RMSprop) else muon if isinstance(optimiser, Muon) else adam
        constants: dict[str, Any] = {name: value for name, value in group.items() if name in CONSTANTS}
        constants["decoupled"] = isinstance(optimiser, torch.optim.AdamW | Muon)

        def step(
            weights: list[Tensor],
            moments: list[dict[str, Tensor]],
            raw: Tensor,
            y: Tensor,
            step_scalars: Tensor,
        ) -> Terms:
            progress, lr, *corrections = step_scalars.unbind()

            def loss(weights):  # type annotations here would be evaluated, and break the graph
                return functional_call(objective, dict(zip(names, weights, strict=True)), (raw, y, progress))

            gradients, terms = grad(loss, has_aux=True)(weights)
            if clip_norm is not None:
                gradients = clipped(gradients, clip_norm)
            for weight, gradient, own in zip(weights, gradients, moments, strict=True):
                update(weight, gradient, own, lr, corrections, **constants)
            return terms

        # dynamic=False: a process that met another batch size first would otherwise compile other kernels, and a
        # resumed run would drift from an uninterrupted one. On a GPU the step becomes a CUDA graph where it can.
        # Guards would ask at each step whether net, optimiser and shapes are still those it was compiled for, which
        # takes a tenth of a small net's. They are: what is compiled serves this object alone, and the shape of the
        # batch, which alone could differ, is asked below.
        options: dict[str, Any] = {"triton.cudagraphs": self.weights[0].is_cuda, "guard_filter_fn": without_guards}
        self.step = torch.compile(with_own_code(step), dynamic=False, options=options)
        self.shape: torch.Size | None = None

    @torch.no_grad()
    def __call__(self, raw: Tensor, y: Tensor, step_scalars: Tensor) -> Terms:
        self.shape = self.shape or raw.shape
        assert raw.shape == self.shape, f"compiled for images {tuple(self.shape)}, not {tuple(raw.shape)}"
        return self.step(self.weights, self.moments, raw, y, step_scalars)

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """Undo the changes that steps inside make to weights and moments."""
        tensors = [*self.weights, *(value for own in self.moments for value in own.values())]
        before = [value.detach().clone() for value in tensors]
        try:
            yield
        finally:
            with torch.no_grad():
                for value, old in zip(tensors, before, strict=True):
                    value.copy_(old)


def with_own_code(function: Any) -> Any:
    """A copy with its own code object: torch caches compiled code by code object, gives up after eight shapes, and
    without guards would run one fit's step in another fit."""
    code = function.__code__.replace()
    return types.FunctionType(code, function.__globals__, function.__name__, None, function.__closure__)


def without_guards(guards: Sequence[Any]) -> list[bool]:
    return [False] * len(guards)


def step_scalars(progress: float, lr: float, optimiser: torch.optim.Optimizer, t: int) -> list[float]:
    """The scalars of step t, counted from 1: progress of the run, learning rate, and 1 - beta^t of each moment.

    Computed outside the compiled step, which would take the powers for every weight, and in float32.
    """
    return [progress, lr, *(1 - beta**t for beta in optimiser.param_groups[0].get("betas", ()))]


def begin_moments(optimiser: torch.optim.Optimizer) -> None:
    """Create the optimiser's moments, all zero, which torch would create in the first step."""
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


def clipped(gradients: list[Tensor], clip_norm: float) -> list[Tensor]:
    """Shortened together to a norm of `clip_norm`, where theirs is longer."""
    scale = (clip_norm / (nn.utils.get_total_norm(gradients) + 1e-6)).clamp(max=1.0)
    return [scale * gradient for gradient in gradients]
