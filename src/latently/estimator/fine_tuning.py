"""A classifier that begins as an encoder with a linear head, and learns from unlabelled images by consistency.

The head is fitted first, so that the first steps do not undo the encoder (Kumar et al. 2022).
"""

from typing import Any, cast

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from latently.common.console import good_enough
from latently.data import Images
from latently.estimator.autoencoder import Autoencoder
from latently.estimator.classifier import Classifier, balanced
from latently.estimator.lesson import Lesson, at_least
from latently.estimator.linear_head import MOST_STEPS, as_softmax
from latently.models import FeedForward, FixMatch, can
from latently.models.networks import EncoderDecoder
from latently.training.inference import tensor_shape

STRENGTH = 0.01  # C of the head's logistic regression on standardised features
IMAGES_PER_EPOCH = 50_000  # at least, labelled or not: its four epochs then take some 1,500 steps


def can_begin(model: Any) -> bool:
    """Whether a classifier can begin as an encoder of this model: one of features, whose layers are named in words."""
    return can(model, "trunk") and isinstance(model.network.encoder, str)


def linear_head(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (classes, d) and biases (classes,) of a softmax over features (n, d), standardised before they are
    punished. labels: (n,), -1 = unlabelled."""
    scaler, known = StandardScaler().fit(features), labels >= 0
    with good_enough():
        head = LogisticRegression(C=STRENGTH, max_iter=MOST_STEPS).fit(scaler.transform(features[known]), labels[known])
    slopes, biases = as_softmax(head)
    slopes = slopes / scaler.scale_
    return slopes, biases - slopes @ scaler.mean_


def linear_classes(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Class indices (n,) by such a head."""
    slopes, biases = linear_head(features, labels)
    return np.asarray((features @ slopes.T + biases).argmax(1))


def lesson(classifier: Classifier, encoder: Autoencoder, X: Images, labels: np.ndarray) -> Lesson:
    """All images X, and the classifier as one that begins as `encoder`, with a head on what its last layer gives."""
    own, parts = classifier.model or FeedForward(), cast(EncoderDecoder, encoder.net_)
    body = encoder.model_.trunk(tensor_shape(encoder.image_shape_))
    model = FixMatch(**(own.get_params(deep=False) | {"trunk": body}))
    compared = encoder.transform(X)[:, : encoder.feature_dim]  # the first part of the code
    slopes, biases = (torch.as_tensor(each, dtype=torch.float32) for each in linear_head(compared, labels))
    encoded = {name: value.clone() for name, value in parts.encoder.state_dict().items()}

    @torch.no_grad()
    def begin(net: Any) -> None:
        net.trunk.load_state_dict(encoded)
        net.head.weight.copy_(slopes)
        net.head.bias.copy_(biases)

    classifier.set_params(model=model)
    return Lesson(np.arange(len(labels)), labels, repeats(labels), classifier, begin)


def repeats(labels: np.ndarray) -> np.ndarray:
    """How often each image comes in an epoch, (n,), labelled or not."""
    return at_least(IMAGES_PER_EPOCH, balanced(labels))
