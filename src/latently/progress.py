"""Who watches a run: a progress bar, a log file, TensorBoard. Watching changes nothing in what is computed."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from latently.errors import InputError
from latently.training import State, Training

REFRESH_SECONDS = 0.2
LINE_SECONDS = 10  # between lines where there is no terminal to draw a bar on


def shown_terms(row: dict[str, float]) -> str:
    """`train 105.2  val 104.9`, from an epoch's row."""
    return "  ".join(f"{part} {row[f'{part}_loss']:.2f}" for part in ("train", "val") if f"{part}_loss" in row)


class Bar:
    """A progress bar on stderr: steps, loss, images per second, time left; a line now and then where there is no terminal."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[terms]}  {task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("train", total=None, epoch="1", terms="", rate="")
        self.drawn = self.written = 0.0

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def stepped(self, state: State, settings: Training) -> None:
        now = time.monotonic()
        if now - self.drawn > REFRESH_SECONDS:
            self.drawn = now
            n_steps = len(state.losses)
            done = state.epoch * n_steps + state.step
            epoch = f"{state.epoch + 1}/{settings.epochs}"
            self.bar.update(self.task, completed=done, total=settings.epochs * n_steps, epoch=epoch)

    def epoch_ended(self, state: State, settings: Training) -> None:
        row = state.history[-1]
        terms, rate = shown_terms(row), f"{row['images_per_second']:,.0f} images/s"
        self.bar.update(self.task, terms=terms, rate=rate)
        due = time.monotonic() - self.written > LINE_SECONDS or state.epoch == settings.epochs
        if self.bar.disable and due:
            self.written = time.monotonic()
            self.console.print(
                f"epoch {state.epoch}/{settings.epochs}  {terms}  {rate}", highlight=False, soft_wrap=True
            )


class Log:
    """RUN/train.log: one line per epoch, with the time of day."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stepped(self, state: State, settings: Training) -> None:
        pass

    def epoch_ended(self, state: State, settings: Training) -> None:
        row = " ".join(f"{name}={value:.6g}" for name, value in state.history[-1].items())
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {row}\n")


class TensorBoard:
    """Scalars of every epoch, and histograms of each weight and its last gradient, in RUN/tensorboard."""

    def __init__(self, path: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError(
                "--tensorboard needs the tensorboard package: pip install 'latently[tensorboard]'"
            ) from None
        self.writer: Any = SummaryWriter(str(path))
        self.gradients: dict[str, Any] = {}

    def stepped(self, state: State, settings: Training) -> None:
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
