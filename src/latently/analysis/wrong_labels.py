"""The images of a run whose labels are likely wrong, by confident learning (evaluation/label_noise.py)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from latently import pictures
from latently.common.errors import require
from latently.data import ImageSet
from latently.estimator import Autoencoder
from latently.evaluation.label_noise import LabelNoise, held_out_probabilities, label_noise
from latently.pictures import Figure

DRAWN = 60  # suspects in a picture


@dataclass(frozen=True)
class WrongLabels:
    """Labelled images (N,), the names of their classes (K,), held-out p(class | x) (N, K), and what that finds."""

    images: ImageSet
    classes: np.ndarray
    p: np.ndarray
    found: LabelNoise

    def columns(self) -> dict[str, np.ndarray]:
        """Of the suspects, the least probable label first: name, label, likely class, and the probabilities of both."""
        some = self.found.suspects
        return {
            "name": self.images.names[some],
            "label": self.images.label_names[some],
            "likely": self.classes[self.found.likely[some]],
            "p_label": self.found.of_label[some],
            "p_likely": self.p[some].max(1),
        }

    def figures(self) -> dict[str, Any]:
        """n_images, n_suspects, noise_rate, and probe_accuracy: how often the probe gives the label. What it gets wrong
        counts as noise, so the rate is far too high where that accuracy is low."""
        accuracy = float((self.classes[self.found.likely] == self.images.label_names).mean())
        about = {"n_images": len(self.images), "n_suspects": len(self.found.suspects)}
        return about | {"noise_rate": self.found.noise_rate, "probe_accuracy": accuracy}

    def sentence(self) -> str:
        """How far the suspects may be believed."""
        share = 100 * self.figures()["probe_accuracy"]
        return f"the classifier that judged gives {share:.1f} % of all labels; its own errors are among the suspects"

    def picture(self, autoencoder: Autoencoder) -> Figure:
        """The first suspects, each with its label and the likely one. Raises InputError where there is none."""
        first, told = self.found.suspects[:DRAWN], self.columns()
        require(len(first) > 0, "no label is suspect, so there is nothing to draw")
        captions = [f"{label}\n{likely}?" for label, likely in zip(told["label"], told["likely"], strict=True)][:DRAWN]
        seen = autoencoder.seen(self.images.images[first])
        return pictures.sheet(seen, captions, "Suspect labels, and below each the likely one")


def wrong_labels(autoencoder: Autoencoder, images: ImageSet, seed: int = 0) -> WrongLabels:
    """Of labelled images, judged by a linear probe of their codes that learned from the others, in folds.

    Raises InputError for labels of one class, and for a class of a single image.
    """
    known, classes = np.unique(images.labels, return_inverse=True)
    p = held_out_probabilities(autoencoder.features(images.images), classes, seed)
    return WrongLabels(images, np.array(images.classes)[known], p, label_noise(p, classes))
