"""All metrics of a run: the cheap ones always, the expensive ones on request."""

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
from latently.data import ImageSet, unit
from latently.estimator import Autoencoder, Classifier
from latently.evaluation import samples
from latently.evaluation.codes import baseline_figures, code_figures
from latently.evaluation.figures import collapse_sentence, evaluate
from latently.evaluation.verdict import verdict
from latently.models import can
from latently.runs.folder import Run
from latently.training.watchers import Bar

MOST_SAMPLES = 10_000  # evaluated if no number is given
MOST_BASELINE_PIXELS = 50_000_000  # of training images beside whose codes pixels are evaluated; MNIST has 43 million
IMPORTANCE_SAMPLES = 500  # if no number is given
JUDGE_EPOCHS, JUDGE_STEPS = 4, 400  # minimum; with few images there are more epochs


@dataclass(frozen=True)
class OptionalFigures:
    """Expensive metrics to compute. codes: evaluate codes by labels; samples: how many samples to evaluate; judge: run
    folder of a classifier, None: the run's own; importance_samples: samples of z per image for the tighter bound;
    everything: all that the model supports."""

    codes: bool = False
    samples: int | None = None
    judge: Path | None = None
    importance_samples: int | None = None
    everything: bool = False

    def check(self) -> None:
        """Raise InputError for values out of range and flags that do not fit together."""
        least = samples.NEIGHBOURS + 1
        require(
            self.samples is None or self.samples >= least, f"--samples is {self.samples}; expected at least {least}"
        )
        k = self.importance_samples
        require(k is None or k >= 2, f"--importance-samples is {k}; expected at least 2")
        alone = self.judge is not None and self.samples is None and not self.everything
        require(not alone, "--judge evaluates samples; also give --samples N (10000, for example), or --all")


def measure(opened: RunImages, part: str, requested: OptionalFigures = OptionalFigures()) -> dict[str, Any]:
    """Metrics on a part of the images as one dict. With `everything`, metrics that these images do not allow are left
    out, with a note. Raises InputError if a metric was requested by name and this run does not support it.
    """
    requested.check()
    fitted = opened.estimator
    has_codes = isinstance(fitted, Autoencoder)
    has_prior = has_codes and can(fitted.model_, "prior")
    draws = has_codes and samples.judged_sampler(fitted) is not None
    k = requested.importance_samples
    if k is None and requested.everything and has_prior:
        k = IMPORTANCE_SAMPLES
    figures = opened.evaluate(part, k)
    if opened.is_own and part == "all":
        note("note: these images include its training images, so the metrics are optimistic")
    images = opened.part(part)
    if figures.get("collapsed"):
        note(f"note: {collapse_sentence(images.images)}")
    n = requested.samples or min(MOST_SAMPLES, len(images))
    figures |= if_requested(requested.codes, requested.everything and has_codes, lambda: measure_codes(opened, images))
    by_name = requested.samples is not None
    return figures | if_requested(
        by_name, requested.everything and draws, lambda: measure_samples(opened, images, n, requested.judge)
    )


def if_requested(by_name: bool, among_all: bool, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of `compute`, if requested."""
    with errors_as_notes(among_all=not by_name):
        return compute() if by_name or among_all else {}
    return {}


def measure_codes(opened: RunImages, images: ImageSet) -> dict[str, Any]:
    """`code_figures`, fitted on the run's own training images, beside those of pixels and principal components."""
    fitted = require_autoencoder(opened, "codes")
    if not (images.labels >= 0).any():
        note("left out: probe, neighbours and clusters, which need labels; these images have none")
        return {}
    train = training_images(opened, images)
    codes = fitted.features(train.images, train.label_names)
    judged = fitted.features(images.images, images.label_names)
    figures = code_figures(codes, train.label_names, judged, images.label_names)
    n_pixels = math.prod(train.images.shape)
    if n_pixels > MOST_BASELINE_PIXELS:
        note(f"left out: pixels and principal components beside the codes; {n_pixels:,} pixels are too many")
        return figures
    pixels, others = (unit(np.asarray(each.images)).reshape(len(each), -1) for each in (train, images))
    figures |= baseline_figures(pixels, train.label_names, others, images.label_names, codes.shape[1])
    note(f"note: {verdict(figures)}")
    return figures


def measure_samples(opened: RunImages, images: ImageSet, n: int, judge: Path | None) -> dict[str, Any]:
    """`judge_figures` of n samples against `images`; `judge_accuracy` on these; for one that is asked for classes also
    `agreement`, the fraction of samples that the judge classifies as the requested class."""
    fitted = require_autoencoder(opened, "samples")
    sampler = samples.judged_sampler(fitted)
    none = f"a plain autoencoder ({fitted.model_.name}) has no prior, so there are no samples to evaluate"
    require(sampler is not None, f"{none}; learn one: latently train prior RUN")
    train = training_images(opened, images)
    place, classifier = load_or_train_judge(opened, train, judge)
    drawn, asked = samples.drawn_images(fitted, n, train.label_names)
    if images.images.dtype == np.uint8:
        drawn = drawn.clip(0, 1)  # means of a Gaussian likelihood can lie outside the pixel range
    some = np.random.default_rng(0).permutation(len(train))[:n]
    figures: dict[str, Any] = {"n_samples": n, "sampler": sampler, "judge": str(place)}
    if (images.labels >= 0).any():
        figures |= {"judge_accuracy": evaluate(classifier, images.images, images.label_names)["accuracy"]}
    figures |= samples.judge_figures(classifier, images.images, drawn, train.images[some])
    if asked is not None:
        figures |= {"agreement": evaluate(classifier, drawn, asked)["accuracy"]}
    return figures


def load_or_train_judge(opened: RunImages, train: ImageSet, given: Path | None) -> tuple[Path, Classifier]:
    """The given classifier, or else the run's own, which is trained if it is missing."""
    run, place = opened.run.path, given or opened.run.path / "judge"
    device = opened.estimator.training_.device
    if given or Run(place).finished:
        try:
            found = estimator.load(place, device)
        except InputError as error:
            if given:
                raise
            what = str(error).rpartition("; ")[0]
            raise InputError(f"{what}; remove {place} to train a new judge") from None
        isa = isinstance(found, Classifier)
        require(isa, f"--judge is {place}, of kind {found.kind}; expected a run of latently train classifier")
        have, want = found.image_shape_, opened.estimator.image_shape_
        require(have == want, f"--judge is {place}, trained on images of shape {have}; those of {run} have {want}")
        return place, found
    classes = np.unique(train.labels[train.labels >= 0])
    none = f"samples are evaluated with a classifier, and the training images of {run} have no labels to train one"
    require(len(classes) >= 2, f"{none}; give --judge, a run of a classifier of such images")
    judge = Classifier(device=device, random_state=0)
    judge.epochs = max(JUDGE_EPOCHS, math.ceil(JUDGE_STEPS / math.ceil(len(train) / judge.images_per_step)))
    told = f"on {len(train):,} images for {judge.epochs} epochs"
    note(f"training a judge, our default classifier, {told}; it is saved in {place}")
    try:
        with Bar() as bar:
            return place, judge.fit(train.images, train.label_names, run=Run(place), watchers=[bar])
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the checkpoint of the judge is in {place}; the same command continues") from None


def require_autoencoder(opened: RunImages, what: str) -> Autoencoder:
    """Raises InputError for a run without an autoencoder."""
    run, encoder = opened.run.path, opened.run.path / "encoder"
    advice = f"use its encoder, {encoder}" if encoder.exists() else "leave the flag out"
    require(isinstance(opened.estimator, Autoencoder), f"{run} is a classifier, which has no {what}; {advice}")
    return opened.estimator


def training_images(opened: RunImages, judged: ImageSet) -> ImageSet:
    """The run's own training images; for a conditional model the labelled ones, as in its training. Raises InputError
    if they overlap with the images to evaluate on."""
    own = opened if opened.is_own else RunImages(opened.run.path, None, "cpu")
    train = own.part("train")
    apart = not opened.is_own or not np.isin(judged.names, train.names).any()
    flattered = f"{opened.run.path} was trained on some of these images, so its metrics would be optimistic"
    require(apart, f"{flattered}; give another --part, or train with a split that has test images")
    return train
