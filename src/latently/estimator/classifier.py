"""The classifier of images as a scikit-learn classifier.

>>> from sklearn.datasets import load_digits
>>> from latently import Classifier, FeedForward, Trunk
>>> digits = load_digits()
>>> classifier = Classifier(FeedForward(Trunk("dense(64)")), epochs=30, random_state=0)
>>> bool(classifier.fit(digits.images[:1000] / 16, digits.target[:1000]).score(digits.images / 16, digits.target) > 0.9)
True
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_consistent_length
from torch import nn

from latently.common.errors import require
from latently.common.settings import NonNegative, Positive
from latently.data import Images, taken
from latently.data.classes import as_labels, class_indices, encode_labels, is_missing
from latently.estimator.base import ImageEstimator
from latently.estimator.inputs import labelled_pair
from latently.models import FeedForward, Model
from latently.runs.folder import Run
from latently.training.distributed import SINGLE_PROCESS, Processes
from latently.training.settings import OptimiserName
from latently.training.state import Watcher

UNLABELLED_PER_LABELLED = 4  # images in an epoch, of a model that learns from both


class ClassPredictor(ClassifierMixin):  # type: ignore[misc]  # scikit-learn has no types
    """Common interface of the image classifiers."""

    classes_: np.ndarray

    if TYPE_CHECKING:

        def predict(self, X: Any) -> np.ndarray: ...

        def predict_proba(self, X: Any) -> np.ndarray: ...

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy on the labelled images. Raises InputError if none has a label."""
        check_consistent_length(X, y)
        y = as_labels(y)
        labelled = ~is_missing(y)
        require(bool(labelled.any()), "none of these images carries a label, so there is nothing to judge by")
        right = self.label_codes(self.predict(X)) == self.label_codes(y)
        weight = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(np.average(right[labelled], weights=weight))

    def label_codes(self, y: Any) -> np.ndarray:
        """Labels as indices into `classes_`, (n,) int64; -1 if missing or not of a fitted class."""
        return class_indices(y, self.classes_)


def balanced(codes: np.ndarray) -> np.ndarray:
    """How often each image comes in an epoch in which a fifth of all are labelled (Sohn et al. 2020 take an eighth).

    codes: class indices (n,), -1 = unlabelled. -> (n,) ints

    >>> balanced(np.array([0, 1] + 16 * [-1])).tolist()
    [2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    known = codes >= 0
    n_times = round((~known).sum() / UNLABELLED_PER_LABELLED / known.sum())
    return np.where(known, max(n_times, 1), 1)


@dataclass(eq=False, repr=False)
class Classifier(ClassPredictor, ImageEstimator):
    """A network that learns classes of images from labels.

    X is (n, h, w), (n, h, w, c) or (n, features): uint8 0..255 is scaled to 0..1, other numbers are used unchanged, as
    float32. y holds labels, numbers or names; images whose label is missing (-1, NaN, None or empty) are left out.

    Parameters: `model` (default `FeedForward()`, which augments images), `random_state`, and every setting of
    `Training`, some with other defaults (docs/log.md: what was tried).

    After fit: `classes_`, `net_`, `model_`, `history_` (a dict per epoch), `image_shape_`, `training_`,
    `n_features_in_`.
    """

    kind: ClassVar[str] = "classifier"
    usual_epochs: ClassVar[int] = 15
    least_steps: ClassVar[int] = 300

    optimiser: OptimiserName = field(default="auto", kw_only=True)
    lr: Positive | Literal["auto"] = field(default="auto", kw_only=True)
    weight_decay: NonNegative = field(default=0.01, kw_only=True)

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        repeats: Any = None,
        begin: Callable[[nn.Module], None] | None = None,
        validation: tuple[Any, Any] | None = None,
        run: Run | None = None,
        watchers: Sequence[Watcher] = (),
        processes: Processes = SINGLE_PROCESS,
    ) -> Self:
        """Train the model on the labelled images of X; on all of them, if it learns from unlabelled ones, too.

        repeats: (n,) ints, how often each image comes in an epoch; None: once, but where unlabelled images are learned
        from, a fifth are labelled. begin: sets the weights of the network before the first step. validation: images and
        labels for validation metrics and `patience`. run, watchers, processes: as in `Autoencoder.fit`. Raises
        InputError (a ValueError) for labels of fewer than two classes.
        """
        check_consistent_length(y, repeats)
        images, codes = self._learnable(X, y)
        if repeats is not None:
            repeats = np.asarray(repeats)[self._learned(class_indices(y, self.classes_))]
        elif self.model_.learns_from_unlabelled:
            repeats = balanced(codes)
        members = None if repeats is None else np.repeat(np.arange(len(images)), repeats)
        held_out = None if validation is None else self._held_out(*labelled_pair(validation))
        return self._fit_net(images, codes, held_out, run, watchers, processes, members, begin)

    def _learnable(self, X: Any, y: Any) -> tuple[Images, np.ndarray]:
        images = self._prepare(X)
        check_consistent_length(images, y)
        self.classes_, codes = encode_labels(y)
        learned = self._learned(codes)
        return taken(images, learned), codes[learned]

    def _learned(self, codes: np.ndarray) -> np.ndarray:
        """Which images are learned from, (n,) bool, by class indices, -1 = unlabelled."""
        return np.asarray((codes >= 0) | self.model_.learns_from_unlabelled)

    def _held_out(self, X: Any, y: Any) -> tuple[Images, np.ndarray]:
        images, codes = self._pixels(X), self.label_codes(y)
        check_consistent_length(images, codes)
        none = "the validation images carry no label of a class that is trained on"
        require(bool((codes >= 0).any()), f"{none}: give others, or none (--split all)")
        return taken(images, codes >= 0), codes[codes >= 0]

    def _default_model(self) -> Model:
        return FeedForward()

    def _n_classes(self) -> int:
        return len(self.classes_)

    def _describe_own(self) -> dict[str, Any]:
        return {"classes": self.classes_.tolist()}

    # Using ----------------------------------------------------------------------------------------

    def features(self, X: Any) -> np.ndarray:
        """Input of the softmax layer for each image, (n, width) float32."""
        return self.map_images(X, self._trained.features)
