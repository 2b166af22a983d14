"""Common base of the estimators: check images, draw a seed, fit a model with the loop, apply it in batches, save it."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.files import input_errors_for, read_json
from latently.common.settings import Seed, require_setting
from latently.data import Images, Mapped
from latently.data.arrays import require_channels_last
from latently.data.batches import Batches
from latently.data.mapped import left_on_disk
from latently.data.pixels import finite
from latently.data.ranges import Limits, note_as_they_are, note_other_scale, seen_limits
from latently.estimator.face import MOST_IMAGES, Face, last_terms, show
from latently.estimator.inputs import as_array
from latently.models import Model, can, given, model_from_json, model_to_json
from latently.models.layers import Shape
from latently.models.networks import channels_last_on, count_parameters
from latently.runs.folder import Run, versions
from latently.training.distributed import SINGLE_PROCESS, Processes
from latently.training.hardware import seeded
from latently.training.inference import Trained, batch_size, tensor_shape
from latently.training.loop import Loop
from latently.training.resolve import build_on_meta, check_memory, resolve
from latently.training.settings import LEAST_STEPS, USUAL_EPOCHS, Training
from latently.training.state import Watcher

RESOLVED = ("batch_size", "optimiser", "lr", "epochs", "device", "precision", "compile")  # settings that may be "auto"


@dataclass(frozen=True)
class Rehearsal:
    """Result of `rehearse`: the resolved training settings and the number of weights, without a fit."""

    training: Training
    n_parameters: int


def predicts_classes(estimator: "ImageEstimator") -> bool:
    """Whether its model infers the class of an image."""
    model = getattr(estimator, "model_", estimator.model)
    return can(estimator._default_model() if model is None else model, "classify")


@dataclass(eq=False, repr=False)
class ImageEstimator(Face, BaseEstimator, Training):  # type: ignore[misc]  # scikit-learn has no types
    """A model and its training over images X: (n, h, w), (n, h, w, c) or (n, features).

    uint8 0..255 is scaled to 0..1; other numbers are used unchanged, as float32. On a CPU, a fit with an int
    `random_state` is repeatable bit for bit.
    """

    kind: ClassVar[str]
    """Name of the estimator in params.json."""
    sees_pixels: ClassVar[bool] = True
    """Whether X are pixels, of which an unusual range is told."""
    usual_epochs: ClassVar[int] = USUAL_EPOCHS
    least_steps: ClassVar[int] = LEAST_STEPS
    """`epochs="auto"`: this many epochs, or more for at least this many steps."""

    model: Model | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: bool = field(default=False, kw_only=True)
    """Whether `fit` shows its progress."""

    def set_params(self, **params: Any) -> Self:
        """Parameters such as `model__latent_dim` work with the default model, too."""
        if self.model is None and "model" not in params and any(name.startswith("model__") for name in params):
            self.model = self._default_model()
        return super().set_params(**params)

    # What subclasses define -----------------------------------------------------------------------

    def _default_model(self) -> Model:
        raise NotImplementedError

    def _learnable(self, X: Any, y: Any) -> tuple[Images, np.ndarray | None]:
        """The checked images to train on, and their class indices (n,) if the model takes labels."""
        raise NotImplementedError

    def _n_classes(self) -> int:
        """Number of classes that the model is trained on; 0 if it takes no labels."""
        return 0

    def _check_pixels(self, limits: Limits) -> None:
        """Raise InputError if pixels of these `seen_limits` are outside the model's range."""
        self.model_.check_pixels(limits.low, limits.high)

    def _batches(self, images: Images, labels: np.ndarray | None = None, members: np.ndarray | None = None) -> Batches:
        labels = np.full(len(images), -1) if labels is None else labels
        return Batches(images, labels, torch.device(self.training_.device), members=members)

    def _describe_own(self) -> dict[str, Any]:
        """Entries of params.json beyond model and training."""
        return {}

    @classmethod
    def _own_settings(cls, params: dict[str, Any]) -> dict[str, Any]:
        """Constructor arguments beyond model, training and seed, from params.json."""
        return {}

    # Fitting --------------------------------------------------------------------------------------

    def _fit_net(
        self,
        images: Images,
        labels: np.ndarray | None,
        held_out: tuple[Images, np.ndarray | None] | None,
        run: Run | None,
        watchers: Sequence[Watcher],
        processes: Processes,
        members: np.ndarray | None = None,
        begin: Callable[[nn.Module], None] | None = None,
    ) -> Self:
        """Train `model_` on checked images with labels (n,) as class indices; `held_out`: the same for validation.
        members: as in `Batches`. begin: sets the weights before the first step."""
        n_members = len(images) if members is None else len(members)
        self.training_ = self._planned(images, n_members, self._n_classes(), processes)
        self.seed_ = self._draw_seed()
        device = torch.device(self.training_.device)
        with seeded(self.seed_, device):
            net = channels_last_on(self.model_.build(self._tensor_shape, self._n_classes()), device)
        classes = getattr(self, "classes_", None)
        self.trained_ = Trained(self.model_, net, self.image_shape_, self.training_.device, classes)
        train = self._batches(images, labels, members)
        self.model_.prepare(net, train.some)
        if begin is not None:
            begin(net)
        validation = None if held_out is None else self._batches(*held_out)
        self.examples_ = np.array(images[:MOST_IMAGES])  # for a notebook
        self.__dict__.pop("run_", None)  # of an estimator that was loaded
        with ExitStack() as stack:
            if self.verbose:
                from latently.training.watchers import Bar  # not at the top: it imports rich

                watchers = [*watchers, stack.enter_context(Bar())]
            loop = Loop(self.model_, net, train, validation, self.training_, self.seed_, run, watchers, processes)
            if run is not None:  # what fails above leaves nothing behind
                stack.enter_context(run.writing(self.describe()))
            for watcher in watchers:
                watcher.started()
            with self.model_.precomputed(net, *map(self._seen_parts, (train, validation))):
                self.history_ = loop.train()
            self.model_.finish(net, train.some)
            if run is not None:
                run.write_history(self.history_)
                run.write_weights(net)
                run.drop_checkpoint()
        return self

    def _seen_parts(self, batches: Batches | None) -> Iterator[Tensor]:
        """All images as the model sees them in an evaluation, in parts."""
        parts = () if batches is None else batches.split(batch_size(self.image_shape_))
        return (batches.evaluation_pixels(raw) for raw in parts)  # type: ignore[union-attr]

    def training(self) -> Training:
        """The training settings alone."""
        return Training(**{name: getattr(self, name) for name in Training.field_types()})

    def rehearse(self, X: Any, y: Any = None) -> Rehearsal:
        """Prepare a fit on X without training. Raises InputError if settings, shapes or memory do not allow the fit."""
        images, _ = self._learnable(X, y)
        training = self._planned(images, len(images), self._n_classes())
        return Rehearsal(training, count_parameters(build_on_meta(self.model_, self._tensor_shape, self._n_classes())))

    def _planned(
        self, images: Images, n_members: int, n_classes: int, processes: Processes = SINGLE_PROCESS
    ) -> Training:
        """The resolved training settings. Raises InputError if settings, shapes or memory do not allow the fit."""
        net = build_on_meta(self.model_, self._tensor_shape, n_classes)
        suited = self.model_.suited(self._tensor_shape)
        epochs, steps = self.model_.length(self._tensor_shape, self.usual_epochs, self.least_steps)
        training = resolve(self.training(), n_members, net, epochs, steps, suited)
        training = replace(training, device=processes.device(training.device))
        bytes_per_pixel = 0 if isinstance(images, Mapped) else images.itemsize
        check_memory(self.model_, net, self._tensor_shape, len(images), bytes_per_pixel, training)
        return training

    def _prepare(self, X: Any) -> Images:
        """The images to fit on; sets `model_`, a checked copy of the model."""
        images = self._images(X, reset=True)
        self.model_ = self._own_model()  # any model: its capabilities are checked where needed
        self.model_.check()
        self.model_.settle(self._tensor_shape)
        self.pixel_limits_ = seen_limits(images)
        self._check_pixels(self.pixel_limits_)
        read = getattr(X, "dtype", None) in (np.uint8, np.float32)
        if self.sees_pixels and not read:  # what `data.load` reads, which has told of a range
            note_as_they_are(self.pixel_limits_, "X")
        return images

    def _own_model(self) -> Any:
        """A copy, so that later changes of the parameter `model` do not affect the fit."""
        model = self._default_model() if self.model is None else self.model
        require(
            isinstance(model, Model),
            f"model is {model!r}; expected a model such as {type(self._default_model()).__name__}()",
        )
        return copy.deepcopy(model)

    def _draw_seed(self) -> int:
        """An int is the seed; None takes one from the operating system, so the caller's generators are unchanged."""
        if self.random_state is None:
            return fresh_seed()
        if isinstance(self.random_state, np.random.RandomState):
            return int(check_random_state(self.random_state).randint(2**31))
        seed = self.random_state
        require_setting("random_state", seed, Seed)
        return int(seed)

    def _images(self, X: Any, reset: bool = False) -> Images:
        """X as finite images of the fitted shape: uint8 unchanged, other numbers as float32. Images on disk stay on
        disk."""
        X = left_on_disk(X)
        if not isinstance(X, Mapped):
            X = as_array(X)
            X = validate_data(self, X, reset=reset, allow_nd=True, dtype="numeric", ensure_all_finite=False)
        elif reset:
            self.n_features_in_ = X.shape[1]
        require(X.ndim <= 4, f"X has shape {X.shape}; expected (n, features), (n, h, w) or (n, h, w, channels)")
        require_channels_last(X.shape, "X")
        if reset:
            self.image_shape_ = X.shape[1:]
        expected = f"X holds images of shape {X.shape[1:]}; this model was fitted on {self.image_shape_}"
        require(X.shape[1:] == self.image_shape_, expected)
        images: Images = X
        if isinstance(images, Mapped) or images.dtype == np.uint8:
            return images
        return finite(images, "X")

    def _pixels(self, X: Any) -> Images:
        """X as images of the fitted shape, with pixels in the model's range."""
        images = self._images(X)
        limits = seen_limits(images)
        self._check_pixels(limits)
        if self.sees_pixels and hasattr(self, "pixel_limits_"):
            note_other_scale(limits, self.pixel_limits_, "X")
        return images

    @property
    def _tensor_shape(self) -> Shape:
        """(C, H, W) of what the net sees."""
        return tensor_shape(self.image_shape_)

    # Using ----------------------------------------------------------------------------------------

    @property
    def _trained(self) -> Trained:
        check_is_fitted(self)
        return self.trained_

    @property
    def net_(self) -> nn.Module:
        """The trained network."""
        return self.trained_.net

    def seen(self, X: Any) -> np.ndarray:
        """X as the model sees it: float32 (scaled if uint8, black and white if binarised), in the shape of X."""
        return self._trained.to_images(self.map_images(X, lambda x: x))

    def map_images(
        self, X: Any, function: Callable[..., Tensor], *labels: Tensor, size: int | None = None
    ) -> np.ndarray:
        """`function` of the images as the model sees them, and of labels (n,) if given, in batches; a row per image."""
        trained = self._trained
        batches = self._batches(self._pixels(X))

        def of_raw(raw: Tensor, *y: Tensor) -> Tensor:
            return function(batches.evaluation_pixels(raw), *y)

        return trained.rows(of_raw, batches, *labels, size=size)

    @available_if(predicts_classes)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """log p(class | image), (n, classes) float32, in the order of `classes_`."""
        return self.map_images(X, self._trained.log_probabilities)

    @available_if(predicts_classes)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray:
        """p(class | image), (n, classes) float32, in the order of `classes_`."""
        return np.asarray(np.exp(self.predict_log_proba(X)))

    @available_if(predicts_classes)  # type: ignore[untyped-decorator]
    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each image, (n,), as the labels were given."""
        best = self.predict_log_proba(X).argmax(1)
        return np.asarray(self.classes_[best])

    # In a notebook --------------------------------------------------------------------------------

    def _below_diagram(self) -> str:
        if not hasattr(self, "trained_"):
            return ""
        path = self.run_.path / "metrics.json" if hasattr(self, "run_") else None
        measured = read_json(path) if path is not None and path.exists() else {}
        pairs = measured.items() if isinstance(measured, dict) else ()
        figures = {name: value for name, value in pairs if isinstance(value, int | float)}
        return show(last_terms(self.history_) | figures, self._strip())

    def _strip(self) -> str:
        """A row of images as HTML; empty if the model makes none."""
        return ""

    # Keeping --------------------------------------------------------------------------------------

    def save(self, path: str | Path, overwrite: bool = False) -> Self:
        """Write a run folder: settings, weights and history. `latently.load` reads it."""
        run = Run(path, overwrite)
        check_is_fitted(self)
        run.require_free()
        with run.writing(self.describe()):
            run.write_history(self.history_)
            run.write_weights(self.net_)
        return self

    def describe(self) -> dict[str, Any]:
        """The entries of params.json: enough to build and to fit the estimator again."""
        provenance = getattr(self.net_, "provenance", None)  # of weights that others trained
        limits = getattr(self, "pixel_limits_", None)  # not of a run that was written before they were
        return (
            {
                "estimator": self.kind,
                "model": model_to_json(self.model_),
                "training": self.training().to_json(),
                "resolved": {name: getattr(self.training_, name) for name in RESOLVED},
                "seed": self.seed_,
                "image_shape": list(self.image_shape_),
                "n_parameters": count_parameters(self.net_),
                "versions": versions(),
            }
            | ({"pixels": [limits.low, limits.high]} if limits else {})
            | ({"pretrained": provenance} if provenance else {})
            | self._describe_own()
        )

    @classmethod
    def from_description(cls, params: dict[str, Any]) -> Self:
        """An unfitted estimator with the settings of params.json, every `auto` as it was resolved.

        Raises InputError, KeyError or TypeError if params is not of the form that `describe` returns.
        """
        training = Training.from_json(params["training"] | params.get("resolved", {}))
        seed = params["seed"]
        require_setting("seed", seed, Seed)
        settings = training.get_params() | cls._own_settings(params)
        return cls(model=model_from_json(params["model"]), random_state=seed, **settings)

    @classmethod
    def of_run(cls, run: Run, device: str, modules: Mapping[str, torch.nn.Module] = MappingProxyType({})) -> Self:
        """The fitted estimator of a run folder. modules: the encoder, the decoder or both, where the model had modules
        of the user's own. Raises InputError if the run is unfinished, damaged or foreign, or a module is missing."""
        params = run.params
        with input_errors_for(run.path / "params.json"):
            estimator = cls.from_description(params)
        assert estimator.model is not None
        given.put_back(estimator.model, modules, run.path)
        return estimator.set_params(device=device).restore(run)

    def restore(self, run: Run) -> Self:
        """Load the fitted state, weights and all, from a run folder."""
        with input_errors_for(run.path / "params.json"):
            self.model_ = self._own_model()
            self.seed_ = self._draw_seed()
        self.trained_ = trained = Trained.of_run(run, self.device, self.model_)
        if "pretrained" in run.params:
            trained.net.provenance = run.params["pretrained"]
        self.image_shape_ = trained.image_shape
        self.n_features_in_ = self.image_shape_[0]
        if trained.classes is not None:
            self.classes_: np.ndarray = trained.classes
        if "pixels" in run.params:
            with input_errors_for(run.path / "params.json"):
                low, high = map(float, run.params["pixels"])
            self.pixel_limits_ = Limits(low, high, 1)
        self.training_ = replace(self.training(), device=trained.device)
        self.history_, self.run_ = run.read_history(), run
        return self


def fresh_seed() -> int:
    """A random seed from the operating system."""
    return int(np.random.SeedSequence().generate_state(1)[0] % 2**31)
