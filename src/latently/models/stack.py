"""Nets that differ only in their images or their seed, as one net.

Every weight of a stack of K nets is (K, ...), and `torch.func.vmap` runs the model's own loss over that dimension: K
small matrix products become one large one, and no model knows of it.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from latently.models.base import Model


class Stack(nn.Module):
    """K nets of one model, weights (K, ...), matrices transposed."""

    def __init__(self, model: Model, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        states = [net.state_dict() for net in nets]
        stacked = {name: torch.stack([turned(state[name]) for state in states]) for name in states[0]}
        self.model, self.net, self.n_nets = model, rebuilt(nets[0], stacked), len(nets)

    def forward(self, x: Tensor, y: Tensor, progress: Tensor) -> dict[str, Tensor]:
        """The terms of one net, each (B,). `losses` calls it with that net's weights in place of the stacked ones."""
        return self.model.objective(self.net, x, y, progress)

    def losses(self, x: Tensor, y: Tensor, progress: Tensor) -> dict[str, Tensor]:
        """The terms of all nets, each (K, B). x (K, B, C, H, W), y (K, B). Noise and dropout differ between nets."""

        def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
            own = {name: turned(weight) for name, weight in weights.items()}
            terms: dict[str, Tensor] = functional_call(self, own, (x, y, progress))
            return terms

        return vmap(loss, randomness="different")(self.state_dict(keep_vars=True), x, y)

    def member(self, k: int) -> nn.Module:
        """The k-th net by itself, in the stack's own memory."""
        return rebuilt(self.net, {name: turned(value[k]) for name, value in self.net.state_dict().items()})


def turned(weight: Tensor) -> Tensor:
    """A matrix transposed, all else as it is. The gradient of a stack's product comes out (K, in, out): with weights
    that lie like it, a step of 80 nets 784-100-10 saves a transposed copy, a fifth of its time (docs/log.md)."""
    return weight.mT if weight.ndim == 2 else weight


def rebuilt(net: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """A copy of `net` with other weights and buffers."""
    own = net.state_dict(keep_vars=True)
    new = {name: nn.Parameter(t) if isinstance(own[name], nn.Parameter) else t for name, t in tensors.items()}
    return copy.deepcopy(net, {id(own[name]): tensor for name, tensor in new.items()})
