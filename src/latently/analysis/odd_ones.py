"""The odd ones among images, by a run, with p-values from images that it did not learn from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latently import pictures
from latently.analysis.run_images import RunImages
from latently.common.errors import InputError, require
from latently.data import ImageSet
from latently.estimator import Autoencoder
from latently.estimator.anomalies import Way, fitted_way, p_values
from latently.pictures import Figure

DRAWN = 20  # images in a picture


@dataclass(frozen=True)
class OddOnes:
    """Scores of images (N,), the lowest the oddest; their conformal p-values (N,), if the run has validation images;
    and the share of normal images that may be called odd, if one was given."""

    images: ImageSet
    way: Way
    scores: np.ndarray
    p_values: np.ndarray | None
    false_alarms: float | None

    @property
    def odd(self) -> np.ndarray | None:
        """(N,) bool"""
        return None if self.false_alarms is None or self.p_values is None else self.p_values <= self.false_alarms

    def columns(self) -> dict[str, np.ndarray]:
        """Scores, p-values and what is odd, as far as they are there, in the order of the images."""
        told = {self.way.column: self.scores, "p_value": self.p_values, "odd": self.odd}
        return {name: values for name, values in told.items() if values is not None}

    @property
    def order(self) -> np.ndarray:
        """The oddest first."""
        return self.scores.argsort(kind="stable")

    def picture(self, n: int = DRAWN) -> Figure:
        """The n oddest images, and below each a map of where it is odd."""
        worst = self.order[:n]
        images, names = self.images.images[worst], self.images.names[worst]
        told = self.scores if self.p_values is None else self.p_values
        numbers = [f"{'' if self.p_values is None else 'p '}{value:.2g}" for value in told[worst]]
        captions = [f"{name}\n{number}" for name, number in zip(names, numbers, strict=True)]
        title = f"The oddest of {len(self.images):,} images, by {self.way.name}"
        maps = np.sqrt(self.way.maps(images, self.images.label_names[worst]))  # from squares to pixels
        return pictures.with_maps(self.way.autoencoder.seen(images), maps, captions, title)

    def summary(self) -> str:
        """How it was scored, and how many are odd, in a sentence."""
        by = f"scored by {self.way.name}"
        if self.odd is None or self.false_alarms is None:
            return by
        n, alarms = len(self.images), self.false_alarms * len(self.images)
        return (
            f"{by}; {self.odd.sum():,} of {n:,} images are marked odd; of so many ordinary ones {alarms:,.0f} would be"
        )


def odd_ones(opened: RunImages, images: ImageSet, by: str = "auto", false_alarms: float | None = None) -> OddOnes:
    """Score `images` beside the training images of a run.

    by: a way of estimator/anomalies.py, or auto; where the run's own images are gone, auto is the error of the
    reconstruction. Raises InputError where `by` needs images that are gone, and for fewer false alarms than the
    validation images can tell.
    """
    path, own = opened.run.path, own_images(opened)
    n_held_out = 0 if own is None else len(own.split.validation)
    few = f"{path} has {n_held_out:,} validation images, too few for --false-alarms {false_alarms}"
    enough = false_alarms is None or false_alarms * (n_held_out + 1) >= 1
    require(enough, f"{few}; give a larger number, or train with more images")
    way = way_of(opened.run.path, opened.estimator, own, by)
    scores, p = way.scores(images.images, images.label_names), None
    if own is not None and n_held_out:
        held_out = own.part("validation")
        p = p_values(scores, way.scores(held_out.images, held_out.label_names))
    return OddOnes(images, way, scores, p, false_alarms)


def way_of(path: Path, autoencoder: Autoencoder, own: RunImages | None, by: str = "auto") -> Way:
    """How a run at `path` scores images: `by`, beside the training images of `own`; where these are gone, auto is the
    error of the reconstruction. Raises InputError where `by` needs images that are gone."""
    if own is None:
        gone = f"--by {by} compares with the images that {path} learned from, and they are not where they were"
        require(by in ("auto", "elbo", "error"), f"{gone}; give --by error")
        return fitted_way("error" if by == "auto" else by, autoencoder, None)
    normal = own.part("train")
    return fitted_way(by, autoencoder, normal.images, normal.label_names)


def own_images(opened: RunImages) -> RunImages | None:
    """The run with its own images, or None where they are gone, have changed, or were an array in Python."""
    if opened.is_own:
        return opened
    own = RunImages(opened.run.path, None, opened.estimator.trained_.device)
    try:
        return own if own.is_own else None
    except InputError:
        return None
