"""`latently train MODEL`: flags -> plan -> trained run."""

import shlex
from collections.abc import Callable
from typing import Any

import numpy as np

from latently.cli.options import train_defaults
from latently.cli.plan import Request, TrainingPlan, make_plan
from latently.common.console import disk_sentence, note, print_figures, print_json
from latently.common.errors import InputError
from latently.data import ImageSet
from latently.estimator import Autoencoder
from latently.evaluation.figures import collapse_sentence, collapsed
from latently.models import can
from latently.runs.folder import Run
from latently.training.distributed import Processes, ProcessLost, process_group
from latently.training.state import Watcher
from latently.training.watchers import Bar, Log, TensorBoard


def train_command(words: list[str], summary: str) -> Callable[..., None]:
    """`train` for the model that `words` start with; defaults come from the run to resume, a preset, or the model."""
    model_default, training_default, options_default = train_defaults(words)
    command = "latently train " + shlex.join(word for word in words if word not in ("--resume", "--overwrite"))

    def train(
        model: type(model_default) = model_default,  # type: ignore[valid-type]
        training: type(training_default) = training_default,  # type: ignore[valid-type]
        run: type(options_default) = options_default,  # type: ignore[valid-type]
    ) -> None:
        with process_group() as processes:
            train_run(Request(words[0], model, training, run, command), processes)

    train.__doc__ = summary
    return train


def train_run(request: Request, processes: Processes) -> None:
    """Check, plan, fit, and print the metrics of the last epoch."""
    request.check(processes)
    run = Run(request.options.out)
    if request.resumes and run.finished:
        note(f"{run.path} is finished; nothing is left to train")
        print_last(request, run.read_history())
        return
    watchers = watchers_of(request, processes)
    plan = make_plan(request, processes)
    print_last(request, carry_out(plan, watchers, processes))


def watchers_of(request: Request, processes: Processes) -> list[Any]:
    """A log file, and TensorBoard if requested; only on rank 0."""
    if not processes.is_rank_zero:
        return []
    folder = request.options.out
    return [Log(folder / "train.log"), *([TensorBoard(folder / "tensorboard")] if request.options.tensorboard else [])]


def carry_out(plan: TrainingPlan, watchers: list[Any], processes: Processes) -> list[dict[str, float]]:
    """Train, and return the history. If training is interrupted, the error says how to resume."""
    run, shared = plan.run, {"processes": processes} if processes.n > 1 else {}
    announcement = Announcement(plan.announcement)
    try:
        with Bar() as bar:
            plan.estimator.fit(
                plan.train.images,
                plan.train.label_names,
                validation=plan.validation,
                run=run,
                watchers=[announcement, bar, *watchers],
                **shared,
            )
    except (KeyboardInterrupt, OSError, ProcessLost) as error:
        if not run.begun:
            raise
        go_on = f"resume with: {run.resume_command()}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(go_on) from None
        sentence = disk_sentence(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"{sentence}; then {go_on}") from None
    if has_collapsed(plan.estimator, plan.train):
        note(f"note: {collapse_sentence(plan.train.images)}")
    if trial := getattr(plan.estimator, "trial_", None):
        alone = "trained on the given labels alone; --spread 0.8 or --consistency true uses the other images, too"
        note(f"note: {trial}; so it is {alone if trial.is_harmful else 'trained on all images'}")
    return plan.estimator.history_


class Announcement(Watcher):
    """Prints what is trained when training starts; for a run in two parts, only once."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def started(self) -> None:
        for line in self.lines:
            note(line)
        self.lines = []


def has_collapsed(estimator: Any, images: ImageSet) -> bool:
    """Whether a model with a prior gives the same code to the first 1,000 images."""
    if not (isinstance(estimator, Autoencoder) and can(estimator.model_, "prior")):
        return False
    some = images.take(np.arange(min(len(images), 1000)))
    return collapsed(estimator.transform(some.images, some.label_names))


def print_last(request: Request, history: list[dict[str, float]]) -> None:
    """Print the metrics of the epoch whose weights were kept."""
    options, by = request.options, f"val_{request.model.monitor}"
    best_first = sorted(history, key=lambda row: row[by]) if request.training.patience else history[-1:]
    figures = {"run": str(options.out)} | best_first[0]
    if options.json:
        print_json(figures)
    else:
        print_figures(f"{options.out}, epoch {figures['epoch']:.0f} of {len(history)}", figures)
