"""Consistency. FixMatch, Sohn et al. 2020, eqs. 3 and 4: what the network is sure of in a weak view of an unlabelled
image, it learns to say of a strong view, too:

    loss = -log p(y | weak(x)) where y is known, else -1[max q > threshold] log p(argmax q | strong(x)),
    q = p(. | weak(x)) / its mean over the batch, without a gradient

A weak view is the image, moved a little; a strong one is altered as training images of a classifier are, and a square
of it is grey. The division keeps it from calling everything by one class (Berthelot et al. 2020, section 3.1; here
classes are expected to be equally frequent). Known and unknown images count alike, however many there are of each.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latently.common.settings import Probability
from latently.models.augmentation import Augmentation
from latently.models.feedforward import FeedForward
from latently.models.networks import TrunkAndHead
from latently.models.views import Views, cut_square

WEAK_VIEWS = Views(0.6, jitter=0.0, hue=0.0, recoloured=0.0, grey=0.0)
WEAK_WARPS = Augmentation(0.05, 5.0, 0.05, 0.0)


@dataclass
class FixMatch(FeedForward):
    """Classifier that learns from unlabelled images, too: what it is sure of, it says of strong views, as well."""

    name: ClassVar[str] = "fixmatch"
    learns_from_unlabelled: ClassVar[bool] = True

    threshold: Probability = 0.9
    """Least probability of a class at which an unlabelled image is learned from."""
    cut: Probability = 0.4
    """Side of the grey square in a strong view, as a fraction of the view's."""

    def loss(self, net: TrunkAndHead, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        """`loss`: nats; `error`: 1 where the class of a labelled image is wrong; `sure`: 1 where an unlabelled image is
        learned from. Their means are over the images that they are about."""
        if not net.training:
            return super().loss(net, x, y, progress)
        assert y is not None, "a classifier is trained on labels"
        known = y >= 0
        weak = self.weak(net, x)
        with torch.no_grad():
            q = self.classify(net, weak).log_probabilities.exp()  # (B, classes)
            q = q / q.mean(0)
            certainty, guess = (q / q.sum(1, keepdim=True)).max(1)
        sure = ~known & (certainty > self.threshold)
        seen = torch.where(known[:, None, None, None], weak, cut_square(self.altered(net, x), self.cut))
        p = self.classify(net, seen)
        weight = share(known) + share(~known) * sure  # (B,)
        wrong = known & (p.logits.argmax(1) != y)
        return {
            "loss": -weight * p.log_prob(torch.where(known, y, guess)),
            "error": share(known) * wrong,
            "sure": share(~known) * sure,
        }

    def weak(self, net: TrunkAndHead, x: Tensor) -> Tensor:
        """A view that hardly differs, of the size of `altered`."""
        if self.sees_photographs(x.shape[1]):
            return WEAK_VIEWS(x, net.view_sides)
        return WEAK_WARPS(x)


def share(which: Tensor) -> Tensor:
    """(B,) bool -> weights with which the batch's mean is one over these images alone."""
    return which / which.float().mean().clamp(min=1 / len(which))
