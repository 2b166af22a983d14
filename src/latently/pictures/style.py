"""The style of all pictures: colours, fonts, sizes; formatting of numbers and words."""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib.figure
import matplotlib.style
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
# Ten colours that are distinguishable in normal, protan, deutan and tritan vision: five of Okabe & Ito (2008) and five
# found by a search that maximises the smallest OKLab distance under simulated colour blindness (0.086; 0.076 for the
# eight of Okabe & Ito). Ordered so that consecutive classes, and digits that are often confused, differ most.
TEN_COLOURS = (
    "#9c2e5a", "#56b4e9", "#5d05a4", "#e69f00", "#0072b2", "#5a1a0a", "#009e73", "#10256b", "#a264f6", "#d55e00",
)  # fmt: skip
# Ten more from the same search (0.053 among all twenty): beyond ten classes, rely on the names in the scatter plot.
TWENTY_COLOURS = (
    *TEN_COLOURS,
    "#a2eb3c", "#424e08", "#9ec773", "#da76bb", "#3041ca", "#604b83", "#8f5c2f", "#5fe6fc", "#700048", "#ce9c9b",
)  # fmt: skip
TRAIN, VALIDATION = "#0072b2", "#d55e00"
INK, QUIET, UNLABELLED, OTHER = "#222222", "#6b6b6b", "#cfcfcf", "#8a8a8a"
STYLE = {
    "font.family": ["DejaVu Sans"],  # included in matplotlib: the same picture on every machine
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
    "pdf.fonttype": 42,  # embedded TrueType fonts, which journals require and which keep the text searchable
    "svg.hashsalt": "latently",  # the same figure gives the same file
}
MINUS = "\N{MINUS SIGN}"  # longer than a hyphen
DPI = 200
MOST_NAMES_INSIDE = 5  # more would cover the lines
PAGE_WIDTH = 6.8  # inches across: a text column of A4 or letter
PAGE_HEIGHT = 8.0
MARGIN = 0.12  # inches of white around a picture
LARGEST_IMAGE = 1.2  # inches; larger tiles show nothing more
TITLE_HEIGHT = 0.3  # inches
CAPTION_LINE = 0.15  # inches, height of a line of 8-point text


@contextmanager
def styled() -> Iterator[None]:
    with matplotlib.style.context(["default", STYLE]):
        yield


class Figure(matplotlib.figure.Figure):
    """One of matplotlib's, which a notebook shows, too: matplotlib teaches it that only of figures made by pyplot."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        file = io.BytesIO()
        with styled():
            self.savefig(file, format="png", dpi=self.dpi)
        return file.getvalue(), {"width": round(96 * self.get_figwidth())}  # 96 of a browser's pixels are an inch


def number_text(value: float) -> str:
    """Two significant digits below ten, whole numbers beyond, a real minus sign."""
    value = round(float(value), 6) + 0.0  # 1e-17 and -0.0 become 0
    return (f"{value:.2g}" if abs(value) < 10 else f"{value:,.0f}").replace("-", MINUS)


def number_texts(values: Floats) -> list[str]:
    """The values along one axis, all with the number of decimals that their range needs."""
    span = float(np.ptp(values)) or abs(float(values[0])) or 1.0
    decimals = max(0, 1 - math.floor(math.log10(span)))
    rounded = np.round(values, decimals) + 0.0  # no -0.0
    if np.array_equal(rounded, np.round(rounded)):
        decimals = 0
    return [f"{value:.{decimals}f}".replace("-", MINUS) for value in rounded]


def counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def length_of(given: Sequence[object] | None) -> int:
    return 0 if given is None else len(given)


def in_words(key: str) -> str:
    return key.replace("_", " ").capitalize()


def shortened(text: str, letters: int) -> str:
    """`text` in at most `letters` characters, with the middle left out: both ends of a path identify an image."""
    letters = max(letters, 3)
    if len(text) <= letters:
        return text
    tail = (letters - 1) // 2
    return f"{text[: letters - 1 - tail]}…{text[len(text) - tail :]}"


def fitted_text(text: str, inches: float) -> str:
    """`text` shortened to at most `inches` wide."""
    letters = len(text)
    while letters > 3 and width_in_inches(shortened(text, letters)) > inches:
        letters -= 1
    return shortened(text, letters)


def width_in_inches(text: str) -> float:
    """Width of a line of 8-point text."""
    return text_to_path.get_text_width_height_descent(text, FontProperties(family="DejaVu Sans", size=8), False)[0] / 72


def evenly_spaced(n: int, most: int) -> Ints:
    """At most `most` of n positions, including both ends; evenly spaced if four or more can be, otherwise nearly."""
    if n <= most:
        return np.arange(n)
    for step in range(math.ceil((n - 1) / (most - 1)), (n - 1) // 3 + 1):
        if (n - 1) % step == 0:
            return np.arange(0, n, step)
    count = 6 if n % 2 == 0 else 7  # same parity as n, for symmetric positions
    return np.linspace(0, n - 1, min(count, most)).round().astype(int)
