"""Scatter plots of codes of any width, coloured by class."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from latently.common.errors import require
from latently.pictures.style import (
    DPI,
    OTHER,
    TRAIN,
    TWENTY_COLOURS,
    UNLABELLED,
    Figure,
    Floats,
    Ints,
    counted,
    length_of,
    shortened,
    styled,
)


def scatter(
    codes: ArrayLike,
    labels: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Scatter plot of codes (N,Z), coloured by label (N,); unlabelled codes (-1) are light grey, below the others.

    Two dimensions are plotted directly; more are projected to their first two principal components, and the axes give
    the fraction of the variance; one dimension becomes a strip per class. `classes` names label 0, 1, ... Beyond twenty
    classes the nineteen most frequent have a colour and the rest are "other".

    >>> codes = np.random.default_rng(0).normal(size=(50, 8))
    >>> scatter(codes, labels=np.arange(50) % 3, classes=["cat", "dog", "owl"]).axes[0].get_xlabel()
    'principal component 1 (23% of the variance)'
    """
    points = np.asarray(codes, dtype=float)  # (N, Z)
    require(
        points.ndim == 2 and points.size > 0,
        f"got codes of shape {points.shape}; expected (N, latent dimensions) with at least one code",
    )
    require(bool(np.isfinite(points).all()), "the codes contain NaN or infinite values, which cannot be plotted")
    groups = _groups(len(points), labels, classes)
    latent_dim = points.shape[1]
    if latent_dim > 2:
        points, names = _principal_components(points)
    else:
        names = ["z1", "z2"]
    subject = f"Codes of {counted(len(points), 'image')}"
    title = title or (subject if latent_dim <= 2 else f"{subject}: two of {latent_dim} dimensions, by PCA")
    with styled():
        height = 5.2 if latent_dim > 1 else min(1.4 + 0.4 * len(groups), 9)
        figure = Figure(figsize=(6.4, height), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, weight="bold", size=10, pad=10)
        axes.set_xlabel(names[0])
        if latent_dim == 1:
            _strip(axes, points[:, 0], groups)
        else:
            axes.set_ylabel(names[1])
            _cloud(axes, points, groups)
            _scatter_legend(figure, groups)
    return figure


def scatters(panels: Mapping[str, ArrayLike], labels: ArrayLike, classes: Sequence[str] | None = None) -> Figure:
    """Two-dimensional codes (N,2) of the same images side by side, one panel per title, coloured by label (N,).

    >>> figure = scatters({"AE": np.eye(2), "VAE": np.ones((2, 2))}, labels=[0, 1])
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['AE', 'VAE']
    """
    groups = _groups(len(np.asarray(labels)), labels, classes)
    with styled():
        figure = Figure(figsize=(1.0 + 4.2 * len(panels), 4.4), dpi=DPI, layout="constrained")
        for place, (title, codes) in enumerate(panels.items(), start=1):
            points = np.asarray(codes, dtype=float)
            require(points.shape[1:] == (2,), f"got codes of shape {points.shape}; expected 2 dimensions")
            axes = figure.add_subplot(1, len(panels), place)
            axes.set_title(title, weight="bold", size=10, pad=10)
            axes.set_xlabel("z1")
            axes.set_ylabel("z2")
            _cloud(axes, points, groups)
        _scatter_legend(figure, groups)
    return figure


Group = tuple[str, str, Ints]  # name, colour, indices of its points


def _groups(n: int, labels: ArrayLike | None, classes: Sequence[str] | None) -> list[Group]:
    """Groups of points of one colour, lowest layer first: unlabelled, other, then the classes."""
    if labels is None:
        return [("", TRAIN, np.arange(n))]
    y = np.asarray(labels)
    require(
        y.shape == (n,) and y.dtype.kind in "iu",
        f"got labels of shape {y.shape} and type {y.dtype}; expected {n} whole numbers, -1 for unlabelled",
    )
    found, counts = np.unique(y[y >= 0], return_counts=True)
    require(
        classes is None or len(found) == 0 or found[-1] < len(classes),
        f"got label {max(found, default=0)} but {length_of(classes)} class names; name every class, from label 0 on",
    )
    listed = found
    if len(found) > len(TWENTY_COLOURS):
        listed = np.sort(found[np.argsort(-counts, kind="stable")[: len(TWENTY_COLOURS) - 1]])
    groups: list[Group] = [
        ("unlabelled", UNLABELLED, np.flatnonzero(y < 0)),
        (f"other ({len(found) - len(listed)})", OTHER, np.flatnonzero((y >= 0) & ~np.isin(y, listed))),
    ]
    for place, label in enumerate(listed):
        # up to twenty classes, a label always has the same colour, in all pictures of a data set
        colour = TWENTY_COLOURS[label if found[-1] < len(TWENTY_COLOURS) else place]
        groups.append((str(classes[label] if classes is not None else label), colour, np.flatnonzero(y == label)))
    return [group for group in groups if len(group[2])]


def _principal_components(codes: Floats) -> tuple[Floats, list[str]]:
    """Codes (N,Z) projected to their first two principal components (N,2), and the two axis labels."""
    centred = codes - codes.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1][:, :2]  # (Z,), (Z, 2)
    largest = directions[np.abs(directions).argmax(axis=0), [0, 1]]
    directions = directions * np.where(
        largest < 0, -1, 1
    )  # the sign is arbitrary: fix it, so that pictures are repeatable
    shares = variances[:2] / max(variances.sum(), np.finfo(float).tiny)
    names = [f"principal component {i} ({share:.0%} of the variance)" for i, share in enumerate(shares, start=1)]
    return centred @ directions, names


def _cloud(axes: Axes, points: Floats, groups: list[Group]) -> None:
    below = [group for group in groups if group[1] in (UNLABELLED, OTHER)]
    above = [group for group in groups if group[1] not in (UNLABELLED, OTHER)]
    for _, colour, members in below:
        _points(axes, points[members], colour, len(points))
    if above:
        # all classes in one shuffled layer; otherwise the last class would hide the others
        members = np.concatenate([members for *_, members in above])
        colours = np.repeat([colour for _, colour, _ in above], [len(members) for *_, members in above])
        order = np.random.default_rng(0).permutation(len(members))
        _points(axes, points[members[order]], colours[order].tolist(), len(points))
    axes.set_aspect("equal", adjustable="datalim")
    _name_the_clouds(axes, points, above)


def _points(axes: Axes, points: Floats, colours: str | list[str], n_in_all: int) -> None:
    """Points (N,2), sized so that 100 are clearly visible and 70,000 still show their density."""
    size = float(np.clip(75 * n_in_all**-0.36, 1.2, 16))
    alpha = float(np.clip(1.75 - 0.28 * math.log10(n_in_all), 0.45, 0.9))
    # thousands of points would make a PDF of megabytes: rasterize them
    axes.scatter(points[:, 0], points[:, 1], s=size, c=colours, alpha=alpha, lw=0, rasterized=n_in_all > 2000)


def _name_the_clouds(axes: Axes, points: Floats, groups: list[Group]) -> None:
    """Short class names near the medians of the classes, so that meaning does not depend on colour alone."""
    if len(groups) < 2 or max(len(name) for name, *_ in groups) > 12:
        return
    places = np.array([np.median(points[members], axis=0) for *_, members in groups])
    letter = 0.019 * max(np.ptp(points, axis=0).max(), np.finfo(float).tiny)  # a letter's width in the data's units
    places = _pushed_apart(
        places, widths=letter * np.array([len(name) + 0.6 for name, *_ in groups]), height=2 * letter
    )
    for (name, colour, _), (x, y) in zip(groups, places, strict=True):
        word = axes.text(x, y, name, color=colour, size=10, weight="bold", ha="center", va="center", zorder=5)
        word.set_path_effects([withStroke(linewidth=2.2, foreground="white")])


def _pushed_apart(places: Floats, widths: Floats, height: float) -> Floats:
    """Positions (C,2) of words, moved vertically until boxes (widths (C,), one height) hardly overlap."""
    places = places.copy()
    for _ in range(50):
        for i, j in zip(*np.triu_indices(len(places), 1), strict=True):
            across, up = places[i] - places[j]
            overlap = height - abs(up)
            if abs(across) < (widths[i] + widths[j]) / 2 and overlap > 0:
                push = math.copysign(overlap / 2, up)
                places[i, 1] += push
                places[j, 1] -= push
    return places


def _scatter_legend(figure: Figure, groups: list[Group]) -> None:
    ordered = [group for group in groups if group[1] not in (UNLABELLED, OTHER)]
    ordered += [group for group in groups if group[1] in (OTHER, UNLABELLED)]
    handles = [
        Line2D([], [], marker="o", ls="", ms=5, mew=0, color=colour, label=shortened(name, 24))
        for name, colour, _ in ordered
        if name
    ]
    if handles:
        figure.legend(handles=handles, loc="outside right center", labelspacing=0.45, handletextpad=0.2)


def _strip(axes: Axes, values: Floats, groups: list[Group]) -> None:
    """One row of points per class along a single latent dimension, with jitter so that they do not hide each other."""
    spread = np.random.default_rng(0).uniform(-0.32, 0.32, len(values))
    for row, (_, colour, members) in enumerate(groups):
        _points(axes, np.stack([values[members], row + spread[members]], axis=1), colour, len(values))
    axes.set_yticks(range(len(groups)), [shortened(name, 24) for name, *_ in groups])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("class" if groups[0][0] else "")
    axes.invert_yaxis()
