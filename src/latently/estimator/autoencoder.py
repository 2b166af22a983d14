"""The autoencoder as a scikit-learn transformer.

>>> from sklearn.datasets import load_digits
>>> from latently import VAE, Autoencoder
>>> X = load_digits().images / 16                                    # (1797, 8, 8), floats in 0..1
>>> codes = Autoencoder(VAE(latent_dim=2), epochs=1, random_state=0).fit_transform(X)
>>> codes.shape
(1797, 2)
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_args

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latently.data.batches import Batches, Binarise
from latently.errors import require
from latently.estimator.base import ImageEstimator, fresh_seed
from latently.models import Model, can
from latently.models.vae import VAE
from latently.noise import image_normal
from latently.runs import Run
from latently.settings import Seed, accepts, expected


@dataclass(eq=False, repr=False)
class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ImageEstimator):
    """An autoencoder of any kind as a scikit-learn transformer: images to codes and back.

    X is (n, h, w), (n, h, w, c) or (n, features): uint8 0..255, which is scaled to 0..1, or numbers, which are taken as
    they are (float32). Codes are (n, latent_dim) float32. What comes back has the shape of X.

    Parameters: `model` (default `VAE()`), `binarise`, `random_state`, and every setting of `Training`
    (`epochs`, `batch_size`, `lr`, ...). A fit on a CPU with one int `random_state` is repeatable bit for bit.

    After fit: `net_`, `model_`, `history_` (a dict per epoch), `image_shape_`, `training_` (every `auto` decided),
    `n_features_in_`.
    """

    kind: ClassVar[str] = "autoencoder"

    binarise: Binarise = "none"
    """none: grey pixels as they are; static: one black-and-white draw, kept; dynamic: a new draw at every use."""

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
        require_choice("binarise", self.binarise)
        images = self._prepare(X)
        held_out = None if validation is None else (self._pixels(validation), None)
        return self._fit_net(images, None, held_out, run, about, **watching)

    def _default_model(self) -> Model:
        return VAE()

    @property
    def _n_features_out(self) -> int:
        return self.model_.latent_dim

    def _check_pixels(self, images: np.ndarray) -> None:
        super()._check_pixels(images)
        if self.binarise != "none":
            in_range = images.dtype == np.uint8 or (images.min() >= 0 and images.max() <= 1)
            require(in_range, "binarise takes a grey value as a probability; it expects pixels from 0 to 1")

    def _batches(self, images: np.ndarray, labels: np.ndarray | None = None) -> Batches:
        labels = np.full(len(images), -1) if labels is None else labels
        return Batches(images, labels, torch.device(self.training_.device), self.binarise, self.seed_)

    def _describe_own(self) -> dict[str, Any]:
        return {"binarise": self.binarise}

    @classmethod
    def _own_settings(cls, params: dict[str, Any]) -> dict[str, Any]:
        require_choice("binarise", params["binarise"])
        return {"binarise": params["binarise"]}

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


def require_choice(name: str, value: Any) -> None:
    require(value in get_args(Binarise), f"{name} is {value!r}; expected {' or '.join(get_args(Binarise))}")
