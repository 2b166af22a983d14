"""Classifiers that differ only in labels or seed, trained together: for label curves and spreads over seeds.

>>> from sklearn.datasets import load_digits
>>> from latently import FeedForward, Trunk
>>> from latently.training.settings import Training
>>> X, y = load_digits(return_X_y=True)
>>> draws = [range(100), range(100, 200), range(1000)]
>>> training = Training(epochs=20, precision="float32")
>>> fitted = fit_together(FeedForward(Trunk("dense(32)")), X / 16, y, draws, training=training)
>>> fitted.predict_proba(X[1000:] / 16).shape
(3, 797, 10)
>>> few, others, many = fitted.accuracies(X[1000:] / 16, y[1000:])
>>> bool(many > max(few, others))
True
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latently.data.batches import Batches, Draw
from latently.models.base import Model
from latently.models.stack import Stack
from latently.training.hardware import resolve_device, seeded
from latently.training.loop import Loop
from latently.training.resolve import resolve
from latently.training.settings import Training

BATCH = 1000  # images per forward pass


@dataclass
class FittedTogether:
    """K classifiers of one model. `history`: a row per epoch, means over the nets."""

    model: Any
    net: Stack
    training: Training
    history: list[dict[str, float]]

    @torch.no_grad()
    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """p(class | image) of every net, (K, n, classes) float32."""
        images = Batches(pixels(X), np.full(len(X), -1), torch.device(self.training.device))
        parts = [images.evaluation_pixels(raw) for raw in images.split(BATCH)]

        def probabilities(k: int) -> Tensor:
            net = self.net.member(k)
            return torch.cat([self.model.classify(net, x).log_probabilities.exp().cpu() for x in parts])

        return torch.stack([probabilities(k) for k in range(self.net.n_nets)]).numpy()

    def accuracies(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Accuracy of each net, (K,)."""
        right = self.predict_proba(X).argmax(2) == np.asarray(y)  # (K, n)
        return np.asarray(right.mean(1))


def fit_together(
    model: Model,
    X: np.ndarray,
    y: np.ndarray,
    draws: Sequence[Any],
    *,
    validation: Sequence[Any] | None = None,
    seeds: Sequence[int] | None = None,
    training: Training | None = None,
    epoch_images: int | None = None,
) -> FittedTogether:
    """Train K classifiers, the k-th on X[draws[k]], with initial weights and image order from seeds[k] (default k).

    X: (n, h, w), (n, h, w, c) or (n, features), uint8 0..255 or numbers. y: (n,) class indices from 0. validation: like
    draws, for validation metrics and `patience`. An epoch has `epoch_images` images per net, by default as many as the
    largest draw; images of smaller draws are repeated, so that all nets take the same number of steps.
    """
    seeds = range(len(draws)) if seeds is None else seeds
    assert len(draws) == len(seeds) == len(validation or draws)
    training = training or Training()
    device = resolve_device(training.device)

    def batches(draws: Sequence[Any], epoch_images: int | None = None) -> Batches:
        own = [Draw(np.asarray(members), seed) for members, seed in zip(draws, seeds, strict=True)]
        return Batches(pixels(X), y, device, draws=own, epoch_images=epoch_images)

    def build(seed: int) -> nn.Module:
        with seeded(seed, device):
            return model.build(images.shape, int(np.max(y)) + 1)

    images = batches(draws, epoch_images)
    held_out = None if validation is None else batches(validation)
    nets = [build(seed) for seed in seeds]
    for k, each in enumerate(nets):
        model.prepare(each.to(device), partial(images.some, net=k))
    net = Stack(model, nets).to(device)
    training = resolve(training, len(images), net, suited=model.suited(images.shape))
    history = Loop(model, net, images, held_out, training, seeds[0]).train()
    return FittedTogether(model, net, training, history)


def pixels(X: Any) -> np.ndarray:
    """uint8 unchanged (scaled to 0..1 later); other numbers as float32."""
    images: np.ndarray = np.asarray(X)
    return images if images.dtype == np.uint8 else images.astype(np.float32)
