"""What a conditional model adds to an autoencoder: labels that are fitted, checked, and completed where it can."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from latently.common.errors import require
from latently.data import Images
from latently.data.classes import as_labels, class_indices, encode_labels, is_missing
from latently.estimator.base import ImageEstimator
from latently.estimator.inputs import labelled_pair
from latently.training.inference import label_tensors, wants_labels


class Conditional(ImageEstimator):
    """The labels of an autoencoder whose model is told the class of an image. A model that infers classes, too, takes
    the most probable one where a label is missing, and its bounds are those of the image alone."""

    def _fit_labels(self, images: Images, y: Any) -> np.ndarray:
        wants = wants_labels(self.model_)
        require(y is not None, f"{wants}: fit(X, y)")
        check_consistent_length(images, y)
        n_missing = int(is_missing(as_labels(y)).sum()) if self.model_.needs_labels else 0
        none = f"{n_missing:,} of these {len(images):,} have none: leave them out, or train m2, which learns from both"
        require(n_missing == 0, f"{wants}; {none}")
        self.classes_, codes = encode_labels(y)
        return codes

    def _held_out(self, validation: Any) -> tuple[Images, np.ndarray | None]:
        if not self.model_.takes_labels:
            return self._pixels(validation), None
        X, y = labelled_pair(validation)
        images = self._pixels(X)
        if self.model_.needs_labels:
            return images, self._labels(y, len(images))[0].numpy()
        check_consistent_length(images, y)
        return images, class_indices(y, self.classes_)

    def _labels(self, y: Any, n: int) -> tuple[Tensor, ...]:
        """Raises InputError if a label is missing or not of a fitted class."""
        check_is_fitted(self)
        return label_tensors(self.model_, getattr(self, "classes_", None), y, n)

    def _bound_labels(self, y: Any, n: int) -> tuple[Tensor, ...]:
        """Those of a bound: -1 for all, if the model sums the class out."""
        summed_out = self.model_.takes_labels and not self.model_.needs_labels
        return (torch.full((n,), -1),) if summed_out else self._labels(y, n)

    def completed(self, X: Any, y: Any = None) -> Any:
        """y; where labels are missing, and the model infers classes, with the most probable class of these images."""
        check_is_fitted(self)
        if not self.model_.takes_labels or self.model_.needs_labels:
            return y
        labels = np.full(n_images(X), None) if y is None else as_labels(y).astype(object)
        labels = np.full(n_images(X), labels) if labels.ndim == 0 else labels
        missing = is_missing(labels)
        if len(labels) == n_images(X) and missing.any():
            labels[missing] = self.predict(X)[missing]
        return labels

    def _n_classes(self) -> int:
        return len(self.classes_) if self.model_.takes_labels else 0


def n_images(X: Any) -> int:
    """Length of X; 0 if it has none, which is an error later."""
    return len(X) if hasattr(X, "__len__") else 0
