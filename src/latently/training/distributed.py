"""Several processes that train one net together: `torchrun --nproc-per-node 2 -m latently train ...` starts them.

Every process holds the net and computes its share of each batch. The gradient of a batch of B images is the sum over
the shares, each divided by B, even if they are unequal: apart from rounding, the gradient of one process, for models
whose loss is a sum over images. Where images are compared with one another (SimCLR, EMP-SSL) or their labels counted
(M2), it is with those of the same share, as in a smaller batch. All processes then do the same (clipping, the
optimiser's step, moving averages, early stopping). Only rank 0 writes.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from latently.common.console import n_processes
from latently.common.errors import InputError, require
from latently.runs.folder import Context, Run

TIMEOUT = timedelta(days=1)  # others wait while one process decodes a large folder; a dead process is noticed at once
POLL_STEPS = 16  # between checks whether any process was interrupted: each check is a message to all


class ProcessLost(InputError):
    """Another process has ended unexpectedly."""


@contextmanager
def process_group() -> Iterator["Processes"]:
    """Inside, the processes that torchrun started can communicate. Raises InputError if they cannot."""
    n = n_processes()
    if n == 1:
        yield SINGLE_PROCESS
        return
    able = dist.is_available() and dist.is_gloo_available()
    require(able, f"{n} processes were started, but this build of torch has no gloo to join them; start one")
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=TIMEOUT)
    try:
        yield Processes(dist.get_rank(), n, int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class Processes:
    """`n` processes, of which this one is number `rank`, and number `local_rank` on its machine.

    All processes must call the methods that communicate, in the same order. They raise `ProcessLost` if one has ended.
    """

    rank: int = 0
    n: int = 1
    local_rank: int = 0

    @property
    def is_rank_zero(self) -> bool:
        return self.rank == 0

    @property
    def poll_steps(self) -> int:
        """Steps between two checks of all processes; 1 for a single process."""
        return 1 if self.n == 1 else POLL_STEPS

    def device(self, name: str) -> str:
        """The device of this process, given the device setting of all: with cuda, each process has its own GPU."""
        if self.n == 1 or name == "cpu":
            return name
        require(name == "cuda", f"--device is {name}, and {self.n} processes cannot share it; give cpu, or cuda")
        there = torch.cuda.device_count()
        require(self.local_rank < there, f"there are more processes than GPUs here, which are {there}; start {there}")
        return f"cuda:{self.local_rank}" if self.local_rank else name  # the run folder keeps rank 0's settings

    def seed(self, seed: int) -> int:
        """Seed of this process's noise, different in each process."""
        return seed if self.is_rank_zero else (seed + 1_000_003 * self.rank) % 2**63

    def shard(self, index: Tensor) -> tuple[Tensor, bool]:
        """This process's share of a batch (B,), and whether it counts. With fewer images than processes, some get
        an image that does not count, because all must take part."""
        if self.n == 1:
            return index, True
        part = index.tensor_split(self.n)[self.rank]
        return (part, True) if len(part) else (index[:1], False)

    def sum_gradients(self, net: nn.Module, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Sum the gradients of `net` over all processes, in place, and the terms, in one message."""
        if self.n == 1:
            return terms
        gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
        parts = [*gradients, *terms.values()]
        message = torch.cat([part.flatten() for part in parts])
        self.sum(message)
        sums = message.split([part.numel() for part in parts])
        for gradient, total in zip(gradients, sums, strict=False):
            gradient.copy_(total.view_as(gradient))
        return {name: total.view(()) for name, total in zip(terms, sums[len(gradients) :], strict=True)}

    def sum(self, values: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        if self.n > 1:
            collective("all_reduce", values)
        return values

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set in any process."""
        if self.n == 1:
            return list(flags)
        return [count > 0 for count in self.sum(torch.tensor(flags, dtype=torch.int32)).tolist()]

    def gather(self, tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """The tensors of every process, by rank; they lie on the CPU and have the same shapes in all processes."""
        if self.n == 1:
            return [tensors]
        every: list[dict[str, Tensor]] = [{} for _ in range(self.n)]
        for name, tensor in tensors.items():
            for of_rank in every:
                of_rank[name] = tensor.new_empty(tensor.shape)
            collective("all_gather", [of_rank[name] for of_rank in every], tensor)
        return every

    def barrier(self) -> None:
        """Wait for all processes."""
        self.any(False)

    @contextmanager
    def local_rank_zero_first(self) -> Iterator[None]:
        """The first process of each machine runs the block before the others, so that they find what it downloads or
        decodes."""
        if self.local_rank:
            self.barrier()
        yield
        if not self.local_rank:
            self.barrier()


SINGLE_PROCESS = Processes()


def collective(what: str, *arguments: Any) -> None:
    try:
        getattr(dist, what)(*arguments)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ProcessLost(f"another process of this training has ended ({reason})") from None


class SharedRun(Run):
    """A run folder that all processes read and only rank 0 writes."""

    def __init__(self, path: str | Path, overwrite: bool, context: Context, processes: Processes) -> None:
        super().__init__(path, overwrite, context)
        self.processes = processes

    def begin(self, description: dict[str, Any]) -> None:
        """Starts after all processes have read the folder, and ends before any continues."""
        self.processes.barrier()
        self._on_rank_zero(super().begin, description)
        self.processes.barrier()
        self.begun = True

    def _held(self) -> AbstractContextManager[None]:
        """By the first process, once all have looked at what was there."""
        self.processes.barrier()
        return super()._held() if self.processes.is_rank_zero else nullcontext()

    def write_failed(self, reason: str) -> None:
        self._on_rank_zero(super().write_failed, reason)

    def write_history(self, rows: list[dict[str, float]]) -> None:
        self._on_rank_zero(super().write_history, rows)

    def write_weights(self, net: nn.Module) -> None:
        self._on_rank_zero(super().write_weights, net)

    def drop_checkpoint(self) -> None:
        self._on_rank_zero(super().drop_checkpoint)

    def _on_rank_zero(self, write: Callable[..., None], *arguments: Any) -> None:
        if self.processes.is_rank_zero:
            write(*arguments)
