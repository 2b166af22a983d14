"""Which column of a table is what: the header, the label, the pixels, and what is neither."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from latently.common.console import data_note
from latently.common.errors import InputError
from latently.data.classes import LABEL_COLUMNS, is_missing_label
from latently.data.text import quoted, some

# What others call the column that says which image a line is; those that name a file come first.
IMAGE_COLUMNS = (
    *("file", "filename", "file_name", "file name", "path", "image", "name", "img"),
    *("image_id", "image id", "id", "index"),
)
FEWEST_COUNTED = {"0": 4, "1": 9}  # columns, by the first: 0, 1 or 1, 2, 3, 4 is as well an image, pandas counts from 0


@dataclass(frozen=True)
class Columns:
    """n columns, of which these are pixels, in the order of the image, and one may be the label.

    has_header: the first line names them. guessed: nothing says that the label, the first column, is one.
    """

    n: int
    pixels: tuple[int, ...]
    label: int | None
    has_header: bool
    guessed: bool = False


def columns_of(rows: Sequence[list[str]], where: str) -> Columns:
    """The columns of a table whose first lines have these cells. What they leave open is noted."""
    if not _is_header(rows, where):
        return _unnamed(rows, where)
    return _named([plain_name(name) for name in rows[0]], rows, where)


def plain_name(name: str) -> str:
    """A column's name without its case, the white space around it, and the # that NumPy puts before a header."""
    return name.strip().removeprefix("#").strip().casefold()


def is_number(cell: str) -> bool:
    """Also one with a decimal comma."""
    try:
        float(cell.replace(",", ".", 1))
    except ValueError:
        return False
    return "_" not in cell


def is_unnamed(name: str) -> bool:
    """Also as pandas calls such a column when it reads the table again."""
    return re.fullmatch(r"(unnamed: \d+)?", name) is not None


def _is_header(rows: Sequence[list[str]], where: str) -> bool:
    """Column names: no cell is a number, or the numbers just count (pandas' own names, 0, 1, 2 ...)."""
    names = [plain_name(name) for name in rows[0]]
    numbers = [place for place, name in enumerate(names) if is_number(name)]
    if not numbers:
        return True
    if not _counts(rows[0], numbers, from_any=False):
        return False
    if any(name in LABEL_COLUMNS + IMAGE_COLUMNS for name in names):
        return True
    counts_on = len(rows) > 1 and _counts(rows[1], numbers, from_any=True)  # np.arange, most likely
    if len(rows) == 1 or len(numbers) < FEWEST_COUNTED[names[numbers[0]]] or counts_on:
        return False
    first = int(names[numbers[0]])
    data_note(
        f"{where}: line 1 counts {first}, {first + 1}, {first + 2} ..., so it is taken for a header, not for an image"
    )
    return True


def _counts(cells: list[str], places: list[int], from_any: bool) -> bool:
    """Whether the cells at these places are whole numbers, each one more than the one before; the first is 0 or 1."""
    found = [cells[place].strip() for place in places if place < len(cells)]
    if len(found) < len(places) or not found[0].isdecimal() or not (from_any or found[0] in ("0", "1")):
        return False
    first = int(found[0])
    return found == [str(first + step) for step in range(len(found))]


def _is_square(n: int) -> bool:
    return n > 0 and math.isqrt(n) ** 2 == n


def _named(names: list[str], rows: Sequence[list[str]], where: str) -> Columns:
    places = range(len(names))
    labels = [place for place in places if names[place] in LABEL_COLUMNS]
    others = [place for place in places if names[place] in IMAGE_COLUMNS or is_unnamed(names[place])]
    if len(labels) > 1:
        either = " and ".join(repr(names[place]) for place in labels)
        raise InputError(f"{where} has the columns {either}, each of which may be the label; remove all but one")
    rest = [place for place in places if place not in labels + others]
    label = labels[0] if labels else None
    pixels = _alike(names)
    if not pixels and _is_square(len(rest)):
        pixels = rest
    if not pixels and label is None and _is_square(len(rest) - 1):
        cut = [[row[place] for place in rest if place < len(row)] for row in rows[1:]]
        label = rest[_place_of_label(cut, len(rest))]
        pixels = [place for place in rest if place != label]
        guessed = not _tells(cut, rest.index(label))
        if guessed:
            _note_guess(f"{where}:", len(rest))
        return Columns(len(names), tuple(pixels), label, True, guessed)
    if not pixels and _is_square(len(names)):
        data_note(f"{where}: all {len(names)} columns are taken for pixels, also {_some(names, labels + others)}")
        return Columns(len(names), tuple(places), None, True)
    if not rest:
        raise InputError(
            f"{where} holds names and labels, and no pixels; give it as --labels, and the images as --data"
        )
    if not pixels:
        raise InputError(_no_square(len(rest), f"{where} has {len(rest)} columns besides those of names and labels"))
    extra = [place for place in rest if place not in pixels]
    if label is None and len(extra) == 1:
        label = extra[0]
        data_note(f"{where}: the column {quoted(names[label])} is taken for the label; call it label to say so")
        extra = []
    if extra:
        data_note(f"{where}: columns that are neither pixels nor the label are passed over: {_some(names, extra)}")
    if label is None and others:
        _note_no_label([names[place] for place in others], where)
    return Columns(len(names), _in_order(names, pixels, where), label, True)


def _alike(names: list[str]) -> list[int]:
    """The columns whose names differ in their numbers alone, where they are most of all, and as many as pixels are."""
    shapes = [re.sub(r"\d+", "#", name) for name in names]
    shape, n = Counter(shapes).most_common(1)[0]
    alike = "#" in shape and 2 * n > len(names) and _is_square(n)
    return [place for place, other in enumerate(shapes) if other == shape] if alike else []


def _in_order(names: list[str], pixels: list[int], where: str) -> tuple[int, ...]:
    """By their numbers where names have one each: sorted as text, pixel10 stands before pixel2."""
    numbers = [re.findall(r"\d+", names[place]) for place in pixels]
    if any(len(found) != 1 for found in numbers):
        return tuple(pixels)
    number_of = {place: int(found[0]) for place, found in zip(pixels, numbers, strict=True)}
    ordered = sorted(pixels, key=lambda place: number_of[place])
    if ordered == pixels or [names[place] for place in pixels] != sorted(names[place] for place in pixels):
        return tuple(pixels)
    data_note(
        f"{where}: the pixels' columns stand in the order of text ({_some(names, pixels)}); they are taken by number"
    )
    return tuple(ordered)


def _note_no_label(others: list[str], where: str) -> None:
    if all(map(is_unnamed, others)):
        what = "the column without a name is taken for an index"
    else:
        what = f"{_some(others, range(len(others)))} is taken for what images are called"
    data_note(f"{where}: {what}, so its images have no label; call a column label if it holds them")


def _some(names: list[str], places: Sequence[int]) -> str:
    return some([names[place] for place in places])


def _unnamed(rows: Sequence[list[str]], where: str) -> Columns:
    n = len(rows[0])
    if _is_square(n):
        return Columns(n, tuple(range(n)), None, False)
    if not _is_square(n - 1):
        raise InputError(_no_square(n, f"{where} has {n} columns"))
    label = _place_of_label(rows, n)
    guessed = not _tells(rows, label)
    if guessed:
        _note_guess(f"{where} has no header, and", n)
    return Columns(n, tuple(place for place in range(n) if place != label), label, False, guessed)


def _note_guess(subject: str, n: int) -> None:
    data_note(f"{subject} the first of {n} columns is taken for the label; if it is another, name it in a header line")


def _place_of_label(rows: Sequence[list[str]], n: int) -> int:
    """The last column where it is mostly text, or nothing, and the first is all numbers; else the first."""
    whole = [row for row in rows if len(row) == n]
    firsts_are_numbers = all(is_number(row[0]) for row in whole)
    texts = sum(not is_number(row[-1]) for row in whole)
    return n - 1 if firsts_are_numbers and 2 * texts > len(whole) else 0


def _tells(rows: Sequence[list[str]], place: int) -> bool:
    """Whether the column cannot be one of pixels: it holds text, or nothing."""
    return any(is_missing_label(row[place]) or not is_number(row[place]) for row in rows if place < len(row))


def _no_square(n: int, subject: str) -> str:
    return (
        f"{subject}; expected a square number of pixels, such as 784, or one more for labels (785): a header line may "
        "name the label and what is no pixel (label, id); other shapes go into a .npy array (N, H, W[, C])"
    )
