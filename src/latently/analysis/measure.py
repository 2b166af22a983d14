"""Every figure of a run: the cheap ones always, those that take their time where they are asked for."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latently import estimator
from latently.analysis.run_images import RunImages
from latently.common.console import errors_as_notes, note
from latently.common.errors import InputError, require
from latently.data import ImageSet
from latently.estimator import Autoencoder, Classifier
from latently.evaluation import samples
from latently.evaluation.codes import code_figures
from latently.evaluation.figures import COLLAPSE, evaluate
from latently.models import can
from latently.runs.folder import Run
from latently.training.watchers import Bar

MOST_SAMPLES = 10_000  # that are judged where no number is given
IMPORTANCE_SAMPLES = 500  # likewise
JUDGE_EPOCHS, JUDGE_STEPS = 4, 400  # at least; few images are seen the more often


@dataclass(frozen=True)
class OptionalFigures:
    """Figures that take their time. codes: what labels and neighbours make of them; samples: how many drawn images are
    judged; judge: the run of a classifier, None: the run's own; importance_samples: codes an image for the bound that
    is tighter; everything: all that the model can give."""

    codes: bool = False
    samples: int | None = None
    judge: Path | None = None
    importance_samples: int | None = None
    everything: bool = False

    def check(self) -> None:
        """Raise InputError for what cannot be asked for."""
        least = samples.NEIGHBOURS + 1
        require(
            self.samples is None or self.samples >= least, f"--samples is {self.samples}; expected {least} at least"
        )
        k = self.importance_samples
        require(k is None or k >= 2, f"--importance-samples is {k}; expected 2 at least")
        alone = self.judge is not None and self.samples is None and not self.everything
        require(not alone, "--judge is for samples; give --samples N beside it, 10000 say, or --all")


def measure(opened: RunImages, part: str, requested: OptionalFigures = OptionalFigures()) -> dict[str, Any]:
    """Figures of a part of the images as one dict. With `everything`, what the images cannot give is left out, with a
    note. Raises InputError where a figure was asked for by name that this run cannot give.
    """
    requested.check()
    fitted = opened.estimator
    has_codes = isinstance(fitted, Autoencoder)
    has_prior = has_codes and can(fitted.model_, "prior")
    k = requested.importance_samples
    if k is None and requested.everything and has_prior:
        k = IMPORTANCE_SAMPLES
    figures = opened.evaluate(part, k)
    if opened.is_own and part == "all":
        note("note: among these images are those that it was trained on, which flatters")
    if figures.get("collapsed"):
        note(f"note: {COLLAPSE}")
    images = opened.part(part)
    n = requested.samples or min(MOST_SAMPLES, len(images))
    figures |= if_requested(requested.codes, requested.everything and has_codes, lambda: measure_codes(opened, images))
    by_name = requested.samples is not None
    return figures | if_requested(
        by_name, requested.everything and has_prior, lambda: measure_samples(opened, images, n, requested.judge)
    )


def if_requested(by_name: bool, among_all: bool, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `compute` gives, if it is asked for."""
    with errors_as_notes(among_all=not by_name):
        return compute() if by_name or among_all else {}
    return {}


def measure_codes(opened: RunImages, images: ImageSet) -> dict[str, Any]:
    """What `code_figures` gives, fitted on the run's own training images."""
    fitted = require_autoencoder(opened, "codes")
    if not (images.labels >= 0).any():
        note("left out: probe, neighbours and clusters, which are judged by labels; these images carry none")
        return {}
    train = training_images(opened, images)
    codes = fitted.transform(train.images, train.label_names)
    judged = fitted.transform(images.images, images.label_names)
    return code_figures(codes, train.label_names, judged, images.label_names)


def measure_samples(opened: RunImages, images: ImageSet, n: int, judge: Path | None) -> dict[str, Any]:
    """What `judge_figures` gives of n samples against `images`; `judge_accuracy` on these; of a conditional model also
    `agreement`, the share of samples that the judge takes for what was asked for."""
    fitted = require_autoencoder(opened, "samples")
    has_prior = can(fitted.model_, "prior")
    require(has_prior, f"a plain autoencoder ({fitted.model_.name}) has no prior, so there are no samples to judge")
    train = training_images(opened, images)
    place, classifier = load_or_train_judge(opened, train, judge)
    drawn, asked = samples.drawn_images(fitted, n, train.label_names)
    if images.images.dtype == np.uint8:
        drawn = drawn.clip(0, 1)  # what a gaussian likelihood says beyond black and white is no pixel
    some = np.random.default_rng(0).permutation(len(train))[:n]
    figures: dict[str, Any] = {"n_samples": n, "judge": str(place)}
    if (images.labels >= 0).any():
        figures |= {"judge_accuracy": evaluate(classifier, images.images, images.label_names)["accuracy"]}
    figures |= samples.judge_figures(classifier, images.images, drawn, train.images[some])
    if asked is not None:
        figures |= {"agreement": evaluate(classifier, drawn, asked)["accuracy"]}
    return figures


def load_or_train_judge(opened: RunImages, train: ImageSet, given: Path | None) -> tuple[Path, Classifier]:
    """The classifier that is given; else the run's own, which is trained where it is not there yet."""
    run, place = opened.run.path, given or opened.run.path / "judge"
    device = opened.estimator.training_.device
    if given or Run(place).finished:
        try:
            found = estimator.load(place, device)
        except InputError as error:
            if given:
                raise
            what = str(error).rpartition("; ")[0]
            raise InputError(f"{what}; remove {place}, and a new judge is trained") from None
        isa = isinstance(found, Classifier)
        require(isa, f"--judge is {place}, of the kind {found.kind}; expected the run of latently train classifier")
        have, want = found.image_shape_, opened.estimator.image_shape_
        require(have == want, f"--judge is {place}, trained on images of shape {have}; those of {run} are {want}")
        return place, found
    classes = np.unique(train.labels[train.labels >= 0])
    none = f"samples are judged by a classifier, and the training images of {run} carry no labels to train one by"
    require(len(classes) >= 2, f"{none}; give --judge, the run of a classifier of such images")
    judge = Classifier(device=device, random_state=0)
    judge.epochs = max(JUDGE_EPOCHS, math.ceil(JUDGE_STEPS / math.ceil(len(train) / judge.batch_size)))
    told = f"on {len(train):,} images for {judge.epochs} epochs"
    note(f"training a judge, our default classifier, {told}; it stays in {place}")
    try:
        with Bar() as bar:
            return place, judge.fit(train.images, train.label_names, run=Run(place), watchers=[bar])
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{place} keeps the judge as far as it has come; the same command goes on") from None


def require_autoencoder(opened: RunImages, what: str) -> Autoencoder:
    """Raises InputError for a run that has none of this."""
    run, encoder = opened.run.path, opened.run.path / "encoder"
    advice = f"ask for those of {encoder}" if encoder.exists() else "leave the flag out"
    require(isinstance(opened.estimator, Autoencoder), f"{run} is a classifier and has no {what}; {advice}")
    return opened.estimator


def training_images(opened: RunImages, judged: ImageSet) -> ImageSet:
    """The run's own; of a model that is told classes the labelled ones, as in its training. Raises InputError where
    judged ones are among them."""
    own = opened if opened.is_own else RunImages(opened.run.path, None, "cpu")
    train = own.part("train")
    apart = not opened.is_own or not np.isin(judged.names, train.names).any()
    flattered = f"{opened.run.path} was trained on images that are to be judged now, which would flatter its figures"
    require(apart, f"{flattered}; give another --part, or train with a split that keeps test images apart")
    return train
