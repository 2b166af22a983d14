"""What a few-label classifier learns from, and the trial that decides it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.model_selection import train_test_split
from torch import nn

from latently.common.errors import require
from latently.common.files import input_errors_for, read_json, write_json
from latently.estimator.classifier import Classifier
from latently.models import FeedForward
from latently.runs.folder import TRIAL_FILE, Run

LEAST_TRIED = 10  # labels that are held out for a trial; fewer tell nothing
CLEAR = 2.0  # standard errors; with one, a single image of 20 decides, and digits lose seven points by chance
MOST_REPEATS = 20  # of a labelled image in an epoch of a `Classifier`: given labels are more reliable
LEAST_IMAGES = 20_000  # in such an epoch; if there are fewer, they are repeated


def default_classifier() -> Classifier:
    return Classifier(epochs=4)


def is_open(classifier: Any) -> bool:
    """Whether it is a network whose layers are left open."""
    if not (isinstance(classifier, Classifier) and isinstance(classifier.model, FeedForward | None)):
        return False
    return classifier.model is None or not classifier.model.trunk.layers


@dataclass(frozen=True)
class Lesson:
    """images: (n,) indices; classes: (n,) class indices, -1 where the classifier is to find out; repeats: (n,), how
    often each comes in an epoch; begin: sets the weights of its network before the first step."""

    images: np.ndarray
    classes: np.ndarray
    repeats: np.ndarray
    classifier: Any
    begin: Callable[[nn.Module], None] | None = None


@dataclass(frozen=True)
class Trial:
    """Whether classes that were found with the help of unlabelled images, and a classifier of the given labels alone,
    are right on labels that neither saw: (n,) bools each."""

    helped: np.ndarray
    alone: np.ndarray

    @property
    def is_harmful(self) -> bool:
        """Whether the unlabelled images make more errors, by more than `CLEAR` standard errors of the difference.

        >>> Trial(np.array([True, False, False, False]), np.array([True, True, True, True])).is_harmful
        True
        >>> Trial(np.array([True, False, True, False]), np.array([True, True, False, False])).is_harmful
        False
        """
        difference = self.alone.astype(float) - self.helped
        return bool(difference.mean() > CLEAR * difference.std(ddof=1) / math.sqrt(len(difference)))

    def write(self, run: Run) -> None:
        write_json(run.path / TRIAL_FILE, {"helped": self.helped.tolist(), "alone": self.alone.tolist()})

    @classmethod
    def of_run(cls, run: Run) -> Self | None:
        """None where none was made, or not yet. Raises InputError if the file is damaged."""
        path = run.path / TRIAL_FILE
        if not path.exists():
            return None
        kept = read_json(path)
        with input_errors_for(path):
            trial = cls(np.array(kept["helped"]), np.array(kept["alone"]))
            same = trial.helped.shape == trial.alone.shape and trial.helped.dtype == trial.alone.dtype == bool
            require(same and trial.helped.ndim == 1, "expected true and false, as many helped as alone")
        return trial

    def __str__(self) -> str:
        """`on 200 labels held out, the codes of all images are right on 63.0 %, a classifier ... on 67.3 %`"""
        return (
            f"on {len(self.alone):,} labels held out, the codes of all images are right on "
            f"{100 * self.helped.mean():.1f} %, a classifier of the other labels alone on "
            f"{100 * self.alone.mean():.1f} %"
        )


def trial_split(labels: np.ndarray, n_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Which labelled images a trial learns from, and which fifth it judges by; labels: (n,), -1 = unlabelled.

    None where that fifth would hold fewer than `LEAST_TRIED` labels, or not every class."""
    labelled = np.flatnonzero(labels >= 0)
    n_held = len(labelled) // 5
    if n_held < max(LEAST_TRIED, n_classes) or np.bincount(labels[labelled]).min() < 2:
        return None
    kept, held = train_test_split(labelled, test_size=n_held, stratify=labels[labelled], random_state=seed)
    return kept, held


def require_one_way(spread: float | str, consistency: bool | str, class_shares: str) -> None:
    """Raise InputError for settings of which one would not be heeded."""
    both = consistency is True and spread not in ("auto", 0)
    require(not both, f"spread is {spread}, and consistency True: labels spread by either; leave out one")
    unheeded = class_shares == "equal" and (spread == 0 or consistency is True)
    require(not unheeded, "class_shares is equal, but no label spreads with spread 0 or consistency; leave out one")


def learns_by_itself(classifier: Any, spread: float | str, consistency: bool | str) -> bool:
    """Whether it is a classifier whose model learns from unlabelled images without help, as M2 does. Raises InputError
    if it is given help."""
    model = getattr(classifier, "model", None)
    if not getattr(model, "learns_from_unlabelled", False):
        return False
    helped = spread not in ("auto", 0) or consistency is True
    asked = f"spread is {spread}, and consistency {consistency}"
    require(not helped, f"{asked}, but a {getattr(model, 'name', 'model')} learns from unlabelled images itself")
    return True


def propagated(
    labels: np.ndarray, taught: np.ndarray, spread: float, classifier: Any, certainty: np.ndarray | None = None
) -> Lesson:
    """The labelled images, and a fraction `spread` of the others of each class of `taught`, the most certain: of all at
    once, few would be of a class of which little is certain."""
    labelled, unlabelled = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    surest = unlabelled[:0]
    if certainty is not None:
        sorted_ = unlabelled[np.argsort(-certainty[unlabelled], kind="stable")]
        by_class = [sorted_[taught[sorted_] == each] for each in np.unique(taught[unlabelled])]
        surest = np.concatenate([each[: round(spread * len(each))] for each in by_class])
    chosen = np.concatenate([labelled, surest])
    classes = np.where(labels >= 0, labels, taught)[chosen]
    return Lesson(chosen, classes, repeats(len(labelled), len(surest)), classifier)


def repeats(n_labelled: int, n_surest: int) -> np.ndarray:
    """How often an epoch holds each labelled image, and then each with a propagated label."""
    evenly = round(n_surest / n_labelled)  # as many given labels as propagated ones
    once = np.repeat([min(max(evenly, 1), MOST_REPEATS), 1], [n_labelled, n_surest])
    return at_least(LEAST_IMAGES, once)


def at_least(n_images: int, repeats: np.ndarray) -> np.ndarray:
    """Repeats (n,), all multiplied until an epoch holds about so many images."""
    return np.asarray(repeats * max(1, round(n_images / repeats.sum())))
