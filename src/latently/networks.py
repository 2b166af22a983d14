"""Encoders and decoders of any image shape, from a one-line spec. No losses here.

    encoder = "conv(32, 5) pool(2) conv(64, 5) pool(2) dense(1024)"
    decoder = "dense(3136) reshape(64, 7, 7) deconv(32, 5, stride=2) deconv(out, 5, stride=2)"

A layer is `kind(arguments)`: values in the order of its fields below, a bare word is its activation, anything else by
name. `out` is as many channels (conv, deconv) or values (dense) as an image has. Without a decoder spec the decoder
mirrors the encoder, layer by layer, back to the image's exact shape. Shapes are (channels, height, width) or (width,).
An encoder ends in a dense layer of its own, to the code's width, unless its spec ends in `code()`.
"""

import math
import re
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latently.errors import InputError, require
from latently.settings import Settings

Shape = tuple[int, ...]

ActivationName = Literal["linear", "relu", "leaky_relu", "elu", "silu", "gelu", "softplus", "tanh", "sigmoid"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
Init = Literal["torch", "xavier", "he", "normal"]
LEAK = 0.2  # slope of leaky_relu below zero, as in the studies; torch's own default is 0.01


def activation(name: str) -> nn.Module:
    return nn.LeakyReLU(LEAK) if name == "leaky_relu" else ACTIVATIONS[name]()


# The layers ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """One step of a network: the shape it makes, the modules that make it, and the layers that lead back."""

    def shape(self, shape: Shape) -> Shape:
        raise NotImplementedError

    def modules(self, shape: Shape) -> list[nn.Module]:
        raise NotImplementedError

    def mirror(self, shape: Shape) -> "list[Layer]":
        """Layers from `self.shape(shape)` back to `shape`."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Weighted(Layer):
    """What dense, conv and deconv share."""

    activation: str | None = None  # None: the network's
    dropout: float = 0.0  # the share of values dropped while training
    bias: float | None = None  # its value before training; None: what the network's `init` gives


@dataclass(frozen=True)
class Dense(Weighted):
    """dense(width): fully connected; flattens an image first."""

    width: int

    def shape(self, shape: Shape) -> Shape:
        return (self.width,)

    def modules(self, shape: Shape) -> list[nn.Module]:
        flatten = [nn.Flatten()] if len(shape) == 3 else []
        return [*flatten, nn.Linear(math.prod(shape), self.width)]

    def mirror(self, shape: Shape) -> list[Layer]:
        return dense_to(shape)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after that leave ceil(size / stride) outputs; an odd one goes after, as in TensorFlow."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class Conv(Weighted):
    """conv(channels, kernel, stride=, padding=same|valid): square kernels; `same` leaves ceil(size / stride)."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: Literal["same", "valid"] = "same"

    def pads(self, shape: Shape) -> list[tuple[int, int]]:
        same = self.padding == "same"
        return [same_padding(size, self.kernel, self.stride) if same else (0, 0) for size in shape[1:]]

    def shape(self, shape: Shape) -> Shape:
        sizes = (
            (size + sum(pad) - self.kernel) // self.stride + 1
            for size, pad in zip(shape[1:], self.pads(shape), strict=True)
        )
        return (self.channels, *sizes)

    def modules(self, shape: Shape) -> list[nn.Module]:
        (top, bottom), (left, right) = self.pads(shape)
        if top == bottom and left == right:
            return [nn.Conv2d(shape[0], self.channels, self.kernel, self.stride, (top, left))]
        pad = nn.ZeroPad2d((left, right, top, bottom))
        return [pad, nn.Conv2d(shape[0], self.channels, self.kernel, self.stride)]

    def mirror(self, shape: Shape) -> list[Layer]:
        return [Deconv(shape[0], self.kernel, self.stride, self.padding, size=shape[1:])]


@dataclass(frozen=True)
class Deconv(Weighted):
    """deconv(channels, kernel, stride=, padding=same|valid, size=): transposed convolution; `same` gives size * stride,
    `size` a square of just that side, as TensorFlow's output_shape does."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: Literal["same", "valid"] = "same"
    size: int | Shape | None = None  # to hit exactly: the side of a square, or (height, width), which a mirror knows

    def shape(self, shape: Shape) -> Shape:
        if self.size:
            return (self.channels, *(self.size if isinstance(self.size, tuple) else (self.size, self.size)))
        if self.padding == "same":
            return (self.channels, *(size * self.stride for size in shape[1:]))
        return (self.channels, *((size - 1) * self.stride + self.kernel for size in shape[1:]))

    def modules(self, shape: Shape) -> list[nn.Module]:
        """Cut the surplus evenly from both sides, an odd row or column from the end; add what is missing at the end."""
        full = [(size - 1) * self.stride + self.kernel for size in shape[1:]]
        surplus = [have - want for have, want in zip(full, self.shape(shape)[1:], strict=True)]
        bottom, right = (max(extra, 0) % 2 for extra in surplus)
        layer = TransposedConvolution(
            shape[0],
            self.channels,
            self.kernel,
            self.stride,
            padding=(max(surplus[0], 0) // 2, max(surplus[1], 0) // 2),
            output_padding=(max(-surplus[0], 0), max(-surplus[1], 0)),
            crop=(bottom, right),
        )
        # The crop once was a module of its own: what follows keeps its number, by which weights are kept.
        return [layer, nn.Identity()] if bottom or right else [layer]

    def mirror(self, shape: Shape) -> list[Layer]:
        return [Conv(shape[0], self.kernel, self.stride, self.padding)]


@dataclass(frozen=True)
class Pool(Layer):
    """pool(size): maximum over size x size squares; an incomplete last square counts, too."""

    size: int = 2

    def shape(self, shape: Shape) -> Shape:
        return (shape[0], *(math.ceil(size / self.size) for size in shape[1:]))

    def modules(self, shape: Shape) -> list[nn.Module]:
        return [nn.MaxPool2d(self.size, ceil_mode=True)]

    def mirror(self, shape: Shape) -> list[Layer]:
        return [Upsample(shape[1], shape[2])]


@dataclass(frozen=True)
class Upsample(Layer):
    """upsample(height, width): repeat the nearest value."""

    height: int
    width: int

    def shape(self, shape: Shape) -> Shape:
        return (shape[0], self.height, self.width)

    def modules(self, shape: Shape) -> list[nn.Module]:
        return [nn.Upsample((self.height, self.width))]


@dataclass(frozen=True)
class Reshape(Layer):
    """reshape(channels, height, width): the same values as an image of that shape."""

    channels: int
    height: int
    width: int

    def shape(self, shape: Shape) -> Shape:
        made = (self.channels, self.height, self.width)
        require(math.prod(made) == math.prod(shape), f"reshape{made} cannot take {math.prod(shape)} values")
        return made

    def modules(self, shape: Shape) -> list[nn.Module]:
        flatten = [nn.Flatten()] if len(shape) == 3 else []
        return [*flatten, nn.Unflatten(1, (self.channels, self.height, self.width))]


@dataclass(frozen=True)
class Code(Layer):
    """code(): the values that arrive are the code, a grid of them too; ends an encoder in place of a dense layer."""

    def shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def modules(self, shape: Shape) -> list[nn.Module]:
        return [nn.Flatten()]

    def mirror(self, shape: Shape) -> list[Layer]:
        return [Reshape(*shape)] if len(shape) == 3 else []


LAYERS: dict[str, type[Layer]] = {
    "dense": Dense, "conv": Conv, "deconv": Deconv, "pool": Pool, "upsample": Upsample, "reshape": Reshape,
    "code": Code,
}  # fmt: skip


def dense_to(shape: Shape) -> list[Layer]:
    """Fully connected to an image's shape, or to a width."""
    return [Dense(math.prod(shape)), *([Reshape(*shape)] if len(shape) == 3 else [])]


# The spec -----------------------------------------------------------------------------------------


def parse(spec: str, out: Shape) -> list[Layer]:
    """A spec's layers. `out` is the image's shape. Raises InputError that names the layer that cannot be read."""
    calls = re.findall(r"(\w+)\(([^()]*)\)", spec)
    rest = re.sub(r"\w+\([^()]*\)", "", spec).strip(" ,")
    require(not rest, f"cannot read {rest!r} in the network {spec!r}; expected layers like 'conv(32, 5) dense(512)'")
    return [parse_layer(kind, arguments, out) for kind, arguments in calls]


def parse_layer(kind: str, arguments: str, out: Shape) -> Layer:
    call = f"{kind}({arguments})"
    require(kind in LAYERS, f"there is no layer {kind!r} in {call!r}; there are {', '.join(LAYERS)}")
    names = [
        field.name for field in fields(LAYERS[kind]) if (not field.kw_only and field.name != "size") or kind == "pool"
    ]
    values: dict[str, Any] = {}
    for argument in filter(None, (word.strip() for word in arguments.split(","))):
        name, equals, text = argument.partition("=")
        if equals:
            values[name.strip()] = parse_value(text.strip(), kind, out)
        elif argument in ACTIVATIONS:
            values["activation"] = argument
        else:
            position = len([name for name in values if name in names])
            require(position < len(names), f"{call!r} has too many values; {kind} takes {', '.join(names)}")
            values[names[position]] = parse_value(argument, kind, out)
    try:
        return check_layer(LAYERS[kind](**values), call)
    except TypeError as error:
        raise InputError(f"cannot build {call!r}: {error}; {kind} takes {', '.join(names)}") from None


def parse_value(text: str, kind: str, out: Shape) -> int | float | str:
    if text == "out":
        return math.prod(out) if kind == "dense" else out[0]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def check_layer(layer: Layer, call: str) -> Layer:
    for name in ("width", "channels", "kernel", "stride", "size", "height"):
        value = getattr(layer, name, None)
        ok = value is None or (isinstance(value, int) and 1 <= value < 2**31)
        require(ok, f"{name} is {value!r} in {call!r}; expected a whole number of at least 1")
    if isinstance(layer, Weighted):
        known = layer.activation is None or layer.activation in ACTIVATIONS
        require(known, f"there is no activation {layer.activation!r} in {call!r}; there are {', '.join(ACTIVATIONS)}")
        dropout_ok = isinstance(layer.dropout, int | float) and 0 <= layer.dropout < 1
        require(dropout_ok, f"dropout is {layer.dropout!r} in {call!r}; expected a number from 0 up to, but not, 1")
        require(layer.bias is None or isinstance(layer.bias, int | float), f"bias is {layer.bias!r} in {call!r}")
    padding = getattr(layer, "padding", "same")
    require(padding in ("same", "valid"), f"padding is {padding!r} in {call!r}; expected same or valid")
    return layer


def default_encoder(image_shape: Shape) -> str:
    """Small grey images get two wide layers, larger or coloured ones halve their side until it is 7 pixels or fewer.

    Beyond about 1,000 values the first dense layer would hold most of the weights.
    """
    _, height, width = image_shape
    if math.prod(image_shape) <= 1024 or min(height, width) < 8:
        return "dense(512) dense(512)"
    halvings = max(1, math.ceil(math.log2(max(height, width) / 7)))
    convs = " ".join(f"conv({min(32 * 2**level, 256)}, 4, stride=2)" for level in range(halvings))
    return f"{convs} dense(256)"


# The network --------------------------------------------------------------------------------------


@dataclass
class Network(Settings):
    """The layers between image and code."""

    encoder: str = ""
    """Encoder layers, e.g. "conv(32, 5, stride=2) dense(256, elu, dropout=0.1)"; empty: by the image's size."""
    decoder: str = ""
    """Decoder layers, the last one ending at the image, e.g. "dense(512) dense(out)"; empty: the encoder's mirror."""
    activation: ActivationName = "relu"
    """Activation of every layer that names none (the decoder's last is linear)."""
    init: Init = "torch"
    """Weights before training: torch's default, or Xavier uniform, He normal, N(0, 0.02) with biases of 0."""

    def encoder_layers(self, image_shape: Shape) -> list[Layer]:
        layers = parse(self.encoder or default_encoder(image_shape), image_shape)
        return [activated(layer, self.activation) for layer in layers]

    def decoder_layers(self, image_shape: Shape) -> list[Layer]:
        if not self.decoder:
            return mirror(self.encoder_layers(image_shape), image_shape)
        *hidden, last = parse(self.decoder, image_shape)
        if isinstance(last, Weighted) and last.activation is None:
            last = replace(last, activation="linear")
        return [*(activated(layer, self.activation) for layer in hidden), last]

    def build_encoder(self, image_shape: Shape, n_outputs: int, n_classes: int = 0) -> nn.Module:
        """(B, C, H, W) -> (B, n_outputs), linear unless the spec ends in `code()`; with classes: `Told`."""
        layers = self.encoder_layers(image_shape)
        if not isinstance(layers[-1], Code):
            layers = [*layers, Dense(n_outputs, activation="linear")]
        as_planes = isinstance(layers[0], Conv | Deconv | Pool | Upsample)
        shape = image_shape
        if n_classes:
            channels, height, width = image_shape
            shape = (channels + n_classes, height, width) if as_planes else (math.prod(image_shape) + n_classes,)
        network, made = assemble(layers, shape, self.init)
        fits = f"the encoder {self.encoder!r} ends at {made[0]} values, but the model wants {n_outputs}"
        require(made == (n_outputs,), f"{fits}; give another latent_dim, or leave out code()")
        return Told(network, n_classes, as_planes) if n_classes else network

    def build_decoder(self, image_shape: Shape, latent_dim: int, n_classes: int = 0) -> nn.Module:
        """(B, latent_dim) -> (B, C, H, W), linear unless the last layer names an activation; with classes: `Told`."""
        network, shape = assemble(self.decoder_layers(image_shape), (latent_dim + n_classes,), self.init)
        if shape == (math.prod(image_shape),):
            network.append(nn.Unflatten(1, image_shape))
            shape = image_shape
        require(shape == image_shape, f"the decoder {self.decoder!r} ends at {shape}, but the images are {image_shape}")
        return Told(network, n_classes, as_planes=False) if n_classes else network


@dataclass
class Trunk(Settings):
    """The layers between an image and the softmax."""

    layers: str = ""
    """Layers before the softmax, e.g. "conv(32, 5) pool(2) dense(100, dropout=0.2)"; empty: by the image's size."""
    activation: ActivationName = "relu"
    """Activation of every layer that names none."""
    init: Init = "torch"
    """Weights before training: torch's default, or Xavier uniform, He normal, N(0, 0.02) with biases of 0."""

    def build(self, image_shape: Shape) -> tuple[nn.Sequential, int]:
        """(B, C, H, W) -> (B, width), and that width."""
        layers = parse(self.layers or default_trunk(image_shape), image_shape)
        trunk, shape = assemble([activated(layer, self.activation) for layer in layers], image_shape, self.init)
        return trunk.append(nn.Flatten()), math.prod(shape)


def default_trunk(image_shape: Shape) -> str:
    """Rows of values and images of few pixels get a wide layer; others are halved until their side is 7 or fewer."""
    _, height, width = image_shape
    if min(height, width) < 12:
        return "dense(256)"
    halvings = max(1, math.ceil(math.log2(max(height, width) / 7)))
    convs = " ".join(f"conv({min(32 * 2**level, 256)}, 5) pool(2)" for level in range(halvings))
    return f"{convs} dense(256, dropout=0.5)"


def activated(layer: Layer, name: str) -> Layer:
    """`layer` with the activation `name` where it names none."""
    unnamed = isinstance(layer, Weighted) and layer.activation is None
    return replace(layer, activation=name) if unnamed else layer  # type: ignore[call-arg]


def assemble(layers: list[Layer], shape: Shape, init: Init) -> tuple[nn.Sequential, Shape]:
    """The modules of the layers, from `shape` on, and the shape at their end."""
    modules: list[nn.Module] = []
    for layer in layers:
        check_input(layer, shape)
        made = layer.modules(shape)
        if isinstance(layer, Weighted):
            for module in made:
                initialise(module, init, layer.bias)
            made += [activation(layer.activation)] if layer.activation not in (None, "linear") else []
            made += [nn.Dropout(layer.dropout)] if layer.dropout else []
        modules += made
        shape = layer.shape(shape)
    return nn.Sequential(*modules), shape


def check_input(layer: Layer, shape: Shape) -> None:
    """A layer of images after a layer of values, or a size that has shrunk to nothing, is a sentence."""
    name = type(layer).__name__.lower()
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


class TransposedConvolution(nn.ConvTranspose2d):
    """torch's, without the last `crop` rows and columns, and with the bias added by itself: given along, torch's own
    library falls back to a slow kernel on CPUs for odd sizes, 80 ms in place of 7 for study 2's (docs/performance.md).
    """

    def __init__(self, *sizes: Any, crop: tuple[int, int], **settings: Any) -> None:
        super().__init__(*sizes, **settings)
        self.crop = crop

    @property
    def edges(self) -> list[int]:
        """What is added left, right, at the top and the bottom: less than nothing."""
        return [0, -self.crop[1], 0, -self.crop[0]]

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        assert self.bias is not None
        assert not isinstance(self.padding, str)
        y = F.conv_transpose2d(x, self.weight, None, self.stride, self.padding, self.output_padding)
        if any(self.crop):
            y = F.pad(y, self.edges)  # whose gradient stays channels last; a slice's does not
        return y + self.bias[:, None, None].to(y.dtype)


class Told(nn.Module):
    """A network that is told the class y (B,) of what it sees, one-hot; no class (-1) is all zeros.

    as_planes: a constant plane per class beside an image's channels, for convolutions; else a value per class beside
    the flattened values.
    """

    def __init__(self, network: nn.Module, n_classes: int, as_planes: bool) -> None:
        super().__init__()
        self.network, self.n_classes, self.as_planes = network, n_classes, as_planes

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        one_hot = (y[:, None] == torch.arange(self.n_classes, device=y.device)).to(x.dtype)  # (B, K)
        if self.as_planes:
            planes = one_hot[:, :, None, None].expand(-1, -1, *x.shape[2:])  # (B, K, H, W)
            return self.network(torch.cat([x, planes], 1))
        return self.network(torch.cat([x.flatten(1), one_hot], 1))


class EncoderDecoder(nn.Module):
    """What an autoencoder trains: `encoder` (B, C, H, W) -> (B, outputs), `decoder` (B, Z) -> (B, C, H, W)."""

    log_variance: Tensor  # of a gaussian likelihood; only where one is learned
    flow: Any  # of the posterior; only where it has one
    pseudo_inputs: Tensor  # images (M, C, H, W) that make up a learned prior; only where there is one

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


class TrunkAndHead(nn.Module):
    """What a classifier trains: `trunk` (B, C, H, W) -> (B, width), `head` (B, width + codes) -> (B, classes)."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head


def laid_out(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` on a device, convolutions with the channels last in memory: a third faster on a CPU."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
