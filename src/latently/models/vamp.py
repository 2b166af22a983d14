"""The VAE with a prior of variational posteriors. Tomczak & Welling 2018, eq. 9:

    p(z) = 1/M sum_m q(z|u_m),   u_1 .. u_M pseudo-inputs, images that are learned with everything else

The best prior for the ELBO is the mean of q(z|x) over all images (their eq. 5); M learned images stand in for them, so
that prior and posteriors meet. The KL has no closed form, and is taken by the sample:

    log p(x) >= E_q[log p(x|z) - log q(z|x) + log p(z)] = ELBO

All else is the VAE's (vae.py), the importance-weighted objective too.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Count, Fraction
from latently.models.densities import Mixture, Normal
from latently.models.layers import Shape
from latently.models.networks import EncoderDecoder
from latently.models.posterior import Posterior, Prior
from latently.models.vae import VAE


@dataclass
class VampVAE(VAE):
    """Variational autoencoder with a VampPrior: its prior is a mixture, learned with it."""

    name: ClassVar[str] = "vamp"

    kl_warmup: Fraction = 0.2
    """Fraction of the run over which the KL's weight rises from 0 to beta. On 10,000 MNIST images and 8 epochs, a ReLU
    network reached -127.5 nats with warm-up and -134.7 without; a tanh network collapsed in both cases."""
    pseudo_inputs: Count = 500
    """Learned images whose posteriors make up the prior, M."""

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        net = super().build(image_shape, n_classes)
        net.pseudo_inputs = nn.Parameter(torch.randn(self.pseudo_inputs, *image_shape))  # (M, C, H, W)
        return net

    def prior(self, net: EncoderDecoder) -> Prior:
        parts = self.encode(net, self.pseudo_images(net))
        assert isinstance(parts, Normal)  # as `check` demands
        return Mixture(parts)

    def pseudo_images(self, net: EncoderDecoder) -> Tensor:
        """u_1 .. u_M as the encoder takes images, (M, C, H, W)"""
        return net.pseudo_inputs.sigmoid() if self.likelihood == "bernoulli" else net.pseudo_inputs

    def kl(self, net: EncoderDecoder, q: Posterior, z: Tensor) -> Tensor:
        """KL(q(z|x) || p(z)), estimated from one sample z ~ q(z|x). -> (B,)"""
        return q.log_prob(z) - self.prior(net).log_prob(z)

    def check(self) -> Self:
        super().check()
        bits = (
            f"free_bits is {self.free_bits:g}, but with a learned prior no dimension has a KL of its own; leave it out"
        )
        require(not self.free_bits, bits)
        normals = f"flow_steps is {self.flow_steps}, but the parts of a VampPrior are normals; leave it out"
        require(not self.flow_steps, normals)
        return self
