"""The scikit-learn face: an estimator holds a model and fits it with the loop.

>>> from sklearn.datasets import load_digits
>>> from latently import VAE, Autoencoder
>>> X = load_digits().images / 16                                    # (1797, 8, 8), floats in 0..1
>>> codes = Autoencoder(VAE(latent_dim=2), epochs=1, random_state=0).fit_transform(X)
>>> codes.shape
(1797, 2)
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from latently.data.batches import Batches, Binarise
from latently.errors import require
from latently.models import Model, can, model_from_json, model_to_json
from latently.models.vae import VAE
from latently.networks import Shape, count_parameters, laid_out
from latently.noise import image_normal
from latently.runs import Run, understanding, versions
from latently.settings import Seed, accepts, expected
from latently.training import Loop, Training, check_memory, resolve, resolve_device, seeded, sketch

VALUES_PER_BATCH = 2**19  # most pixels in one inference batch: 10 images of 128 x 128 x 3; never over 256 images


@dataclass(eq=False, repr=False)
class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, Training):
    """An autoencoder of any kind as a scikit-learn transformer: images to codes and back.

    X is (n, h, w), (n, h, w, c) or (n, features): uint8 0..255, which is scaled to 0..1, or numbers, which are taken as
    they are (float32). Codes are (n, latent_dim) float32. What comes back has the shape of X.

    Parameters: `model` (default `VAE()`), `binarise`, `random_state`, and every setting of `Training`
    (`epochs`, `batch_size`, `lr`, ...). A fit on a CPU with one int `random_state` is repeatable bit for bit.

    After fit: `net_`, `model_`, `history_` (a dict per epoch), `image_shape_`, `training_` (every `auto` decided),
    `n_features_in_`.
    """

    model: Model | None = None
    binarise: Binarise = "none"
    """none: grey pixels as they are; static: one black-and-white draw, kept; dynamic: a new draw at every use."""
    random_state: int | np.random.RandomState | None = None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # codes are float32 whatever X was
        return tags

    # Fitting --------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        validation: Any = None,
        run: Run | None = None,
        about: dict[str, Any] | None = None,
        **watching: Any,
    ) -> Self:
        """Train the model on X. `y` is ignored by models without labels.

        validation: images for the validation figures and for `patience`. run: a run folder that gets params.json
        before the first step (with `about` added, what the caller knows of the data), checkpoints on the way and the
        weights at the end; a checkpoint that it holds is taken up. watching: `watchers` and intervals of `Loop`.
        Raises InputError (a ValueError) for a setting out of range and for images that the model cannot take.
        """
        images = self._images(X, reset=True)
        self.model_ = self._own_model()  # any model: it is asked what it can do
        self.model_.check()
        kinds = get_args(Binarise)
        require(self.binarise in kinds, f"binarise is {self.binarise!r}; expected {' or '.join(kinds)}")
        self._check_pixels(images)
        net = sketch(self.model_, self._tensor_shape)
        settings = Training(**{name: getattr(self, name) for name in Training.field_types()})
        self.training_ = resolve(settings, len(images), net)
        self.seed_ = self._draw_seed()
        check_memory(self.model_, net, self._tensor_shape, len(images), images.itemsize, self.training_)
        device = torch.device(self.training_.device)
        with seeded(self.seed_, device):
            self.net_ = laid_out(self.model_.build(self._tensor_shape, 0), device)
        self._n_features_out = self.model_.latent_dim
        train = self._batches(images)
        held_out = None if validation is None else self._batches(self._pixels(validation))
        loop = Loop(self.model_, self.net_, train, held_out, self.training_, self.seed_, run, **watching)
        if run is not None:  # not earlier: what fails above leaves nothing behind
            run.begin(self.describe() | (about or {}))
        self.history_ = loop.train()
        if run is not None:
            run.write_history(self.history_)
            run.write_weights(self.net_)
            run.drop_checkpoint()
        return self

    def _own_model(self) -> Any:
        """A copy: what happens to the parameter `model` later must not reach what was fitted."""
        model = VAE() if self.model is None else self.model
        require(isinstance(model, Model), f"model is {model!r}; expected a model such as VAE() or AE()")
        return copy.deepcopy(model)

    def _draw_seed(self) -> int:
        """An int is the seed itself; None asks the operating system, so that the caller's generators stand still."""
        if self.random_state is None:
            return fresh_seed()
        if isinstance(self.random_state, np.random.RandomState):
            return int(check_random_state(self.random_state).randint(2**31))
        seed = self.random_state
        require(accepts(Seed, seed), f"random_state is {seed!r}; expected None or {expected(Seed)}")
        return int(seed)

    def _images(self, X: Any, reset: bool = False) -> np.ndarray:
        """X as a finite array of the shape that was fitted: uint8 as it is, any other number as float32."""
        X = validate_data(self, X, reset=reset, allow_nd=True, dtype="numeric")
        require(X.ndim <= 4, f"X has shape {X.shape}; expected (n, features), (n, h, w) or (n, h, w, channels)")
        if reset:
            self.image_shape_ = X.shape[1:]
        expected = f"X holds images of shape {X.shape[1:]}; this model was fitted on {self.image_shape_}"
        require(X.shape[1:] == self.image_shape_, expected)
        if X.dtype == np.uint8:
            return X
        with np.errstate(over="ignore"):
            images = X.astype(np.float32)
        require(bool(np.isfinite(images).all()), "X holds numbers too large for float32; rescale them")
        return images

    def _pixels(self, X: Any) -> np.ndarray:
        """X as images of the shape that was fitted, with pixels that the model can take."""
        images = self._images(X)
        self._check_pixels(images)
        return images

    def _check_pixels(self, images: np.ndarray) -> None:
        scale = 255 if images.dtype == np.uint8 else 1
        self.model_.check_pixels(float(images.min()) / scale, float(images.max()) / scale)
        if self.binarise != "none":
            in_range = images.dtype == np.uint8 or (images.min() >= 0 and images.max() <= 1)
            require(in_range, "binarise takes a grey value as a probability; it expects pixels from 0 to 1")

    @property
    def _tensor_shape(self) -> Shape:
        """(C, H, W) of what the net sees."""
        if len(self.image_shape_) == 1:
            return (1, 1, *self.image_shape_)
        height, width, *channels = self.image_shape_
        return (*(channels or [1]), height, width)

    def _batches(self, images: np.ndarray) -> Batches:
        labels = np.full(len(images), -1)
        return Batches(images, labels, torch.device(self.training_.device), self.binarise, self.seed_)

    # Using ----------------------------------------------------------------------------------------

    def transform(self, X: Any) -> np.ndarray:
        """Codes: the posterior mean. -> (n, latent_dim) float32"""
        return self._map_images(X, lambda x: self.model_.encode(self.net_, x).mean)

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """The decoder's mean at codes (n, latent_dim). -> float32 of the shape of X; for uint8 X in 0..1"""
        check_is_fitted(self)
        Z = np.asarray(Z, dtype=np.float32)
        fits = Z.ndim == 2 and len(Z) >= 1 and Z.shape[1] == self._n_features_out
        require(fits, f"Z has shape {Z.shape}; expected (n, {self._n_features_out})")
        require(bool(np.isfinite(Z).all()), "Z holds NaN or infinite codes; expected finite numbers")
        return self._to_images(self._in_batches(torch.from_numpy(Z), lambda z: self.model_.decode(self.net_, z).mean))

    def reconstruct(self, X: Any) -> np.ndarray:
        """decoder(encoder(X)), both at their means. -> float32 of the shape of X; for uint8 X in 0..1"""
        return self.inverse_transform(self.transform(X))

    def score_samples(self, X: Any) -> np.ndarray:
        """ELBO of each image, nats, (n,); an autoencoder without a prior: minus its reconstruction loss.

        One sample of z per image, by noise that belongs to the image: repeatable, independent of order and batch.
        """
        return -sum(terms.reshape(len(terms), -1).sum(1) for terms in self.bound_terms(X).values())

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`: nats per image, larger is better."""
        return float(self.score_samples(X).mean(dtype=np.float64))

    def bound_terms(self, X: Any) -> dict[str, np.ndarray]:
        """What `score_samples` is minus the sum of: `reconstruction` (n,) and, where there is a prior, `kl` (n, Z)."""
        check_is_fitted(self)
        shapes: dict[str, Any] = {}

        def terms(x: Tensor) -> Tensor:
            bound = self.model_.bound(self.net_, x, image_normal(x, self.model_.latent_dim))
            shapes.update({name: term.shape[1:] for name, term in bound.items()})
            return torch.cat([term.reshape(len(x), -1) for term in bound.values()], dim=1)

        columns = self._map_images(X, terms)
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1]
        parts = np.split(columns, ends, axis=1)
        return {
            name: part.reshape(len(part), *shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }

    def seen(self, X: Any) -> np.ndarray:
        """X as the model sees it: float32 (scaled if uint8, black and white if binarised), in the shape of X."""
        return self._to_images(self._map_images(X, lambda x: x))

    def sample(self, n: int = 1, random_state: int | None = None) -> np.ndarray:
        """Decoder means at n codes drawn from the prior. Raises InputError for a model that has none."""
        check_is_fitted(self)
        require(n >= 1, f"n is {n}; expected at least 1")
        name = getattr(self.model_, "name", "this model")
        no_prior = f"a plain autoencoder ({name}) has no prior to sample from; train a vae, or decode codes of your own"
        require(can(self.model_, "prior"), no_prior)
        prior = self.model_.prior()
        seed = fresh_seed() if random_state is None else random_state
        require(accepts(Seed, seed), f"random_state is {seed!r}; expected None or {expected(Seed)}")
        generator = torch.Generator().manual_seed(int(seed))
        noise = torch.randn(n, self.model_.latent_dim, generator=generator)
        return self.inverse_transform(prior.rsample(noise).numpy())

    def _map_images(self, X: Any, function: Callable[[Tensor], Tensor]) -> np.ndarray:
        check_is_fitted(self)
        images = self._pixels(X)
        batches = self._batches(images)
        return self._in_batches(batches.raw, lambda raw: function(batches.evaluation_pixels(raw)))

    @torch.no_grad()
    def _in_batches(self, inputs: Tensor, function: Callable[[Tensor], Tensor]) -> np.ndarray:
        """Rows of `function`, float32. Every batch has one size, the last is padded: a row then never depends on its
        neighbours, not even in the last bit, for the same kernels run on it."""
        size = max(1, min(256, VALUES_PER_BATCH // math.prod(self.image_shape_)))
        rows = []
        for part in inputs.to(self.training_.device).split(size):
            padded = (
                part if len(part) == size else torch.cat([part, part[:1].expand(size - len(part), *part.shape[1:])])
            )
            rows.append(function(padded)[: len(part)].float().cpu())
        return torch.cat(rows).numpy()

    def _to_images(self, x: np.ndarray) -> np.ndarray:
        """(n, C, H, W) -> the shape of X."""
        return x.transpose(0, 2, 3, 1).reshape(-1, *self.image_shape_)

    # Keeping --------------------------------------------------------------------------------------

    def save(self, path: str | Path, overwrite: bool = False) -> Self:
        """Write a run folder: settings, weights and history. `latently.load` reads it."""
        run = Run(path, overwrite)
        check_is_fitted(self)
        run.require_free()
        run.begin(self.describe())
        run.write_history(self.history_)
        run.write_weights(self.net_)
        return self

    def describe(self) -> dict[str, Any]:
        """What params.json says of the estimator: enough to build and to fit it again."""
        return {
            "estimator": "autoencoder",
            "model": model_to_json(self.model_),
            "training": {name: getattr(self, name) for name in Training.field_types()},
            "resolved": {name: getattr(self.training_, name) for name in ("device", "precision", "compile")},
            "binarise": self.binarise,
            "seed": self.seed_,
            "image_shape": list(self.image_shape_),
            "n_parameters": count_parameters(self.net_),
            "versions": versions(),
        }

    @classmethod
    def from_description(cls, params: dict[str, Any]) -> Self:
        """An unfitted estimator with the settings of params.json, every `auto` as it was decided then.

        Raises InputError, KeyError or TypeError where they are not what `describe` gives.
        """
        training = Training.from_json(params["training"] | params.get("resolved", {}))
        binarise, seed = params["binarise"], params["seed"]
        require(binarise in get_args(Binarise), f"binarise is {binarise!r}; expected {' or '.join(get_args(Binarise))}")
        require(accepts(Seed, seed), f"seed is {seed!r}; expected {expected(Seed)}")
        settings = training.get_params() | {"binarise": binarise, "random_state": seed}
        return cls(model_from_json(params["model"]), **settings)

    def restore(self, run: Run) -> Self:
        """Become the fitted estimator of a run folder, by its weights."""
        device, shape = str(resolve_device(self.device)), run.params.get("image_shape")
        with understanding(run.path / "params.json"):
            fits = isinstance(shape, list) and 1 <= len(shape) <= 3 and all(type(n) is int and n >= 1 for n in shape)
            require(fits, f"image_shape is {shape!r}; expected one to three whole numbers")
            self.image_shape_ = tuple(shape)  # type: ignore[arg-type]
            self.n_features_in_ = self.image_shape_[0]
            self.model_ = self._own_model()
            self.seed_ = self._draw_seed()
            settings = Training(**{name: getattr(self, name) for name in Training.field_types()})
            self.training_ = replace(settings, device=device)
            with torch.device("meta"):  # shapes alone: a file may describe a net that no memory holds
                self.net_ = self.model_.build(self._tensor_shape, 0)
            self._n_features_out = self.model_.latent_dim
        run.read_weights(self.net_)
        laid_out(self.net_, torch.device(device)).eval()
        self.history_ = run.read_history()
        return self


def fresh_seed() -> int:
    """From the operating system."""
    return int(np.random.SeedSequence().generate_state(1)[0] % 2**31)


def load(path: str | Path, device: str = "auto") -> Autoencoder:
    """The fitted estimator of a run folder. Raises InputError where it is missing, unfinished, damaged or foreign."""
    run = Run(path)
    params = run.params
    with understanding(run.path / "params.json"):
        estimator = Autoencoder.from_description(params)
    return estimator.set_params(device=device).restore(run)
