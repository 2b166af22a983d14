"""The plan of a training run: made from the flags, checked, then carried out.

Errors in the flags or the images are found while the plan is made, before anything is written to the run folder.
"""

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

import torch

from latently.analysis.run_images import stored_split
from latently.cli import flags
from latently.cli.options import (
    BudgetOptions,
    DecoderOptions,
    FewLabelOptions,
    LabelledOptions,
    RunOptions,
    stored_settings,
)
from latently.cli.shared import largest_side_for
from latently.common.console import note
from latently.common.errors import InputError, require
from latently.common.settings import Settings
from latently.data import ImageSet, Preparation, Split, load, read_labels, within_budget
from latently.data import split as split_images
from latently.estimator import Autoencoder, Classifier, FewLabelClassifier
from latently.models import Model
from latently.runs.folder import Context, Run
from latently.runs.outputs import require_apart
from latently.runs.record import DataRecord
from latently.training.distributed import SINGLE_PROCESS, Processes, SharedRun
from latently.training.hardware import has_compiler
from latently.training.settings import COMPILE_FROM_STEPS, Training


@dataclass(frozen=True)
class Request:
    """The parsed command line. recipe: the name of a model, or few-label; command: the words as typed."""

    recipe: str
    model: Model
    training: Training
    options: RunOptions
    command: str

    @property
    def resumes(self) -> bool:
        """Whether there is a run to resume, unfinished or finished."""
        return self.options.resume and Run(self.options.out).started

    def check(self, processes: Processes) -> None:
        """Raise InputError for settings out of range, contradictory flags, and a run folder that is already used."""
        options = self.options
        check_flags(self.model, self.training, options)
        two_parts = self.recipe == FewLabelClassifier.kind or getattr(options, "encoder", None)
        alone = "few-label and --encoder train in one process; use torchrun to train the vae, then pass it as --encoder"
        require(processes.n == 1 or not two_parts, alone)
        require(not (options.resume and options.overwrite), "--resume and --overwrite contradict each other; give one")
        Run(options.out).require_unheld()
        if self.resumes:
            failed = Run(options.out).failed
            require(not failed, f"{options.out} cannot be resumed: {failed}; leave out --resume to start it again")
            require_unchanged(Run(options.out), self.model, self.training, options)
        else:
            Run(options.out, options.overwrite).require_free()
            nothing = f"{options.out} has no run to resume; to start one there, " if options.resume else ""
            require(options.data is not None, f"{nothing}give --data: digits, mnist, or the path of your own images")
            require_apart(options.out, str(options.data), adds_images=True)
        two = isinstance(options, FewLabelOptions) and options.tensorboard and options.encoder is None
        require(
            not two,
            "--tensorboard logs one training, and few-label has two; train the vae first, then pass it as --encoder",
        )


@dataclass(frozen=True)
class TrainingPlan:
    """A training run that is ready to start: settings, images, split and run folder."""

    request: Request
    estimator: Any
    train: ImageSet
    """Training images, with the labels that may be used."""
    validation: Any
    """The `validation` argument of the estimator's `fit`; None if there are no validation images."""
    run: Run

    @cached_property
    def announcement(self) -> list[str]:
        """The lines to print at the start: what is trained, how, and why a long run is not compiled."""
        about, recipe = self.run.context.about, self.request.recipe
        data = about["data"] | about.get("labelled", {})  # of partly labelled images, those used
        if self.estimator.kind == FewLabelClassifier.kind:
            return [f"{recipe} on {data['source']}: {data['n_train']:,} images; first the encoder, then the classifier"]
        rehearsal = self.estimator.rehearse(self.train.images, self.train.label_names)
        decided = rehearsal.training
        compiled = ", compiled (which takes up to 20 s)" if decided.compile == "on" else ""
        lines = [
            f"{self.request.model.name} on {data['source']}: {data['n_train']:,} training images, "
            f"{data['n_validation']:,} validation images; {rehearsal.n_parameters:,} weights; {decided.device}, "
            f"{decided.precision}{compiled}"
        ]
        long = decided.n_epochs * ceil(data["n_train"] / decided.images_per_step) >= COMPILE_FROM_STEPS
        asked = self.request.training.compile == "auto" and decided.device == "cpu"
        if long and asked and not has_compiler(torch.device("cpu")):
            lines.append(
                "no C++ compiler (g++ or clang++) was found; with one, a run of this length would be compiled and "
                "faster"
            )
        return lines


def make_plan(request: Request, processes: Processes = SINGLE_PROCESS) -> TrainingPlan:
    """Read the images, split them, build the estimator. Call `request.check` first. Raises InputError."""
    model, training, options = request.model, request.training, request.options
    prepared = Preparation(options.image_size, options.channels, options.fit, options.skip_broken, options.scale)
    with processes.local_rank_zero_first():
        side = largest_side_for(str(options.data), training.device)
        images = load(str(options.data), prepared, sys.stderr.isatty(), side)
    if isinstance(options, LabelledOptions) and options.labels:
        images = read_labels(options.labels, images)
    if isinstance(options, DecoderOptions):
        model = options.read_codes(model, images)
    split = split_of(request, images)
    record = DataRecord.of(images, split, options.seed, options.limit)
    record.note_copies()
    about: dict[str, Any] = {
        "data": record.to_json(),
        "classes": list(images.classes),
        "preset": options.preset,
        "command": request.command,
        "train": request.recipe,
        "watching": options.watching(),
        "options": options.own(),
    }
    if processes.n > 1:
        about["processes"] = processes.n
    estimator = options.build(model, training, images.image_shape)
    train, validation = images.take(split.train), images.take(split.validation)
    if model.needs_labels and 0 < (train.labels >= 0).sum() < len(train):
        n_left = (train.labels < 0).sum()
        note(f"{n_left:,} unlabelled images are left out: {model.name} is conditional on the class; m2 takes them, too")
        train, validation = train.labelled(), validation.labelled()
        about["labelled"] = {"n_train": len(train), "n_validation": len(validation)}
    if isinstance(options, BudgetOptions) and options.n_labels:
        train, validation = within_budget(train, options.n_labels, options.seed, training.patience is not None)
    if isinstance(estimator, Classifier) and not model.learns_from_unlabelled:
        about["labelled"] = {"n_train": len(train.labelled()), "n_validation": len(validation.labelled())}
    judges = held_out(validation, estimator)
    none = f"--patience needs validation images, and there are none in the split {split.kind!r}"
    require(training.patience is None or judges is not None, f"{none}, or none with a label; leave out --patience")
    context = Context(
        about,
        None if split.kind == "standard" else split.to_json(),
        options.checkpoint_epochs,
        options.checkpoint_minutes,
    )
    run = Run(options.out, options.overwrite, context)
    if processes.n > 1:
        run = SharedRun(options.out, options.overwrite, context, processes)
    return TrainingPlan(request, estimator, train, judges, run)


def check_flags(*settings: Settings) -> None:
    """Check every setting. An InputError names the setting by its flag."""
    for each in settings:
        try:
            each.check()
        except InputError as error:
            name, _, rest = str(error).partition(" is ")
            raise InputError(f"--{name.replace('_', '-')} is {rest.replace('None', flags.NONE)}") from None


def split_of(request: Request, images: ImageSet) -> Split:
    """The split that the flags ask for, or that of the run to resume."""
    options = request.options
    if not request.resumes:
        return split_images(images, options.split, options.seed, options.limit)
    run = Run(options.out)
    record = run.data
    since = f"changed since {run.path} was started; restore"
    same = record is not None and record.describes(images)
    require(same, f"{images.source} has {since} it, or choose another --out")
    if record is not None and isinstance(options, LabelledOptions):
        same = record.describes_labels(images)
        require(same, f"the labels of {images.source} have {since} them, or choose another --out")
    return stored_split(run, images)


def held_out(validation: ImageSet, estimator: Any) -> Any:
    """The `validation` argument of an estimator's `fit`; None if there are no validation images."""
    if isinstance(estimator, Autoencoder) and not (estimator.model and estimator.model.takes_labels):
        return validation.images if len(validation) else None
    return (validation.images, validation.label_names) if len(validation.labelled()) else None


def require_unchanged(run: Run, model: Model, training: Training, options: RunOptions) -> None:
    """A resumed run keeps its settings. Raises InputError naming the first flag that would change one."""
    then_model, then_training, then_options = stored_settings(run)
    asked = model.get_params() | training.get_params() | vars(options)
    then = then_model.get_params() | then_training.get_params() | vars(then_options)
    watched = ("out", "config", "resume", "overwrite", "json", *then_options.watching())
    kept = [name for name in vars(then_options) if name not in watched]
    for name in (*then_model.get_params(), *then_training.get_params(), *kept):
        # A setting that was given as `auto` may be given as `auto` again.
        undecided = "auto" if name in ("split", "fit", "scale") else run.params["training"].get(name, then[name])
        same = isinstance(then[name], Settings) or asked[name] in (then[name], undecided)
        flag = "--" + name.rpartition("__")[2].replace("_", "-")
        require(
            same or (name == "data" and os.path.realpath(str(asked[name])) == os.path.realpath(then[name])),
            f"{flag} is {asked[name]}, but {run.path} was started with {then[name]}; leave it out to resume, or choose "
            "another --out",
        )
