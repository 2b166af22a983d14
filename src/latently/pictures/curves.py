"""Training curves, and line plots of studies."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from latently.common.errors import require
from latently.pictures.style import (
    DPI,
    INK,
    MOST_NAMES_INSIDE,
    PAGE_WIDTH,
    QUIET,
    TRAIN,
    TWENTY_COLOURS,
    VALIDATION,
    Figure,
    Floats,
    counted,
    in_words,
    number_text,
    styled,
    width_in_inches,
)


def training_curves(history: Mapping[str, Sequence[float]], units: Mapping[str, str] | None = None) -> Figure:
    """One panel per term of the history, training and validation together.

    `history` maps column names to one value per epoch: `epoch` (default 1, 2, ...) and `train_TERM`, `val_TERM`; other
    columns are ignored, and NaN marks an epoch without a value. `units` labels a term's y axis; by default, loss,
    reconstruction and kl are in nats per image. If the first epochs would flatten the rest of a curve, they are left
    off the scale, with a note.

    >>> figure = training_curves({"epoch": [1, 2], "train_loss": [190.0, 140.0], "val_loss": [150.0, 130.0]})
    >>> figure.axes[0].get_title(loc="left"), figure.axes[0].get_ylabel()
    ('Loss', 'nats per image')
    """
    columns = {name: np.asarray(values, dtype=float) for name, values in history.items()}
    terms = _terms(columns)
    lengths = {len(values) for values in columns.values()}
    require(bool(terms), "the history has no train_* or val_* columns, so there is no curve to draw")
    require(len(lengths) == 1, f"the history's columns differ in length ({sorted(lengths)}); give one value per epoch")
    n_epochs = lengths.pop()
    require(n_epochs > 0, "the history has no epochs yet, so there is no curve to draw; train for one epoch first")
    epochs = columns.get("epoch", np.arange(1.0, n_epochs + 1))
    across = min(3, len(terms))
    down = math.ceil(len(terms) / across)
    with styled():
        figure = Figure(figsize=(0.6 + 2.35 * across if across > 1 else 4.2, 0.45 + 2.25 * down), dpi=DPI)
        figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
        figure.suptitle(f"Training over {counted(n_epochs, 'epoch')}", x=0.01, ha="left", weight="bold", size=10)
        for place, term in enumerate(terms, start=1):
            axes = figure.add_subplot(down, across, place)
            _curve(axes, epochs, columns.get(f"train_{term}"), columns.get(f"val_{term}"))
            axes.set_title("KL divergence" if term == "kl" else in_words(term))
            axes.set_ylabel(_unit(term, units))
        _curve_legend(figure, columns)
    return figure


def _terms(columns: Mapping[str, object]) -> list[str]:
    """The terms with a curve: loss, reconstruction and kl first, then the others as they come."""
    found = [name.partition("_")[2] for name in columns if name.startswith(("train_", "val_"))]
    known = [term for term in ("loss", "reconstruction", "kl") if term in found]
    return list(dict.fromkeys(known + found))


def _unit(term: str, units: Mapping[str, str] | None) -> str:
    nats = dict.fromkeys(("loss", "reconstruction", "kl"), "nats per image")
    return {**nats, **(units or {})}.get(term, in_words(term).lower())


def _curve(axes: Axes, epochs: Floats, train: Floats | None, validation: Floats | None) -> None:
    marker = "o" if len(epochs) <= 12 else None  # a single epoch gives no line, only a point
    drawn = []
    for values, colour, dashes in ((train, TRAIN, "-"), (validation, VALIDATION, (0, (4, 1.2)))):
        if values is not None and np.isfinite(values).any():
            seen = np.isfinite(values)  # validation may run only every few epochs
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
    """If the range of the run is over four times that of its last nine tenths, clip first epochs, with a note."""

    def after(epoch: float) -> Floats:
        return np.concatenate([values[at > epoch] for at, values in curves])

    start = max(1, len(epochs) // 10)
    every, later = after(-math.inf), after(epochs[start - 1])
    if later.size < 3 or np.ptp(later) == 0 or np.ptp(every) <= 4 * np.ptp(later):
        return
    # clip as few as possible: often only the very first epoch is huge
    shown = next(kept for epoch in epochs[:start] if np.ptp(kept := after(epoch)) <= 4 * np.ptp(later))
    low, high = shown.min() - 0.06 * np.ptp(shown), shown.max() + 0.06 * np.ptp(shown)
    axes.set_ylim(low, high)
    hidden = every[(every < low) | (every > high)]
    farthest = hidden[np.abs(hidden - np.median(shown)).argmax()]
    arrow = "↑" if farthest > high else "↓"
    axes.set_title(f"off scale: {number_text(farthest)} {arrow}", loc="right", size=8, color=QUIET)


def _curve_legend(figure: Figure, columns: Mapping[str, object]) -> None:
    lines = []
    for prefix, label, colour, dashes in (
        ("train_", "training", TRAIN, "-"),
        ("val_", "validation", VALIDATION, (0, (4, 1.2))),
    ):
        if any(name.startswith(prefix) for name in columns):
            lines.append(Line2D([], [], color=colour, ls=dashes, lw=1.4, label=label))
    figure.legend(handles=lines, loc="upper right", ncols=2, borderaxespad=0.4, handlelength=2.2)


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
    """Named lines (x, y) in one panel; `points` are single markers, `spans` are half-widths of bands around lines.

    >>> figure = lines({"ours": ([1, 2], [3.0, 2.0])}, "epoch", "nats per image", "A study", {"theirs": ([2], [2.5])})
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['ours', 'theirs']
    """
    with styled():
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
    """Several histories, in the format of `training_curves`, by name: one panel per term, one colour per name.

    Names that do not fit next to the title are placed below the panels.

    >>> history = {"train_loss": [190.0, 140.0], "val_loss": [150.0, 130.0]}
    >>> figure = compared_curves({"ours": history, "theirs": history}, "A study")
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['ours', 'theirs', 'training', 'validation']
    """
    terms = _terms({name: None for history in histories.values() for name in history})
    dashes = {"train": "-", "val": (0, (4, 1.2))}
    with styled():
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
            axes.set_title("KL divergence" if term == "kl" else in_words(term))
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
        widest = max(map(width_in_inches, names)) + 0.6  # width of a legend column in inches: line, name, gap
        beside = (
            1.45 * width_in_inches(title) + sum(map(width_in_inches, names)) + 0.6 * len(names) < figure.get_figwidth()
        )
        columns = len(names) if beside else max(1, int(figure.get_figwidth() / widest))
        figure.legend(
            handles=handles,
            loc="upper right" if beside else "outside lower left",
            ncols=columns,
            borderaxespad=0.4,
            handlelength=2.2,
        )
    return figure
