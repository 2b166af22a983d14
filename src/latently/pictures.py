"""Arrays to matplotlib figures: curves, reconstructions, scatter, canvas, samples, traversals, sheets.

Nothing here loads, trains or decodes. Every function returns a `matplotlib.figure.Figure`, made without pyplot and in a
private style: the caller's rcParams neither shape a picture nor change. Images are (N,H,W) or (N,H,W,C), uint8 0..255
or floats shown clipped to [0,1], and are drawn upright. Latent dimensions count from one in print: z1 is code column 0.

    figure = scatter(codes, labels)
    save(figure, "RUN/figures/scatter.png")
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import NormalDist

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.textpath import text_to_path
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from latently.errors import InputError, require

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

# Ten colours that stay apart for normal, protan, deutan and tritan eyes: five of Okabe & Ito's (2008) and five searched
# for beside them, maximising the smallest OKLab distance under simulated colour blindness (0.086; 0.076 for Okabe and
# Ito's own eight). Ordered so that consecutive classes, and the digits often mistaken for each other, differ most.
TEN_COLOURS = (
    "#9c2e5a", "#56b4e9", "#5d05a4", "#e69f00", "#0072b2", "#5a1a0a", "#009e73", "#10256b", "#a264f6", "#d55e00",
)  # fmt: skip
# Ten more from the same search (0.053 among all twenty): beyond ten, the names written into the scatter do the work.
TWENTY_COLOURS = (
    *TEN_COLOURS,
    "#a2eb3c", "#424e08", "#9ec773", "#da76bb", "#3041ca", "#604b83", "#8f5c2f", "#5fe6fc", "#700048", "#ce9c9b",
)  # fmt: skip
TRAIN, VALIDATION = "#0072b2", "#d55e00"
INK, QUIET, UNLABELLED, OTHER = "#222222", "#6b6b6b", "#cfcfcf", "#8a8a8a"

STYLE = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same picture on every machine
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9a9a9a",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "text.color": INK,
    "text.parse_math": False,  # a file may be called $5.png
    "xtick.color": "#9a9a9a",
    "ytick.color": "#9a9a9a",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "pdf.fonttype": 42,  # real letters, so that a journal's checks pass and the text can be searched
    "svg.hashsalt": "latently",  # the same figure gives the same file
}
MINUS = "\N{MINUS SIGN}"  # a hyphen is too short for a number
DPI = 200
MOST_NAMES_INSIDE = 5  # more would cover the lines
PAGE_WIDTH = 6.8  # inches across: a text column of A4 or letter
PAGE_HEIGHT = 8.0
MARGIN = 0.12  # inches of white around a picture
LARGEST_IMAGE = 1.2  # inches: beyond it a tile shows nothing more
TITLE_HEIGHT = 0.3  # inches that a title takes above a picture
CAPTION_LINE = 0.15  # inches a line of 8-point text takes


@contextmanager
def _style() -> Iterator[None]:
    with matplotlib.style.context(["default", STYLE]):
        yield


# ---- Curves -------------------------------------------------------------------------------------------------------


def training_curves(history: Mapping[str, Sequence[float]], units: Mapping[str, str] | None = None) -> Figure:
    """One panel per term of the history, training and validation together.

    `history` maps column names to one value per epoch: `epoch` (else 1, 2, ...) and `train_TERM`, `val_TERM`; other
    columns are left out, and NaN marks an epoch without a value. `units` names a term's y axis; loss, reconstruction
    and kl are in nats per image unless it says otherwise. Where the first epochs would flatten all that follows,
    the panel leaves them off the scale and says so.

    >>> figure = training_curves({"epoch": [1, 2], "train_loss": [190.0, 140.0], "val_loss": [150.0, 130.0]})
    >>> figure.axes[0].get_title(loc="left"), figure.axes[0].get_ylabel()
    ('Loss', 'nats per image')
    """
    columns = {name: np.asarray(values, dtype=float) for name, values in history.items()}
    terms = _terms(columns)
    lengths = {len(values) for values in columns.values()}
    require(bool(terms), "the history holds no train_* or val_* column, so there is no curve to draw")
    require(len(lengths) == 1, f"the history's columns differ in length ({sorted(lengths)}); give one value per epoch")
    n_epochs = lengths.pop()
    require(n_epochs > 0, "the history holds no epoch yet, so there is no curve to draw; train for one epoch first")
    epochs = columns.get("epoch", np.arange(1.0, n_epochs + 1))
    across = min(3, len(terms))
    down = math.ceil(len(terms) / across)
    with _style():
        figure = Figure(figsize=(0.6 + 2.35 * across if across > 1 else 4.2, 0.45 + 2.25 * down), dpi=DPI)
        figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
        figure.suptitle(f"Training over {_count(n_epochs, 'epoch')}", x=0.01, ha="left", weight="bold", size=10)
        for place, term in enumerate(terms, start=1):
            axes = figure.add_subplot(down, across, place)
            _curve(axes, epochs, columns.get(f"train_{term}"), columns.get(f"val_{term}"))
            axes.set_title("KL divergence" if term == "kl" else _words(term))
            axes.set_ylabel(_unit(term, units))
        _curve_legend(figure, columns)
    return figure


def _terms(columns: Mapping[str, object]) -> list[str]:
    """The terms that have a curve: loss, reconstruction and kl first, then the others as they come."""
    found = [name.partition("_")[2] for name in columns if name.startswith(("train_", "val_"))]
    known = [term for term in ("loss", "reconstruction", "kl") if term in found]
    return list(dict.fromkeys(known + found))


def _unit(term: str, units: Mapping[str, str] | None) -> str:
    nats = dict.fromkeys(("loss", "reconstruction", "kl"), "nats per image")
    return {**nats, **(units or {})}.get(term, _words(term).lower())


def _curve(axes: Axes, epochs: Floats, train: Floats | None, validation: Floats | None) -> None:
    marker = "o" if len(epochs) <= 12 else None  # a single epoch draws no line: its point must show
    drawn = []
    for values, colour, dashes in ((train, TRAIN, "-"), (validation, VALIDATION, (0, (4, 1.2)))):
        if values is not None and np.isfinite(values).any():
            seen = np.isfinite(values)  # validation may come every few epochs only
            axes.plot(epochs[seen], values[seen], color=colour, ls=dashes, lw=1.4, marker=marker, ms=2.6)
            drawn.append((epochs[seen], values[seen]))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    if drawn:
        _leave_out_a_huge_start(axes, epochs, drawn)


def _leave_out_a_huge_start(axes: Axes, epochs: Floats, curves: list[tuple[Floats, Floats]]) -> None:
    """Where the whole run spans over four times what follows its first tenth, drop first epochs from y; say so."""

    def after(epoch: float) -> Floats:
        return np.concatenate([values[at > epoch] for at, values in curves])

    start = max(1, len(epochs) // 10)
    every, later = after(-math.inf), after(epochs[start - 1])
    if later.size < 3 or np.ptp(later) == 0 or np.ptp(every) <= 4 * np.ptp(later):
        return
    # as few as will do: often the very first epoch alone is the huge one
    shown = next(kept for epoch in epochs[:start] if np.ptp(kept := after(epoch)) <= 4 * np.ptp(later))
    low, high = shown.min() - 0.06 * np.ptp(shown), shown.max() + 0.06 * np.ptp(shown)
    axes.set_ylim(low, high)
    hidden = every[(every < low) | (every > high)]
    farthest = hidden[np.abs(hidden - np.median(shown)).argmax()]
    arrow = "↑" if farthest > high else "↓"
    axes.set_title(f"off scale: {_number(farthest)} {arrow}", loc="right", size=8, color=QUIET)


def _curve_legend(figure: Figure, columns: Mapping[str, object]) -> None:
    lines = []
    for prefix, label, colour, dashes in (
        ("train_", "training", TRAIN, "-"),
        ("val_", "validation", VALIDATION, (0, (4, 1.2))),
    ):
        if any(name.startswith(prefix) for name in columns):
            lines.append(Line2D([], [], color=colour, ls=dashes, lw=1.4, label=label))
    figure.legend(handles=lines, loc="upper right", ncols=2, borderaxespad=0.4, handlelength=2.2)


# ---- Codes --------------------------------------------------------------------------------------------------------


def scatter(
    codes: ArrayLike,
    labels: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Codes (N,Z) as points, coloured by label (N,), unlabelled ones (-1) light grey below the others.

    Two dimensions are drawn as they are; more are drawn in their first two principal components, and the axes say so
    and give the share of the variance; a single one becomes a strip per class. `classes` names label 0, 1, ... Beyond
    twenty classes the nineteen most frequent keep a colour and the rest are "other".

    >>> codes = np.random.default_rng(0).normal(size=(50, 8))
    >>> scatter(codes, labels=np.arange(50) % 3, classes=["cat", "dog", "owl"]).axes[0].get_xlabel()
    'principal component 1 (23% of the variance)'
    """
    points = np.asarray(codes, dtype=float)  # (N, Z)
    require(
        points.ndim == 2 and points.size > 0,
        f"codes of shape {points.shape} came; a scatter wants (N, latent dimensions) with at least one code",
    )
    require(bool(np.isfinite(points).all()), "the codes hold NaN or infinite values, so they have no place to draw")
    groups = _groups(len(points), labels, classes)
    latent_dim = points.shape[1]
    if latent_dim > 2:
        points, names = _principal_components(points)
    else:
        names = ["z1", "z2"]
    subject = f"Codes of {_count(len(points), 'image')}"
    title = title or (subject if latent_dim <= 2 else f"{subject}: two of {latent_dim} dimensions, by PCA")
    with _style():
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
    """Two-dimensional codes (N,2) of the same images side by side, a panel per title, coloured by label (N,).

    >>> figure = scatters({"AE": np.eye(2), "VAE": np.ones((2, 2))}, labels=[0, 1])
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['AE', 'VAE']
    """
    groups = _groups(len(np.asarray(labels)), labels, classes)
    with _style():
        figure = Figure(figsize=(1.0 + 4.2 * len(panels), 4.4), dpi=DPI, layout="constrained")
        for place, (title, codes) in enumerate(panels.items(), start=1):
            points = np.asarray(codes, dtype=float)
            require(points.shape[1:] == (2,), f"codes of shape {points.shape} came; expected 2 dimensions")
            axes = figure.add_subplot(1, len(panels), place)
            axes.set_title(title, weight="bold", size=10, pad=10)
            axes.set_xlabel("z1")
            axes.set_ylabel("z2")
            _cloud(axes, points, groups)
        _scatter_legend(figure, groups)
    return figure


Group = tuple[str, str, Ints]  # name, colour, indices of its points


def _groups(n: int, labels: ArrayLike | None, classes: Sequence[str] | None) -> list[Group]:
    """What is drawn in one colour, the lowest layer first: unlabelled, other, then the classes."""
    if labels is None:
        return [("", TRAIN, np.arange(n))]
    y = np.asarray(labels)
    require(
        y.shape == (n,) and y.dtype.kind in "iu",
        f"labels of shape {y.shape} and type {y.dtype} came; {n} codes want {n} whole numbers, -1 where unlabelled",
    )
    found, counts = np.unique(y[y >= 0], return_counts=True)
    require(
        classes is None or len(found) == 0 or found[-1] < len(classes),
        f"label {max(found, default=0)} came with {_length(classes)} class names; name every class, from label 0 on",
    )
    listed = found
    if len(found) > len(TWENTY_COLOURS):
        listed = np.sort(found[np.argsort(-counts, kind="stable")[: len(TWENTY_COLOURS) - 1]])
    groups: list[Group] = [
        ("unlabelled", UNLABELLED, np.flatnonzero(y < 0)),
        (f"other ({len(found) - len(listed)})", OTHER, np.flatnonzero((y >= 0) & ~np.isin(y, listed))),
    ]
    for place, label in enumerate(listed):
        # up to twenty classes the colour belongs to the label, so that two pictures of one data set agree
        colour = TWENTY_COLOURS[label if found[-1] < len(TWENTY_COLOURS) else place]
        groups.append((str(classes[label] if classes is not None else label), colour, np.flatnonzero(y == label)))
    return [group for group in groups if len(group[2])]


def _principal_components(codes: Floats) -> tuple[Floats, list[str]]:
    """Codes (N,Z) in their first two principal components (N,2), and the two axis labels."""
    centred = codes - codes.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1][:, :2]  # (Z,), (Z, 2)
    largest = directions[np.abs(directions).argmax(axis=0), [0, 1]]
    directions = directions * np.where(largest < 0, -1, 1)  # a sign is arbitrary: fix it, for repeatable pictures
    shares = variances[:2] / max(variances.sum(), np.finfo(float).tiny)
    names = [f"principal component {i} ({share:.0%} of the variance)" for i, share in enumerate(shares, start=1)]
    return centred @ directions, names


def _cloud(axes: Axes, points: Floats, groups: list[Group]) -> None:
    below = [group for group in groups if group[1] in (UNLABELLED, OTHER)]
    above = [group for group in groups if group[1] not in (UNLABELLED, OTHER)]
    for _, colour, members in below:
        _points(axes, points[members], colour, len(points))
    if above:
        # all classes in one shuffled layer, else the last class would hide those drawn before it
        members = np.concatenate([members for *_, members in above])
        colours = np.repeat([colour for _, colour, _ in above], [len(members) for *_, members in above])
        order = np.random.default_rng(0).permutation(len(members))
        _points(axes, points[members[order]], colours[order].tolist(), len(points))
    axes.set_aspect("equal", adjustable="datalim")
    _name_the_clouds(axes, points, above)


def _points(axes: Axes, points: Floats, colours: str | list[str], n_in_all: int) -> None:
    """Points (N,2), so large and so opaque that 100 stand out and 70,000 still show where they are dense."""
    size = float(np.clip(75 * n_in_all**-0.36, 1.2, 16))
    alpha = float(np.clip(1.75 - 0.28 * math.log10(n_in_all), 0.45, 0.9))
    # thousands of points would make a PDF of megabytes: they are kept as a picture inside it
    axes.scatter(points[:, 0], points[:, 1], s=size, c=colours, alpha=alpha, lw=0, rasterized=n_in_all > 2000)


def _name_the_clouds(axes: Axes, points: Floats, groups: list[Group]) -> None:
    """Short class names near their medians: colour alone must not carry the meaning."""
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
    """Places (C,2) of words, moved up and down until no two boxes (widths (C,), one height) overlap, or nearly."""
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
        Line2D([], [], marker="o", ls="", ms=5, mew=0, color=colour, label=_shorten(name, 24))
        for name, colour, _ in ordered
        if name
    ]
    if handles:
        figure.legend(handles=handles, loc="outside right center", labelspacing=0.45, handletextpad=0.2)


def _strip(axes: Axes, values: Floats, groups: list[Group]) -> None:
    """One row of points per class along a single latent dimension, spread a little so that they do not hide."""
    spread = np.random.default_rng(0).uniform(-0.32, 0.32, len(values))
    for row, (_, colour, members) in enumerate(groups):
        _points(axes, np.stack([values[members], row + spread[members]], axis=1), colour, len(values))
    axes.set_yticks(range(len(groups)), [_shorten(name, 24) for name, *_ in groups])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("class" if groups[0][0] else "")
    axes.invert_yaxis()


# ---- Lines of a study ---------------------------------------------------------------------------------------------


def lines(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    x_label: str,
    y_label: str,
    title: str,
    points: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    spans: Mapping[str, ArrayLike] | None = None,
    y_range: tuple[float, float] | None = None,
    log_x: bool = False,
) -> Figure:
    """Named lines (x, y) in one panel; `points` are drawn as lone marks, `spans` are half widths about a line.

    >>> figure = lines({"ours": ([1, 2], [3.0, 2.0])}, "epoch", "nats per image", "A study", {"theirs": ([2], [2.5])})
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['ours', 'theirs']
    """
    with _style():
        figure = Figure(figsize=(6.4, 3.8), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        for (name, (x, y)), colour in zip(series.items(), TWENTY_COLOURS, strict=False):
            x, y = np.asarray(x, float), np.asarray(y, float)
            axes.plot(x, y, color=colour, lw=1.4, label=name, marker="o" if len(x) <= 16 else None, ms=3)
            half = np.asarray((spans or {}).get(name, 0.0), float)
            axes.fill_between(x, y - half, y + half, color=colour, alpha=0.15, lw=0)
        for (name, (x, y)), mark in zip((points or {}).items(), "Xs^vD*P", strict=False):
            axes.scatter(x, y, marker=mark, s=34, color=INK, label=name, zorder=4, lw=0)
        axes.set_title(title, weight="bold", size=10, pad=10)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        if not any(np.mod(np.asarray(x, float), 1).any() for x, _ in series.values()):
            axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True))
            axes.xaxis.set_major_formatter("{x:,.0f}")
        if log_x:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.xaxis.set_minor_locator(NullLocator())
        if y_range is not None:
            axes.set_ylim(*y_range)
        if len(series) > MOST_NAMES_INSIDE:
            figure.set_figwidth(PAGE_WIDTH + 1.6)
            figure.legend(loc="outside right upper")
        else:
            axes.legend(loc="best")
    return figure


def compared_curves(
    histories: Mapping[str, Mapping[str, Sequence[float]]], title: str, units: Mapping[str, str] | None = None
) -> Figure:
    """Histories as `training_curves` takes them, by name, together: one panel per term, one colour per name.

    Names that do not fit beside the title stand below the panels.

    >>> history = {"train_loss": [190.0, 140.0], "val_loss": [150.0, 130.0]}
    >>> figure = compared_curves({"ours": history, "theirs": history}, "A study")
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['ours', 'theirs', 'training', 'validation']
    """
    terms = _terms({name: None for history in histories.values() for name in history})
    dashes = {"train": "-", "val": (0, (4, 1.2))}
    with _style():
        figure = Figure(figsize=(0.6 + 2.35 * len(terms), 2.9), dpi=DPI)
        figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=10)
        for place, term in enumerate(terms, start=1):
            axes = figure.add_subplot(1, len(terms), place)
            drawn = []
            for history, colour in zip(histories.values(), TWENTY_COLOURS, strict=False):
                for part, dash in dashes.items():
                    values = np.asarray(history.get(f"{part}_{term}", []), float)
                    epochs = np.arange(1.0, len(values) + 1)
                    axes.plot(epochs, values, color=colour, ls=dash, lw=1.2)
                    drawn.append((epochs, values))
            axes.set_title("KL divergence" if term == "kl" else _words(term))
            axes.set_ylabel(_unit(term, units))
            axes.set_xlabel("epoch")
            axes.grid(axis="y")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
            _leave_out_a_huge_start(axes, max((at for at, _ in drawn), key=len), drawn)
        handles = [
            Line2D([], [], color=colour, label=name) for name, colour in zip(histories, TWENTY_COLOURS, strict=False)
        ]
        for label, dash in zip(("training", "validation"), dashes.values(), strict=True):
            handles.append(Line2D([], [], color=QUIET, ls=dash, lw=1.2, label=label))
        names = [str(handle.get_label()) for handle in handles]
        widest = max(map(_inches, names)) + 0.6  # inches of a legend's column: its line, its name, a gap
        beside = 1.45 * _inches(title) + sum(map(_inches, names)) + 0.6 * len(names) < figure.get_figwidth()
        columns = len(names) if beside else max(1, int(figure.get_figwidth() / widest))
        figure.legend(
            handles=handles,
            loc="upper right" if beside else "outside lower left",
            ncols=columns,
            borderaxespad=0.4,
            handlelength=2.2,
        )
    return figure


# ---- Classes ------------------------------------------------------------------------------------------------------


def confusion(true: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> Figure:
    """How often a class (row) was taken for another (column): counts, coloured by their share of the row.

    `true` and `predicted` are (N,) indices into `classes`. The diagonal is what was right; what was wrong is redder the
    more of its class it takes, from one in a thousand on, for single mistakes are what one looks for.

    >>> figure = confusion([0, 0, 1], [0, 1, 1], ["cat", "dog"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '1', '1']
    """
    n = len(classes)
    counts = np.zeros((n, n), int)
    np.add.at(counts, (np.asarray(true), np.asarray(predicted)), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    with _style():
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
        names = [_shorten(str(name), 14) for name in classes]
        axes.set_xticks(range(n), names, rotation=0 if max(map(len, names)) <= 3 else 60)
        axes.set_yticks(range(n), names)
        axes.tick_params(length=0)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        for spine in axes.spines.values():
            spine.set_visible(False)
        right = int(np.trace(counts))
        axes.set_title(f"{right:,} of {_count(counts.sum(), 'image')} right", weight="bold", size=10, pad=10)
    return figure


# ---- The plane of a two-dimensional code --------------------------------------------------------------------------


def canvas_codes(grid: int, low: float | Sequence[float], high: float | Sequence[float]) -> Floats:
    """The codes (grid*grid, 2) behind a canvas, in drawing order: top row first, z2 falling; z1 rising to the right.

    `low` and `high` are the ends of both dimensions, or pairs, one value for each.

    >>> canvas_codes(2, -1, 1).tolist()
    [[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]
    """
    _require_tiles(grid)
    lows, highs = np.broadcast_to(np.asarray(low, float), 2), np.broadcast_to(np.asarray(high, float), 2)
    require(
        bool(np.isfinite([lows, highs]).all() and (lows < highs).all()),
        f"a canvas from {low} to {high} came; it wants two finite ends, the lower one first",
    )
    if grid == 1:
        return ((lows + highs) / 2)[None]
    return _mesh(*np.linspace(lows, highs, grid).T)


def quantile_codes(grid: int) -> Floats:
    """The codes (grid*grid, 2) at the quantiles (i + 0.5) / grid of the prior N(0, I), in `canvas_codes`' order.

    Each tile then stands for the same share of the prior's mass.

    >>> quantile_codes(2).round(3).tolist()
    [[-0.674, 0.674], [0.674, 0.674], [-0.674, -0.674], [0.674, -0.674]]
    """
    _require_tiles(grid)
    half = [NormalDist().inv_cdf((i + 0.5) / grid) for i in range(grid // 2)]
    # mirrored by hand: the quantile function is exact only to rounding, and the middle tile is 0
    values = np.array(half + [0.0] * (grid % 2) + [-value for value in reversed(half)])
    return _mesh(values, values)


def _require_tiles(grid: int) -> None:
    require(grid >= 1, f"a canvas of {grid} tiles a side came; it wants at least 1")


def _mesh(z1: Floats, z2: Floats) -> Floats:
    columns, rows = np.meshgrid(z1, z2[::-1])
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


def canvas(images: ArrayLike, z1: ArrayLike, z2: ArrayLike, title: str | None = None) -> Figure:
    """Images decoded over the plane of a 2-D code, as one seamless picture with the codes along its edges.

    `images` (rows*columns, H, W[, C]) come in `canvas_codes`' order. `z1` holds the columns' values and `z2` the rows',
    in any order and repeated or not: the two columns of the codes will do.

    >>> codes = canvas_codes(3, -2, 2)
    >>> figure = canvas(np.zeros((9, 8, 8)), codes[:, 0], codes[:, 1])
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    ['2', '0', '−2']
    """
    tiles = _images(images)
    across, down = np.unique(np.asarray(z1, float)), np.unique(np.asarray(z2, float))[::-1]
    require(
        len(tiles) == len(across) * len(down),
        f"{len(tiles)} images came for a canvas of {len(down)} rows by {len(across)} columns; give one image per tile",
    )
    title = title or "Images decoded over the plane of codes"
    axes, x, y = _draw_tiles(tiles, len(across), title=title, gap=0, left=0.62, bottom=0.5)
    with _style():
        for axis, places, values, label in ((axes.xaxis, x, across, "z1"), (axes.yaxis, y, down, "z2")):
            shown = _spread(len(values), 9)
            axis.set_ticks(places[shown], _numbers(values[shown]))
            axis.set_label_text(label)
    return axes.get_figure()  # type: ignore[return-value]


# ---- Sheets of images ---------------------------------------------------------------------------------------------


def reconstructions(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    labels: Sequence[object] | None = None,
    columns: int = 10,
    names: tuple[str, str] = ("original", "reconstruction"),
    title: str = "Originals and their reconstructions",
) -> Figure:
    """Each original (N,H,W[,C]) above its reconstruction (same shape), in rows of pairs; `labels` go above the pairs,
    `names` say what the two are.

    >>> digits = np.zeros((12, 8, 8))
    >>> [tick.get_text() for tick in reconstructions(digits, digits).axes[0].get_yticklabels()]
    ['original', 'reconstruction', 'original', 'reconstruction']
    """
    above, below = _images(originals), _images(reconstructions)
    require(
        above.shape == below.shape,
        f"originals of shape {above.shape} and reconstructions of shape {below.shape} came; they must be alike",
    )
    height = above.shape[1]
    seam = np.ones((len(above), max(1, round(0.05 * height)), *above.shape[2:]))
    pairs = np.concatenate([above, seam, below], axis=1)  # one tall image per pair: (N, 2H + seam, W[, 3])
    captions = None if labels is None else [str(label) for label in labels]
    axes, _, y = _draw_tiles(
        pairs,
        columns,
        title=title,
        captions=captions,
        left=1.0,
        row_gap=0.14,
        stacked=2,
    )
    with _style():
        offset = (pairs.shape[1] - height) / 2
        places = np.stack([y - offset, y + offset], axis=1).ravel()
        axes.set_yticks(places, list(names) * len(y))
    return axes.get_figure()  # type: ignore[return-value]


def rows(named: Mapping[str, ArrayLike], title: str) -> Figure:
    """A row of images (N,H,W[,C]) per name, all alike in number and shape: the same digits seen by several models.

    >>> digits = np.zeros((8, 8, 8))
    >>> [tick.get_text() for tick in rows({"original": digits, "AE, 2-D": digits}, "A").axes[0].get_yticklabels()]
    ['original', 'AE, 2-D']
    """
    tiles = [_images(images) for images in named.values()]
    require(
        len({block.shape for block in tiles}) == 1,
        f"rows of shapes {', '.join(str(block.shape) for block in tiles)} came; they must be alike",
    )
    left = 0.2 + max(map(_inches, named))
    axes, _, y = _draw_tiles(np.concatenate(tiles), len(tiles[0]), title=title, left=left, gap=0.03)
    with _style():
        axes.set_yticks(y, list(named))
        axes.tick_params(length=0)
    return axes.get_figure()  # type: ignore[return-value]


def samples(images: ArrayLike, columns: int | None = None) -> Figure:
    """Images (N,H,W[,C]) drawn from a model, on a sheet that is near square unless `columns` says otherwise.

    >>> samples(np.zeros((16, 8, 8))).axes[0].images[0].get_array().shape
    (35, 35)
    """
    tiles = _images(images)
    count, height, width = tiles.shape[:3]
    columns = columns or min(count, math.ceil(math.sqrt(count * height / width)))
    title = f"{_count(count, 'sample')} from the model"
    axes, _, _ = _draw_tiles(tiles, columns, title=title)
    return axes.get_figure()  # type: ignore[return-value]


def traversals(
    images: ArrayLike, values: ArrayLike, dims: Sequence[int], activity: Sequence[float] | None = None
) -> Figure:
    """What one latent dimension at a time does: images (D,S,H,W[,C]), a row per dimension, a column per value (S,).

    `dims` (D,) are positions in the code, from 0: position 6 is named z7, as in `scatter` and `canvas`. `activity` (D,)
    is each dimension's KL in nats, shown beside its name. The rows stand in the order in which they come.

    >>> figure = traversals(np.zeros((2, 5, 8, 8)), [-2, -1, 0, 1, 2], dims=[6, 0], activity=[2.31, 0.002])
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    ['z7 · 2.31 nats', 'z1 · 0.00 nats']
    """
    block, steps = np.asarray(images), np.asarray(values, float)
    require(
        block.ndim >= 4 and block.shape[:2] == (len(dims), len(steps)),
        f"images of shape {block.shape} came for {len(dims)} dimensions and {len(steps)} values; "
        "a traversal wants (dimensions, values, height, width[, channels])",
    )
    require(
        activity is None or len(activity) == len(dims),
        f"{_length(activity)} activities came for {len(dims)} dimensions; give one for each",
    )
    names = [f"z{dim + 1}" for dim in dims]
    if activity is not None:
        names = [f"{name} · {nats:.2f} nats" for name, nats in zip(names, activity, strict=True)]
    shown = _spread(len(steps), 13)
    numbers = dict(zip(shown.tolist(), _numbers(steps[shown]), strict=True))
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
        f"images of shape {block.shape} came for {len(rows)} rows and {len(columns)} columns",
    )
    names = [_fit(str(name), 1.6) for name in rows]
    axes, x, y = _draw_tiles(
        _images(block.reshape(-1, *block.shape[2:])),
        len(columns),
        title=title,
        left=0.2 + max(map(_inches, names)),
        top=0.2,
        gap=0.03,
    )
    with _style():
        axes.set_yticks(y, names)
        axes.set_xticks(x, [_shorten(str(name), max(3, 90 // len(columns))) for name in columns])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
    return axes.get_figure()  # type: ignore[return-value]


def sheet(
    images: ArrayLike, captions: Sequence[str] | None = None, title: str | None = None, columns: int = 10
) -> Figure:
    """Images (N,H,W[,C]) with a caption (N,) above each, in at most so many columns.

    Long captions get wider tiles, down to five columns; what is longer still is shortened in the middle.

    >>> figure = sheet(np.zeros((2, 8, 8)), captions=["holiday/beach/IMG_20240817_0042.png", "b.png"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['holiday/b…_0042.png', 'b.png']
    """
    gap = 0.08
    longest = (
        max(
            (_inches(line) for caption in ([] if captions is None else captions) for line in str(caption).split("\n")),
            default=0,
        )
        + gap
    )
    fitting = int((PAGE_WIDTH - 2 * MARGIN + gap) / (longest + gap))
    columns = min(columns, max(5, fitting))
    axes, _, _ = _draw_tiles(_images(images), columns, title=title, captions=captions, gap=gap)
    return axes.get_figure()  # type: ignore[return-value]


def sheets(named: Mapping[str, ArrayLike], columns: int, across: int, title: str) -> Figure:
    """A block of images (N,H,W[,C]) per name, all alike, `columns` images wide; `across` blocks stand in a row.

    >>> digits = np.zeros((4, 8, 8))
    >>> figure = sheets({"originals": digits, "after epoch 1": digits}, columns=2, across=2, title="A")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['originals', 'after epoch 1']
    """
    tiles = [_images(images) for images in named.values()]
    apart = max(1, tiles[0].shape[1] // 28)  # pixels: images that touch cannot be told from each other
    blocks = np.stack([_tile(images, columns, apart, apart) for images in tiles])
    axes, _, _ = _draw_tiles(blocks, across, title=title, captions=list(named), gap=0.1, largest=PAGE_WIDTH)
    return axes.get_figure()  # type: ignore[return-value]


# ---- Tiles: the heart of all pictures made of images --------------------------------------------------------------


def _images(images: ArrayLike) -> Floats:
    """Images as floats in [0,1], (N,H,W) or (N,H,W,3): a single channel is squeezed, alpha is laid on white."""
    given = np.asarray(images)
    colours = given.shape[3:]
    require(
        given.size > 0 and (given.ndim == 3 or (given.ndim == 4 and colours[0] in (1, 3, 4))),
        f"images of shape {given.shape} came; a picture wants (N, height, width) or (N, height, width, 1, 3 or 4)",
    )
    require(
        given.dtype == np.uint8 or given.dtype.kind in "fb",
        f"images of type {given.dtype} came; a picture wants uint8 from 0 to 255 or floats from 0 to 1",
    )
    shown = given / 255.0 if given.dtype == np.uint8 else given.astype(float)
    require(not np.isnan(shown).any(), "the images hold NaN pixels, which have no grey to draw")
    shown = np.clip(shown, 0, 1)
    if colours == (1,):
        return shown[..., 0]
    if colours == (4,):
        return shown[..., :3] * shown[..., 3:] + 1 - shown[..., 3:]
    return shown


def _tile(images: Floats, columns: int, gap_x: int = 0, gap_y: int = 0) -> Floats:
    """Images (N,H,W[,3]) row by row in one array, white between them (gaps in pixels) and after the last."""
    count, height, width = images.shape[:3]
    rows, colours = math.ceil(count / columns), images.shape[3:]
    cells = np.ones((rows * columns, height + gap_y, width + gap_x, *colours))
    cells[:count, :height, :width] = images
    grid = cells.reshape(rows, columns, height + gap_y, width + gap_x, *colours).swapaxes(1, 2)
    picture = grid.reshape(rows * (height + gap_y), columns * (width + gap_x), *colours)
    return picture[: picture.shape[0] - gap_y, : picture.shape[1] - gap_x]


def _draw_tiles(
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

    Gaps and margins are inches, `top` beside what title and captions need; `stacked` images make one tile's height;
    no image is wider or higher than `largest`.
    """
    require(columns >= 1, f"a sheet of {columns} columns came; it wants at least 1")
    require(
        captions is None or len(captions) == len(tiles),
        f"{_length(captions)} captions came for {len(tiles)} images; give one for each",
    )
    texts = [] if captions is None else [str(caption) for caption in captions]
    lines = max((text.count("\n") + 1 for text in texts), default=0)
    count, tile_height, tile_width = tiles.shape[:3]
    columns = min(columns, count)
    width = PAGE_WIDTH - left - MARGIN
    rows = math.ceil(count / columns)
    if gap > 0:  # loose tiles have a size beyond which they gain nothing
        across = largest * tile_width / max(tile_width, tile_height / stacked)
        width = min(width, columns * (across + gap))
    else:  # a canvas fills its page, but no more
        width = min(width, PAGE_HEIGHT * columns * tile_width / (rows * tile_height))
    gap = min(gap, 0.25 * width / columns)  # hundreds of columns: the images must not become thinner than their gaps
    pixels_per_inch = columns * tile_width / (width - (columns - 1) * gap)
    gap_x = math.ceil(gap * pixels_per_inch)
    gap_y = math.ceil(((gap if row_gap is None else row_gap) + lines * CAPTION_LINE) * pixels_per_inch)
    x = np.arange(columns) * (tile_width + gap_x) + (tile_width - 1) / 2
    y = np.arange(rows) * (tile_height + gap_y) + (tile_height - 1) / 2
    above = MARGIN + top + lines * CAPTION_LINE + (TITLE_HEIGHT if title else 0)
    with _style():
        axes = _place(_tile(tiles, columns, gap_x, gap_y), width, left, above, bottom, title)
        for place, text in enumerate(texts):
            corner = x[place % columns], y[place // columns] - tile_height / 2
            text = "\n".join(_fit(line, width / columns - 0.03) for line in text.split("\n"))
            above_it = axes.annotate(text, corner, xytext=(0, 2.5), textcoords="offset points", size=8)
            above_it.set(ha="center", va="bottom", linespacing=1.1)
    return axes, x, y


def _place(picture: Floats, width: float, left: float, above: float, below: float, title: str | None) -> Axes:
    """An axes that shows `picture` (rows, columns[, 3]) `width` inches wide, margins in inches, on a figure of its own.

    The resolution is chosen so that each pixel becomes a square of whole dots: no pixel is wider than its neighbour.
    """
    rows, columns = picture.shape[:2]
    dots = max(1, math.ceil(DPI * width / columns))  # per pixel
    dpi = dots * columns / width
    margins = [round(margin * dpi) for margin in (left, above, below)]
    title_width = 1.45 * _inches(title) + 2 * MARGIN if title else 0.0  # bold 10-point against 8-point letters
    page_width = max(margins[0] + dots * columns + round(MARGIN * dpi), round(title_width * dpi))
    page_height = margins[1] + dots * rows + margins[2]
    # the tenth of a dot: a canvas is cut to whole dots, and 1299.999 would lose one
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


# ---- Words and files ----------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    """A value as an axis shows it: two figures below ten, whole numbers beyond, a true minus sign."""
    value = round(float(value), 6) + 0.0  # 1e-17 and -0.0 are zero to a reader
    return (f"{value:.2g}" if abs(value) < 10 else f"{value:,.0f}").replace("-", MINUS)


def _numbers(values: Floats) -> list[str]:
    """The values along one axis, with as many decimals as their range asks for and the same for all."""
    span = float(np.ptp(values)) or abs(float(values[0])) or 1.0
    decimals = max(0, 1 - math.floor(math.log10(span)))
    rounded = np.round(values, decimals) + 0.0  # a reader knows no -0.0
    if np.array_equal(rounded, np.round(rounded)):
        decimals = 0
    return [f"{value:.{decimals}f}".replace("-", MINUS) for value in rounded]


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _length(given: Sequence[object] | None) -> int:
    return 0 if given is None else len(given)


def _words(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _shorten(text: str, letters: int) -> str:
    """`text` in at most `letters` letters, the middle left out: of a path, both ends tell images apart."""
    letters = max(letters, 3)
    if len(text) <= letters:
        return text
    tail = (letters - 1) // 2
    return f"{text[: letters - 1 - tail]}…{text[len(text) - tail :]}"


def _fit(text: str, inches: float) -> str:
    """`text` shortened until it is no wider than so many inches."""
    letters = len(text)
    while letters > 3 and _inches(_shorten(text, letters)) > inches:
        letters -= 1
    return _shorten(text, letters)


def _inches(text: str) -> float:
    """How wide a line of 8-point text is."""
    return text_to_path.get_text_width_height_descent(text, FontProperties(family="DejaVu Sans", size=8), False)[0] / 72


def _spread(n: int, most: int) -> Ints:
    """At most `most` of n positions, both ends among them: evenly apart if four or more can be, else nearly so."""
    if n <= most:
        return np.arange(n)
    for step in range(math.ceil((n - 1) / (most - 1)), (n - 1) // 3 + 1):
        if (n - 1) % step == 0:
            return np.arange(0, n, step)
    count = 6 if n % 2 == 0 else 7  # as even or odd as n is, for symmetric positions
    return np.linspace(0, n - 1, min(count, most)).round().astype(int)


ENDINGS = (".png", ".pdf", ".svg")


def save(figure: Figure, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write a figure as .png, .pdf or .svg, by its ending; folders are made, and a reader never sees half a file.

    `metadata` is kept inside the file: as text entries of a PNG, in the keywords of a PDF, the description of an SVG.
    Raises `InputError` for another ending and where the file cannot be written.
    """
    target = Path(path)
    ending = target.suffix.lower()
    require(
        ending in ENDINGS,
        f"{target} cannot be written as a picture; end its name in one of {', '.join(ENDINGS)}",
    )
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _style():
            figure.savefig(beside, format=ending[1:], dpi=figure.dpi, metadata=_file_metadata(ending, metadata or {}))
        os.replace(beside, target)
    except OSError as error:
        raise InputError(
            f"{target} could not be written ({error.strerror or error}); choose another place with --out"
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _file_metadata(ending: str, metadata: Mapping[str, str]) -> dict[str, str | None]:
    if ending == ".png":
        return dict(metadata)
    text = "; ".join(f"{key}={value}" for key, value in metadata.items())
    # without a date, the same figure gives the same bytes
    return {"CreationDate": None, "Keywords": text} if ending == ".pdf" else {"Date": None, "Description": text}
