"""A linear classifier of features, as a network that a run folder holds: few labels are given to all images first.

An image and its nearest neighbours are mostly of one class. So a teacher learns from the labelled images in features f
that are smoothed over the graph W of nearest neighbours, D its degrees (simple graph convolution, Wu et al. 2019, by a
lazy walk):

    f <- f' / |f'|,  f' = (1 - a) f + a D^-1 W f,   twice
    teacher: the minimum of  -sum_labelled log p(y_i | f_i) + |V|^2 / 2

A new image has no neighbours, so what is kept is a student of the features as they are. It learns the labels y and the
teacher's classes t of the other images, both with half the weight:

    loss = -1/2 mean_labelled log p(y_i | W f_i + b) - 1/2 mean_others log p(t_i | W f_i + b) + |W|^2 / (2 S)

scikit-learn finds its minimum, at which the network begins; the loop finds nothing left to gain.
"""

from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from latently.common.console import good_enough
from latently.estimator.classifier import Classifier
from latently.estimator.label_spreading import TINY, similarities
from latently.estimator.lesson import Lesson, default_classifier
from latently.models import FeedForward
from latently.models.networks import Trunk

LAZINESS = 0.7  # a, the part of a smoothed feature that is the neighbours'; measured in docs/log.md, as the two below
TIMES_SMOOTHED = 2
STRENGTH = 10_000.0  # S, of the student's penalty
MOST_STEPS = 1000


def smoothed(features: np.ndarray) -> np.ndarray:
    """Features (n, d), each moved towards those of its nearest neighbours. -> (n, d) of unit length"""
    graph = similarities(features)
    degrees = np.asarray(graph.sum(1)).ravel()
    walk = sparse.diags(1 / np.maximum(degrees, TINY)) @ graph  # D^-1 W
    for _ in range(TIMES_SMOOTHED):
        features = (1 - LAZINESS) * features + LAZINESS * (walk @ features)
        features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), TINY)
    return features


def taught(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Class indices (n,) of features (n, d): the labels where these are known, -1 = unlabelled, else the teacher's."""
    known, seen = labels >= 0, smoothed(features)
    with good_enough():
        teacher = LogisticRegression(max_iter=MOST_STEPS).fit(seen[known], labels[known])
    return np.where(known, labels, teacher.predict(seen))


def student(features: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> LogisticRegression:
    """Of features (n, d), the labels (n,), -1 = unlabelled, and the teacher's classes (n,)."""
    known = labels >= 0
    weights = np.where(known, 0.5 / known.sum(), 0.5 / max((~known).sum(), 1))
    with good_enough():
        return LogisticRegression(C=STRENGTH, max_iter=MOST_STEPS).fit(features, classes, sample_weight=weights)


def as_softmax(head: LogisticRegression) -> tuple[np.ndarray, np.ndarray]:
    """W (classes, d) and b (classes,) of a fitted logistic regression, which has one row for two classes."""
    if len(head.coef_) > 1:
        return head.coef_, head.intercept_
    half, offset = head.coef_ / 2, head.intercept_ / 2  # of the log odds of the second class
    return np.concatenate([-half, half]), np.concatenate([-offset, offset])


def classes(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Class indices (n,) of features (n, d) by the student, from the labels that are known, -1 = unlabelled."""
    return np.asarray(student(features, labels, taught(features, labels)).predict(features))


def lesson(classifier: Classifier, features: np.ndarray, labels: np.ndarray) -> Lesson:
    """All images, and `classifier` as a linear one. Its settings are those that suit it, but for those that differ from
    the default classifier's, which somebody chose."""
    usual, known = default_classifier(), labels >= 0
    suited: dict[str, Any] = {"optimiser": "adam", "lr": 1e-4, "weight_decay": 1 / STRENGTH}
    own = {name: value for name, value in suited.items() if getattr(classifier, name) == getattr(usual, name)}
    given = classifier.model or FeedForward()
    trunk = Trunk(f"reshape({features.shape[1]}, 1, 1)")  # the features as they are
    classifier.set_params(model=FeedForward(**(given.get_params(deep=False) | {"trunk": trunk})), **own)
    all_classes = taught(features, labels)
    slopes, offsets = map(torch.from_numpy, as_softmax(student(features, labels, all_classes)))

    @torch.no_grad()
    def begin(net: Any) -> None:
        net.head.weight.copy_(slopes)
        net.head.bias.copy_(offsets)

    evenly = np.where(known, max(round((~known).sum() / known.sum()), 1), 1)
    return Lesson(np.arange(len(labels)), all_classes, evenly, classifier, begin)
