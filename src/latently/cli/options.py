"""The flags of `latently train MODEL` and their defaults: images, run folder, and what each kind of model adds."""

import argparse
import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import tyro

from latently.common.errors import InputError, require
from latently.common.files import input_errors_for, read_json
from latently.common.settings import Count, Fraction, NonNegative, Seed, Settings
from latently.data import ImageSet, Preparation, read_codes
from latently.data.ranges import Scale
from latently.estimator import Autoencoder, Classifier, FewLabelClassifier
from latently.estimator import load as load_estimator
from latently.estimator.default_encoder import default_encoder
from latently.models import MODELS, Decoder, FeedForward, Model, can, model_from_json, model_to_json, presets
from latently.models.code_table import CodeTable
from latently.runs.folder import Run
from latently.training.settings import Training


@dataclass(kw_only=True)
class RunOptions(Settings):
    """The images, and the run folder."""

    out: Path
    """Run folder to write."""
    data: str | None = None
    """The images: digits, mnist, fashion-mnist, kmnist, or the path of a folder, .npy, .npz, .csv or IDX file."""
    preset: str | None = None
    """A study's settings, overridden by any other flag; `latently presets` lists them."""
    config: Path | None = None
    """A JSON file of settings, overridden by any flag: {"model": {}, "training": {}}, or a run's params.json."""
    split: Literal["auto", "standard", "pooled", "random", "grouped", "all"] = "auto"
    """Training, validation and test images; auto: the source's own split if it has one, otherwise 80/10/10 per
    class; grouped: 80/10/10 with copies (images with the same pixels) in one part."""
    limit: Count | None = None
    """Train on at most this many training images: the first of the standard split, else drawn."""
    image_size: tuple[int, int] | None = None
    """Height and width in pixels to resize every image to; left out: as they are, or as suits images that differ."""
    fit: Literal["auto", "crop", "pad", "stretch", "none"] = "auto"
    """How images are fitted to that size: cropped at the centre, padded with black, or stretched; none refuses images
    of different sizes. auto: crop if sizes differ."""
    channels: int | None = None
    """1 converts every image to grey, 3 to colour."""
    skip_broken: bool = False
    """Leave out files that cannot be read."""
    scale: Scale = None
    """The number that is white: 4095, say, of 12 bits in 16-bit files. auto: found in the images; none: as they are,
    without a note of an unusual range."""
    seed: Seed = 0
    """Seed of the split, the weights, the order of images and the noise."""
    resume: bool = False
    """Continue the run in --out; no other flag is needed."""
    overwrite: bool = False
    """Replace the run in --out."""
    checkpoint_epochs: Count = 1
    """Epochs between checkpoints."""
    checkpoint_minutes: NonNegative = 5.0
    """Minutes between checkpoints within an epoch."""
    tensorboard: bool = False
    """Write scalars, and histograms of weights and gradients, to RUN/tensorboard."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def watching(self) -> dict[str, Any]:
        """Options of logging and checkpoints, which do not change the result; a resumed run keeps them."""
        return {name: getattr(self, name) for name in ("checkpoint_epochs", "checkpoint_minutes", "tensorboard")}

    def build(self, model: Model, training: Training, image_shape: tuple[int, ...]) -> Any:
        """The estimator to fit."""
        raise NotImplementedError

    def own(self) -> dict[str, Any]:
        """What params.json stores under "options": settings that are not part of model, training or data."""
        return {}


@dataclass(kw_only=True)
class EncoderOptions(RunOptions):
    """The images, and the run folder."""

    binarise: Literal["none", "static", "dynamic"] = "none"
    """Sample black or white pixels with the grey values as probabilities: once (static) or at each use (dynamic)."""

    def build(self, model: Model, training: Training, image_shape: tuple[int, ...]) -> Autoencoder:
        return Autoencoder(model, binarise=self.binarise, random_state=self.seed, **training.get_params())


@dataclass(kw_only=True)
class DecoderOptions(RunOptions):
    """The images, their codes, and the run folder."""

    codes: Path | None = None
    """Codes that were made elsewhere: a .npy, .npz or .parquet file with a row for each image of --data, in order."""

    def build(self, model: Model, training: Training, image_shape: tuple[int, ...]) -> Autoencoder:
        return Autoencoder(model, random_state=self.seed, **training.get_params())

    def own(self) -> dict[str, Any]:
        return {"codes": stored_path(self.codes)}

    def read_codes(self, model: Model, images: ImageSet) -> Model:
        """The model, with the table in --codes as its encoder. Raises InputError where an encoder is given, too."""
        if self.codes is None:
            return model
        alone = not model.get_params()["network__encoder"]
        require(alone, "--codes and --encoder contradict each other: codes come from a table or a network; give one")
        table = CodeTable.of(images.images, read_codes(self.codes, images))
        return copy.deepcopy(model).set_params(network__encoder=table)


@dataclass(kw_only=True)
class LabelledOptions(RunOptions):
    """The images, their labels, and the run folder."""

    labels: Path | None = None
    """A CSV file of labels that replaces those of the source: image (file name or number from 0), label."""

    def own(self) -> dict[str, Any]:
        return {"labels": stored_path(self.labels)}


def stored_path(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


@dataclass(kw_only=True)
class ConditionalOptions(EncoderOptions, LabelledOptions):
    """The images, their labels, and the run folder."""


@dataclass(kw_only=True)
class BudgetOptions(LabelledOptions):
    """The images, their labels, and the run folder."""

    n_labels: Count | None = None
    """Use only this many labels of the training images, drawn evenly over the classes."""

    def own(self) -> dict[str, Any]:
        return super().own() | {"n_labels": self.n_labels}


@dataclass(kw_only=True)
class SemiSupervisedOptions(ConditionalOptions, BudgetOptions):
    """The images, their labels, and the run folder."""


@dataclass(kw_only=True)
class ClassifierOptions(BudgetOptions):
    """The images, their labels, and the run folder."""

    encoder: Path | None = None
    """Run folder of an autoencoder whose codes are an additional input of the softmax layer (wide and deep)."""

    def build(self, model: Model, training: Training, image_shape: tuple[int, ...]) -> Any:
        classifier = Classifier(model, random_state=self.seed, **training.get_params())
        if self.encoder is None:
            return classifier
        encoder = self.fitted_encoder()
        classifier.set_params(model__wide=encoder.feature_dim)
        return FewLabelClassifier(encoder, classifier, sees="both", spread=0, random_state=self.seed)

    def fitted_encoder(self) -> Autoencoder:
        """The run's own copy, if it has one. Raises InputError if --encoder is not a finished run of an autoencoder."""
        assert self.encoder is not None
        own = Run(self.out / "encoder")
        encoder = load_estimator(own.path if self.resume and own.finished else self.encoder)
        require(isinstance(encoder, Autoencoder), f"--encoder is {self.encoder}, which is not a run of an autoencoder")
        return encoder

    def own(self) -> dict[str, Any]:
        return super().own() | {"encoder": stored_path(self.encoder)}


@dataclass(kw_only=True)
class FewLabelOptions(ClassifierOptions):
    """The images, the few labels, and the run folder."""

    encoder: Path | None = None
    """Run folder of an autoencoder to compute codes with; default: one that is trained on all the images first."""
    encoder_model: Literal["auto", "simclr", "vae"] = "auto"
    """The encoder that is trained first; auto: simclr, or vae for small grey images."""
    latent_dim: Count | Literal["auto"] = "auto"
    """Width of the code of the encoder that is trained first; auto: 384 of simclr, 192 for drawings, 20 of a vae."""
    encoder_epochs: Count | Literal["auto"] = "auto"
    """Epochs of the encoder that is trained first; auto: 30, for drawings 4, or more if there are few images."""
    spread: Fraction | Literal["auto"] = "auto"
    """Fraction of the unlabelled images, most confident first, that train the classifier with labels spread to them;
    auto: 0.8, with a simclr of drawings 0.95, of photographs 0, for a linear classifier is trained; and 0 if labels
    held out show that either is worse than a classifier of the given labels alone."""
    consistency: Literal["auto", "true", "false"] = "false"
    """Whether the classifier begins as the encoder, and learns from unlabelled images what it is sure of (FixMatch);
    takes a simclr. auto: with a simclr, unless labels held out show that its features are worse than a classifier of
    the labels alone."""

    class_shares: Literal["unknown", "equal"] = "unknown"
    """equal: about as many images are of each class, which is worth much where labels are a handful; labels then spread
    by Poisson MBO, which keeps the classes of that size."""

    older: ClassVar[dict[str, Any]] = {"encoder_model": "vae", "consistency": "false", "class_shares": "unknown"}

    def check(self) -> Self:
        own = (self.encoder_model, self.latent_dim, self.encoder_epochs) != ("auto", "auto", "auto")
        both = self.encoder is not None and own
        what = "encoder is given, so no encoder is trained"
        require(not both, f"{what}: leave out --encoder-model, --latent-dim and --encoder-epochs")
        return super().check()

    def build(self, model: Model, training: Training, image_shape: tuple[int, ...]) -> FewLabelClassifier:
        classifier = Classifier(model, random_state=self.seed, **training.get_params())
        consistency = self.consistency if self.consistency == "auto" else self.consistency == "true"
        encoder = self.fitted_encoder() if self.encoder else self.new_encoder(training.device, image_shape)
        return FewLabelClassifier(
            encoder, classifier, consistency=consistency, spread=self.spread, class_shares=self.class_shares,
            random_state=self.seed,
        )  # fmt: skip

    def new_encoder(self, device: str, image_shape: tuple[int, ...]) -> Autoencoder:
        latent_dim = None if self.latent_dim == "auto" else self.latent_dim
        if self.encoder_model == "auto":
            encoder = default_encoder(image_shape, latent_dim)
        else:
            encoder = Autoencoder(MODELS[self.encoder_model](), **MODELS[self.encoder_model].suited_training)
            if latent_dim is not None:
                encoder.set_params(model__latent_dim=latent_dim)
        return encoder.set_params(epochs=self.encoder_epochs, random_state=self.seed, device=device)

    def own(self) -> dict[str, Any]:
        names = ("encoder_model", "latent_dim", "encoder_epochs", "spread", "consistency", "class_shares")
        return super().own() | {name: getattr(self, name) for name in names}


def options_for(name: str) -> type[RunOptions]:
    """The options of `latently train NAME`."""
    if name == FewLabelClassifier.kind:
        return FewLabelOptions
    if MODELS[name].takes_labels and MODELS[name].learns_from_unlabelled:
        return SemiSupervisedOptions
    if can(MODELS[name](), "classify"):
        return ClassifierOptions
    if issubclass(MODELS[name], Decoder):
        return DecoderOptions
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
    """The default settings of `latently train NAME`."""
    if name == FewLabelClassifier.kind:
        return Classifier(epochs=4).training()
    if can(MODELS[name](), "classify") and not MODELS[name].takes_labels:
        return Classifier().training()
    return Training(**MODELS[name].suited_training)


def model_name(name: str) -> str:
    """The model whose settings are flags of `latently train NAME`."""
    return FeedForward.name if name == FewLabelClassifier.kind else name


def settings_from_file(path: Path, name: str) -> tuple[Model, Training, RunOptions]:
    """The settings in a JSON file: a run's params.json (except its folder), or {"model": {}, "training": {}}."""
    require(
        path.is_file(), f"--config is {path}, which does not exist; expected a JSON file, for example a params.json"
    )
    values = read_json(path)
    with input_errors_for(path, "expected settings as in a run's params.json"):
        if "format" in values and path.name == "params.json" and "data" in values:
            model, training, options = stored_settings(Run(path.parent))
            training = Training.from_json(
                values["training"]
            )  # as requested: `auto` may become something else on this machine
        else:
            strange = values.keys() - {"model", "training"}
            require(not strange, f"it has {', '.join(map(repr, strange))}; expected model and training")
            model = model_from_json(model_to_json(MODELS[model_name(name)]()) | values.get("model", {}))
            training = default_training(name).set_params(**values.get("training", {})).check()
            options = options_for(name)(out=Path())
        require(model.name == model_name(name), f"it describes the model {model.name}, not {name}")
    return model, training, replace(options, out=tyro.MISSING)


def peek(words: list[str]) -> argparse.Namespace:
    """The flags that determine the defaults of the others."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--preset", "--config", "--out"):
        parser.add_argument(flag, nargs="?")  # a missing value is reported later
    parser.add_argument("--resume", action="store_true")
    return parser.parse_known_args(words)[0]


def stored_settings(run: Run) -> tuple[Model, Training, RunOptions]:
    """The settings that a run was started with, with every `auto` as it was resolved then."""
    params = run.params
    with input_errors_for(run.path / "params.json"):
        model = model_from_json(params["model"])
        training = Training.from_json(params["training"] | params.get("resolved", {}))
        kind = options_for(params.get("train", model.name))
        watching, own = params.get("watching", {}), kind.older | run.options
        require(isinstance(watching, dict), f"watching is {watching!r}; expected an object")
    record = run.data
    if record is None:
        raise InputError(f"{run.path} was fitted to arrays in Python; only a run of `latently train` can be resumed")
    with input_errors_for(run.path / "params.json"):
        prepared = Preparation.from_json(record.preparation)
        own |= {"binarise": params["binarise"]} if "binarise" in params and issubclass(kind, EncoderOptions) else {}
        own |= {name: Path(own[name]) for name in ("labels", "encoder", "codes") if own.get(name)}
        options = kind(
            out=run.path,
            data=record.source,
            preset=params.get("preset"),
            split=record.split,  # type: ignore[arg-type]
            limit=record.limit,
            seed=record.seed,
            image_size=prepared.image_size,
            channels=prepared.channels,
            fit=prepared.fit,
            skip_broken=prepared.skip_broken,
            scale=prepared.scale,
            **own,
            **watching,
        ).check()
    if isinstance(options, DecoderOptions) and options.codes:
        model.set_params(network__encoder="")  # the table, which is read again
    return model, training, options
