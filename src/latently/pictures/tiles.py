"""Tiles: images side by side in one axes, the basis of every picture that consists of images."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from latently.common.errors import require
from latently.pictures.style import (
    CAPTION_LINE,
    DPI,
    LARGEST_IMAGE,
    MARGIN,
    PAGE_HEIGHT,
    PAGE_WIDTH,
    TITLE_HEIGHT,
    Figure,
    Floats,
    fitted_text,
    length_of,
    styled,
    width_in_inches,
)


def require_tiles(grid: int) -> None:
    require(grid >= 1, f"got a canvas of {grid} tiles per side; expected at least 1")


def as_floats(images: ArrayLike) -> Floats:
    """Images as floats in [0,1], (N,H,W) or (N,H,W,3): a single channel is squeezed, alpha is blended with white."""
    given = np.asarray(images)
    colours = given.shape[3:]
    require(
        given.size > 0 and (given.ndim == 3 or (given.ndim == 4 and colours[0] in (1, 3, 4))),
        f"got images of shape {given.shape}; expected (N, height, width) or (N, height, width, 1, 3 or 4)",
    )
    require(
        given.dtype == np.uint8 or given.dtype.kind in "fb",
        f"got images of type {given.dtype}; expected uint8 from 0 to 255 or floats from 0 to 1",
    )
    shown = given / 255.0 if given.dtype == np.uint8 else given.astype(float)
    require(not np.isnan(shown).any(), "the images contain NaN pixels, which cannot be drawn")
    shown = np.clip(shown, 0, 1)
    if colours == (1,):
        return shown[..., 0]
    if colours == (4,):
        return shown[..., :3] * shown[..., 3:] + 1 - shown[..., 3:]
    return shown


def tile(images: Floats, columns: int, gap_x: int = 0, gap_y: int = 0) -> Floats:
    """Images (N,H,W[,3]) row by row in one array, with white gaps (in pixels) and white after the last image."""
    count, height, width = images.shape[:3]
    rows, colours = math.ceil(count / columns), images.shape[3:]
    cells = np.ones((rows * columns, height + gap_y, width + gap_x, *colours))
    cells[:count, :height, :width] = images
    grid = cells.reshape(rows, columns, height + gap_y, width + gap_x, *colours).swapaxes(1, 2)
    picture = grid.reshape(rows * (height + gap_y), columns * (width + gap_x), *colours)
    return picture[: picture.shape[0] - gap_y, : picture.shape[1] - gap_x]


def draw_tiles(
    tiles: Floats,
    columns: int,
    *,
    title: str | None,
    captions: Sequence[str] | None = None,
    gap: float = 0.05,
    row_gap: float | None = None,
    left: float = MARGIN,
    top: float = 0.0,
    bottom: float = MARGIN,
    stacked: int = 1,
    largest: float = LARGEST_IMAGE,
) -> tuple[Axes, Floats, Floats]:
    """Tiles on a new figure; returns its axes and the tile centres along x (columns) and y (rows), in pixels.

    Gaps and margins are in inches; `top` is added to the space for title and captions; a tile is `stacked` images high;
    no image is wider or higher than `largest`.
    """
    require(columns >= 1, f"got a sheet of {columns} columns; expected at least 1")
    require(
        captions is None or len(captions) == len(tiles),
        f"got {length_of(captions)} captions for {len(tiles)} images; give one for each",
    )
    texts = [] if captions is None else [str(caption) for caption in captions]
    lines = max((text.count("\n") + 1 for text in texts), default=0)
    count, tile_height, tile_width = tiles.shape[:3]
    columns = min(columns, count)
    width = PAGE_WIDTH - left - MARGIN
    rows = math.ceil(count / columns)
    if gap > 0:  # tiles with gaps are at most `largest`
        across = largest * tile_width / max(tile_width, tile_height / stacked)
        width = min(width, columns * (across + gap))
    else:  # a canvas fills its page
        width = min(width, PAGE_HEIGHT * columns * tile_width / (rows * tile_height))
    gap = min(gap, 0.25 * width / columns)  # with hundreds of columns, images must stay wider than the gaps
    pixels_per_inch = columns * tile_width / (width - (columns - 1) * gap)
    gap_x = math.ceil(gap * pixels_per_inch)
    gap_y = math.ceil(((gap if row_gap is None else row_gap) + lines * CAPTION_LINE) * pixels_per_inch)
    x = np.arange(columns) * (tile_width + gap_x) + (tile_width - 1) / 2
    y = np.arange(rows) * (tile_height + gap_y) + (tile_height - 1) / 2
    above = MARGIN + top + lines * CAPTION_LINE + (TITLE_HEIGHT if title else 0)
    with styled():
        axes = placed_axes(tile(tiles, columns, gap_x, gap_y), width, left, above, bottom, title)
        for place, text in enumerate(texts):
            corner = x[place % columns], y[place // columns] - tile_height / 2
            text = "\n".join(fitted_text(line, width / columns - 0.03) for line in text.split("\n"))
            above_it = axes.annotate(text, corner, xytext=(0, 2.5), textcoords="offset points", size=8)
            above_it.set(ha="center", va="bottom", linespacing=1.1)
    return axes, x, y


def placed_axes(picture: Floats, width: float, left: float, above: float, below: float, title: str | None) -> Axes:
    """Axes that show `picture` (rows, columns[, 3]) `width` inches wide on a new figure; margins in inches.

    The resolution is chosen so that each pixel becomes a square of whole dots, and all pixels have the same size.
    """
    rows, columns = picture.shape[:2]
    dots = max(1, math.ceil(DPI * width / columns))  # per pixel
    dpi = dots * columns / width
    margins = [round(margin * dpi) for margin in (left, above, below)]
    title_width = 1.45 * width_in_inches(title) + 2 * MARGIN if title else 0.0  # bold 10-point against 8-point letters
    page_width = max(margins[0] + dots * columns + round(MARGIN * dpi), round(title_width * dpi))
    page_height = margins[1] + dots * rows + margins[2]
    # plus a tenth of a dot: the canvas is truncated to whole dots, and 1299.999 would lose one
    figure = Figure(figsize=((page_width + 0.1) / dpi, (page_height + 0.1) / dpi), dpi=dpi)
    axes = figure.add_axes(
        (
            margins[0] / page_width,
            margins[2] / page_height,
            dots * columns / page_width,
            dots * rows / page_height,
        )
    )
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    axes.set(xticks=[], yticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if title:
        x, y = MARGIN * dpi / page_width, 1 - MARGIN * dpi / page_height
        figure.text(x, y, title, weight="bold", size=10, ha="left", va="top")
    return axes
