"""Rows and grids of images: reconstructions, samples, traversals."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from numpy.typing import ArrayLike

from latently.common.errors import require
from latently.pictures.style import (
    MARGIN,
    PAGE_WIDTH,
    Figure,
    counted,
    evenly_spaced,
    fitted_text,
    length_of,
    number_texts,
    shortened,
    styled,
    width_in_inches,
)
from latently.pictures.tiles import as_floats, draw_tiles, tile


def reconstructions(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    labels: Sequence[object] | None = None,
    columns: int = 10,
    names: tuple[str, str] = ("original", "reconstruction"),
    title: str = "Originals and their reconstructions",
) -> Figure:
    """Each original (N,H,W[,C]) above its reconstruction (same shape), in rows of pairs; `labels` go above the pairs,
    `names` label the two rows.

    >>> digits = np.zeros((12, 8, 8))
    >>> [tick.get_text() for tick in reconstructions(digits, digits).axes[0].get_yticklabels()]
    ['original', 'reconstruction', 'original', 'reconstruction']
    """
    above, below = as_floats(originals), as_floats(reconstructions)
    require(
        above.shape == below.shape,
        f"got originals of shape {above.shape} and reconstructions of shape {below.shape}; shapes must be equal",
    )
    height = above.shape[1]
    seam = np.ones((len(above), max(1, round(0.05 * height)), *above.shape[2:]))
    pairs = np.concatenate([above, seam, below], axis=1)  # one tall image per pair: (N, 2H + seam, W[, 3])
    captions = None if labels is None else [str(label) for label in labels]
    axes, _, y = draw_tiles(
        pairs,
        columns,
        title=title,
        captions=captions,
        left=1.0,
        row_gap=0.14,
        stacked=2,
    )
    with styled():
        offset = (pairs.shape[1] - height) / 2
        places = np.stack([y - offset, y + offset], axis=1).ravel()
        axes.set_yticks(places, list(names) * len(y))
    return axes.get_figure()  # type: ignore[return-value]


def with_maps(images: ArrayLike, maps: ArrayLike, captions: Sequence[str], title: str) -> Figure:
    """Each image (N,H,W[,C]) above a map (N,H,W) of its pixels, values of at least 0: dark to bright, on one scale.

    >>> with_maps(np.zeros((3, 8, 8)), np.ones((3, 8, 8)), list("abc"), "Odd").axes[0].images[0].get_array().shape[2]
    3
    """
    shown, values = as_floats(images), np.asarray(maps, float)
    if shown.ndim == 3:
        shown = np.repeat(shown[..., None], 3, 3)
    heat = colormaps["inferno"](values / max(values.max(initial=0.0), 1e-12))[..., :3]
    return reconstructions(shown, heat, captions, names=("image", "where"), title=title)


def rows(named: Mapping[str, ArrayLike], title: str) -> Figure:
    """A row of images (N,H,W[,C]) per name, all of the same shape: for example the same digits by several models.

    >>> digits = np.zeros((8, 8, 8))
    >>> [tick.get_text() for tick in rows({"original": digits, "AE, 2-D": digits}, "A").axes[0].get_yticklabels()]
    ['original', 'AE, 2-D']
    """
    tiles = [as_floats(images) for images in named.values()]
    require(
        len({block.shape for block in tiles}) == 1,
        f"got rows of shapes {', '.join(str(block.shape) for block in tiles)}; shapes must be equal",
    )
    left = 0.2 + max(map(width_in_inches, named))
    axes, _, y = draw_tiles(np.concatenate(tiles), len(tiles[0]), title=title, left=left, gap=0.03)
    with styled():
        axes.set_yticks(y, list(named))
        axes.tick_params(length=0)
    return axes.get_figure()  # type: ignore[return-value]


def samples(images: ArrayLike, columns: int | None = None, drawn_by: str = "") -> Figure:
    """Images (N,H,W[,C]) drawn from a model, on a roughly square grid unless `columns` is given. drawn_by: how the
    codes were drawn, for the title.

    >>> samples(np.zeros((16, 8, 8))).axes[0].images[0].get_array().shape
    (35, 35)
    """
    tiles = as_floats(images)
    count, height, width = tiles.shape[:3]
    columns = columns or min(count, math.ceil(math.sqrt(count * height / width)))
    title = f"{counted(count, 'sample')} from the model{f', {drawn_by}' * bool(drawn_by)}"
    axes, _, _ = draw_tiles(tiles, columns, title=title)
    return axes.get_figure()  # type: ignore[return-value]


def traversals(
    images: ArrayLike, values: ArrayLike, dims: Sequence[int], activity: Sequence[float] | None = None
) -> Figure:
    """Effect of one latent dimension at a time: images (D,S,H,W[,C]), a row per dimension, a column per value (S,).

    `dims` (D,) are positions in the code, from 0: position 6 is named z7, as in `scatter` and `canvas`. `activity` (D,)
    is each dimension's KL in nats, shown beside its name. Rows keep their order.

    >>> figure = traversals(np.zeros((2, 5, 8, 8)), [-2, -1, 0, 1, 2], dims=[6, 0], activity=[2.31, 0.002])
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    ['z7 · 2.31 nats', 'z1 · 0.00 nats']
    """
    block, steps = np.asarray(images), np.asarray(values, float)
    require(
        block.ndim >= 4 and block.shape[:2] == (len(dims), len(steps)),
        f"got images of shape {block.shape} for {len(dims)} dimensions and {len(steps)} values; "
        "expected (dimensions, values, height, width[, channels])",
    )
    require(
        activity is None or len(activity) == len(dims),
        f"got {length_of(activity)} activities for {len(dims)} dimensions; give one for each",
    )
    names = [f"z{dim + 1}" for dim in dims]
    if activity is not None:
        names = [f"{name} · {nats:.2f} nats" for name, nats in zip(names, activity, strict=True)]
    shown = evenly_spaced(len(steps), 13)
    numbers = dict(zip(shown.tolist(), number_texts(steps[shown]), strict=True))
    return grid(block, names, [numbers.get(place, "") for place in range(len(steps))], "One latent dimension at a time")


def grid(images: ArrayLike, rows: Sequence[str], columns: Sequence[str], title: str) -> Figure:
    """Images (R,S,H,W[,C]) in named rows and columns.

    >>> figure = grid(np.zeros((1, 2, 8, 8)), ["a cat"], ["as a cat", "as a dog"], "Analogies")
    >>> [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    ['as a cat', 'as a dog']
    """
    block = np.asarray(images)
    require(
        block.ndim >= 4 and block.shape[:2] == (len(rows), len(columns)),
        f"got images of shape {block.shape} for {len(rows)} rows and {len(columns)} columns",
    )
    names = [fitted_text(str(name), 1.6) for name in rows]
    axes, x, y = draw_tiles(
        as_floats(block.reshape(-1, *block.shape[2:])),
        len(columns),
        title=title,
        left=0.2 + max(map(width_in_inches, names)),
        top=0.2,
        gap=0.03,
    )
    with styled():
        axes.set_yticks(y, names)
        axes.set_xticks(x, [shortened(str(name), max(3, 90 // len(columns))) for name in columns])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
    return axes.get_figure()  # type: ignore[return-value]


def sheet(
    images: ArrayLike, captions: Sequence[str] | None = None, title: str | None = None, columns: int = 10
) -> Figure:
    """Images (N,H,W[,C]) with a caption (N,) above each, in at most `columns` columns.

    Long captions get wider tiles, down to five columns; even longer ones are shortened in the middle.

    >>> figure = sheet(np.zeros((2, 8, 8)), captions=["holiday/beach/IMG_20240817_0042.png", "b.png"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['holiday/b…_0042.png', 'b.png']
    """
    gap = 0.08
    longest = (
        max(
            (
                width_in_inches(line)
                for caption in ([] if captions is None else captions)
                for line in str(caption).split("\n")
            ),
            default=0,
        )
        + gap
    )
    fitting = int((PAGE_WIDTH - 2 * MARGIN + gap) / (longest + gap))
    columns = min(columns, max(5, fitting))
    axes, _, _ = draw_tiles(as_floats(images), columns, title=title, captions=captions, gap=gap)
    return axes.get_figure()  # type: ignore[return-value]


def sheets(named: Mapping[str, ArrayLike], columns: int, across: int, title: str) -> Figure:
    """A block of images (N,H,W[,C]) per name, all of one shape, `columns` images wide, `across` blocks per row.

    >>> digits = np.zeros((4, 8, 8))
    >>> figure = sheets({"originals": digits, "after epoch 1": digits}, columns=2, across=2, title="A")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['originals', 'after epoch 1']
    """
    tiles = [as_floats(images) for images in named.values()]
    apart = max(1, tiles[0].shape[1] // 28)  # pixels between images
    blocks = np.stack([tile(images, columns, apart, apart) for images in tiles])
    axes, _, _ = draw_tiles(blocks, across, title=title, captions=list(named), gap=0.1, largest=PAGE_WIDTH)
    return axes.get_figure()  # type: ignore[return-value]
