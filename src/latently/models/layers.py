"""The layers of a network and the one-line spec that lists them. No losses here.

    encoder = "conv(32, 5) pool(2) conv(64, 5) pool(2) dense(1024)"
    decoder = "dense(3136) reshape(64, 7, 7) deconv(32, 5, stride=2) deconv(out, 5, stride=2)"

A layer is `kind(arguments)`: values in the order of its fields below, a bare word is its activation, anything else by
name. `out` is as many channels (conv, deconv) or values (dense) as an image has. Shapes are (channels, height, width)
or (width,).
"""

import math
import re
from dataclasses import dataclass, fields
from typing import Any, Literal

from torch import nn

from latently.common.errors import InputError, require
from latently.models.modules import (
    ACTIVATIONS,
    MeanOverPlaces,
    Sum,
    TransposedConvolution,
    WhitenedPatches,
    activation,
    convolution,
    group_norm,
)

Shape = tuple[int, ...]
ActivationName = Literal["linear", "relu", "leaky_relu", "elu", "silu", "gelu", "softplus", "tanh", "sigmoid"]
Init = Literal["torch", "xavier", "he", "normal"]


@dataclass(frozen=True)
class Layer:
    """One layer of a spec: its output shape, its modules, and the layers of a decoder that undo it."""

    def shape(self, shape: Shape) -> Shape:
        raise NotImplementedError

    def modules(self, shape: Shape) -> list[nn.Module]:
        raise NotImplementedError

    def mirror(self, shape: Shape) -> "list[Layer]":
        """Layers from `self.shape(shape)` back to `shape`."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Weighted(Layer):
    """Common fields of dense, conv and deconv."""

    activation: str | None = None  # None: the network's
    dropout: float = 0.0  # fraction of values dropped in training
    bias: float | None = None  # its value before training; None: what the network's `init` gives
    norm: str | None = (
        None  # group: of what the weights give, before the activation; weight: of a convolution's kernels
    )


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
    """Padding before and after, for ceil(size / stride) outputs; an odd zero goes after, as in TensorFlow."""
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
            return [convolution(self.norm)(shape[0], self.channels, self.kernel, self.stride, (top, left))]
        pad = nn.ZeroPad2d((left, right, top, bottom))
        return [pad, convolution(self.norm)(shape[0], self.channels, self.kernel, self.stride)]

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
        # The crop used to be a module. Identity keeps the numbers of later modules, which name their weights.
        return [layer, nn.Identity()] if bottom or right else [layer]

    def mirror(self, shape: Shape) -> list[Layer]:
        return [Conv(shape[0], self.kernel, self.stride, self.padding)]


@dataclass(frozen=True)
class Residual(Weighted):
    """residual(channels, kernel, stride=): x + conv(conv(x)), both normalised where `norm` says so (He et al. 2016).

    An odd kernel; leaves ceil(size / stride). Where channels or stride change the shape, x goes through a 1 x 1
    convolution.
    """

    channels: int
    kernel: int = 3
    stride: int = 1

    def shape(self, shape: Shape) -> Shape:
        return (self.channels, *(math.ceil(size / self.stride) for size in shape[1:]))

    def modules(self, shape: Shape) -> list[nn.Module]:
        def conv(channels: int, kernel: int, stride: int) -> nn.Conv2d:
            # the same for any image size
            return convolution(self.norm)(channels, self.channels, kernel, stride, kernel // 2)

        norm = [group_norm(self.channels)] if self.norm == "group" else []
        first, second = conv(shape[0], self.kernel, self.stride), conv(self.channels, self.kernel, 1)
        branch = nn.Sequential(first, *norm, activation(self.activation or "relu"), second)
        changes = self.shape(shape) != shape
        return [Sum(branch, conv(shape[0], 1, self.stride) if changes else nn.Identity())]

    def mirror(self, shape: Shape) -> list[Layer]:
        return Conv(self.channels, self.kernel, self.stride).mirror(shape)


@dataclass(frozen=True)
class Whiten(Layer):
    """whiten(size): the principal components of size x size patches of the training images, each to variance 1, and
    each once with either sign, for the activation that follows; learned before the first step, then frozen (Coates &
    Ng 2012; Jordan 2024). Only as the first layer."""

    size: int = 2

    def shape(self, shape: Shape) -> Shape:
        return (2 * shape[0] * self.size**2, *(side - self.size + 1 for side in shape[1:]))

    def modules(self, shape: Shape) -> list[nn.Module]:
        return [WhitenedPatches(shape[0], self.size)]

    def mirror(self, shape: Shape) -> list[Layer]:
        return [Deconv(shape[0], self.size, 1, "valid")]


@dataclass(frozen=True)
class Mean(Layer):
    """mean(): the mean over all places, a value for each channel; what follows takes images of any size."""

    def shape(self, shape: Shape) -> Shape:
        return (shape[0],)

    def modules(self, shape: Shape) -> list[nn.Module]:
        return [MeanOverPlaces(), nn.Flatten()]

    def mirror(self, shape: Shape) -> list[Layer]:
        return [Reshape(shape[0], 1, 1), Upsample(shape[1], shape[2])]


@dataclass(frozen=True)
class Pool(Layer):
    """pool(size): max pooling over size x size windows; an incomplete last window counts. Linear, unless an activation
    is named: after the pooling it costs a fraction of what it does before."""

    size: int = 2
    activation: str | None = None

    def shape(self, shape: Shape) -> Shape:
        return (shape[0], *(math.ceil(size / self.size) for size in shape[1:]))

    def modules(self, shape: Shape) -> list[nn.Module]:
        after = [activation(self.activation)] if self.activation not in (None, "linear") else []
        return [nn.MaxPool2d(self.size, ceil_mode=True), *after]

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
    """code(): the input is the code, flattened if it is a grid; ends an encoder in place of a dense layer."""

    def shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def modules(self, shape: Shape) -> list[nn.Module]:
        return [nn.Flatten()]

    def mirror(self, shape: Shape) -> list[Layer]:
        return [Reshape(*shape)] if len(shape) == 3 else []


LAYERS: dict[str, type[Layer]] = {
    "dense": Dense, "conv": Conv, "deconv": Deconv, "residual": Residual, "whiten": Whiten, "pool": Pool, "mean": Mean,
    "upsample": Upsample, "reshape": Reshape, "code": Code,
}  # fmt: skip


def dense_to(shape: Shape) -> list[Layer]:
    """Fully connected to an image's shape, or to a width."""
    return [Dense(math.prod(shape)), *([Reshape(*shape)] if len(shape) == 3 else [])]


def parse(spec: str, out: Shape) -> list[Layer]:
    """A spec's layers. `out` is the image's shape. Raises InputError that names the layer that cannot be read."""
    calls = re.findall(r"(\w+)\(([^()]*)\)", spec)
    rest = re.sub(r"\w+\([^()]*\)", "", spec).strip(" ,")
    require(not rest, f"cannot read {rest!r} in the network {spec!r}; expected layers like 'conv(32, 5) dense(512)'")
    require(bool(calls) or not spec, f"the network {spec!r} names no layer; expected some, like 'dense(512)'")
    return [parse_layer(kind, arguments, out) for kind, arguments in calls]


def parse_layer(kind: str, arguments: str, out: Shape) -> Layer:
    call = f"{kind}({arguments})"
    require(kind in LAYERS, f"there is no layer {kind!r} in {call!r}; there are {', '.join(LAYERS)}")
    names = positional(LAYERS[kind])
    values: dict[str, Any] = {}
    position, named = 0, False
    for argument in filter(None, (word.strip() for word in arguments.split(","))):
        name, equals, text = argument.partition("=")
        if equals:
            name, value = name.strip(), parse_value(text.strip(), kind, out)
            named = True
        elif argument in ACTIVATIONS:
            name, value = "activation", argument
        else:
            require(not named, f"{call!r} has the value {argument} after one with a name; put it first, or name it")
            require(position < len(names), f"{call!r} has too many values; {kind} takes {', '.join(names)}")
            name, value = names[position], parse_value(argument, kind, out)
            position += 1
        require(name not in values, f"{call!r} gives {name} twice")
        values[name] = value
    try:
        return check_layer(LAYERS[kind](**values), call)
    except TypeError as error:
        raise InputError(f"cannot build {call!r}: {error}; {kind} takes {', '.join(names)}") from None


def positional(kind: type[Layer]) -> list[str]:
    """The arguments that need no name, in their order."""
    named = {"activation", *(["size"] if kind is Deconv else [])}
    return [field.name for field in fields(kind) if not field.kw_only and field.name not in named]


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
    if isinstance(layer, Weighted | Pool):
        known = layer.activation is None or layer.activation in ACTIVATIONS
        require(known, f"there is no activation {layer.activation!r} in {call!r}; there are {', '.join(ACTIVATIONS)}")
    if isinstance(layer, Weighted):
        dropout_ok = isinstance(layer.dropout, int | float) and 0 <= layer.dropout < 1
        require(dropout_ok, f"dropout is {layer.dropout!r} in {call!r}; expected a number from 0 up to, but not, 1")
        require(layer.bias is None or isinstance(layer.bias, int | float), f"bias is {layer.bias!r} in {call!r}")
        kinds = ("group", "weight") if isinstance(layer, Conv | Residual) else ("group",)
        choice = f"expected {' or '.join(kinds)}, or nothing"
        require(layer.norm in (None, *kinds), f"norm is {layer.norm!r} in {call!r}; {choice}")
    odd = not isinstance(layer, Residual) or layer.kernel % 2 == 1
    require(odd, f"kernel is {getattr(layer, 'kernel', 0)} in {call!r}; expected an odd number")
    padding = getattr(layer, "padding", "same")
    require(padding in ("same", "valid"), f"padding is {padding!r} in {call!r}; expected same or valid")
    return layer
