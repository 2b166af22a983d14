"""Watchers of a run: a progress bar, a log file, TensorBoard. They do not affect the results."""

import html
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from latently.common.console import in_notebook
from latently.common.errors import InputError
from latently.training.settings import Training
from latently.training.state import State, Watcher

REFRESH_SECONDS = 0.2
LINE_SECONDS = 10  # between lines if there is no terminal for a progress bar


class CellBar:
    """What stands in for rich's `Progress` in a notebook: one line below the cell, replaced as training goes on.

    rich itself shows nothing there without ipywidgets, and a line of text per refresh would fill the notebook.
    """

    disable = False

    def __init__(self) -> None:
        self.done, self.drawn = 0.0, 0.0
        self.total: float | None = None
        self.fields: dict[str, str] = {}
        self.place: Any = None

    def start(self) -> None:
        from IPython.display import HTML, display

        self.as_html = HTML
        self.place = display(HTML(self.line()), display_id=True)

    def add_task(self, name: str, total: float | None, **fields: str) -> int:
        self.total, self.fields = total, fields
        return 0

    def update(self, task: int, completed: float | None = None, total: float | None = None, **fields: str) -> None:
        self.done = self.done if completed is None else completed
        self.total = self.total if total is None else total
        self.fields |= fields
        if time.monotonic() - self.drawn > REFRESH_SECONDS:
            self.stop()

    def stop(self) -> None:
        """Draw the line as it is now; it stays."""
        self.drawn = time.monotonic()
        if self.place is not None:
            self.place.update(self.as_html(self.line()))

    def line(self) -> str:
        share = f' value="{self.done:g}" max="{self.total:g}"' if self.total else ""
        words = html.escape(" · ".join(text for text in self.fields.values() if text))
        return f'<progress{share} style="width: 30%; vertical-align: middle"></progress> {words}'


class LiveBar:
    """A progress bar on stderr or below a notebook's cell, shown inside a `with` block."""

    bar: Any  # rich's Progress, or a CellBar

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()


class Bar(LiveBar, Watcher):
    """A progress bar on stderr: steps, loss, images per second, time left. Without a terminal: a line every 10 s. In a
    notebook: a bar below the cell."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.bar = (
            CellBar()
            if in_notebook()
            else Progress(
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
            rate = (done - self.drawn_at_step) * settings.images_per_step / (now - self.drawn)
            shown["rate"] = f"{rate:,.0f} images/s"
        self.bar.update(self.task, completed=done, total=settings.n_epochs * n_steps, **shown)
        self.drawn, self.drawn_at_step = now, done

    def epoch_ended(self, state: State, settings: Training) -> None:
        row = state.history[-1]
        self.validation = f"  val {row['val_loss']:.2f}" if "val_loss" in row else ""
        terms = f"train {row['train_loss']:.2f}{self.validation}"
        done, total = (n * len(state.losses) for n in (state.epoch, settings.n_epochs))
        epoch, rate = f"epoch {state.epoch}/{settings.n_epochs}", f"{row['images_per_second']:,.0f} images/s"
        self.bar.update(self.task, completed=done, total=total, epoch=epoch, terms=terms, rate=rate)
        due = time.monotonic() - self.written > LINE_SECONDS or state.epoch in (1, settings.n_epochs)
        if self.bar.disable and due:
            self.written = time.monotonic()
            self.console.print(f"{epoch}  {terms}  {rate}", soft_wrap=True)
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
