"""The conditional variational autoencoder. Sohn, Lee & Yan 2015; Kingma et al. 2014, model M2 with every label known:

    log p(x|y) >= E_q[log p(x|z,y)] - KL(q(z|x,y) || p(z)) = ELBO,   p(z) = N(0, I) whatever the class y

Encoder and decoder are given the class, so that z is left to say what the class does not: slant, width, style. With z
from the prior and y chosen, the decoder makes a new image of that class.

It is the VAE (vae.py) with y beside every x and z, one-hot: as planes beside the channels where the encoder begins with
a convolution, else as values beside the pixels. Objective, likelihoods and parameters are the VAE's, but that the KL
weighs more: at weight 1 codes of a class leave gaps in the prior, and one new image in forty is not what was asked for.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from latently.common.settings import NonNegative
from latently.models.layers import Shape
from latently.models.networks import EncoderDecoder
from latently.models.posterior import Likelihood, Posterior, likelihood, posterior
from latently.models.vae import VAE


@dataclass
class CVAE(VAE):
    """Conditional variational autoencoder: given a class, it makes new images of it."""

    name: ClassVar[str] = "cvae"
    takes_labels: ClassVar[bool] = True

    beta: NonNegative = 3.0
    """Weight of the KL in the objective; 1: the ELBO. With a higher weight more samples match the requested class, but
    they vary less. The reported ELBO has weight 1."""

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        self.check()
        encoder = self.network.build_encoder(image_shape, self.encoder_width, n_classes)
        return self.completed(
            EncoderDecoder(encoder, self.network.build_decoder(image_shape, self.latent_dim, n_classes))
        )

    def encode(self, net: EncoderDecoder, x: Tensor, y: Tensor | None = None) -> Posterior:
        """q(z|x,y)"""
        return posterior(net.encoder(x, y), self.latent_dim, self.posterior, self.flow(net))

    def decode(self, net: EncoderDecoder, z: Tensor, y: Tensor | None = None) -> Likelihood:
        """p(x|z,y)"""
        return likelihood(net.decoder(z, y), self.likelihood, self.pixel_variance(net))
