"""The autoencoder as a scikit-learn transformer.

>>> from sklearn.datasets import load_digits
>>> from latently import VAE, Autoencoder
>>> X = load_digits().images / 16                                    # (1797, 8, 8), floats in 0..1
>>> codes = Autoencoder(VAE(latent_dim=2), epochs=1, random_state=0).fit_transform(X)
>>> codes.shape
(1797, 2)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latently.common.console import note
from latently.common.errors import require
from latently.common.settings import Count, NonNegative, accepts, require_setting
from latently.data import Images
from latently.data.batches import Batches, Binarise, scale
from latently.data.classes import as_labels
from latently.data.noise import image_normal
from latently.data.ranges import Limits
from latently.estimator.base import fresh_seed
from latently.estimator.classifier import balanced
from latently.estimator.code_prior import FOLDER, STRENGTH, CodePrior, require_path, unfinished
from latently.estimator.conditional import Conditional, n_images
from latently.estimator.face import MOST_IMAGES, embedded, strip
from latently.estimator.mixture import FILE, CodeMixture
from latently.models import Model, can
from latently.models.densities import log_mean_and_error
from latently.models.vae import VAE
from latently.runs.folder import Run
from latently.runs.record import weights_hash
from latently.training.distributed import SINGLE_PROCESS, Processes
from latently.training.inference import model_name
from latently.training.state import Watcher

Sampler = Literal["auto", "prior", "mixture", "flow-matching"]
# Pixels that the importance-weighted bound decodes at once: on a CPU what fits its caches, else what keeps a GPU busy.
VALUES_DECODED = {"cpu": 2**20, "cuda": 2**26, "mps": 2**24}


@dataclass(eq=False, repr=False)
class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Conditional):  # type: ignore[misc]
    """An autoencoder of any kind as a scikit-learn transformer: images to codes and back.

    X is (n, h, w), (n, h, w, c) or (n, features): uint8 0..255 is scaled to 0..1, other numbers are used unchanged, as
    float32. Codes are (n, latent_dim) float32. Decoded images have the shape of X.

    Parameters: `model` (default `VAE()`), `binarise`, `random_state`, and every setting of `Training`
    (`epochs`, `batch_size`, `lr`, ...). On a CPU, a fit with an int `random_state` is repeatable bit for bit.

    After fit: `net_`, `model_`, `history_` (a dict per epoch), `image_shape_`, `training_` (every `auto` resolved),
    `n_features_in_`; with a conditional model `classes_`. With a model that infers classes, it predicts, too.
    """

    kind: ClassVar[str] = "autoencoder"

    binarise: Binarise = "none"
    """none: keep grey pixels; static: binarise each image once; dynamic: draw a new binarisation at every use."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # codes are always float32
        return tags

    # Fitting --------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        validation: Any = None,
        run: Run | None = None,
        watchers: Sequence[Watcher] = (),
        processes: Processes = SINGLE_PROCESS,
    ) -> Self:
        """Train the model on X. y holds the label of each image for a conditional model; other models ignore it. Labels
        may be missing (-1, NaN, None or empty) for a model that learns from unlabelled images, too.

        validation: images for validation metrics and `patience`; for a conditional model, (X, y). run: a run folder, to
        which params.json is written before the first step, then checkpoints, and the weights at the end; training
        resumes from a checkpoint in it. watchers: progress bar, log etc. processes: for data-parallel training.
        Raises InputError (a ValueError) for a setting out of range and for images that the model cannot take.
        """
        require_setting("binarise", self.binarise, Binarise)
        images, labels = self._learnable(X, y)
        for name in ("mixture_", "prior_", "unfinished_prior_"):
            self.__dict__.pop(name, None)  # of the codes of an earlier fit
        held_out = None if validation is None else self._held_out(validation)
        members = None
        if labels is not None and self.model_.learns_from_unlabelled:
            members = np.repeat(np.arange(len(images)), balanced(labels))
        return self._fit_net(images, labels, held_out, run, watchers, processes, members)

    def _learnable(self, X: Any, y: Any) -> tuple[Images, np.ndarray | None]:
        images = self._prepare(X)
        return images, self._fit_labels(images, y) if self.model_.takes_labels else None

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> np.ndarray:
        """Fit to X, then return its codes."""
        return self.fit(X, y, **fit_params).transform(X, y)

    def _default_model(self) -> Model:
        return VAE()

    @property
    def _n_features_out(self) -> int:
        return int(self.model_.latent_dim)

    def _check_pixels(self, limits: Limits) -> None:
        super()._check_pixels(limits)
        if self.binarise != "none":
            in_range = limits.low >= 0 and limits.high <= 1
            require(in_range, "binarise takes a grey value as a probability; it expects pixels from 0 to 1")

    def _batches(self, images: Images, labels: np.ndarray | None = None, members: np.ndarray | None = None) -> Batches:
        labels = np.full(len(images), -1) if labels is None else labels
        return Batches(images, labels, torch.device(self.training_.device), self.binarise, self.seed_, members)

    def _describe_own(self) -> dict[str, Any]:
        own: dict[str, Any] = {"binarise": self.binarise}
        return own | ({"classes": self.classes_.tolist()} if self.model_.takes_labels else {})

    @classmethod
    def _own_settings(cls, params: dict[str, Any]) -> dict[str, Any]:
        require_setting("binarise", params["binarise"], Binarise)
        return {"binarise": params["binarise"]}

    def save(self, path: str | Path, overwrite: bool = False) -> Self:
        """Write a run folder: settings, weights, history, and the mixture and the learned prior, if fitted."""
        super().save(path, overwrite)
        if hasattr(self, "mixture_"):
            self.mixture_.write(Path(path))
        if hasattr(self, "prior_"):
            self.prior_.save(Path(path) / FOLDER)
        return self

    def restore(self, run: Run) -> Self:
        super().restore(run)
        if (run.path / FILE).exists():
            self.mixture_ = CodeMixture.read(run.path, self.model_.latent_dim)
        prior = run.part(FOLDER)
        if prior.started and prior.finished:
            self.prior_ = CodePrior.of_run(prior, self.device)
        elif prior.started:
            self.unfinished_prior_ = unfinished(prior.path)
        return self

    # Using ----------------------------------------------------------------------------------------

    # A conditional model needs y with every X and Z: one label each, or one label for all. Other models ignore y. One
    # that infers classes takes the most probable class of an image whose label is missing.

    def transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Codes: the means of q(z|x). -> (n, latent_dim) float32"""
        y = self.completed(X, y)
        return self.map_images(X, self._trained.code_means, *self._labels(y, n_images(X)))

    def features(self, X: Any, y: Any = None) -> np.ndarray:
        """What stands for X in neighbours, clusters and classifiers: the code, or that part of it which the model made
        for them. -> (n, width) float32"""
        return self.map_images(X, self._trained.features) if can(self.model_, "features") else self.transform(X, y)

    @property
    def feature_dim(self) -> int:
        """Width of `features`."""
        return int(getattr(self.model_, "feature_dim", self.model_.latent_dim))

    def inverse_transform(self, Z: Any, y: Any = None) -> np.ndarray:
        """Decoder means of codes (n, latent_dim). -> float32 images in the shape of X; 0..1 if X was uint8"""
        return self._trained.decode(Z, y)

    def reconstruct(self, X: Any, y: Any = None) -> np.ndarray:
        """Decoder means of the posterior means. -> float32 images in the shape of X; 0..1 if X was uint8"""
        y = self.completed(X, y)
        return self.inverse_transform(self.transform(X, y), y)

    def score_samples(self, X: Any, y: Any = None) -> np.ndarray:
        """ELBO of each image in nats, (n,); for an autoencoder without a prior, minus its reconstruction loss.

        One sample of z per image, from noise seeded by the image: repeatable, independent of order and batch. The bound
        of a conditional model is on log p(x|y), that of one which infers classes on log p(x).
        """
        terms = self.bound_terms(X, y).values()
        return np.asarray(-sum(term.reshape(len(term), -1).sum(1) for term in terms))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`: nats per image, larger is better."""
        return float(self.score_samples(X, y).mean(dtype=np.float64))

    def bound_terms(self, X: Any, y: Any = None) -> dict[str, np.ndarray]:
        """The terms of minus `score_samples`: `reconstruction` (n,) and, if there is a prior, `kl` (n, Z); if the model
        infers classes, also the KL of these, `class_kl` (n,)."""
        check_is_fitted(self)
        shapes: dict[str, Any] = {}

        def terms(x: Tensor, *y: Tensor) -> Tensor:
            bound = self.model_.bound(self.net_, x, image_normal(x, self.model_.latent_dim), *y)
            shapes.update({name: term.shape[1:] for name, term in bound.items()})
            return torch.cat([term.reshape(len(x), -1) for term in bound.values()], dim=1)

        columns = self.map_images(X, terms, *self._bound_labels(y, n_images(X)))
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1]
        parts = np.split(columns, ends, axis=1)
        return {
            name: part.reshape(len(part), *shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }

    def importance_bound(self, X: Any, samples: int, y: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """The bound log 1/K sum_k p(x, z_k) / q(z_k|x) on log p(x) of each image (Burda et al. 2015, eq. 8), in nats,
        and its standard error over the K = `samples` draws of z: (n,) and (n,).

        It lies above the ELBO and rises to log p(x) with K. Noise is seeded by the image: repeatable, independent of
        order and batch. Memory does not depend on K. The standard error is by the delta method: too small if a few
        weights dominate the sum. Raises InputError for a model without a prior, and for fewer than 2 samples.
        """
        check_is_fitted(self)
        name, able = model_name(self.model_), can(self.model_, "prior", "log_weights")
        require(able, f"a plain autoencoder ({name}) has no prior, and so no bound on log p(x); train a vae")
        enough = accepts(Count, samples) and samples >= 2
        require(enough, f"samples is {samples!r}; expected a whole number of at least 2")
        rows = max(1, VALUES_DECODED[torch.device(self.training_.device).type] // math.prod(self.image_shape_))
        each = math.ceil(samples / math.ceil(samples / rows))  # samples of an image at a time, in chunks of equal size
        width = self.model_.latent_dim
        with torch.no_grad():
            prior = self.model_.prior(self.net_)

        def bound(x: Tensor, *y: Tensor) -> Tensor:
            """The bound and its standard error, (B, 2), from log sum w and log sum w^2, accumulated over chunks."""
            q, sums = self.model_.encode(self.net_, x, *y), torch.full((2, len(x)), -math.inf, dtype=torch.float64)
            for start in range(0, samples, each):
                noise = image_normal(x, each * width, start=start * width).view(len(x), each, width).transpose(0, 1)
                log_w = self.model_.log_weights(self.net_, x, q, prior, noise, *y)[: samples - start].cpu().double()
                sums = torch.logaddexp(sums, torch.stack([log_w.logsumexp(0), (2 * log_w).logsumexp(0)]))
            log_sum, log_squares = sums
            return torch.stack(log_mean_and_error(log_sum, log_squares, samples), 1)

        images_at_once = max(1, rows // each)
        bounds, errors = self.map_images(X, bound, *self._bound_labels(y, n_images(X)), size=images_at_once).T
        return bounds, errors

    def fit_mixture(self, X: Any, y: Any = None, components: int = 10) -> Self:
        """Fit a Gaussian mixture to the codes of X, to draw from with `sample(n, sampler="mixture")`."""
        self.mixture_ = CodeMixture.fit(self.transform(X, y), components, self.seed_)
        return self

    def fit_prior(self, X: Any, y: Any = None, prior: CodePrior | None = None, **fit_params: Any) -> Self:
        """Learn the distribution of the codes of X by flow matching (models/flow_matching.py), for `sample`.

        y: the classes, if there are any; then `sample(n, y=...)` makes images of one, with any model. prior: one with
        other settings. fit_params: `run`, `watchers` and others of `CodePrior.fit`."""
        prior = CodePrior(random_state=self.seed_, device=self.device) if prior is None else prior
        codes = self.transform(X, y)
        if getattr(self.model_, "mirror", False):  # garments, faces and the like: twice as many
            codes = np.concatenate([codes, self.map_images(X, lambda x: self._trained.code_means(x.flip(3)))])
            y = None if y is None else np.tile(as_labels(y), 2)
        grid = self.model_.code_grid(self._tensor_shape) if can(self.model_, "code_grid") else None
        self.prior_ = clone(prior).set_params(encoder=weights_hash(self.net_), grid=grid).fit(codes, y, **fit_params)
        return self

    def sample(
        self,
        n: int = 1,
        random_state: int | None = None,
        y: Any = None,
        sampler: Sampler = "auto",
        guidance: float | None = None,
    ) -> np.ndarray:
        """Decoder means of n codes: of flow matching after `fit_prior`, of the mixture of `fit_mixture`, or of the
        model's own prior; auto: flow matching if it was fitted, otherwise the model's prior.

        y, for a conditional model or flow matching with classes: one label for all or one each; None: the classes in
        turn, or in flow matching as often as in training. guidance, in flow matching with classes (1.5 unless given):
        above 1, images are surer of their class and less varied. Raises InputError if the model has no prior, or
        nothing was fitted.
        """
        require_setting("sampler", sampler, Sampler)
        seed = fresh_seed() if random_state is None else random_state
        if sampler == "auto":
            sampler = "flow-matching" if hasattr(self, "prior_") else "prior"
            if sampler == "prior" and hasattr(self, "unfinished_prior_"):
                note(f"{self.unfinished_prior_}; these samples are from the model's own prior")
        if sampler != "flow-matching":
            require(guidance is None, "guidance is for flow matching; learn it first: fit_prior(X, y)")
            return self._trained.sample(n, seed, y, self._mixture_codes if sampler == "mixture" else None)
        prior = self.current_prior()
        if y is None and self.model_.takes_labels:
            y = np.resize(self.classes_, n)
        return self._trained.sample(n, seed, y, lambda n, seed: prior.sample(n, seed, y, guidance))

    def variations(
        self, X: Any, n: int = 8, random_state: int | None = None, y: Any = None, strength: float = STRENGTH,
        guidance: float | None = None,
    ) -> np.ndarray:  # fmt: skip
        """n new images like each of X, (len(X), n, *the shape of an image), by the flow of `fit_prior`: as in
        `CodePrior.variations`, from the codes of X. y: the classes of X, of those that have one."""
        prior, seed = self.current_prior(), fresh_seed() if random_state is None else random_state
        codes = prior.variations(self.transform(X, y), n, seed, y if prior.knows_classes else None, strength, guidance)
        return self._decoded(codes, y)

    def interpolate(self, X: Any, to: Any, n: int = 9, y: Any = None, straight: bool = False) -> np.ndarray:
        """n images from each of X to its partner in `to`, ends rebuilt, (len(X), n, *the shape of an image): by
        `CodePrior.paths`, or straight between their codes, which needs no prior. y: the class of both, if any."""
        require_path(n)
        require(n_images(X) == n_images(to), f"got {n_images(X)} and {n_images(to)} images; expected pairs")
        ends = self.transform(X, y), self.transform(to, y)
        if straight:
            return self._decoded(np.linspace(*ends, n, axis=1, dtype=np.float32), y)
        told = y if self.current_prior().knows_classes else None
        return self._decoded(self.current_prior().paths(*ends, n, told), y)

    def _decoded(self, codes: np.ndarray, y: Any) -> np.ndarray:
        """Codes (m, n, Z) of m images, each with one label or none -> (m, n, *the shape of an image)"""
        m, n, width = codes.shape
        labels = None if y is None else np.repeat(np.broadcast_to(as_labels(y), m), n)
        return self.inverse_transform(codes.reshape(-1, width), labels).reshape(m, n, *self.image_shape_)

    def current_prior(self) -> CodePrior:
        """Raises InputError if there is none, or if it was fitted to the codes of other weights."""
        none = "no prior was learned; call fit_prior(X, y), or latently train prior RUN"
        require(hasattr(self, "prior_"), getattr(self, "unfinished_prior_", none))
        changed = "the prior was learned from the codes of other weights: the run has changed since; learn it again"
        require(self.prior_.encoder == weights_hash(self.net_), changed)
        return self.prior_

    def _mixture_codes(self, n: int, seed: int) -> np.ndarray:
        require(hasattr(self, "mixture_"), "no mixture was fitted to the codes; call fit_mixture(X) first")
        return self.mixture_.sample(n, seed)

    def prior_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each dimension of the model's own prior, (Z,) and (Z,)."""
        require(can(self._trained.model, "prior"), f"{model_name(self.model_)} has no prior of its own")
        with torch.no_grad():
            prior = self.model_.prior(self.net_)
            return prior.mean[0].cpu().numpy(), prior.stddev[0].cpu().numpy()

    def analogies(self, X: Any, y: Any) -> np.ndarray:
        """Each image encoded under its label, then decoded under every label. -> (n, classes, *the shape of an image)

        Raises InputError for a model that is not conditional.
        """
        codes, name = self.transform(X, y), model_name(self.model_)
        require(self.model_.takes_labels, f"{name} is not told the class of an image; for analogies train a cvae")
        return np.stack([self.inverse_transform(codes, label) for label in self.classes_], axis=1)

    # Denoising ------------------------------------------------------------------------------------

    def denoise(self, X: Any) -> np.ndarray:
        """Denoised images; X is never binarised. -> float32 in the shape of X; 0..1 if X was uint8

        Raises InputError for a model that was not trained to remove noise.
        """
        self._require_denoising()
        trained, images = self._trained, self._images(X)
        batches = Batches(images, np.full(len(images), -1), torch.device(trained.device))
        return trained.to_images(trained.rows(lambda raw: trained.denoised_means(scale(raw)), batches))

    def corrupt(self, X: Any, level: float | None = None, seed: int = 0) -> np.ndarray:
        """X with the model's kind of noise, seeded by the image: repeatable, independent of order and batch.

        level: None: the model's level, the highest of its range. -> float32 in the shape of X
        """
        self._require_denoising()
        level = self.model_.level if level is None else level
        require_setting("level", level, NonNegative)

        def corrupted(x: Tensor) -> Tensor:
            noisy: Tensor = self.model_.corrupt(x, level, image_normal(x, x[0].numel(), seed).view_as(x))
            return noisy

        return self._trained.to_images(self.map_images(X, corrupted))

    def _strip(self) -> str:
        """A few training images and their reconstructions; of a loaded run, which has none, its picture or samples."""
        if len(self.image_shape_) == 1:
            return ""
        if hasattr(self, "examples_") and not self.model_.needs_labels:
            shown = self.seen(self.examples_), self.reconstruct(self.examples_)
            return strip("Training images, and their reconstructions below", *shown)
        if hasattr(self, "run_") and (path := self.run_.figure("reconstructions")).exists():
            return embedded(path.read_bytes(), "Reconstructions", 640)
        if can(self.model_, "prior"):
            return strip("Samples of the prior", self.sample(MOST_IMAGES, random_state=0, sampler="prior"))
        return ""

    def _require_denoising(self) -> None:
        check_is_fitted(self)
        able = can(self.model_, "corrupt", "denoise")
        require(able, f"{model_name(self.model_)} has not learned to remove noise; train a dae")
