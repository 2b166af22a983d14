"""Encoders, decoders and trunks for any image shape, built from a one-line spec (layers.py). No losses here.

Without a decoder spec the decoder mirrors the encoder, layer by layer, back to the image's exact shape. An encoder ends
in a dense layer of its own, to the code's width, unless its spec ends in `code()`.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.settings import Settings
from latently.models import given
from latently.models.layers import (
    ActivationName,
    Code,
    Conv,
    Deconv,
    Dense,
    Init,
    Layer,
    Pool,
    Reshape,
    Shape,
    Upsample,
    Weighted,
    Whiten,
    dense_to,
    parse,
)
from latently.models.modules import ACTIVATIONS, Conditioned, activation, group_norm
from latently.models.usual_layers import default_decoder, default_encoder, halved_sides


def require_untold(n_classes: int, what: str) -> None:
    told = f"a conditional model tells its networks the class of an image, which a module as {what} is not prepared for"
    require(not n_classes, f"{told}: give a line of text")


@dataclass
class Network(Settings):
    """The layers between image and code; in Python an encoder or decoder may also be a module of torch.

    A module as encoder makes (B, outputs) of (B, C, H, W): as many outputs as the code is wide, or twice as many for a
    VAE: means, then log-variances. As decoder it makes (B, C, H, W) of (B, latent_dim), logits for a Bernoulli
    likelihood. Training starts from the weights that it has, and leaves the module itself as it is.
    """

    encoder: str | nn.Module = ""
    """Encoder layers, e.g. "conv(32, 5, stride=2) dense(256, elu, dropout=0.1)"; empty: chosen by image size."""
    decoder: str | nn.Module = ""
    """Decoder layers that end at the image, e.g. "dense(512) dense(out)"; empty: the encoder mirrored."""
    activation: ActivationName = "relu"
    """Activation of layers that specify none (the decoder's last layer is linear)."""
    init: Init = "torch"
    """Weights before training: torch's default, or Xavier uniform, He normal, N(0, 0.02) with biases of 0."""

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The encoder and the decoder, by these names, where they were given as modules."""
        parts = {"encoder": self.encoder, "decoder": self.decoder}
        return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}

    def require_usual_activation(self, model: str) -> None:
        """Raise InputError where an activation is given for a model's own layers, which name theirs."""
        unheeded = f"activation is {self.activation!r}, but the layers of {model}'s own encoder name theirs"
        require(self.activation == Network().activation, f"{unheeded}; leave it out, or give an encoder")

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {name: given.to_json(part) for name, part in self.modules.items()}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        if not isinstance(values, dict):
            return super().from_json(values)
        parts = {name: given.from_json(values[name]) for name in ("encoder", "decoder") if name in values}
        return super().from_json(values | parts)

    def encoder_layers(self, image_shape: Shape) -> list[Layer]:
        require(isinstance(self.encoder, str), "the encoder is a module, which has no layers to read")
        layers = parse(str(self.encoder) or default_encoder(image_shape), image_shape)
        return [activated(layer, self.activation) for layer in layers]

    def code_grid(self, image_shape: Shape) -> Shape | None:
        """(channels, height, width) of a code that is a grid, flattened in this order: what the encoder has before its
        `code()`. None: the code has no places."""
        if not isinstance(self.encoder, str):
            return None
        *layers, last = self.encoder_layers(image_shape)
        shape = shape_after(layers, image_shape)
        return shape if isinstance(last, Code) and len(shape) == 3 and min(shape[1:]) > 1 else None

    def encoder_shape(self, image_shape: Shape) -> Shape:
        """What the encoder's layers make of an image, before the dense layer that leads to the code."""
        return shape_after(self.encoder_layers(image_shape), image_shape)

    def decoder_layers(self, image_shape: Shape) -> list[Layer]:
        decoder = self.decoder
        if not decoder and isinstance(self.encoder, nn.Module):
            decoder = default_decoder(image_shape)
        if not decoder:
            return mirror(self.encoder_layers(image_shape), image_shape)
        *hidden, last = parse(str(decoder), image_shape)
        if isinstance(last, Weighted) and last.activation is None:
            last = replace(last, activation="linear")
        return [*(activated(layer, self.activation) for layer in hidden), last]

    def build_encoder(self, image_shape: Shape, n_outputs: int, n_classes: int = 0) -> nn.Module:
        """(B, C, H, W) -> (B, n_outputs), linear unless the spec ends in `code()`; with classes: `Conditioned`."""
        if isinstance(self.encoder, nn.Module):
            require_untold(n_classes, "encoder")
            return given.require_output(given.own_copy(self.encoder, "encoder"), image_shape, (n_outputs,), "encoder")
        layers = self.encoder_layers(image_shape)
        if not isinstance(layers[-1], Code):
            layers = [*layers, Dense(n_outputs, activation="linear")]
        as_planes = isinstance(layers[0], Conv | Deconv | Pool | Upsample)
        shape = image_shape
        if n_classes:
            channels, height, width = image_shape
            shape = (channels + n_classes, height, width) if as_planes else (math.prod(image_shape) + n_classes,)
        alone = not (n_classes and isinstance(layers[0], Whiten))
        require(alone, "whiten takes images alone, and this model adds a plane for each class: leave it out")
        network, made = assemble(layers, shape, self.init)
        fits = f"the encoder {self.encoder!r} ends at {made[0]} values, but the model wants {n_outputs}"
        require(made == (n_outputs,), f"{fits}; give another latent_dim, or leave out code()")
        return Conditioned(network, n_classes, as_planes) if n_classes else network

    def build_decoder(self, image_shape: Shape, latent_dim: int, n_classes: int = 0) -> nn.Module:
        """(B, latent_dim) -> (B, C, H, W), linear unless the last layer names an activation.

        With classes: `Conditioned`.
        """
        if isinstance(self.decoder, nn.Module):
            require_untold(n_classes, "decoder")
            return given.require_output(given.own_copy(self.decoder, "decoder"), (latent_dim,), image_shape, "decoder")
        network, shape = assemble(self.decoder_layers(image_shape), (latent_dim + n_classes,), self.init)
        if shape == (math.prod(image_shape),):
            network.append(nn.Unflatten(1, image_shape))
            shape = image_shape
        require(shape == image_shape, f"the decoder {self.decoder!r} ends at {shape}, but the images are {image_shape}")
        return Conditioned(network, n_classes, as_planes=False) if n_classes else network


@dataclass
class Trunk(Settings):
    """The layers between an image and the softmax."""

    layers: str = ""
    """Layers before the softmax, e.g. "conv(32, 5) pool(2) dense(100, dropout=0.2)"; empty: chosen by image size."""
    activation: ActivationName = "relu"
    """Activation of layers that specify none."""
    init: Init = "torch"
    """Weights before training: torch's default, or Xavier uniform, He normal, N(0, 0.02) with biases of 0."""

    def build(self, image_shape: Shape) -> tuple[nn.Sequential, int]:
        """(B, C, H, W) -> (B, width), and that width."""
        trunk, shape = assemble(self.parsed(image_shape), image_shape, self.init)
        return trunk.append(nn.Flatten()), math.prod(shape)

    def parsed(self, image_shape: Shape) -> list[Layer]:
        layers = parse(self.layers or default_trunk(image_shape), image_shape)
        return [activated(layer, self.activation) for layer in layers]


def default_trunk(image_shape: Shape) -> str:
    """One wide layer for rows and small images; else convolutions that halve the side until it is at most 7 pixels."""
    _, height, width = image_shape
    if min(height, width) < 12:
        return "dense(256)"
    halvings = len(halved_sides(image_shape)) - 1
    convs = " ".join(f"conv({min(32 * 2**level, 256)}, 5) pool(2)" for level in range(halvings))
    return f"{convs} dense(256, dropout=0.5)"


def activated(layer: Layer, name: str) -> Layer:
    """`layer`, with the activation `name` if it specifies none."""
    unnamed = isinstance(layer, Weighted) and layer.activation is None
    return replace(layer, activation=name) if unnamed else layer  # type: ignore[call-arg]


def assemble(layers: list[Layer], shape: Shape, init: Init) -> tuple[nn.Sequential, Shape]:
    """The modules of the layers, from `shape` on, and the shape at their end."""
    modules: list[nn.Module] = []
    for layer in layers:
        check_input(layer, shape)
        require(not (modules and isinstance(layer, Whiten)), "whiten takes patches of images; put it first")
        made = layer.modules(shape)
        if isinstance(layer, Weighted):
            for module in made:
                initialise(module, init, layer.bias)
            made += [group_norm(layer.shape(shape)[0])] if layer.norm == "group" else []
            made += [activation(layer.activation)] if layer.activation not in (None, "linear") else []
            made += [nn.Dropout(layer.dropout)] if layer.dropout else []
        modules += made
        shape = layer.shape(shape)
    return nn.Sequential(*modules), shape


def shape_after(layers: list[Layer], shape: Shape) -> Shape:
    for layer in layers:
        shape = layer.shape(shape)
    return shape


def check_input(layer: Layer, shape: Shape) -> None:
    """Raise InputError for an image layer that follows a flat one, and for a size that has shrunk to 0."""
    name = type(layer).__name__.lower()
    if isinstance(layer, Whiten):
        fits = len(shape) < 3 or min(shape[1:]) >= layer.size
        require(fits, f"whiten({layer.size}) does not fit into images of {' x '.join(map(str, shape[1:]))}")
    if not isinstance(layer, Dense | Reshape | Code):
        require(
            len(shape) == 3, f"{name} needs an image but gets {math.prod(shape)} values; put reshape(c, h, w) before it"
        )
    if isinstance(layer, Conv) and layer.padding == "valid":
        fits = min(shape[1:]) >= layer.kernel
        require(fits, f"conv with kernel {layer.kernel} and valid padding does not fit into {shape[1]} x {shape[2]}")
    if isinstance(layer, Deconv) and layer.size:
        made = layer.shape(shape)[1:]
        back = Conv(1, layer.kernel, layer.stride, layer.padding).shape((1, *made))[1:]
        sizes = f"{shape[1]} x {shape[2]} to {made[0]} x {made[1]}"
        require(back == shape[1:], f"deconv with stride {layer.stride} does not lead from {sizes}; give another size")


def mirror(layers: list[Layer], image_shape: Shape) -> list[Layer]:
    """The decoder of an encoder: every layer undone in reverse, with the activation of the layer it leads back to."""
    shapes = [image_shape]
    for layer in layers:
        check_input(layer, shapes[-1])
        shapes.append(layer.shape(shapes[-1]))
    mirrored = [] if isinstance(layers[-1], Code) else [(dense_to(shapes[-1]), len(layers))]
    mirrored += [(layers[i].mirror(shapes[i]), i) for i in reversed(range(len(layers)))]
    return [like(layer, layers[:depth]) for group, depth in mirrored for layer in group]


def like(layer: Layer, before: list[Layer]) -> Layer:
    """`layer` with the activation and dropout of the last weighted one `before` it; linear if there is none."""
    if not isinstance(layer, Weighted):
        return layer
    styles = [(other.activation, other.dropout) for other in before if isinstance(other, Weighted)]
    act, dropout = styles[-1] if styles else ("linear", 0.0)
    return replace(layer, activation=act, dropout=dropout)


def initialise(module: nn.Module, init: Init, bias: float | None) -> None:
    for part in module.children():
        initialise(part, init, bias)
    if not isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        return
    if init == "xavier":
        nn.init.xavier_uniform_(module.weight)
    elif init == "he":
        transposed = isinstance(
            module, nn.ConvTranspose2d
        )  # its weights are (in, out, ...), the others' (out, in, ...)
        nn.init.kaiming_normal_(module.weight.transpose(0, 1) if transposed else module.weight)
    elif init == "normal":
        nn.init.normal_(module.weight, std=0.02)
    if init != "torch" or bias is not None:
        nn.init.constant_(module.bias, bias or 0.0)  # type: ignore[arg-type]


class EncoderDecoder(nn.Module):
    """Network of an autoencoder: `encoder` (B, C, H, W) -> (B, outputs), `decoder` (B, Z) -> (B, C, H, W)."""

    log_variance: Tensor  # of a gaussian likelihood; only where one is learned
    flow: Any  # of the posterior; only where it has one
    pseudo_inputs: Tensor  # images (M, C, H, W) that make up a learned prior; only where there is one
    between: Any  # p(z1|z2) of a code of two layers, z2 (B, Z2) -> a normal over z1; only where there are two
    appearance: Any  # (B, C, H, W) -> (B, A), the part of a code that features leave out; only where there is one
    classifier: Any  # (B, C, H, W) -> (B, classes), logits of q(y|x); only of a model that infers classes
    view_sides: tuple[int, int]  # of the views that are compared, in pixels; only where they are
    projector: Any  # (B, H) -> (B, P), in which features are compared; only where they are
    adversary: Any  # (B, C, H, W) -> its maps and logits of patches; only of a model that has one
    readout: Any  # of the encoder's maps, as features; only where features are more than a part of the code

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


class TrunkAndHead(nn.Module):
    """Network of a classifier: `trunk` (B, C, H, W) -> (B, width), `head` (B, width + codes) -> (B, classes)."""

    view_sides: tuple[int, int]  # of a photograph's view in training, in pixels

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head


@torch.no_grad()
def begin_at(decoder: nn.Module, mean: Tensor) -> None:
    """Move the biases of a decoder's last layer by `mean` (C, H, W), of each value or of each channel, where no
    activation follows; so images begin there, give or take what the layers make of random codes."""
    parts = [part for part in decoder.modules() if not list(part.children())]
    places = [i for i, part in enumerate(parts) if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
    if not places or any(isinstance(part, tuple(ACTIVATIONS.values())) for part in parts[places[-1] + 1 :]):
        return
    last = parts[places[-1]]
    assert isinstance(last.bias, Tensor)
    last.bias += mean.flatten() if isinstance(last, nn.Linear) else mean.mean((1, 2))


def channels_last_on(network: nn.Module, device: torch.device) -> nn.Module:
    """Move `network` to a device, in channels-last memory format: convolutions are a third faster on a CPU."""
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
