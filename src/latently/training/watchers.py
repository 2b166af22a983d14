"""Watchers of a run: a progress bar, a log file, TensorBoard. They do not affect the results."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from latently.common.errors import InputError
from latently.training.settings import Training
from latently.training.state import State, Watcher

REFRESH_SECONDS = 0.2
LINE_SECONDS = 10  # between lines if there is no terminal for a progress bar


class LiveBar:
    """A progress bar on stderr, shown inside a `with` block."""

    bar: Progress

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()


class Bar(LiveBar, Watcher):
    """A progress bar on stderr: steps, loss, images per second, time left. Without a terminal: a line every 10 s."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.bar = Progress(
            TextColumn("{task.fields[epoch]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[terms]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("train", total=None, epoch="starting", terms="", rate="")
        self.drawn = self.written = time.monotonic()
        self.drawn_at_step = 0
        self.validation = ""

    def stepped(self, state: State, settings: Training) -> None:
        now = time.monotonic()
        if self.bar.disable or now - self.drawn < REFRESH_SECONDS:
            return
        n_steps = len(state.losses)
        done = state.epoch * n_steps + state.step
        shown: dict[str, Any] = {"epoch": f"epoch {state.epoch + 1}/{settings.n_epochs}"}
        if not state.losses.is_cuda:  # reading the loss would wait for a GPU; there the last epoch's is shown
            shown["terms"] = f"train {state.losses[: state.step].mean():.2f}{self.validation}"
        if self.drawn_at_step:
            rate = (done - self.drawn_at_step) * settings.batch_size / (now - self.drawn)
            shown["rate"] = f"{rate:,.0f} images/s"
        self.bar.update(self.task, completed=done, total=settings.n_epochs * n_steps, **shown)
        self.drawn, self.drawn_at_step = now, done

    def epoch_ended(self, state: State, settings: Training) -> None:
        row = state.history[-1]
        self.validation = f"  val {row['val_loss']:.2f}" if "val_loss" in row else ""
        terms = f"train {row['train_loss']:.2f}{self.validation}"
        self.bar.update(self.task, terms=terms)
        due = time.monotonic() - self.written > LINE_SECONDS or state.epoch in (1, settings.n_epochs)
        if self.bar.disable and due:
            self.written = time.monotonic()
            line = f"epoch {state.epoch}/{settings.n_epochs}  {terms}  {row['images_per_second']:,.0f} images/s"
            self.console.print(line, soft_wrap=True)
        if state.epoch == settings.n_epochs:
            self.bar.stop()  # no bar for what follows the training


class JobBar(LiveBar):
    """Number of finished jobs out of those known so far: a bar on stderr, or a line every 10 s."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.bar = Progress(
            TextColumn("pieces made"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("pieces", total=None)
        self.written, self.reported = time.monotonic(), 0

    def __call__(self, made: int, known: int) -> None:
        self.bar.update(self.task, completed=made, total=known)
        due = made == known or time.monotonic() - self.written > LINE_SECONDS
        if self.bar.disable and due and made > self.reported:
            self.written, self.reported = time.monotonic(), made
            self.console.print(f"{made} of {known} pieces made", soft_wrap=True)


class Log(Watcher):
    """RUN/train.log: one line per epoch, with the time of day."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def epoch_ended(self, state: State, settings: Training) -> None:
        row = " ".join(f"{name}={value:.6g}" for name, value in state.history[-1].items())
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {row}\n")


class TensorBoard(Watcher):
    """Scalars of every epoch, and histograms of each weight and its last gradient, in RUN/tensorboard."""

    def __init__(self, path: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError(
                "--tensorboard needs the tensorboard package; install it with: pip install 'latently[tensorboard]'"
            ) from None
        self.open_writer = SummaryWriter
        self.path = path
        self.writer: Any = None
        self.gradients: dict[str, Any] = {}

    def stepped(self, state: State, settings: Training) -> None:
        if self.writer is None:  # not earlier: it creates a folder. Drops what a killed run wrote of this epoch
            self.writer = self.open_writer(str(self.path), purge_step=state.epoch + 1)
        if state.step == len(state.losses):
            self.gradients = {
                name: value.grad.clone() for name, value in state.net.named_parameters() if value.grad is not None
            }

    def epoch_ended(self, state: State, settings: Training) -> None:
        for name, figure in state.history[-1].items():
            self.writer.add_scalar(name.replace("_", "/", 1), figure, state.epoch)
        for name, value in state.net.named_parameters():
            self.writer.add_histogram(f"weights/{name}", value.detach(), state.epoch)
        for name, gradient in self.gradients.items():
            self.writer.add_histogram(f"gradients/{name}", gradient, state.epoch)
        self.writer.flush()
