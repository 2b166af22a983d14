"""The state of a training run, and its checkpoint."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latently.common.files import input_errors_for
from latently.runs.tensors import fit_into, read_tensors, write_tensors
from latently.training.compiled import Terms
from latently.training.hardware import (
    restore_generators,
)
from latently.training.settings import Training


@dataclass
class State:
    """Everything that a checkpoint stores."""

    net: nn.Module
    optimiser: torch.optim.Optimizer
    losses: Tensor  # of each step of the current epoch, (steps,) or (steps, K)
    average: dict[str, Tensor]  # exponential moving average of the weights; empty without `ema`
    best_score: Tensor  # lowest validation score so far, () or (K,) float64
    best_epoch: Tensor  # its epoch, counted from 1
    best: dict[str, Tensor] = field(default_factory=dict)  # weights of the best epoch; empty without patience
    sums: Terms = field(default_factory=dict)  # of each term over the current epoch
    epoch: int = 0
    step: int = 0  # within the epoch
    seconds: float = 0.0  # of the current epoch
    rank: int = 0  # of this process, whose generators are restored
    history: list[dict[str, float]] = field(default_factory=list)

    JSON_FIELDS = ("epoch", "step", "seconds", "history")

    def save(self, path: Path, generators: Sequence[dict[str, Tensor]]) -> None:
        """generators: the generator states of each process, by rank."""
        moments = self.optimiser.state_dict()["state"]
        groups: dict[str, dict[str, Tensor]] = {
            "net": self.net.state_dict(),
            "average": self.average,
            "best": self.best,
            "sums": self.sums,
            "optimiser": {f"{i}/{name}": value for i, slots in moments.items() for name, value in slots.items()},
            "loop": {"losses": self.losses, "best_score": self.best_score, "best_epoch": self.best_epoch},
        } | {generator_group(rank): states for rank, states in enumerate(generators)}
        tensors = {f"{group}/{name}": value for group, members in groups.items() for name, value in members.items()}
        plain = {name: getattr(self, name) for name in self.JSON_FIELDS}
        write_tensors(path, tensors, plain | {"terms": list(self.sums)})  # a tensor file does not keep their order

    def load(self, path: Path) -> None:
        """Restore what `save` wrote. Raises InputError if the checkpoint is damaged or of another model."""
        advice = f"remove {path.parent} to train from the start"
        tensors, plain = read_tensors(path, advice)
        with input_errors_for(path, advice):
            self.restore(tensors, plain, path)

    def restore(self, tensors: dict[str, Tensor], plain: dict[str, Any], path: Path) -> None:
        groups: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            group, _, name = key.partition("/")
            groups[group][name] = value
        fit_into(self.net.state_dict(), groups["net"], path)
        self.net.load_state_dict(groups["net"])
        weights = list(self.net.parameters())
        moments: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for key, value in groups["optimiser"].items():
            i, _, name = key.partition("/")
            moments[int(i)][name] = with_layout_of(weights[int(i)], value)
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": dict(moments)})
        device = self.losses.device
        for group in ("average", "best"):
            setattr(self, group, {name: value.to(device) for name, value in groups[group].items()})
        self.sums = {name: groups["sums"][name].to(device) for name in plain["terms"]}
        self.losses = groups["loop"]["losses"].to(device)
        self.best_score, self.best_epoch = groups["loop"]["best_score"], groups["loop"]["best_epoch"]
        own = groups[generator_group(self.rank)]
        if own or self.rank == 0:  # a run may be resumed by more processes than it had
            restore_generators(device, own)
        for name in self.JSON_FIELDS:
            setattr(self, name, plain[name])


def generator_group(rank: int) -> str:
    return f"generator-{rank}" if rank else "generator"


def with_layout_of(weight: Tensor, value: Tensor) -> Tensor:
    """`value` with the memory layout of `weight`, if the shapes agree: a fused optimiser needs the same layout."""
    return torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value


class Watcher:
    """Callbacks of the loop, for a progress bar, a log, TensorBoard. They must not change the training."""

    def started(self) -> None:
        """Called once, after settings, images and run folder were checked, before the first step."""

    def stepped(self, state: State, settings: Training) -> None:
        """Called after every step; must not wait for the device."""

    def epoch_ended(self, state: State, settings: Training) -> None:
        """Called after validation; the epoch's row is the last of `state.history`."""
