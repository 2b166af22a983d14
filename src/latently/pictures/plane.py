"""The plane of a two-dimensional code: decoded images on a grid of codes."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from latently.common.errors import require
from latently.pictures.style import (
    Figure,
    Floats,
    evenly_spaced,
    number_texts,
    styled,
)
from latently.pictures.tiles import as_floats, draw_tiles, require_tiles


def canvas_codes(grid: int, low: float | Sequence[float], high: float | Sequence[float]) -> Floats:
    """The codes (grid*grid, 2) behind a canvas, in drawing order: top row first, z2 falling; z1 rising to the right.

    `low` and `high` are the limits of both dimensions, or pairs with one value per dimension.

    >>> canvas_codes(2, -1, 1).tolist()
    [[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]
    """
    require_tiles(grid)
    lows, highs = np.broadcast_to(np.asarray(low, float), 2), np.broadcast_to(np.asarray(high, float), 2)
    require(
        bool(np.isfinite([lows, highs]).all() and (lows < highs).all()),
        f"got a canvas from {low} to {high}; expected two finite limits, the lower one first",
    )
    if grid == 1:
        return ((lows + highs) / 2)[None]
    return _mesh(*np.linspace(lows, highs, grid).T)


def quantile_codes(grid: int) -> Floats:
    """The codes (grid*grid, 2) at the quantiles (i + 0.5) / grid of the prior N(0, I), in `canvas_codes`' order.

    Each tile then represents the same probability mass of the prior.

    >>> quantile_codes(2).round(3).tolist()
    [[-0.674, 0.674], [0.674, 0.674], [-0.674, -0.674], [0.674, -0.674]]
    """
    require_tiles(grid)
    half = [NormalDist().inv_cdf((i + 0.5) / grid) for i in range(grid // 2)]
    # mirrored explicitly: the quantile function has rounding error, and the middle tile is exactly 0
    values = np.array(half + [0.0] * (grid % 2) + [-value for value in reversed(half)])
    return _mesh(values, values)


def _mesh(z1: Floats, z2: Floats) -> Floats:
    columns, rows = np.meshgrid(z1, z2[::-1])
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


def canvas(images: ArrayLike, z1: ArrayLike, z2: ArrayLike, title: str | None = None) -> Figure:
    """Images decoded over the plane of a 2-D code, as one picture without gaps, with the codes along its edges.

    `images` (rows*columns, H, W[, C]) are in the order of `canvas_codes`. `z1` has the values of the columns and `z2`
    those of the rows, in any order, with or without repeats: the two columns of the codes are fine.

    >>> codes = canvas_codes(3, -2, 2)
    >>> figure = canvas(np.zeros((9, 8, 8)), codes[:, 0], codes[:, 1])
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    ['2', '0', '−2']
    """
    tiles = as_floats(images)
    across, down = np.unique(np.asarray(z1, float)), np.unique(np.asarray(z2, float))[::-1]
    require(
        len(tiles) == len(across) * len(down),
        f"got {len(tiles)} images for a canvas of {len(down)} rows by {len(across)} columns; give one image per tile",
    )
    title = title or "Images decoded over the plane of codes"
    axes, x, y = draw_tiles(tiles, len(across), title=title, gap=0, left=0.62, bottom=0.5)
    with styled():
        for axis, places, values, label in ((axes.xaxis, x, across, "z1"), (axes.yaxis, y, down, "z2")):
            shown = evenly_spaced(len(values), 9)
            axis.set_ticks(places[shown], number_texts(values[shown]))
            axis.set_label_text(label)
    return axes.get_figure()  # type: ignore[return-value]
