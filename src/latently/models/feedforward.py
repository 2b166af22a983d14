"""The supervised classifier: a network with a softmax on top, trained by maximum likelihood.

loss(x, y) = -log p(y | x),  p(y | x) = softmax(W [trunk(x), wide] + b)

`wide` are values that skip the trunk: wide and deep learning (Cheng et al. 2016), with codes as the wide part.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Fraction, Probability, WholeNumber
from latently.models.augmentation import Augmentation
from latently.models.base import Model
from latently.models.densities import Categorical
from latently.models.layers import Shape
from latently.models.networks import Trunk, TrunkAndHead, initialise
from latently.models.usual_layers import feature_encoder
from latently.models.views import Change, Views, is_photograph, view_sides

FEATURES = 256  # of a photograph, before the softmax


@dataclass
class FeedForward(Model):
    """Classifier: a network of any layers with a softmax on top."""

    name: ClassVar[str] = "classifier"
    monitor: ClassVar[str] = "error"
    older: ClassVar[dict[str, Any]] = {"change": "drawing"}

    trunk: Trunk = field(default_factory=Trunk)
    augmentation: Augmentation = field(default_factory=Augmentation)
    change: Change = "auto"
    """How training images are altered at random: as photographs, by `views` and `view_size`, or as drawings, by the
    distortions of `augmentation`; auto: photographs where images have colours and distortions are not all 0."""
    views: Views = field(default_factory=Views)
    view_size: Fraction = 0.625
    """Sides of a photograph's view in training, as a fraction of the image's: views are as good and quicker. Takes a
    network that averages over all places, `mean()`; for another one views are as large as images."""
    label_smoothing: Probability = 0.0
    """Label smoothing: fraction of the target probability spread evenly over all classes; in the training loss only."""
    wide: WholeNumber = 0
    """Number of leading features that are codes and bypass the network, straight to the softmax; for rows only."""

    def build(self, image_shape: Shape, n_classes: int) -> TrunkAndHead:
        self.check()
        deep_shape = image_shape
        if self.wide:
            width = image_shape[-1] - self.wide
            fits = image_shape[:2] == (1, 1) and width >= 1
            require(fits, f"wide is {self.wide}; expected rows of more values than that, not images of {image_shape}")
            deep_shape = (1, 1, width)
        own_trunk = self.own_trunk(deep_shape)
        trunk, width = own_trunk.build(deep_shape)
        head = nn.Linear(width + self.wide, n_classes)
        initialise(head, self.trunk.init, None)
        net = TrunkAndHead(trunk, head)
        net.view_sides = view_sides(image_shape, self.view_size, own_trunk.parsed(deep_shape))
        return net

    def own_trunk(self, image_shape: Shape) -> Trunk:
        """The trunk that was given; where it is left open, for photographs one that learns features of any size."""
        if self.trunk.layers or not self.sees_photographs(image_shape[0]):
            return self.trunk
        return replace(self.trunk, layers=feature_encoder(image_shape, FEATURES, norm="group"))

    def suited(self, image_shape: Shape) -> dict[str, Any]:
        photographs = self.sees_photographs(image_shape[0])
        return {"optimiser": "muon", "lr": 1.5e-3} if photographs else {"optimiser": "adamw", "lr": 3e-3}

    def sees_photographs(self, channels: int) -> bool:
        nothing = self.change == "auto" and self.augmentation == Augmentation.none()
        return not nothing and is_photograph(self.change, channels)

    def loss(self, net: TrunkAndHead, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        """`loss`: nats; `error`: 1 where the most probable class is wrong. Unlabelled images count 0."""
        assert y is not None, "a classifier is trained on labels"
        p = self.classify(net, self.altered(net, x) if net.training else x)
        wrong = (p.logits.argmax(1) != y) & (y >= 0)
        return {"loss": -p.smoothed_log_prob(y, self.label_smoothing if net.training else 0.0), "error": wrong.float()}

    def altered(self, net: TrunkAndHead, x: Tensor) -> Tensor:
        """Training images (B, C, H, W) as they are seen in one step."""
        return self.views(x, net.view_sides) if self.sees_photographs(x.shape[1]) else self.augmentation(x)

    def classify(self, net: TrunkAndHead, x: Tensor) -> Categorical:
        """p(y | x)"""
        return Categorical(net.head(self.features(net, x)))  # (B, classes)

    def features(self, net: TrunkAndHead, x: Tensor) -> Tensor:
        """The input of the softmax layer, (B, width + wide)."""
        if not self.wide:
            deep: Tensor = net.trunk(x)  # (B, width)
            return deep
        codes, pixels = x[..., : self.wide].flatten(1), x[..., self.wide :]
        return torch.cat([net.trunk(pixels), codes], 1)
