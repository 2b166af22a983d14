"""The one training loop. It knows no model, no data set and no picture.

A run is a function of its settings and seed alone: the order of images is drawn from (seed, epoch), the learning rate
is a function of the step, and noise comes from torch's generators, forked so that the caller's stand still. So a
checkpoint needs the weights, the optimiser's moments, the generators' state and the sums of the epoch under way.

Several processes (distributed.py) train one net together: each takes its share of a batch, and all hold the same sums.

K nets that differ only in draw or seed train together, as a `Stack`: indices, losses and figures then have one more
dimension in front, (K, ...), and the nets share nothing but the time that a step takes.
"""

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from latently.common.errors import InputError, require
from latently.data.batches import Batches
from latently.data.ranges import number
from latently.models.base import Model
from latently.models.stack import Stack
from latently.runs.folder import NonFiniteLoss, Run
from latently.training.compiled import CompiledStep, Terms, step_scalars
from latently.training.distributed import SINGLE_PROCESS, Processes
from latently.training.hardware import (
    generator_states,
    seeded,
)
from latently.training.memory import keep_freed_memory
from latently.training.objective import training_loss, validate
from latently.training.optimiser import build_optimiser, learning_rate
from latently.training.settings import Training
from latently.training.state import State, Watcher

WIDE_PIXELS = 10.0  # standardised ones lie within
WHAT_TO_TRY = "try a lower learning rate, a gradient clip (clip_norm 1) or float32"


def require_validation(settings: Training, given: bool) -> None:
    """Raise InputError if `patience` is set and there are no validation images."""
    require(given or settings.patience is None, "patience needs validation images: give some, or leave patience out")


class Interrupts:
    """SIGINT (Ctrl-C) or SIGTERM sets a flag that the loop checks between steps; a second signal interrupts at once.

    Before the first step there is nothing to save, so the first signal interrupts at once, too.
    """

    def __init__(self, watching: bool) -> None:
        self.received = self.stepping = False
        self.watching = watching and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self.watching:
            self.before = {number: signal.signal(number, self.receive) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def receive(self, *_: object) -> None:
        at_once = self.received or not self.stepping
        self.received = True
        if at_once:
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        if self.watching:
            for number, handler in self.before.items():
                signal.signal(number, handler)


@dataclass
class Loop:
    """Trains `net` in place on `model.objective`; `run` stores checkpoints, `watchers` follow steps and epochs.

    net: one net, or a `Stack` of K with a draw of `images` each (and one of `validation`, where there are any). Every
    net of a stack gets its own gradient, best epoch and end of patience; the history holds means over the nets.
    settings: resolved (see `resolve`). With a run, checkpoints are written as often as its context says, and training
    resumes from an existing one, to exactly the weights of an uninterrupted run.
    """

    model: Model
    net: nn.Module
    images: Batches
    validation: Batches | None
    settings: Training
    seed: int
    run: Run | None = None
    watchers: Sequence[Watcher] = ()
    processes: Processes = SINGLE_PROCESS

    def __post_init__(self) -> None:
        require_validation(self.settings, self.validation is not None)
        couples = self.settings.clip_norm is not None and isinstance(self.net, Stack)
        require(not couples, "clip_norm would bound one gradient of all nets that train together: leave it out")
        least = min(len(self.images), self.settings.images_per_step)
        n = self.processes.n
        require(n <= least, f"{n} processes were started to share batches of {least} images; start {least} at most")

    def train(self) -> list[dict[str, float]]:
        """-> the history, one row per epoch.

        Raises NonFiniteLoss if the loss is not finite, and KeyboardInterrupt after an interrupted run is saved.
        """
        seed = self.processes.seed(self.seed)
        interrupts = Interrupts(watching=self.run is not None)
        with seeded(seed, self.images.device), keep_freed_memory(), interrupts as self.interrupts:
            self.begin()
            self.interrupts.stepping = True
            while self.state.epoch < self.settings.n_epochs and not self.out_of_patience().all():
                self.train_epoch()
                self.end_epoch()
            self.keep_chosen_weights()
        return self.state.history

    def begin(self) -> None:
        settings, device, nets = self.settings, self.images.device, self.images.nets
        self.n_steps = math.ceil(len(self.images) / settings.images_per_step)
        self.net.train()
        average = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        self.state = State(
            net=self.net,
            optimiser=build_optimiser(settings, self.net),
            losses=torch.zeros(self.n_steps, *nets, device=device),
            average=average if settings.ema is not None else {},
            best_score=torch.full(nets, math.inf, dtype=torch.float64),
            best_epoch=torch.zeros(nets, dtype=torch.int64),
            rank=self.processes.rank,
        )
        if self.run is not None and self.run.checkpoint.exists():
            self.state.load(self.run.checkpoint)
        self.batch_loss = training_loss(self.model, self.images, settings)
        whole = settings.compile == "on" and self.processes.n == 1  # several add up gradients in the middle of a step
        self.compiled = self.compile() if whole else None
        self.saved_at = time.monotonic()

    def compile(self) -> CompiledStep:
        """Compile for the full batch, before the timer starts: take a first step, then undo it and its use of noise."""
        step = CompiledStep(self.batch_loss, self.net, self.state.optimiser, self.settings.clip_norm)
        device = self.images.device
        index = torch.zeros(
            (*self.images.nets, self.settings.images_per_step), dtype=torch.int64, device=self.images.home
        )
        with seeded(self.seed, device), step.undone():
            try:
                step(
                    *self.images.gather(index),
                    torch.tensor(step_scalars(0.0, 0.0, self.state.optimiser, 1), device=device),
                )
            except RuntimeError as error:  # of the compilers, which Ctrl-C may have reached before us
                if self.interrupts.received:
                    raise KeyboardInterrupt from None
                reason = str(error).strip().splitlines()[0]
                raise InputError(f"the step cannot be compiled ({reason}); start anew with compile 'off'") from error
        return step

    def train_epoch(self) -> None:
        state = self.state
        order = self.images.order(self.seed, state.epoch)
        before = state.epoch * self.n_steps  # steps of earlier epochs
        progress = ((state.epoch + torch.arange(self.n_steps) / self.n_steps) / self.settings.n_epochs).tolist()
        rates = [learning_rate(self.settings, each) for each in progress]
        steps = enumerate(zip(progress, rates, strict=True), before + 1)
        rows = [step_scalars(*each, state.optimiser, t) for t, each in steps]
        on_device = torch.tensor(rows, device=self.images.device)
        batches = order.split(self.settings.images_per_step, dim=-1)
        self.clock = time.perf_counter()
        while state.step < self.n_steps:
            self.take_step(batches[state.step], on_device[state.step], rates[state.step])
            if self.run is not None and state.step < self.n_steps and self.is_due():
                self.stop_clock()
                self.save()
        self.stop_clock()

    def take_step(self, index: Tensor, on_device: Tensor, rate: float) -> None:
        """One batch; on_device: its `step_scalars`. Nothing here waits for the device."""
        state, size = self.state, index.shape[-1]
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        # The last step of an epoch is eager: compiling for a smaller last batch would take seconds, for one step an
        # epoch. It is eager even if the last batch is full, so that watchers find gradients.
        if self.compiled is not None and state.step < self.n_steps - 1:
            terms = self.compiled(*self.images.gather(index), on_device)
        else:
            terms = self.take_eager_step(index, on_device[0])
        state.losses[state.step] = terms["loss"] / size  # () or (K,)
        state.sums = {name: term + state.sums.get(name, 0) for name, term in terms.items()}
        state.step += 1
        self.move_average()
        for watcher in self.watchers:
            watcher.stepped(state, self.settings)

    def take_eager_step(self, index: Tensor, progress: Tensor) -> Terms:
        """Leaves the gradients in place, for watchers."""
        self.state.optimiser.zero_grad(set_to_none=True)
        own, counts = self.processes.shard(index)
        raw, y = self.images.gather(own)
        terms = self.batch_loss(self.net, raw, y, progress)
        if not counts:  # fewer images are left than there are processes
            terms = {name: 0 * term for name, term in terms.items()}
        (terms["loss"] / index.shape[-1]).sum().backward()  # no net's loss depends on another's weights
        terms = self.processes.sum_gradients(self.net, {name: term.detach() for name, term in terms.items()})
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.settings.clip_norm)
        self.state.optimiser.step()
        return terms

    def move_average(self) -> None:
        """Update the moving average. The decay is smaller early on, so that the average forgets the initial weights."""
        if self.settings.ema is None:
            return
        n = self.state.epoch * self.n_steps + self.state.step
        decay = min(self.settings.ema, (1 + n) / (10 + n))
        now, average = self.net.state_dict(), self.state.average
        moving = [name for name, value in now.items() if value.is_floating_point()]
        torch._foreach_lerp_([average[name] for name in moving], [now[name] for name in moving], 1 - decay)
        for name in now.keys() - set(moving):  # counters, and the keys of a table
            average[name].copy_(now[name])

    def stop_clock(self) -> None:
        """Add the elapsed time to the epoch's, restart the clock, and raise InputError if a loss is not finite."""
        finite = torch.isfinite(self.state.losses[: self.state.step])
        all_finite = bool(finite.all())  # waits for the device, whichever it is
        self.state.seconds += time.perf_counter() - self.clock
        if not all_finite:
            step = int(finite.logical_not().nonzero()[0, 0]) + 1
            raise NonFiniteLoss(
                f"the loss is no longer finite at step {step} of epoch {self.state.epoch + 1}; {self.likely_cause()}"
            )
        self.clock = time.perf_counter()

    def likely_cause(self) -> str:
        """Of a loss that is not finite: pixels far from 0..1, if there are such; else the learning rate."""
        limits = self.images.limits()
        if not WIDE_PIXELS < limits.largest < math.inf or not limits.are_unusual:
            return f"the learning rate is {self.settings.rate:g}; {WHAT_TO_TRY}"
        white = number(limits.likely_white)
        return f"the likely cause is that the pixels reach {limits}: divide them by {white} (--scale {white}, or auto)"

    def end_epoch(self) -> None:
        state, n = self.state, len(self.images)
        row = {"epoch": state.epoch + 1, "seconds": state.seconds}
        row |= {"images_per_second": n * math.prod(self.images.nets) / state.seconds}
        row |= {"learning_rate": state.optimiser.param_groups[0]["lr"]}
        row |= {f"train_{name}": float(total.mean()) / n for name, total in state.sums.items()}
        with self.averaged():
            if self.validation is not None:
                terms = validate(self.model, self.net, self.validation, self.seed, self.processes)
                row |= {f"val_{name}": float(value.mean()) for name, value in terms.items()}
                finite = all(bool(value.isfinite().all()) for value in terms.values())
                if not finite:
                    what = f"the validation loss of epoch {state.epoch + 1} is no longer finite"
                    raise NonFiniteLoss(f"{what}; {self.likely_cause()}")
                self.keep_if_best(terms[self.model.monitor])
            state.history.append(row)
            state.epoch, state.step, state.seconds, state.sums = state.epoch + 1, 0, 0.0, {}
        for watcher in self.watchers:
            watcher.epoch_ended(state, self.settings)
        if self.run is not None:
            self.run.write_history(state.history)
            if self.is_due() or state.epoch % self.run.context.checkpoint_epochs == 0:
                self.save()

    def is_due(self) -> bool:
        """Whether to save now, because of the time or an interrupt, in any of the processes."""
        assert self.run is not None
        if self.state.step % self.processes.poll_steps:
            return False
        is_late = time.monotonic() - self.saved_at > 60 * self.run.context.checkpoint_minutes
        self.stopping, is_late = self.processes.any(self.interrupts.received, is_late)
        return self.stopping or is_late

    def save(self) -> None:
        assert self.run is not None
        generators = self.processes.gather(generator_states(self.images.device))
        if self.processes.is_rank_zero:
            self.state.save(self.run.checkpoint, generators)
        self.processes.barrier()  # or the end of one would interrupt the writer
        self.saved_at, self.clock = time.monotonic(), time.perf_counter()
        if self.stopping:
            raise KeyboardInterrupt

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the net has the averaged weights, if there is a moving average."""
        if not self.state.average:
            yield
            return
        raw = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.net.load_state_dict(self.state.average)
        try:
            yield
        finally:
            self.net.load_state_dict(raw)

    def keep_if_best(self, score: Tensor) -> None:
        """Keep the weights of each net whose validation score, () or (K,), is its lowest so far."""
        state = self.state
        if self.settings.patience is None:
            return
        better = (score < state.best_score) & ~self.out_of_patience()
        state.best_score = torch.where(better, score, state.best_score)
        state.best_epoch = torch.where(better, state.epoch + 1, state.best_epoch)
        better = better.to(self.images.device)
        for name, value in self.net.state_dict().items():
            chosen = better.view(better.shape + (1,) * (value.ndim - better.ndim))
            state.best[name] = torch.where(chosen, value, state.best.get(name, value))

    def out_of_patience(self) -> Tensor:
        """Which nets have gone `patience` epochs without improvement, () or (K,) bool."""
        patience = math.inf if self.settings.patience is None else self.settings.patience
        return self.state.epoch - self.state.best_epoch >= patience

    def keep_chosen_weights(self) -> None:
        """Load the weights of the best epoch with `patience`, else the moving average, else keep the last."""
        chosen = self.state.best or self.state.average
        if chosen:
            self.net.load_state_dict(chosen)
        self.net.eval()
