"""From settings to a trained run: checks, images and split, the fit, and what is printed."""

import math
import os
import shlex
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from latently.analysis.run_images import stored_split
from latently.cli import flags
from latently.cli.options import (
    ClassifierOptions,
    FewLabelOptions,
    LabelledOptions,
    RunOptions,
    stored_settings,
    train_defaults,
)
from latently.common.console import disk_sentence, note, print_figures, print_json
from latently.common.errors import InputError, require
from latently.common.settings import Settings
from latently.data import ImageSet, Preparation, Split, load, read_labels, within_budget
from latently.data import split as split_images
from latently.estimator import Autoencoder, Classifier, FewLabelClassifier
from latently.evaluation.figures import COLLAPSE, collapsed
from latently.models import Model, can
from latently.runs.folder import Run
from latently.runs.outputs import require_apart
from latently.runs.record import DataRecord
from latently.training.distributed import SINGLE_PROCESS, Processes, ProcessLost, SharedRun, process_group
from latently.training.hardware import has_compiler
from latently.training.settings import COMPILE_FROM_STEPS, Training
from latently.training.watchers import Bar, Log, TensorBoard


def train_command(words: list[str], summary: str) -> Callable[..., None]:
    """`train` for the model that is named first, with defaults of the run to resume, of a preset, or ours."""
    model_default, training_default, options_default = train_defaults(words)
    command = "latently train " + shlex.join(word for word in words if word not in ("--resume", "--overwrite"))

    def train(
        model: type(model_default) = model_default,  # type: ignore[valid-type]
        training: type(training_default) = training_default,  # type: ignore[valid-type]
        run: type(options_default) = options_default,  # type: ignore[valid-type]
    ) -> None:
        with process_group() as together:
            train_run(words[0], model, training, run, command, together)

    train.__doc__ = summary
    return train


def train_run(
    name: str,
    model: Model,
    training: Training,
    options: RunOptions,
    command: str,
    processes: Processes = SINGLE_PROCESS,
) -> None:
    """Check, load, split, fit, say how it went. What can fail fails before the run folder is touched."""
    run = Run(options.out, options.overwrite)
    if processes.n > 1:
        run = SharedRun(options.out, options.overwrite, processes)
        two_parts = name == FewLabelClassifier.kind or getattr(options, "encoder", None)
        alone = "few-label, and --encoder, train in one process; torchrun can train the vae that --encoder then names"
        require(not two_parts, alone)
    check_flags(model, training, options)
    require(not (options.resume and options.overwrite), "--resume and --overwrite contradict each other; give one")
    resuming = options.resume and run.started
    if resuming:
        require_unchanged(run, model, training, options)
        if run.finished:
            note(f"{run.path} is finished; nothing is left to train")
            print_last(run.read_history(), model, training, options)
            return
    else:
        run.require_free()
        nothing = f"{run.path} holds no run to resume; to start one there, " if options.resume else ""
        require(options.data is not None, f"{nothing}give --data: digits, mnist, or the path of your own images")
        require_apart(run.path, str(options.data), adds_images=True)
    two = isinstance(options, FewLabelOptions) and options.tensorboard and options.encoder is None
    require(
        not two, "--tensorboard follows one training, and few-label is two; train the vae first, and give --encoder"
    )
    watchers: list[Any] = [Log(run.path / "train.log")] if processes.is_rank_zero else []
    if options.tensorboard and processes.is_rank_zero:
        watchers.append(TensorBoard(run.path / "tensorboard"))
    prepared = Preparation(options.image_size, options.channels)
    with processes.local_rank_zero_first():
        images = load(str(options.data), prepared, progress=sys.stderr.isatty())
    if isinstance(options, LabelledOptions) and options.labels:
        images = read_labels(options.labels, images)
    parts = split_for(run if resuming else None, images, options)
    record = DataRecord.of(images, parts, prepared, options.seed, options.limit)
    about: dict[str, Any] = {
        "data": record.to_json(),
        "classes": list(images.classes),
        "preset": options.preset,
        "command": command,
    }
    about |= {"train": name, "watching": options.watching(), "options": options.own()}
    if processes.n > 1:
        about["processes"] = processes.n
    if parts.kind != "standard":
        run.split = parts.to_json()
    run.announce = announce
    with Bar() as bar:
        history = fit(run, model, training, options, images, parts, about, [bar, *watchers], processes)
    print_last(history, model, training, options)


def check_flags(*settings: Settings) -> None:
    """Every setting in its range; a sentence about one calls it by its flag."""
    for each in settings:
        try:
            each.check()
        except InputError as error:
            name, _, rest = str(error).partition(" is ")
            raise InputError(f"--{name.replace('_', '-')} is {rest.replace('None', flags.NONE)}") from None


def announce(params: dict[str, Any]) -> None:
    """What begins, as it was decided; and once, why a long run is not compiled."""
    data, training, decided = params["data"], params["training"], params["training"] | params["resolved"]
    data = data | params.get("labelled", {})  # of partly labelled images, those that are used
    if params["estimator"] == FewLabelClassifier.kind:
        note(f"{params['train']} on {data['source']}: {data['n_train']:,} images; first codes, then classes")
        return
    compiled = decided["compile"] == "on"
    how = f"{decided['device']}, {decided['precision']}{', compiled (which takes up to 20 s)' if compiled else ''}"
    note(
        f"{params['model']['name']} on {data['source']}: {data['n_train']:,} images train, {data['n_validation']:,} "
        f"validate; {params['n_parameters']:,} weights; {how}"
    )
    long = decided["epochs"] * math.ceil(data["n_train"] / training["batch_size"]) >= COMPILE_FROM_STEPS
    if long and training["compile"] == "auto" and decided["device"] == "cpu" and not has_compiler(torch.device("cpu")):
        note("no C++ compiler (g++ or clang++) was found; with one, a run this long would be compiled and faster")


def split_for(resumed: Run | None, images: ImageSet, options: RunOptions) -> Split:
    """The split that the flags ask for, or the one that a run that is taken up has already."""
    if resumed is None:
        return split_images(images, options.split, options.seed, options.limit)
    record = resumed.data
    since = f"changed since {resumed.path} was started; restore"
    same = record is not None and record.describes(images)
    require(same, f"{images.source} has {since} it, or choose another --out")
    if record is not None and isinstance(options, LabelledOptions):
        same = record.describes_labels(images)
        require(same, f"the labels of {images.source} have {since} them, or choose another --out")
    return stored_split(resumed, images)


def fit(
    run: Run, model: Model, training: Training, options: RunOptions, images: ImageSet, parts: Split,
    about: dict[str, Any], watchers: list[Any], processes: Processes,
) -> list[dict[str, float]]:  # fmt: skip
    """-> the history. What ends the training early says how to go on."""
    estimator = options.build(model, training)
    train, validation = images.take(parts.train), images.take(parts.validation)
    if model.takes_labels and 0 < (train.labels >= 0).sum() < len(train):
        note(f"{(train.labels < 0).sum():,} images without a label are left out: {model.name} is told classes")
        train, validation = train.labelled(), validation.labelled()
        about["labelled"] = {"n_train": len(train), "n_validation": len(validation)}
    if isinstance(options, ClassifierOptions) and options.n_labels:
        train, validation = within_budget(train, options.n_labels, options.seed, training.patience is not None)
    if isinstance(estimator, Classifier):
        about["labelled"] = {"n_train": len(train.labelled()), "n_validation": len(validation.labelled())}
    judges = held_out(validation, estimator)
    none = f"--patience needs validation images, and there are none in the split {parts.kind!r}"
    require(training.patience is None or judges is not None, f"{none}, or none with a label; leave --patience out")
    try:
        estimator.fit(
            train.images,
            train.label_names,
            validation=judges,
            run=run,
            about=about,
            watchers=watchers,
            checkpoint_epochs=options.checkpoint_epochs,
            checkpoint_minutes=options.checkpoint_minutes,
            processes=processes,
        )
    except (KeyboardInterrupt, OSError, ProcessLost) as error:
        if not run.begun:
            raise
        go_on = f"go on with: {run.resume_command()}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(go_on) from None
        sentence = disk_sentence(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"{sentence}; then {go_on}") from None
    if has_collapsed(estimator, train):
        note(f"note: {COLLAPSE}")
    return estimator.history_


def has_collapsed(estimator: Any, images: ImageSet) -> bool:
    """Whether a model with a prior makes the same code of all of the first images."""
    if not (isinstance(estimator, Autoencoder) and can(estimator.model_, "prior")):
        return False
    some = images.take(np.arange(min(len(images), 1000)))
    return collapsed(estimator.transform(some.images, some.label_names))


def held_out(validation: ImageSet, estimator: Any) -> Any:
    """What an estimator's `fit` takes as validation; None where there is nothing to validate with."""
    if isinstance(estimator, Autoencoder) and not (estimator.model and estimator.model.takes_labels):
        return validation.images if len(validation) else None
    return (validation.images, validation.label_names) if len(validation.labelled()) else None


def print_last(history: list[dict[str, float]], model: Model, training: Training, options: RunOptions) -> None:
    """The figures of the epoch whose weights were kept."""
    best_first = sorted(history, key=lambda row: row[f"val_{model.monitor}"]) if training.patience else history[-1:]
    figures = {"run": str(options.out)} | best_first[0]
    if options.json:
        print_json(figures)
    else:
        print_figures(f"{options.out}, epoch {figures['epoch']:.0f} of {len(history)}", figures)


def require_unchanged(run: Run, model: Model, training: Training, options: RunOptions) -> None:
    """A resumed run keeps its settings. Raises InputError that names the first one that a flag would change."""
    then_model, then_training, then_options = stored_settings(run)
    asked = model.get_params() | training.get_params() | vars(options)
    then = then_model.get_params() | then_training.get_params() | vars(then_options)
    watched = ("out", "config", "resume", "overwrite", "json", *then_options.watching())
    kept = [name for name in vars(then_options) if name not in watched]
    for name in (*then_model.get_params(), *then_training.get_params(), *kept):
        # Where `auto` was given, it may be given again.
        undecided = "auto" if name == "split" else run.params["training"].get(name, then[name])
        same = isinstance(then[name], Settings) or asked[name] in (then[name], undecided)
        flag = "--" + name.rpartition("__")[2].replace("_", "-")
        require(
            same or (name == "data" and os.path.realpath(str(asked[name])) == os.path.realpath(then[name])),
            f"{flag} is {asked[name]}, but {run.path} was started with {then[name]}; leave it out to resume, or choose "
            "another --out",
        )
