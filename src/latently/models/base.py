"""The one interface of every model.

A model is a dataclass of hyperparameters that builds a network and states its objective. What else it can do is what
it offers; evaluation, pictures and explorer ask for the capability (`can(model, "prior")`), never for the class:

    encode(net, x)          q(z|x), a density with `.mean` (B, Z)
    decode(net, z)          p(x|z), a density with `.mean` (B, C, H, W) and `.log_prob(x)` (B,)
    bound(net, x, noise)    the terms of minus the bound at weight 1, each (B,) or (B, Z); `noise` (B, Z): repeatable
    prior(net)              p(z), a density to draw codes from, `.sample(n, generator)`, with `.log_prob(z)`
    log_weights(net, x, q, prior, noise)   log p(x, z) - log q(z|x) of K codes of each image, (K, B), by noise (K, B, Z)
    classify(net, x)        p(y|x), a density over classes with `.log_probabilities` (B, K)
    features(net, x)        what a classifier makes of an image before its softmax (B, width); of a self-supervised
                            code the part that serves as features
    instances(x)            of a self-supervised model: the versions of an image that it tells apart, each like x;
    compared(net, x)        and the code by which it does (B, H)
    corrupt(x, level, noise) and denoise(net, x): an image damaged, and p(clean image | a damaged one)

A model that is told the class of what it sees (`takes_labels`) gets y (B,), class indices, last: encode(net, x, y),
decode(net, z, y), bound(net, x, noise, y), log_weights(net, x, q, prior, noise, y). One that `learns_from_unlabelled`
images, too, takes -1 for an unknown class in `encode` and `bound`.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Settings
from latently.data.ranges import Limits, number
from latently.models.layers import Shape
from latently.models.modules import PrincipalComponents, WhitenedPatches
from latently.models.networks import Network

SUITED: dict[str, Any] = {"batch_size": 128, "optimiser": "adamw", "lr": 4e-3}  # settings of a training that are `auto`
PREPARED_FROM = 2000  # images from which patches are taken
Parts = Iterable[Tensor]  # of images, (n, C, H, W) each, as in an evaluation


@dataclass
class Model(Settings):
    """Hyperparameters, a network and an objective; never an optimiser, a file or a picture."""

    name: ClassVar[str]
    """Name on the command line and in params.json."""
    monitor: ClassVar[str] = "loss"
    """The validation term by which the best epoch is chosen; smaller is better."""
    suited_training: ClassVar[dict[str, Any]] = {}
    """Settings that `latently train` has by default; in Python an estimator's own defaults are those of `Training`."""
    learns_from_unlabelled: ClassVar[bool] = False
    """Whether a model that learns from labels wants the images without one, too."""
    takes_labels: ClassVar[bool] = False
    """Whether `encode`, `decode`, `bound` and `log_weights` are told the class of every image."""

    def suited(self, image_shape: Shape) -> dict[str, Any]:
        """What `auto` is of `batch_size`, `optimiser` and `lr`, where it is not as in `SUITED`."""
        return SUITED

    def length(self, image_shape: Shape, epochs: int, steps: int) -> tuple[int, int]:
        """Epochs, and the least number of steps, of a training that leaves its epochs open, on images of this
        shape, where so many are usual."""
        return epochs, steps

    @property
    def loss_unit(self) -> str:
        """Unit of `loss` and `reconstruction`."""
        return "nats"

    @property
    def codes_per_image(self) -> int:
        """Number of codes per image that the objective decodes."""
        return 1

    @property
    def needs_labels(self) -> bool:
        """Whether an image without a label cannot be encoded."""
        return self.takes_labels and not self.learns_from_unlabelled

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The networks that were given as modules of torch, by their names in `Network`."""
        network = getattr(self, "network", None)
        return network.modules if isinstance(network, Network) else {}

    @property
    def knows_its_layers(self) -> bool:
        """Whether all networks are made of our own layers, which can be built and run without storage."""
        return not self.modules

    @property
    def encodes_new(self) -> bool:
        """Whether images that were not there in training have a code."""
        return True

    def settle(self, image_shape: Shape) -> None:
        """Decide what was left to the images (C, H, W) or to a network, before anything is built for a fit."""

    def build(self, image_shape: Shape, n_classes: int) -> nn.Module:
        """The network for images of shape (C, H, W). Raises InputError for an invalid setting."""
        raise NotImplementedError

    def prepare(self, net: nn.Module, some: Callable[[int], Tensor]) -> None:
        """Before the first step, what the network takes from training images without a gradient: the whitening of
        patches, principal components. `some(n)` gives up to n of them, (n, C, H, W). A module that was given keeps what
        it has."""
        kept = {part for name in self.modules for part in getattr(net, name).modules()}
        for module in net.modules():
            if isinstance(module, WhitenedPatches | PrincipalComponents) and module not in kept:
                module.learn(some(PREPARED_FROM))

    def finish(self, net: nn.Module, some: Callable[[int], Tensor]) -> None:
        """After the last step, what the network takes from training images by its weights as they are now; `some` as in
        `prepare`."""

    def precomputed(self, net: Any, train: Parts, validation: Parts) -> AbstractContextManager[object]:
        """Around the training: what is computed once of all its images and of those of validation, and forgotten at the
        end."""
        return nullcontext()

    def loss(self, net: Any, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        """The objective `loss` and the terms to watch, each (B,), nats per image.

        x (B, C, H, W) float32; y (B,) class indices, -1 = unlabelled, or None; progress 0..1 of the run.
        """
        raise NotImplementedError

    def objective(self, net: Any, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        """What training minimises, in the form of `loss`: `loss` itself, or a bound computed from the same parts."""
        return self.loss(net, x, y, progress)

    def check_pixels(self, low: float, high: float) -> None:
        """Raise InputError if the model's likelihood cannot take pixels from `low` to `high`."""


def can(model: Model, *capabilities: str) -> bool:
    """Whether a model offers all of these."""
    return all(hasattr(model, capability) for capability in capabilities)


def check_unit_interval(low: float, high: float, likelihood: str = "Bernoulli") -> None:
    """The pixels that such a likelihood takes."""
    divide = f"divide them by {number(Limits(low, high, 1).likely_white)}, as --scale auto does"
    require(
        low >= 0 and high <= 1,
        f"the pixels reach from {low:g} to {high:g}; a {likelihood} likelihood expects 0 to 1: "
        f"{divide if low >= 0 else 'rescale them'}, or use the gaussian likelihood (squared-error for an autoencoder)",
    )
