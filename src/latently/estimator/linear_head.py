"""A linear classifier of features, as a network that a run folder holds.

loss = -1/n sum_i log p(y_i | W f_i + b) + |W|^2 / (2 C n): multinomial logistic regression with C = 1 on features of
unit length. scikit-learn finds its minimum, at which the network begins; the loop finds nothing left to gain.
"""

from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from latently.estimator.classifier import Classifier
from latently.estimator.lesson import Lesson, default_classifier
from latently.models import FeedForward
from latently.models.networks import Trunk

STRENGTH = 1.0  # C; from 0.5 to 3 it makes no difference on 50 to 1,000 labels of CIFAR-10
MOST_STEPS = 1000


def weights(features: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """W (classes, d) and b (classes,) of a softmax over features (n, d). labels: (n,), -1 = unlabelled."""
    known = labels >= 0
    head = LogisticRegression(C=strength, max_iter=MOST_STEPS).fit(features[known], labels[known])
    if len(head.coef_) > 1:
        return head.coef_, head.intercept_
    half, offset = head.coef_ / 2, head.intercept_ / 2  # of two classes, it gives the log odds of the second
    return np.concatenate([-half, half]), np.concatenate([-offset, offset])


def classes(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Class indices (n,) of features (n, d), by the labels that are known."""
    slopes, offsets = weights(features, labels, STRENGTH)
    return np.asarray((features @ slopes.T + offsets).argmax(1))


def lesson(classifier: Classifier, features: np.ndarray, labels: np.ndarray) -> Lesson:
    """The labelled images, and `classifier` as a linear one. Its settings are those that suit it, but for those that
    differ from the default classifier's, which somebody chose."""
    usual, labelled = default_classifier(), np.flatnonzero(labels >= 0)
    suited: dict[str, Any] = {"optimiser": "adam", "lr": 1e-4, "weight_decay": 1 / (STRENGTH * len(labelled))}
    own = {name: value for name, value in suited.items() if getattr(classifier, name) == getattr(usual, name)}
    given = classifier.model or FeedForward()
    trunk = Trunk(f"reshape({features.shape[1]}, 1, 1)")  # the features as they are
    classifier.set_params(model=FeedForward(**(given.get_params(deep=False) | {"trunk": trunk})), **own)
    slopes, offsets = (torch.as_tensor(each, dtype=torch.float32) for each in weights(features, labels, STRENGTH))

    @torch.no_grad()
    def begin(net: Any) -> None:
        net.head.weight.copy_(slopes)
        net.head.bias.copy_(offsets)

    return Lesson(labelled, labels[labelled], np.ones(len(labelled), dtype=int), classifier, begin)
