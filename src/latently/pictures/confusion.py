"""The confusion matrix of a classifier."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from latently.pictures.style import (
    DPI,
    INK,
    PAGE_WIDTH,
    Figure,
    counted,
    shortened,
    styled,
)


def confusion(true: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> Figure:
    """Confusion matrix: counts of true class (row) and predicted class (column).

    `true` and `predicted` are (N,) indices into `classes`. The diagonal holds the correct predictions; mistakes are
    redder the larger their fraction of the row is, on a log scale from one in a thousand, so that rare ones are
    visible.

    >>> figure = confusion([0, 0, 1], [0, 1, 1], ["cat", "dog"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '1', '1']
    """
    n = len(classes)
    counts = np.zeros((n, n), int)
    np.add.at(counts, (np.asarray(true), np.asarray(predicted)), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    with styled():
        side = min(PAGE_WIDTH - 1, max(2.4, 0.46 * n))
        figure = Figure(figsize=(side + 1.2, side + 0.9), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        wrong = np.where(np.eye(n, dtype=bool) | (counts == 0), np.nan, np.log10(np.maximum(shares, 1e-3)))
        axes.imshow(wrong, cmap="OrRd", vmin=-3.6, vmax=0)
        axes.imshow(np.where(np.eye(n, dtype=bool), 1.0, np.nan), cmap="Greys", vmin=0, vmax=8)
        if n <= 20:
            for row, column in zip(*counts.nonzero(), strict=True):
                dark = row != column and shares[row, column] > 0.15
                axes.text(column, row, str(counts[row, column]), ha="center", va="center",
                          size=8 if n <= 12 else 6, color="white" if dark else INK)  # fmt: skip
        names = [shortened(str(name), 14) for name in classes]
        axes.set_xticks(range(n), names, rotation=0 if max(map(len, names)) <= 3 else 60)
        axes.set_yticks(range(n), names)
        axes.tick_params(length=0)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        for spine in axes.spines.values():
            spine.set_visible(False)
        right = int(np.trace(counts))
        axes.set_title(f"{right:,} of {counted(counts.sum(), 'image')} correct", weight="bold", size=10, pad=10)
    return figure
