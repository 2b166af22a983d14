"""What self-supervised models have in common: views of images, a code that is compared, and a decoder beside it.

Pixels teach the encoder nothing. So that its code can be looked at, a decoder learns beside it (as in representation
autoencoders, Zheng et al. 2025), and principal components add the appearance that the encoder may leave out:

    z = [h, a] = [encoder(x), components(x)],   loss = comparison - log p(x | [stop-gradient(h), a])

The image that the components alone make is where the decoder begins: it learns what to add. What is compared, and how,
is each model's own page: simclr.py, emp_ssl.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self, cast

import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Count, Fraction, Probability
from latently.models.ae import AE, Pixels
from latently.models.augmentation import Augmentation
from latently.models.densities import Point, in_float32, logits_of
from latently.models.layers import Code, Shape
from latently.models.modules import PrincipalComponents
from latently.models.networks import EncoderDecoder, Network, Trunk
from latently.models.readout import Readout, level_widths, pooled_maps
from latently.models.usual_layers import feature_encoder, upsampling_decoder
from latently.models.views import Change, Views, is_photograph, view_sides

USUAL_PIXELS = 32 * 32  # of images whose training is as long as usual
DRAWINGS_FOR = 4, 860  # epochs, and at least so many steps
LEAST_DRAWING, DRAWN_CHANNELS = 20, (32, 64)  # side of a drawing that is not small; channels of its first layers
LITTLE = 0.01  # of a decoder's first images, beside those of the components
READ_FROM = 5000  # training images from which the readout of features is learned,
READ_VALUES = 2 * 10**8  # or as many as hold so many values


@dataclass
class SelfSupervised(AE):
    """A model whose code is learned by comparing views of images. Its page has `compare`."""

    projector_widths: ClassVar[tuple[int, ...]]
    """Of the layers from h to what is compared; the last is P."""

    suited_training: ClassVar[dict[str, Any]] = {"optimiser": "muon", "lr": 1e-3, "batch_size": 256}
    older: ClassVar[dict[str, Any]] = {"features_of": "code", "appearance_by": "network", "rebuilt": 1.0}

    latent_dim: Count = 384
    """Width of the code: what comparison makes, then the appearance."""
    appearance: Probability = 1 / 3
    """Fraction of the code that serves reconstruction alone; features, neighbours and few labels do not use it."""
    appearance_by: Literal["components", "network"] = "components"
    """What makes it: the first principal components of the images, or a second encoder that learns to (not as well in
    the same time)."""
    rebuilt: Fraction = 0.25
    """Fraction of a batch that the decoder learns from; it takes a fifth of a step with 0.25 and half of one with 1."""
    features_of: Literal["auto", "layers", "code"] = "auto"
    """What neighbours, probes and few labels use: maps of the encoder's layers, condensed after training (readout.py),
    or the part of the code that comparison makes; auto: layers for a photograph that has such maps, and for a drawing
    of 20 x 20 pixels or more, whose network then is smaller, unless one is given."""
    n_views: Count = 4
    """Views of each image in a step, V, at least 2."""
    view_size: Fraction = 0.625
    """Sides of a photograph's view, as a fraction of the image's: small views are as good and far quicker. Takes an
    encoder that averages over all places, `mean()`; for another one views are as large as images."""
    change: Change = "auto"
    """What differs between views: crops and colours of a photograph, or the warps of a drawing, which keep its size;
    auto: photograph where images have colours."""
    views: Views = field(default_factory=Views)
    warps: Augmentation = field(default_factory=lambda: Augmentation(0.15, 20.0, 0.25, 0.04))

    def compare(self, projected: Tensor) -> Tensor:
        """The loss of views (V I B, P) of I B images, all first views first. -> (I B,)"""
        raise NotImplementedError

    def loss(self, net: EncoderDecoder, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        instances = torch.cat(self.instances(x))  # (I B, C, H, W)
        views = self.view(instances.repeat(self.n_views, 1, 1, 1), net.view_sides)  # (V I B, C, S, S)
        compared = self.compare(net.projector(net.encoder(views))).view(-1, len(x)).mean(0)  # (B,)
        reconstruction = self.reconstruction(net, x)  # (B,)
        return {"loss": compared + reconstruction, self.monitor: compared, "reconstruction": reconstruction}

    def reconstruction(self, net: EncoderDecoder, x: Tensor) -> Tensor:
        """-log p(x | z), (B,). In training that of the first images alone, each of which stands for several."""
        seen = x[: math.ceil(self.rebuilt * len(x))] if net.training else x
        with torch.no_grad():
            h = net.encoder(seen)  # (b, H)
        error = -self.decode(net, self.joined(net, h, seen)).log_prob(seen)  # (b,)
        return error.repeat(math.ceil(len(x) / len(seen)))[: len(x)]

    def view(self, x: Tensor, sides: tuple[int, int]) -> Tensor:
        """(B, C, H, W) -> one view of each image: of a photograph (B, C, *sides), a drawing keeps its size."""
        return self.views(x, sides) if is_photograph(self.change, x.shape[1]) else self.warps(x)

    def instances(self, x: Tensor) -> list[Tensor]:
        """The versions of images (B, C, H, W) that are told apart, I of that shape: the images alone."""
        return [x]

    def encode(self, net: EncoderDecoder, x: Tensor) -> Point:
        return Point(self.joined(net, net.encoder(x), x).float())  # (B, Z)

    def decode(self, net: EncoderDecoder, z: Tensor) -> Pixels:
        """p(x | z)"""
        made = net.decoder(z)  # (B, C, H, W)
        if has_components(net):
            with in_float32(z):
                rough = net.appearance.undone(z[:, -self.appearance_dim :].float())
            made = made + (logits_of(rough) if self.likelihood == "bernoulli" else rough)
        return self.pixels(made)

    def features(self, net: EncoderDecoder, x: Tensor) -> Tensor:
        """What the encoder knows of images, for comparison: of its layers, or h. -> (B, H)"""
        if not hasattr(net, "readout"):
            return self.compared(net, x)
        features: Tensor = net.readout(self.pooled(net, x))
        return features

    def compared(self, net: EncoderDecoder, x: Tensor) -> Tensor:
        """h, the part of the code that comparison makes. -> (B, H)"""
        h: Tensor = net.encoder(x).float()
        return h

    def pooled(self, net: EncoderDecoder, x: Tensor) -> Tensor:
        """What the readout reads, (B, W); of photographs also that of their mirror, if views are mirrored."""
        return pooled_maps(
            cast(nn.Sequential, net.encoder), x, self.views.mirror and is_photograph(self.change, x.shape[1])
        )

    def finish(self, net: nn.Module, some: Callable[[int], Tensor]) -> None:
        if not hasattr(net, "readout"):
            return
        assert isinstance(net, EncoderDecoder)
        each = math.prod(some(1).shape)
        images = some(min(READ_FROM, max(READ_VALUES // each, 1)))
        net.eval()
        with torch.no_grad():
            net.readout.learn(self.pooled(net, part) for part in torch.split(images, 256))

    def joined(self, net: EncoderDecoder, h: Tensor, x: Tensor) -> Tensor:
        """[h, a], the whole code of images x. -> (B, Z)"""
        return torch.cat([h, net.appearance(x)], 1) if self.appearance_dim else h

    def length(self, image_shape: Shape, epochs: int, steps: int) -> tuple[int, int]:
        """Fewer of both for photographs of more than 32 x 32 pixels, so that a run takes about as long, and for
        drawings of which layers are read: these serve early."""
        if self.features_of == "layers" and not is_photograph(self.change, image_shape[0]):
            return DRAWINGS_FOR
        share = min(1.0, USUAL_PIXELS / math.prod(image_shape[1:]))
        return max(1, round(epochs * share)), max(1, round(steps * share))

    # The network ----------------------------------------------------------------------------------

    @property
    def feature_dim(self) -> int:
        """Width of h; that of a is `appearance_dim`."""
        return self.latent_dim - self.appearance_dim

    @property
    def appearance_dim(self) -> int:
        return min(round(self.appearance * self.latent_dim), self.latent_dim - 1)

    def settle(self, image_shape: Shape) -> None:
        """Of drawings that are not small, layers that suit them, and features of these, where both were left open."""
        if not self.network.encoder:
            self.network.require_usual_activation(self.name)
        small = min(image_shape[1:]) < LEAST_DRAWING
        is_open = self.features_of == "auto" and not (self.network.encoder or self.network.decoder)
        if is_open and not small and not is_photograph(self.change, image_shape[0]):
            self.features_of = "layers"
            self.network = replace(self.network, encoder=drawings_encoder(image_shape, self.feature_dim))

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        self.check()
        rows = f"{self.name} compares views of images, and these are rows of values; train an ae or vae"
        require(image_shape[1] > 1, rows)
        width = self.feature_dim
        network = self.own_network(image_shape)
        encoder = network.build_encoder(image_shape, width)
        net = EncoderDecoder(encoder, network.build_decoder(image_shape, self.latent_dim))
        layers = [] if network.modules.get("encoder") else network.encoder_layers(image_shape)
        net.view_sides = view_sides(image_shape, self.view_size, layers)
        if self.appearance_dim:
            net.appearance = self.build_appearance(image_shape)
        if has_components(net):
            begin_near_nothing(net.decoder)
        net.projector = projector(width, *self.projector_widths)
        levels = self.levels(encoder, image_shape)
        if levels:
            net.readout = Readout(levels, width)
        return net

    def build_appearance(self, image_shape: Shape) -> nn.Module:
        """(B, C, H, W) -> (B, A)"""
        if self.appearance_by == "network":
            return Network().build_encoder(image_shape, self.appearance_dim)
        return PrincipalComponents(image_shape, self.appearance_dim)

    def levels(self, encoder: nn.Module, image_shape: Shape) -> list[int]:
        """How many values features are read from, of each size of the encoder's maps; none where features are h."""
        photograph = is_photograph(self.change, image_shape[0])
        if self.features_of == "code" or (self.features_of == "auto" and not photograph):
            return []
        levels, width = level_widths(encoder, image_shape), self.feature_dim
        held = f"the encoder's maps hold {sum(levels)} values and features {width}"
        enough = sum(levels) >= width
        require(enough or self.features_of == "auto", f"{held}: give more channels, or features_of code")
        return levels if enough else []

    def own_network(self, image_shape: Shape) -> Network:
        """The network that was given; where it leaves encoder or decoder open, one for features and for this shape."""
        encoder = self.network.encoder or f"{feature_encoder(image_shape, self.feature_dim)} code()"
        decoder = self.network.decoder or upsampling_decoder(image_shape)
        return replace(self.network, encoder=encoder, decoder=decoder)

    def trunk(self, image_shape: Shape) -> Trunk:
        """A classifier's trunk that takes the weights of `net.encoder`, of which layers were named."""
        network = self.own_network(image_shape)
        assert isinstance(network.encoder, str)
        ends = isinstance(network.encoder_layers(image_shape)[-1], Code)
        layers = network.encoder if ends else f"{network.encoder} dense({self.feature_dim}, linear)"
        return Trunk(layers, network.activation, network.init)

    @property
    def n_instances(self) -> int:
        """How many images of an image are told apart, I."""
        return 1

    @property
    def codes_per_image(self) -> int:
        return self.n_views * self.n_instances

    def check(self) -> Self:
        super().check()
        linear = self.code_activation == "linear"
        require(
            linear, f"code_activation is {self.code_activation!r}, but features are compared as they are: leave it out"
        )
        require(self.n_views >= 2, f"n_views is {self.n_views}; a view is compared with another of its image: give 2")
        return self


def drawings_encoder(image_shape: Shape, width: int) -> str:
    """Layers that make `width` features of drawings (C, H, W): an eighth of the arithmetic of those for photographs."""
    return f"{feature_encoder(image_shape, width, before=DRAWN_CHANNELS)} code()"


def has_components(net: EncoderDecoder) -> bool:
    return isinstance(getattr(net, "appearance", None), PrincipalComponents)


@torch.no_grad()
def begin_near_nothing(decoder: nn.Module) -> None:
    """Make what a decoder gives small, but not 0, where no gradient would reach its other layers."""
    last = [layer for layer in decoder.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)][-1]
    for weight in last.parameters():
        weight.mul_(LITTLE)


def projector(width: int, *widths: int) -> nn.Sequential:
    """Layers of these widths, with batch normalisation and relu between them."""
    *inner, last = widths
    layers: list[nn.Module] = []
    for each in inner:
        layers += [nn.Linear(width, each, bias=False), nn.BatchNorm1d(each, track_running_stats=False), nn.ReLU()]
        width = each
    return nn.Sequential(*layers, nn.Linear(width, last))
