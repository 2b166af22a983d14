"""From settings to a trained run: defaults, checks, images and split, the fit, and what is said of it."""

import argparse
import math
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
import tyro

from latently import flags, presets
from latently.console import disk_sentence, note, print_figures, print_json
from latently.data import ImageSet, Preparation, Split, load, read_labels, within_budget
from latently.data import split as split_images
from latently.errors import InputError, require
from latently.estimator import Autoencoder, Classifier, FewLabelClassifier
from latently.estimator import load as load_estimator
from latently.evaluation import COLLAPSE, collapsed
from latently.models import MODELS, VAE, FeedForward, Model, can, model_from_json
from latently.opened import stored_split
from latently.outputs import require_apart
from latently.processes import ALONE, Lost, Processes, SharedRun
from latently.progress import Bar, Log, TensorBoard
from latently.runs import DataRecord, Run, read_json, understanding
from latently.settings import Count, Fraction, NonNegative, Seed, Settings
from latently.training import COMPILE_FROM_STEPS, Training, has_compiler

# Settings of a run ----------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class RunOptions(Settings):
    """The images, and the run folder."""

    out: Path
    """Run folder to write."""
    data: str | None = None
    """The images: digits, mnist, fashion-mnist, kmnist, or the path of a folder, .npy, .npz, .csv or IDX file."""
    preset: str | None = None
    """A study's recipe, over which any other flag wins; `latently presets` lists them."""
    config: Path | None = None
    """A JSON file of settings, over which any flag wins: {"model": {}, "training": {}}, or a run's params.json."""
    split: Literal["auto", "standard", "pooled", "random", "all"] = "auto"
    """Which images train, validate and test; auto: the source's own split where it has one, else 80/10/10 per class."""
    limit: Count | None = None
    """Train on no more than the first so many training images."""
    image_size: tuple[int, int] | None = None
    """Height and width in pixels to resize every image to."""
    channels: int | None = None
    """1 turns every image grey, 3 makes it colour."""
    seed: Seed = 0
    """Seed of split, weights, order and noise."""
    resume: bool = False
    """Take up the run in --out; no other flag is needed."""
    overwrite: bool = False
    """Replace the run in --out."""
    checkpoint_epochs: Count = 1
    """Epochs between checkpoints."""
    checkpoint_minutes: NonNegative = 5.0
    """Minutes after which a checkpoint is written, also within an epoch."""
    tensorboard: bool = False
    """Write scalars, and histograms of weights and gradients, to RUN/tensorboard."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def watching(self) -> dict[str, Any]:
        """How a run is watched, which changes nothing in it; a resume does the same."""
        return {name: getattr(self, name) for name in ("checkpoint_epochs", "checkpoint_minutes", "tensorboard")}

    def build(self, model: Model, training: Training) -> Any:
        """The estimator to fit."""
        raise NotImplementedError

    def own(self) -> dict[str, Any]:
        """What params.json keeps under "options": what neither model, training nor data say."""
        return {}


@dataclass(kw_only=True)
class EncoderOptions(RunOptions):
    """The images, and the run folder."""

    binarise: Literal["none", "static", "dynamic"] = "none"
    """Grey values as probabilities of black and white: one draw that is kept (static), or a new one at each use."""

    def build(self, model: Model, training: Training) -> Autoencoder:
        return Autoencoder(model, binarise=self.binarise, random_state=self.seed, **training.get_params())


@dataclass(kw_only=True)
class LabelledOptions(RunOptions):
    """The images, their labels, and the run folder."""

    labels: Path | None = None
    """A CSV file of labels in the place of the source's: image (file name or number from 0), label."""

    def own(self) -> dict[str, Any]:
        return {"labels": stored_path(self.labels)}


def stored_path(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


@dataclass(kw_only=True)
class ConditionalOptions(EncoderOptions, LabelledOptions):
    """The images, their labels, and the run folder."""


@dataclass(kw_only=True)
class ClassifierOptions(LabelledOptions):
    """The images, their labels, and the run folder."""

    n_labels: Count | None = None
    """Use only so many labels of the training images, drawn evenly over the classes."""

    encoder: Path | None = None
    """Run folder of an autoencoder whose codes go straight to the softmax, beside the pixels (wide and deep)."""

    def build(self, model: Model, training: Training) -> Any:
        classifier = Classifier(model, random_state=self.seed, **training.get_params())
        if self.encoder is None:
            return classifier
        encoder = self.fitted_encoder()
        classifier.set_params(model__wide=encoder.model_.latent_dim)
        return FewLabelClassifier(encoder, classifier, sees="both", spread=0, random_state=self.seed)

    def fitted_encoder(self) -> Autoencoder:
        """The run's own copy once it has one. Raises InputError where --encoder is no autoencoder's finished run."""
        assert self.encoder is not None
        own = Run(self.out / "encoder")
        encoder = load_estimator(own.path if self.resume and own.finished else self.encoder)
        require(isinstance(encoder, Autoencoder), f"--encoder is {self.encoder}, which is no autoencoder's run")
        return encoder

    def own(self) -> dict[str, Any]:
        return super().own() | {"encoder": stored_path(self.encoder), "n_labels": self.n_labels}


@dataclass(kw_only=True)
class FewLabelOptions(ClassifierOptions):
    """The images, the few labels, and the run folder."""

    encoder: Path | None = None
    """Run folder of an autoencoder to take codes from; left out: a VAE that is trained on all the images first."""
    latent_dim: Count = 20
    """Width of the code of the VAE that is trained first."""
    encoder_epochs: Count | Literal["auto"] = "auto"
    """Passes over the images of the VAE that is trained first; auto: 30, and more where images are few."""
    spread: Fraction = 0.8
    """Share of the unlabelled images, the surest, that the classifier learns from, by labels spread through codes."""

    def check(self) -> Self:
        own = (self.latent_dim, self.encoder_epochs) != (FewLabelOptions.latent_dim, FewLabelOptions.encoder_epochs)
        both = self.encoder is not None and own
        require(not both, "encoder is given, so none is trained: leave out --latent-dim and --encoder-epochs")
        return super().check()

    def build(self, model: Model, training: Training) -> FewLabelClassifier:
        vae = Autoencoder(VAE(self.latent_dim), epochs=self.encoder_epochs, random_state=self.seed)
        encoder = self.fitted_encoder() if self.encoder else vae.set_params(device=training.device)
        classifier = Classifier(model, random_state=self.seed, **training.get_params())
        return FewLabelClassifier(encoder, classifier, spread=self.spread, random_state=self.seed)

    def own(self) -> dict[str, Any]:
        return super().own() | {name: getattr(self, name) for name in ("latent_dim", "encoder_epochs", "spread")}


def options_for(name: str) -> type[RunOptions]:
    """The options of `latently train NAME`."""
    if name == FewLabelClassifier.kind:
        return FewLabelOptions
    if can(MODELS[name](), "classify"):
        return ClassifierOptions
    return ConditionalOptions if MODELS[name].takes_labels else EncoderOptions


def train_defaults(words: list[str]) -> tuple[Model, Training, RunOptions]:
    """What a training is before its flags: the run to resume, a file's, a preset's, or ours."""
    given = peek(words[1:])
    given.out = given.out and Path(given.out).expanduser()
    if given.resume and given.out and Run(given.out).started:
        model, training, options = stored_settings(Run(given.out))
        trains = Run(given.out).params.get("train", model.name)
        require(trains == words[0], f"{given.out} trains the model {trains}, not {words[0]}")
        return model, training, replace(options, out=tyro.MISSING)
    require(not (given.preset and given.config), "--preset and --config contradict each other; give one")
    if given.config:
        return settings_from_file(Path(given.config).expanduser(), words[0])
    model, training, split = MODELS[model_name(words[0])](), default_training(words[0]), "auto"
    if given.preset:
        preset = presets.find(given.preset, model.name)
        model, training, split = preset.build(model.name), Training(**preset.training), preset.split
    return model, training, options_for(words[0])(out=tyro.MISSING, split=split)  # type: ignore[arg-type]


def default_training(name: str) -> Training:
    """Ours for `latently train NAME`."""
    if name == FewLabelClassifier.kind:
        return Classifier(epochs=4).training()
    return Classifier().training() if can(MODELS[name](), "classify") else Training()


def model_name(name: str) -> str:
    """The model whose settings are flags of `latently train NAME`."""
    return FeedForward.name if name == FewLabelClassifier.kind else name


def settings_from_file(path: Path, name: str) -> tuple[Model, Training, RunOptions]:
    """The settings in a JSON file: a run's params.json, all of them but its place, or {"model": {}, "training": {}}."""
    require(path.is_file(), f"--config is {path}, which does not exist; expected a JSON file, a params.json for one")
    values = read_json(path)
    with understanding(path, "expected settings as in a run's params.json"):
        if "format" in values and path.name == "params.json" and "data" in values:
            model, training, options = stored_settings(Run(path.parent))
            training = Training.from_json(values["training"])  # as it was asked for: this machine may decide otherwise
        else:
            strange = values.keys() - {"model", "training"}
            require(not strange, f"it has {', '.join(map(repr, strange))}; expected model and training")
            model = model_from_json({"name": model_name(name)} | values.get("model", {}))
            training = default_training(name).set_params(**values.get("training", {})).check()
            options = options_for(name)(out=Path())
        require(model.name == model_name(name), f"it describes the model {model.name}, not {name}")
    return model, training, replace(options, out=tyro.MISSING)


def peek(words: list[str]) -> argparse.Namespace:
    """The flags on which the defaults of all others depend."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--preset", "--config", "--out"):
        parser.add_argument(flag, nargs="?")  # a value that is missing is told of later
    parser.add_argument("--resume", action="store_true")
    return parser.parse_known_args(words)[0]


def stored_settings(run: Run) -> tuple[Model, Training, RunOptions]:
    """What a run was started with, every `auto` as it was decided then."""
    params = run.params
    with understanding(run.path / "params.json"):
        model = model_from_json(params["model"])
        training = Training.from_json(params["training"] | params.get("resolved", {}))
        watching, own = params.get("watching", {}), run.options
        require(isinstance(watching, dict), f"watching is {watching!r}; expected an object")
    record = run.data
    if record is None:
        raise InputError(f"{run.path} was fitted to arrays in Python; only a run of `latently train` can be resumed")
    with understanding(run.path / "params.json"):
        prepared = Preparation.from_json(record.preparation)
        own |= {"binarise": params["binarise"]} if "binarise" in params else {}
        own |= {name: Path(own[name]) for name in ("labels", "encoder") if own.get(name)}
        options = options_for(params.get("train", model.name))(
            out=run.path,
            data=record.source,
            preset=params.get("preset"),
            split=record.split,  # type: ignore[arg-type]
            limit=record.limit,
            seed=record.seed,
            image_size=prepared.image_size,
            channels=prepared.channels,
            **own,
            **watching,
        ).check()
    return model, training, options


# Training -------------------------------------------------------------------------------------------------------------


def train_run(
    name: str, model: Model, training: Training, options: RunOptions, command: str, processes: Processes = ALONE
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
    watchers: list[Any] = [Log(run.path / "train.log")] if processes.first else []
    if options.tensorboard and processes.first:
        watchers.append(TensorBoard(run.path / "tensorboard"))
    prepared = Preparation(options.image_size, options.channels)
    with processes.one_first():
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
    except (KeyboardInterrupt, OSError, Lost) as error:
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
