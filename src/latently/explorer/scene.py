"""Answers for the page: images, codes, decoded images, nearest neighbours, class probabilities."""

import shlex
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latently.analysis.nearest import nearest
from latently.analysis.odd_ones import own_images, way_of
from latently.analysis.run_images import RunImages
from latently.common.console import note
from latently.common.errors import InputError, require
from latently.data import Images, ImageSet
from latently.data.batches import to_channels_first
from latently.data.label_file import labels_in
from latently.data.text import decoded
from latently.estimator import Autoencoder, Classifier, FewLabelClassifier
from latently.estimator.code_prior import GUIDANCE, STRENGTH, CodePrior
from latently.explorer import planes
from latently.explorer.cache import Cache
from latently.models import can
from latently.models.densities import Normal
from latently.report.content import facts, title
from latently.runs.folder import Run

MOST_POINTS = 100_000
DRAWS = 256  # samples sent to the page from a non-Gaussian prior
MEASURED = 2_000  # images used to compute activities, slider ranges and the drawing pad's box
LARGEST_CODE = 1e6  # absolute value in a code to decode; larger ones could overflow in the network
EXPLORABLE = "give a run of an autoencoder or of few-label"


class Scene:
    """A run, and at most `MOST_POINTS` of its images (for a conditional model, only those with a known label).

    A point is the index of an image among those shown; `shown` (N,) has its index among all images. Pixels are uint8 in
    the shape of an image; other ranges are mapped to 0..255. Raises InputError for a run without codes.
    """

    def __init__(self, opened: RunImages, most_points: int = MOST_POINTS) -> None:
        self.opened, self.run = opened, opened.run
        self.few: FewLabelClassifier | None = None
        if isinstance(opened.estimator, FewLabelClassifier):
            self.few, self.encoder = opened.estimator, opened.estimator.encoder_
        elif isinstance(opened.estimator, Autoencoder):
            self.encoder = opened.estimator
        else:
            raise InputError(f"{self.run.path} is a classifier and has no decoder to explore; {EXPLORABLE}")
        # Labels from a file are left out, as the page edits them; a conditional model needs them to encode.
        self.all_images = opened.images if self.label_classes else opened.found
        self.shown = self._chosen(most_points)
        self.images: ImageSet = self.all_images.take(self.shown)
        self.low, self.high = pixel_range(self.images.images)
        self.cache = Cache(self.run.path, self.images, self.encoder.net_)
        self.codes: np.ndarray = self.cache.of("codes", self._encode_all)  # (N, Z) float32

    def _chosen(self, most: int) -> np.ndarray:
        """Indices of the images to show, (N,), ascending."""
        known = np.arange(len(self.all_images))
        if self.encoder.model_.needs_labels:
            known = np.flatnonzero(np.isin(self.all_images.label_names, self.label_classes or ()))
            require(len(known) > 0, "none of these images has a label, which a conditional model needs for encoding")
        if len(known) > most:
            known = np.sort(np.random.default_rng(0).choice(known, most, replace=False))
        return known

    def _encode_all(self) -> np.ndarray:
        note(f"encoding {len(self.images):,} images ...")
        labels = self.images.label_names
        if self.label_classes is not None:  # a label that was not fitted is no help
            labels = np.where(np.isin(labels, self.label_classes), labels, "")
        return self.encoder.transform(self.images.images, labels)

    @cached_property
    def features(self) -> np.ndarray:
        """(N, F) float32, by which images are compared: the codes, unless the model made features for that."""
        if not can(self.encoder.model_, "features"):
            return self.codes
        return self.cache.of("features", lambda: self.encoder.features(self.images.images))

    @cached_property
    def scores(self) -> np.ndarray:
        """(N,) float32, the lowest the oddest, as `latently score` gives them."""

        def score() -> np.ndarray:
            note(f"scoring {len(self.images):,} images ...")
            way = way_of(self.run.path, self.encoder, own_images(self.opened))
            return way.scores(self.images.images, self.images.label_names).astype(np.float32)

        return self.cache.of("scores", score)

    @cached_property
    def groups(self) -> list[str] | None:
        """The group of each image shown, "" for none, that `latently cluster` wrote to the run; None if it did not."""
        path = self.run.path / "groups" / "labels.csv"
        if not path.is_file():
            return None
        try:
            found = labels_in(decoded(path.read_bytes(), str(path)), str(path), self.all_images)
        except InputError as error:
            note(f"groups are not shown: {error}")
            return None
        return [found.get(image, "") for image in self.shown.tolist()]

    # What it is -------------------------------------------------------------------------------------------------------

    @property
    def latent_dim(self) -> int:
        return self.codes.shape[1]

    @property
    def label_classes(self) -> list[str] | None:
        """The classes of a conditional model; None for any other."""
        return [str(name) for name in self.encoder.classes_] if self.encoder.model_.takes_labels else None

    @property
    def predicts(self) -> list[str] | None:
        """The classes of the run's classifier; None without a classifier."""
        return None if self.few is None else [str(name) for name in self.few.classes_]

    def names(self) -> list[str]:
        """Names of the images; bytes that are not UTF-8 become question marks."""
        return [name.encode(errors="replace").decode() for name in self.images.names.tolist()]

    @property
    def plane_names(self) -> list[str]:
        return [plane["name"] for plane in planes.offered(self.latent_dim)]

    @cached_property
    def about(self) -> dict[str, Any]:
        """Description of the run, which the page loads first, as JSON."""
        history = {name: [row[name] for row in self.encoder.history_] for name in self.encoder.history_[0]}
        encoder_params = self.run.params if self.few is None else Run(self.run.path / "encoder").params
        model = self.encoder.model_
        return {
            "title": title({**self.run.params, "data": {"source": self.all_images.source}}),
            "facts": [f"{len(self.images):,} images", *facts(encoder_params, history)],
            "version": metadata.version("latently"),
            "n_points": len(self.images),
            "image_shape": list(self.images.image_shape),
            "latent_dim": self.latent_dim,
            "classes": list(self.images.classes),
            "named": bool((self.images.names != np.arange(len(self.images)).astype(str)).any()),
            "told": self.label_classes,
            "predicts": self.predicts,
            "prior": self._prior() if can(model, "prior") else None,
            "noise": {"kind": model.noise, "level": model.level, "unclipped": model.unclipped}
            if can(model, "corrupt", "denoise")
            else None,
            "flow": self._flow(),
            "planes": planes.offered(self.latent_dim),
            "grouped": self.groups is not None,
            "mean": self.codes.mean(0, dtype=np.float64).tolist(),
            "pad": self._pad(),
            **self._dimensions(),
        }

    @torch.no_grad()
    def _prior(self) -> dict[str, Any]:
        """The prior for the page: mean and standard deviation of a Gaussian, or samples of any other prior."""
        prior = self.encoder.model_.prior(self.encoder.net_)
        if isinstance(prior, Normal):
            return {"mean": prior.mean[0].tolist(), "stddev": prior.stddev[0].tolist()}
        return {"draws": prior.sample(DRAWS, torch.Generator().manual_seed(0)).tolist()}

    def _flow(self) -> dict[str, Any] | None:
        """What the page can ask of the learned prior."""
        if self.flow is None:
            return None
        classes = [str(name) for name in self.flow.classes_] if self.flow.knows_classes else None
        return {"classes": classes, "guidance": GUIDANCE, "strength": STRENGTH}

    def _dimensions(self) -> dict[str, Any]:
        """Each latent dimension with its activity and slider range, most active first."""
        activity, unit = self.codes[:MEASURED].var(0), "variance"
        if can(self.encoder.model_, "prior"):
            kl = self.encoder.bound_terms(self.images.images[:MEASURED], self.images.label_names[:MEASURED])["kl"]
            if kl.ndim == 2:  # otherwise it is not computed per dimension
                activity, unit = kl.mean(0), "nats"
        low, high = np.quantile(self.codes[:MEASURED], [0.001, 0.999], axis=0)
        if can(self.encoder.model_, "prior"):
            low, high = np.minimum(low, -3), np.maximum(high, 3)
        order = np.argsort(-activity, kind="stable")
        rows = [
            {"index": int(i), "activity": float(activity[i]), "low": float(low[i]), "high": float(high[i])}
            for i in order
        ]
        return {"dimensions": rows, "activity_unit": unit}

    def _pad(self) -> dict[str, Any]:
        """How to centre a drawing like these images: the fraction of a side that the ink spans, and whether it is
        dark."""
        pixels = self.as_bytes(self.images.images[:MEASURED])
        grey = pixels.reshape(len(pixels), *self.images.image_shape[:2], -1)[..., :3].mean(3)
        border = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
        dark = bool(np.median(border) < 128)
        ink = (grey if dark else 255 - grey) > 64
        sides = [extent(ink.any(axis)) / ink.shape[3 - axis] for axis in (1, 2)]  # along the width, along the height
        return {"box": float(np.median(np.maximum(*sides))) or 1.0, "dark": dark}

    # Images -----------------------------------------------------------------------------------------------------------

    def as_bytes(self, images: np.ndarray) -> np.ndarray:
        """Images of the source's type and range -> uint8."""
        if images.dtype == np.uint8:
            return images
        return to_bytes((images - self.low) / (self.high - self.low))

    def as_source(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 -> the input of the estimator."""
        if self.images.images.dtype == np.uint8:
            return pixels
        return (self.low + pixels / np.float32(255) * (self.high - self.low)).astype(np.float32)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(n,) -> uint8 (n, *image)."""
        return self.as_bytes(self.images.images[points])

    # The model, a few images at a time, without padding to full batches -----------------------------------------------

    def label_tensors(self, classes: np.ndarray | None, n: int) -> tuple[Tensor, ...]:
        """Class indices for a conditional model: one for all, or one for each; empty for other models."""
        if self.label_classes is None:
            return ()
        if classes is None or len(classes) not in (1, n):
            raise InputError(f"a conditional model needs one class, or one for each of {n}")
        fits = bool(((classes >= 0) & (classes < len(self.label_classes))).all())
        require(fits, f"classes go from 0 to {len(self.label_classes) - 1}; there are {', '.join(self.label_classes)}")
        return (torch.as_tensor(np.resize(classes, n), dtype=torch.int64),)

    def decode(self, codes: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
        """(n, Z) -> the decoder's mean, uint8 (n, *image)."""
        require_bounded(codes)
        trained, z = self.encoder.trained_, torch.from_numpy(codes)
        means = trained.rows(trained.image_means, z, *self.label_tensors(classes, len(z)), size=len(z))
        return self.as_bytes(trained.to_images(means))

    def encode(self, pixels: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
        """uint8 (n, *image) -> codes (n, Z) float32, the posterior mean."""
        x = to_channels_first(self.encoder.seen(self.as_source(pixels)))
        trained = self.encoder.trained_
        return trained.rows(trained.code_means, x, *self.label_tensors(classes, len(x)), size=len(x))

    def classify(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (n, *image) -> p(class | image), (n, classes) float32. Raises InputError without a classifier."""
        if self.few is None:
            raise InputError("this run has no classifier; train one with latently train few-label")
        classifier: Classifier = self.few.classifier_
        x = to_channels_first(classifier.seen(self.few.features(self.as_source(pixels))))
        return np.exp(classifier.trained_.rows(classifier.trained_.log_probabilities, x, size=len(x)))

    def denoise(self, pixels: np.ndarray, level: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (n, *image) -> noisy images and their reconstructions, both uint8 (n, *image).

        Raises InputError for a model that cannot denoise.
        """
        noisy, trained = self.encoder.corrupt(self.as_source(pixels), level, seed), self.encoder.trained_
        rebuilt = trained.rows(trained.denoised_means, to_channels_first(noisy), size=len(noisy))
        return self.as_bytes(noisy), self.as_bytes(trained.to_images(rebuilt))

    # The learned prior ------------------------------------------------------------------------------------------------

    @cached_property
    def flow(self) -> CodePrior | None:
        """The prior that latently train prior learned; None without one."""
        if hasattr(self.encoder, "prior_"):
            return self.encoder.current_prior()
        if hasattr(self.encoder, "unfinished_prior_"):
            note(self.encoder.unfinished_prior_)
        return None

    def draw(self, n: int, classes: np.ndarray | None, guidance: float | None, seed: int) -> np.ndarray:
        """n codes from the learned prior, (n, Z), of one class, or of any."""
        flow = self.required_flow
        return flow.sample(n, seed, self._label(flow, classes), guidance)

    def vary(self, code: np.ndarray, n: int, classes: np.ndarray | None, strength: float, seed: int) -> np.ndarray:
        """n codes like a code (1, Z), (n, Z), of a class."""
        flow = self.required_flow
        require_bounded(code)
        return flow.variations(code, n, seed, self._label(flow, classes), strength)[0]

    def path(self, ends: np.ndarray, n: int, classes: np.ndarray | None) -> np.ndarray:
        """n codes from the first of two (2, Z) to the second by the learned prior, (n, Z); both of a class, or none."""
        flow = self.required_flow
        require_bounded(ends)
        label = self._label(flow, classes)
        return flow.paths(ends[:1], ends[1:], n, None if label is None else [label])[0]

    @property
    def required_flow(self) -> CodePrior:
        if self.flow is None:
            raise InputError("this run has no learned prior; learn one with latently train prior")
        return self.flow

    def _label(self, flow: CodePrior, classes: np.ndarray | None) -> Any:
        """The label of a class index of the prior."""
        if classes is None:
            return None
        known = flow.classes_ if flow.knows_classes else np.zeros(0)
        fits = len(classes) == 1 and 0 <= classes[0] < len(known)
        require(fits, f"the learned prior knows {len(known)} classes; expected one of them, counted from 0")
        return known[classes[0]]

    # Points -----------------------------------------------------------------------------------------------------------

    @cached_property
    def probabilities(self) -> np.ndarray:
        """p(class | image) of every point, (N, classes) float32; cached, because a convolutional classifier is slow."""
        few = self.few
        if few is None:
            raise InputError("this run has no classifier; train one with latently train few-label")
        note(f"classifying {len(self.images):,} images ...")
        kept = Cache(self.run.path, self.images, few.classifier_.net_)
        return kept.of("probabilities", lambda: few.predict_proba(self.images.images))

    def neighbours(self, code: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The points with codes nearest to a code (Z,), nearest first, and their distances, (n,) each."""
        places, distances = nearest(self.codes, code[None], min(n, len(self.codes)))
        return places[0], distances[0]

    def plane(self, name: str, dims: tuple[int, int] = (0, 1)) -> planes.Plane:
        """The points on a plane. Raises InputError for an unknown plane."""
        require(name in self.plane_names, f"there is no plane {name[:40]!r}; there are {', '.join(self.plane_names)}")
        return planes.make(name, self.codes, self.features, dims, self.cache)

    def few_label_command(self, labels: Path) -> str:
        """The command that trains on the labels in a file."""
        words = ["latently", "train", "few-label", "--data", self.opened.source or self.all_images.source]
        record = self.opened.record
        preparation = record.preparation if record else {}
        if preparation.get("image_size"):
            words += ["--image-size", *map(str, preparation["image_size"])]
        if preparation.get("fit"):
            words += ["--fit", preparation["fit"]]
        if preparation.get("channels"):
            words += ["--channels", str(preparation["channels"])]
        if preparation.get("skip_broken"):
            words += ["--skip-broken"]
        if preparation.get("scale"):
            words += ["--scale", str(preparation["scale"])]
        if self.label_classes is None:
            words += ["--encoder", str(self.run.path if self.few is None else self.run.path / "encoder")]
        return shlex.join([*words, "--labels", str(labels), "--out", f"{self.run.path}-classes"])


def require_bounded(codes: np.ndarray) -> None:
    bounded = bool((np.abs(codes) <= LARGEST_CODE).all())  # false for NaN, too
    require(bounded, f"codes must be finite numbers from -{LARGEST_CODE:g} to {LARGEST_CODE:g}")


def to_bytes(x: np.ndarray) -> np.ndarray:
    """0..1 -> 0..255, clipped."""
    return np.rint(np.clip(np.nan_to_num(x), 0, 1) * 255).astype(np.uint8)


def pixel_range(images: Images) -> tuple[float, float]:
    """The values that map to 0 and 255: (0, 1) for bytes and for floats within 0..1, otherwise the range of the
    images."""
    if images.dtype == np.uint8:
        return 0.0, 1.0
    low, high = float(images.min()), float(images.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, max(high, low + 1e-6))


def extent(marked: np.ndarray) -> np.ndarray:
    """(n, size) bools -> (n,): distance from the first True to the last; 0 if there is none."""
    first, last = marked.argmax(1), marked.shape[1] - 1 - marked[:, ::-1].argmax(1)
    return np.where(marked.any(1), last - first + 1, 0)
