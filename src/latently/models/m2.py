"""The semi-supervised generative model M2. Kingma, Mohamed, Rezende & Welling 2014, eq. 6 to 9. An image is made from a
class y and a code z, and most classes are not known:

    p(y) = 1/K,   p(z) = N(0, I),   p(x|y,z) the decoder;   q(z|x,y) the encoder,   q(y|x) the classifier

    log p(x,y) >= E_q(z|x,y)[log p(x|y,z) + log p(y) + log p(z) - log q(z|x,y)] = -L(x,y)                  (6)
    log p(x)   >= sum_y q(y|x) (-L(x,y)) + H(q(y|x)) = -U(x)                                               (7)

    J       = sum of L(x,y) over labelled images + sum of U(x) over unlabelled ones                        (8)
    J^alpha = J + alpha N * mean of -log q(y|x) over labelled images, N images                             (9)

The class is summed out exactly: every image is decoded under every class, so a step costs K times that of the
conditional VAE (cvae.py), whose networks these are. With all labels known it is that model, with a classifier beside.
Estimators repeat labelled images until they are a fifth of an epoch, so J counts each several times, and almost every
batch has some (docs/log.md: two to four points fewer errors).

The classifier q(y|x) has the layers of the encoder. On the codes of another model instead of pixels (`gaussian`) this
is the paper's M1+M2: `FewLabelClassifier(autoencoder, Classifier(M2(likelihood="gaussian")), sees="codes")`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from latently.common.errors import require
from latently.common.settings import NonNegative
from latently.models.cvae import CVAE
from latently.models.densities import Categorical, log_mean_exp, sum_per_image
from latently.models.fixmatch import share
from latently.models.layers import Shape
from latently.models.networks import EncoderDecoder
from latently.models.posterior import Posterior, Prior


@dataclass
class M2(CVAE):
    """Semi-supervised generative model: makes images of a class and predicts classes, learned from few labels."""

    name: ClassVar[str] = "m2"
    learns_from_unlabelled: ClassVar[bool] = True

    beta: NonNegative = 1.0
    """Weight of the KL of z in the objective; 1: the paper's. The reported ELBO has weight 1."""
    alpha: NonNegative = 1.0
    """Weight of the classifier's own loss; in the paper it is 0.1, which is about a point worse (docs/log.md)."""

    def loss(self, net: EncoderDecoder, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        """`error`: 1 where the most probable class of a labelled image is wrong; its mean is over labelled images."""
        q_y, y = self.classify(net, x), unknown_as_minus_one(x, y)
        reconstruction, kl = self.under_every_class(net, x, class_weights(q_y, y))
        class_kl = math.log(q_y.n_classes) - torch.where(y >= 0, 0.0, q_y.entropy)  # -log p(y), or KL(q(y|x) || p(y))
        j = reconstruction + self.weight(progress) * sum_per_image(kl) + class_kl  # L(x,y) or U(x), (B,)
        labelled = share(y >= 0)  # the batch's mean of labelled * term is the mean over labelled images
        wrong = q_y.logits.argmax(1) != y
        return {
            "loss": j - self.alpha * labelled * q_y.log_prob(y),
            "reconstruction": reconstruction,
            "kl": sum_per_image(kl) + class_kl,
            "error": labelled * wrong,
        }

    def bound(
        self, net: EncoderDecoder, x: Tensor, noise: Tensor | None = None, y: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Where the class is known the terms of a bound on log p(x|y), as the conditional VAE's; where it is not (-1),
        those of U(x), on log p(x): `class_kl` is then KL(q(y|x) || p(y)), else 0. `noise` serves every class."""
        q_y, y = self.classify(net, x), unknown_as_minus_one(x, y)
        reconstruction, kl = self.under_every_class(net, x, class_weights(q_y, y), noise)
        class_kl = torch.where(y >= 0, 0.0, math.log(q_y.n_classes) - q_y.entropy)
        return {"reconstruction": reconstruction, "kl": kl, "class_kl": class_kl}

    def sampled(
        self, net: EncoderDecoder, x: Tensor, q: Posterior, prior: Prior, noise: Tensor, y: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """log p(x|y,z), or log p(x|z) = log sum_y p(y) p(x|y,z) where y is not known, and log q(z|x,y) - log p(z)."""
        y, (k, n), n_classes = unknown_as_minus_one(x, y), noise.shape[:2], self.classify(net, x[:1]).n_classes
        q, xs = q.repeated(k), x.repeat(k, 1, 1, 1)  # (K B, ...)
        z = q.rsample(noise.flatten(0, 1))
        each = (self.decode(net, z, torch.full((k * n,), c, device=x.device)).log_prob(xs) for c in range(n_classes))
        log_px = torch.stack(list(each)).view(n_classes, k, n)
        given = log_px.gather(0, y.clamp(min=0).expand(1, k, n))[0]
        log_ratio = (q.log_prob(z) - prior.log_prob(z)).view(k, n)
        return torch.where(y >= 0, given, log_mean_exp(log_px)), log_ratio

    def classify(self, net: EncoderDecoder, x: Tensor) -> Categorical:
        """q(y|x)"""
        return Categorical(net.classifier(x))

    def encode(self, net: EncoderDecoder, x: Tensor, y: Tensor | None = None) -> Posterior:
        """q(z|x,y); where y is not known (-1), of the class that q(y|x) holds most probable."""
        y = unknown_as_minus_one(x, y)
        return super().encode(net, x, torch.where(y >= 0, y, self.classify(net, x).logits.argmax(1)))

    def under_every_class(
        self, net: EncoderDecoder, x: Tensor, of_class: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """sum_y q(y|x) of -log p(x|y,z), (B,), and of KL(q(z|x,y) || p(z)), (B, Z) or (B,); z ~ q(z|x,y), one sample of
        each class. noise (B, Z)."""
        n, k = of_class.shape
        every = torch.arange(k, device=x.device)[:, None].expand(k, n)  # the whole batch under each class
        q = super().encode(net, x, every)
        z = q.rsample(None if noise is None else noise.repeat(k, 1))  # (K B, Z)
        reconstruction = -self.decode(net, z, every.flatten()).log_prob(x.repeat(k, 1, 1, 1))
        return averaged(reconstruction, of_class), averaged(self.kl(net, q, z), of_class)

    # The network and what cannot be -------------------------------------------------------------------------------

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        net = super().build(image_shape, n_classes)
        net.classifier = self.network.build_encoder(image_shape, n_classes)
        return net

    def check(self) -> Self:
        super().check()
        alone = "but every image is decoded under every class, once: leave it out"
        require(self.importance_samples == 1, f"importance_samples is {self.importance_samples}, {alone}")
        require(not self.free_bits, f"free_bits is {self.free_bits:g}, {alone}")
        return self


def unknown_as_minus_one(x: Tensor, y: Tensor | None) -> Tensor:
    """Class indices (B,), -1 = unknown, as None is for all."""
    return torch.full((len(x),), -1, device=x.device) if y is None else y


def class_weights(q_y: Categorical, y: Tensor) -> Tensor:
    """q(y|x); where the class is known, 1 for it and 0 for the others. -> (B, K)"""
    given = F.one_hot(y.clamp(min=0), q_y.n_classes).float()
    return torch.where((y >= 0)[:, None], given, q_y.log_probabilities.exp())


def averaged(terms: Tensor, of_class: Tensor) -> Tensor:
    """Terms (K B, ...) of images under each class, weighted by of_class (B, K) and summed. -> (B, ...)"""
    weights = of_class.T.reshape(-1, *(1,) * (terms.ndim - 1))  # (K B, ...)
    return (weights * terms).view(of_class.shape[1], len(of_class), *terms.shape[1:]).sum(0)
