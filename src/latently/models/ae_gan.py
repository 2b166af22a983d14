"""An autoencoder of photographs that keeps edges: absolute error, and an adversary that looks at patches.

    z = encoder(x) + noise, x' = decoder(z)
    loss(x) = |x - x'| - a sum_p log D_p(x') + s sum_l |f_l(x) - f_l(x')| + b KL(N(encoder(x), I) || N(0, I))
    and, for D alone:  - sum_p [log D_p(x) + log(1 - D_p(x'))]

D_p is the probability that the patch p is of a photograph, not of one rebuilt: an adversary (Goodfellow et al. 2014) of
patches (Isola et al. 2017). What cannot be known exactly an error of pixels alone rebuilds as a blur, and D finds that
out. f_l, the maps of D's layers, tell how alike two images look (Larsen et al. 2016). The noise, of variance 1 (Ghosh
et al. 2020, section 2.2), makes near codes decode alike; the KL, |encoder(x)|^2 / 2, keeps codes from growing out of
its reach. The code of a photograph is a grid of few channels, that of a drawing a row; flow_matching.py learns their
distribution. So autoencoders for latent diffusion are trained (Rombach et al. 2022, section 3.1), but for features that
were learned elsewhere.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Count, NonNegative
from latently.models.ae import AE
from latently.models.densities import Bernoulli, Normal, relative_difference, sum_per_image
from latently.models.layers import Shape
from latently.models.modules import activation
from latently.models.networks import EncoderDecoder, Network
from latently.models.usual_layers import grid_decoder, grid_encoder, grid_sides, row_decoder, row_encoder
from latently.models.views import is_photograph

CHANNELS = 4  # of a grid's code
ROW = 32  # width of a code that is a row
WIDTHS = (32, 64, 128)  # of the adversary's layers, each of which halves the image
EPOCHS, STEPS = 20, 2000  # of a training that leaves them open
DRAWINGS_FOR = 3, 2000  # the same of drawings
LEAST_SIDE = 8  # of an image, in pixels: the adversary halves it three times


class Adversary(nn.Module):
    """Images (B, C, H, W) -> the maps of its layers, then logits (B, 1, h, w): is a patch of a photograph?"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        before = (channels, *WIDTHS)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), activation("leaky_relu"))
            for a, b in zip(before, WIDTHS, strict=False)
        )
        self.logits = nn.Conv2d(WIDTHS[-1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return maps, self.logits(x)


@dataclass
class AEGAN(AE):
    """Autoencoder whose edges an adversary keeps sharp, with codes to draw new photographs and drawings from.

    `Autoencoder(AEGAN(), optimiser="muon", lr=1e-3, batch_size=32)` is as `latently train ae-gan` has it.
    """

    name: ClassVar[str] = "ae-gan"
    monitor: ClassVar[str] = "reconstruction"
    suited_training: ClassVar[dict[str, Any]] = {"optimiser": "muon", "lr": 1e-3, "batch_size": 32}
    older: ClassVar[dict[str, Any]] = {"grid": True}

    latent_dim: Count | None = None  # type: ignore[assignment]
    """Width of the code; none: 4 channels at each place of a grid, of at most 8 places a side, or a row of 32."""
    grid: bool | Literal["auto"] = "auto"
    """Whether the code is a grid; auto: of photographs, that is where images have colours. Of drawings a row is enough,
    whose distribution is learned in a fifth of the time."""
    likelihood: Literal["bernoulli", "squared-error", "absolute-error"] = "absolute-error"
    """absolute-error and squared-error: summed over pixels, of any range; bernoulli: cross-entropy, for 0..1."""
    adversary: NonNegative = 0.5
    """Weight of the adversary, a."""
    similarity: NonNegative = 0.15
    """Weight of the relative difference between the adversary's maps, s: as an error of so much in every pixel."""
    beta: NonNegative = 0.01
    """Weight of the KL, b; 0: codes have no noise, either."""
    mirror: bool | Literal["auto"] = "auto"
    """Whether half of the images of a step are mirrored, left to right; a prior then learns from the mirrored, too.
    auto: photographs, for a mirrored digit is none."""

    def loss(self, net: EncoderDecoder, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        x = self.mirrored(x) if net.training and self.decided(self.mirror, x.shape[1]) else x
        z = self.encode(net, x).mean
        q = Normal(z, torch.zeros_like(z))
        px = self.decode(net, q.rsample() if self.beta and net.training else z)
        reconstruction, rebuilt = -px.log_prob(x), px.mean
        real_maps, real = net.adversary(x)
        fake = net.adversary(rebuilt.detach())[1]
        adversary = -Bernoulli(real).log_prob(torch.ones_like(real)) - Bernoulli(fake).log_prob(torch.zeros_like(fake))
        maps, fake = as_it_is(net.adversary, rebuilt)
        told_apart = -Bernoulli(fake).log_prob(torch.ones_like(fake))
        unlike = torch.stack([relative_difference(*pair) for pair in zip(maps, real_maps, strict=True)]).mean(0)
        loss = reconstruction + self.adversary * told_apart + self.similarity * x[0].numel() * unlike
        loss = loss + self.beta * sum_per_image(q.kl_to_standard_normal())
        return {"loss": loss + adversary, "reconstruction": reconstruction, "adversary": adversary / real[0].numel()}

    def mirrored(self, x: Tensor) -> Tensor:
        """Half of the images, at random, left to right."""
        return torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5, x.flip(3), x)

    def length(self, image_shape: Shape, epochs: int, steps: int) -> tuple[int, int]:
        """Small batches need fewer passes."""
        return (EPOCHS, STEPS) if is_photograph("auto", image_shape[0]) else DRAWINGS_FOR

    @staticmethod
    def decided(setting: bool | Literal["auto"], channels: int) -> bool:
        return is_photograph("auto", channels) if setting == "auto" else setting

    # The network ----------------------------------------------------------------------------------

    def settle(self, image_shape: Shape) -> None:
        self.latent_dim = self.code_width(image_shape)
        self.mirror = self.decided(self.mirror, image_shape[0])
        if self.network.encoder:
            free = self.grid == "auto"
            require(free, f"grid is {self.grid}, but the encoder that was given makes the code; leave grid out")
        else:
            self.grid = self.decided(self.grid, image_shape[0])
            self.network.require_usual_activation(self.name)

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        net = super().build(image_shape, n_classes)
        net.adversary = Adversary(image_shape[0])
        return net

    def code_width(self, image_shape: Shape) -> int:
        """`latent_dim`, or what it is where it was left open."""
        fits = min(image_shape[1:]) >= LEAST_SIDE
        sizes = " x ".join(map(str, image_shape[1:]))
        require(fits, f"ae-gan looks at patches of images, and these are {sizes}; train an ae or vae")
        if self.latent_dim is not None:
            return self.latent_dim
        if self.network.encoder:
            grid = self.network.code_grid(image_shape)
            require(grid is not None, "latent_dim is None, but the encoder that was given makes no grid: give a width")
            return math.prod(grid or ())
        return CHANNELS * places(image_shape) if self.decided(self.grid, image_shape[0]) else ROW

    def own_network(self, image_shape: Shape) -> Network:
        """The network that was given; where it leaves encoder or decoder open, one of grids or rows."""
        if self.network.encoder:
            return self.network
        if not self.decided(self.grid, image_shape[0]):
            encoder, decoder = row_encoder(image_shape), row_decoder(image_shape)
        else:
            width, n_places = self.code_width(image_shape), places(image_shape)
            whole = width % n_places == 0
            require(whole, f"latent_dim is {width}; expected a multiple of {n_places}: so many places has the grid")
            channels = width // n_places
            encoder, decoder = grid_encoder(image_shape, channels), grid_decoder(image_shape, channels)
        return replace(self.network, encoder=encoder, decoder=self.network.decoder or decoder)


def places(image_shape: Shape) -> int:
    return math.prod(grid_sides(image_shape)[-1])


def as_it_is(network: nn.Module, x: Tensor) -> Any:
    """What a network makes of x, without a gradient for its weights."""
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    return torch.func.functional_call(network, weights, (x,))
