"""The layers that are usual for an image's shape (C, H, W), as one-line specs (layers.py). No modules here."""

import math

from latently.models.layers import Shape

ROW_WIDTH = 256  # of the layers on both sides of a code that is a row
GRID_SIDE = 8  # most places along a side of a code that is a grid


def default_encoder(image_shape: Shape) -> str:
    """Two wide layers for small grey images; for others, convolutions that halve the side until it is at most 7 pixels.

    Beyond about 1,000 values the first dense layer would hold most of the weights.
    """
    _, height, width = image_shape
    if math.prod(image_shape) <= 1024 or min(height, width) < 8:
        return "dense(512) dense(512)"
    halvings = len(halved_sides(image_shape)) - 1
    convs = " ".join(f"conv({min(32 * 2**level, 256)}, 4, stride=2)" for level in range(halvings))
    return f"{convs} dense(256)"


def feature_encoder(image_shape: Shape, width: int, norm: str = "weight", before: tuple[int, int] = (64, 256)) -> str:
    """What learns `width` features without pixels to rebuild: each the mean of a channel, so of images of any size.
    before: channels of the layers before the last ones."""

    def halving(channels: int) -> str:
        return f"conv({channels}, 3, linear, norm={norm}) pool(2, gelu) conv({channels}, 3, gelu, norm={norm})"

    if min(image_shape[1:]) < 12:
        return f"conv(64, 3, gelu, norm={norm}) {halving(width)} mean()"
    return f"whiten(2) {' '.join(map(halving, (*before, width)))} mean()"


def upsampling_decoder(image_shape: Shape) -> str:
    """From a code to an image by doubling and convolution, which leave no chessboard (Odena et al. 2016)."""
    sides = halved_sides(image_shape)
    channels = [min(16 * 2**level, 128) for level in range(len(sides))]
    first = f"dense({channels[-1] * math.prod(sides[-1])}) reshape({channels[-1]}, {sides[-1][0]}, {sides[-1][1]})"
    steps = (f"upsample({h}, {w}) conv({c}, 3)" for (h, w), c in zip(sides[-2::-1], channels[-2::-1], strict=True))
    return f"{first} {' '.join(steps)} conv(out, 3)"


def grid_sides(image_shape: Shape) -> list[tuple[int, int]]:
    return halved_sides(image_shape, GRID_SIDE)


def halved_sides(image_shape: Shape, most: int = 7) -> list[tuple[int, int]]:
    """Height and width of an image, halved until neither is above `most` pixels, once at least."""
    _, height, width = image_shape
    halvings = max(1, math.ceil(math.log2(max(height, width) / most)))
    return [(math.ceil(height / 2**level), math.ceil(width / 2**level)) for level in range(halvings + 1)]


def grid_widths(sides: list[tuple[int, int]]) -> list[int]:
    """Channels at each of the halved sizes."""
    return [min(32 * 2**level, 128) for level in range(len(sides) - 1)]


def grid_encoder(image_shape: Shape, channels: int) -> str:
    """From an image to a code that is a grid of so many channels."""
    widths = grid_widths(grid_sides(image_shape))
    halving = " ".join(f"conv({width}, 4, silu, stride=2, norm=weight)" for width in widths)
    return f"{halving} residual({widths[-1]}, 3, silu, norm=weight) conv({channels}, 3, linear) code()"


def grid_decoder(image_shape: Shape, channels: int) -> str:
    """From such a code to an image. Kernels of 4 at strides of 2 overlap evenly: no chessboard once it has learned."""
    sides = grid_sides(image_shape)
    widths = grid_widths(sides)
    steps = [f"reshape({channels}, {sides[-1][0]}, {sides[-1][1]}) conv({widths[-1]}, 3, silu)"]
    for level in reversed(range(len(widths))):
        small, large = sides[level + 1], sides[level]
        doubled = f"deconv({widths[level - 1]}, 4, silu, stride=2)" if level else "deconv(out, 4, stride=2)"
        steps.append(f"residual({widths[level]}, 3, silu, norm=weight) {doubled}")
        if large != (2 * small[0], 2 * small[1]):
            steps.append(f"upsample({large[0]}, {large[1]})")  # an odd side
    return " ".join(steps)


def row_encoder(image_shape: Shape) -> str:
    """From a drawing to a row of values, of which its code is made."""
    halving = " ".join(f"conv({width}, 4, gelu, stride=2)" for width in grid_widths(grid_sides(image_shape)))
    return f"{halving} dense({ROW_WIDTH}, gelu)"


def row_decoder(image_shape: Shape) -> str:
    """From a code that is a row to a drawing, by doubling and convolution."""
    sides = grid_sides(image_shape)
    widths, (height, across) = grid_widths(sides), sides[-1]
    places = f"dense({widths[-1] * height * across}, gelu) reshape({widths[-1]}, {height}, {across})"
    doubled = zip(sides[-2::-1], reversed(widths), strict=True)
    steps = " ".join(f"upsample({h}, {w}) conv({width}, 3, gelu)" for (h, w), width in doubled)
    return f"dense({ROW_WIDTH}, gelu) {places} {steps} conv(out, 3)"


def default_decoder(image_shape: Shape) -> str:
    """Of an encoder that cannot be mirrored."""
    if math.prod(image_shape) <= 1024 or min(image_shape[1:]) < 8:
        return "dense(512) dense(512) dense(out)"
    return upsampling_decoder(image_shape)
