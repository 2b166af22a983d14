"""What the page asks: images, their codes, what a code decodes to, what is near, and what a classifier says."""

import shlex
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latently.analysis.run_images import Opened
from latently.analysis.similar import nearest
from latently.common.console import note
from latently.common.errors import InputError, require
from latently.data import Images, ImageSet
from latently.data.batches import to_channels_first
from latently.estimator import Autoencoder, Classifier, FewLabelClassifier
from latently.explorer import planes
from latently.explorer.cache import Cache
from latently.models import can
from latently.models.densities import Normal
from latently.report.content import facts, title
from latently.runs.folder import Run

MOST_POINTS = 100_000
DRAWS = 256  # of a prior that is no normal
MEASURED = 2_000  # images that activities, ranges and the pad's box are taken from
LARGEST_CODE = 1e6  # of a number in a code that is decoded: beyond it a network's sums overflow
EXPLORABLE = "give a run of an autoencoder, or of few-label, which has one"


class Scene:
    """A run, and at most `MOST_POINTS` of its images (a conditional model: of those with a label that it knows).

    A point is the number of an image among those shown; `shown` (N,) has its number among all. Pixels are bytes, in the
    shape of an image; whatever range the images have is mapped onto 0..255. Raises InputError for a run without codes.
    """

    def __init__(self, opened: Opened, most_points: int = MOST_POINTS) -> None:
        self.opened, self.run = opened, opened.run
        self.few: FewLabelClassifier | None = None
        if isinstance(opened.estimator, FewLabelClassifier):
            self.few, self.encoder = opened.estimator, opened.estimator.encoder_
        elif isinstance(opened.estimator, Autoencoder):
            self.encoder = opened.estimator
        else:
            raise InputError(f"{self.run.path} is a classifier and has no decoder to explore; {EXPLORABLE}")
        self.all_images = opened.images if self.told else opened.found  # labels from a file are the page's to change
        self.shown = self._chosen(most_points)
        self.images: ImageSet = self.all_images.take(self.shown)
        self.low, self.high = pixel_range(self.images.images)
        self.cache = Cache(self.run.path, self.images, self.encoder.net_)
        self.codes: np.ndarray = self.cache.of("codes", self._encode_all)  # (N, Z) float32

    def _chosen(self, most: int) -> np.ndarray:
        """Which images are shown: (N,) numbers among all, in their order."""
        known = np.arange(len(self.all_images))
        if self.told is not None:
            known = np.flatnonzero(np.isin(self.all_images.label_names, self.told))
            require(len(known) > 0, "none of these images carries a label, and a conditional model wants it to encode")
        if len(known) > most:
            known = np.sort(np.random.default_rng(0).choice(known, most, replace=False))
        return known

    def _encode_all(self) -> np.ndarray:
        note(f"encoding {len(self.images):,} images ...")
        return self.encoder.transform(self.images.images, self.images.label_names)

    # What it is -------------------------------------------------------------------------------------------------------

    @property
    def latent_dim(self) -> int:
        return self.codes.shape[1]

    @property
    def told(self) -> list[str] | None:
        """The classes that a conditional model is told; None for any other."""
        return [str(name) for name in self.encoder.classes_] if self.encoder.model_.takes_labels else None

    @property
    def predicts(self) -> list[str] | None:
        """The classes of the run's classifier; None where it has none."""
        return None if self.few is None else [str(name) for name in self.few.classes_]

    def names(self) -> list[str]:
        """Of the images; letters that are no UTF-8 become question marks."""
        return [name.encode(errors="replace").decode() for name in self.images.names.tolist()]

    @property
    def plane_names(self) -> list[str]:
        return [plane["name"] for plane in planes.offered(self.latent_dim)]

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the page has to know before it shows anything, as JSON."""
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
            "told": self.told,
            "predicts": self.predicts,
            "prior": self._prior() if can(model, "prior") else None,
            "noise": {"kind": model.noise, "level": model.level, "unclipped": model.unclipped}
            if can(model, "corrupt", "denoise")
            else None,
            "planes": planes.offered(self.latent_dim),
            "mean": self.codes.mean(0, dtype=np.float64).tolist(),
            "pad": self._pad(),
            **self._dimensions(),
        }

    @torch.no_grad()
    def _prior(self) -> dict[str, Any]:
        """What the page draws codes from: mean and standard deviation of a normal, or of any other prior some draws."""
        prior = self.encoder.model_.prior(self.encoder.net_)
        if isinstance(prior, Normal):
            return {"mean": prior.mean[0].tolist(), "stddev": prior.stddev[0].tolist()}
        return {"draws": prior.sample(DRAWS, torch.Generator().manual_seed(0)).tolist()}

    def _dimensions(self) -> dict[str, Any]:
        """Each latent dimension with its activity and the range of its slider, the most active first."""
        activity, unit = self.codes[:MEASURED].var(0), "variance"
        if can(self.encoder.model_, "prior"):
            kl = self.encoder.bound_terms(self.images.images[:MEASURED], self.images.label_names[:MEASURED])["kl"]
            if kl.ndim == 2:  # else it is taken by the sample, and belongs to no dimension
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
        """How to centre a drawing as these images are: the share of a side that their ink fills, and its tone."""
        pixels = self.as_bytes(self.images.images[:MEASURED])
        grey = pixels.reshape(len(pixels), *self.images.image_shape[:2], -1)[..., :3].mean(3)
        border = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
        dark = bool(np.median(border) < 128)
        ink = (grey if dark else 255 - grey) > 64
        sides = [extent(ink.any(axis)) / ink.shape[3 - axis] for axis in (1, 2)]  # along the width, along the height
        return {"box": float(np.median(np.maximum(*sides))) or 1.0, "dark": dark}

    # Images -----------------------------------------------------------------------------------------------------------

    def as_bytes(self, images: np.ndarray) -> np.ndarray:
        """Images of the source's own type and range -> uint8."""
        if images.dtype == np.uint8:
            return images
        return to_bytes((images - self.low) / (self.high - self.low))

    def as_source(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 -> what the estimator takes."""
        if self.images.images.dtype == np.uint8:
            return pixels
        return (self.low + pixels / np.float32(255) * (self.high - self.low)).astype(np.float32)

    def from_model(self, x: Tensor) -> np.ndarray:
        """What the model makes, (n, C, H, W) -> uint8 (n, *image)."""
        images = x.float().cpu().numpy().transpose(0, 2, 3, 1).reshape(-1, *self.images.image_shape)
        if self.images.images.dtype == np.uint8:
            return to_bytes(images)
        return self.as_bytes(images)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(n,) -> uint8 (n, *image)."""
        return self.as_bytes(self.images.images[points])

    # The model, a few images at a time: without padding to a batch, which would cost more than the work ---------------

    def tensor(self, pixels: np.ndarray) -> Tensor:
        """uint8 (n, *image) -> (n, C, H, W) as the model sees it."""
        seen = to_channels_first(self.encoder.seen(self.as_source(pixels)))
        return seen.to(self.encoder.training_.device)

    def labels_of(self, classes: np.ndarray | None, n: int) -> tuple[Tensor, ...]:
        """Class numbers as a conditional model takes them: one for all, or one for each; nothing for any other."""
        if self.told is None:
            return ()
        if classes is None or len(classes) not in (1, n):
            raise InputError(f"a conditional model wants one class, or one for each of {n}")
        fits = bool(((classes >= 0) & (classes < len(self.told))).all())
        require(fits, f"classes go from 0 to {len(self.told) - 1}; there are {', '.join(self.told)}")
        y = torch.as_tensor(np.resize(classes, n), dtype=torch.int64)
        return (y.to(self.encoder.training_.device),)

    @torch.inference_mode()
    def decode(self, codes: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
        """(n, Z) -> the decoder's mean, uint8 (n, *image)."""
        bounded = bool((np.abs(codes) <= LARGEST_CODE).all())  # false for NaN, too
        require(bounded, f"codes must be finite numbers of at most {LARGEST_CODE:g}, positive or negative")
        z = torch.from_numpy(codes).to(self.encoder.training_.device)
        density = self.encoder.model_.decode(self.encoder.net_, z, *self.labels_of(classes, len(z)))
        return self.from_model(density.mean)

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
        """uint8 (n, *image) -> codes (n, Z) float32, the posterior mean."""
        x = self.tensor(pixels)
        return self.encoder.model_.encode(self.encoder.net_, x, *self.labels_of(classes, len(x))).mean.cpu().numpy()

    @torch.inference_mode()
    def classify(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (n, *image) -> p(class | image), (n, classes) float32. Raises InputError without a classifier."""
        if self.few is None:
            raise InputError("this run has no classifier; train one with latently train few-label")
        classifier: Classifier = self.few.classifier_
        seen = classifier.seen(self.few.features(self.as_source(pixels)))
        x = to_channels_first(seen).to(classifier.training_.device)
        return classifier.model_.classify(classifier.net_, x).log_probabilities.exp().cpu().numpy()

    @torch.inference_mode()
    def denoise(self, pixels: np.ndarray, level: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (n, *image) -> the same with noise of a level, and rebuilt from that, both uint8 (n, *image).

        Raises InputError for a model that has not learned it.
        """
        noisy = self.encoder.corrupt(self.as_source(pixels), level, seed)
        x = to_channels_first(noisy).to(self.encoder.training_.device)
        rebuilt = self.encoder.model_.denoise(self.encoder.net_, x).mean
        return self.from_model(x), self.from_model(rebuilt)

    # Among the points -------------------------------------------------------------------------------------------------

    @cached_property
    def probabilities(self) -> np.ndarray:
        """p(class | image) of every point, (N, classes) float32; slow for a convolutional classifier, so kept."""
        few = self.few
        if few is None:
            raise InputError("this run has no classifier; train one with latently train few-label")
        note(f"classifying {len(self.images):,} images ...")
        kept = Cache(self.run.path, self.images, few.classifier_.net_)
        return kept.of("probabilities", lambda: few.predict_proba(self.images.images))

    def neighbours(self, code: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The points whose codes are nearest to one (Z,), nearest first, and their distances, (n,) each."""
        places, distances = nearest(self.codes, code[None], min(n, len(self.codes)))
        return places[0], distances[0]

    def plane(self, name: str, dims: tuple[int, int] = (0, 1)) -> planes.Plane:
        """The points on a plane. Raises InputError for a plane that these codes have not."""
        require(name in self.plane_names, f"there is no plane {name[:40]!r}; there are {', '.join(self.plane_names)}")
        return planes.make(name, self.codes, dims, self.cache)

    def few_label_command(self, labels: Path) -> str:
        """What to type to train on the labels in a file."""
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
        if self.told is None:
            words += ["--encoder", str(self.run.path if self.few is None else self.run.path / "encoder")]
        return shlex.join([*words, "--labels", str(labels), "--out", f"{self.run.path}-classes"])


def to_bytes(x: np.ndarray) -> np.ndarray:
    """0..1 -> 0..255; what lies beyond is clipped, as in a picture."""
    return np.rint(np.clip(np.nan_to_num(x), 0, 1) * 255).astype(np.uint8)


def pixel_range(images: Images) -> tuple[float, float]:
    """What 0 and 255 stand for: bytes are as they are, floats within 0..1 likewise, others by their own range."""
    if images.dtype == np.uint8:
        return 0.0, 1.0
    low, high = float(images.min()), float(images.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, max(high, low + 1e-6))


def extent(marked: np.ndarray) -> np.ndarray:
    """(n, size) bools -> (n,): from the first mark to the last; 0 where there is none."""
    first, last = marked.argmax(1), marked.shape[1] - 1 - marked[:, ::-1].argmax(1)
    return np.where(marked.any(1), last - first + 1, 0)
