"""CSV: one image a line, with a column of labels where there is one, and a header where there is one."""

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from latently.common.console import data_note
from latently.common.errors import InputError, require
from latently.data.arrays import image_set
from latently.data.classes import is_missing_label, whole_numbers
from latently.data.columns import Columns, columns_of, is_number
from latently.data.imageset import ImageSet
from latently.data.ranges import Scale
from latently.data.reading import open_plain, reading
from latently.data.text import Line, delimiter_of, lines_of, named_delimiter, quoted

LINES_AT_ONCE = 4096
LINES_THAT_TELL = 200  # what the columns are


def read_csv(path: Path, scale: Scale = None) -> ImageSet:
    """Square images of D columns, besides which there may be a label and columns that name the image.

    Columns are separated by commas, semicolons or tabs; a header is found, and says which column is the label
    (`LABEL_COLUMNS`) and which is no pixel (`IMAGE_COLUMNS`). Without one, the label is the first of D + 1 columns, or
    the last where that one holds text. A note says what the file leaves open. Labels keep their text, but for
    `whole_numbers`. Whole pixels 0..255 become uint8; a fraction anywhere makes all float32. Raises `InputError` with
    the bad line.
    """
    where = str(path)
    with reading(where, "CSV"), open_plain(path) as stream:
        lines: Iterator[Line] = ((number, line.rstrip("\r\n")) for number, line in lines_of(stream, where))
        lines = ((number, line) for number, line in lines if line.strip())
        head = list(islice(lines, LINES_THAT_TELL))
        delimiter = named_delimiter(head[0][1]) if head else None
        head = head[delimiter is not None :]
        if not head:
            raise InputError(f"{where} is empty; expected one image a line")
        delimiter = delimiter or delimiter_of(head[0][1])
        rows = [_cells(line, delimiter) for _, line in head]
        head[0] = _without_numbering(head[0], rows, delimiter, where)
        columns = columns_of(rows, where)
        table = _Table(where, delimiter, columns)
        lines = chain(head[columns.has_header :], lines)
        parts: list[np.ndarray] = []
        while batch := list(islice(lines, LINES_AT_ONCE)):
            parts.append(table.pixels_of(batch))
    require(bool(parts), f"{where} holds a header and no images; expected one image a line")
    pixels = np.concatenate(parts)
    return image_set(_whole(pixels, where), table.label_array(pixels), path, scale)


class _Table:
    """Lines of one file -> pixels; their labels are kept."""

    def __init__(self, where: str, delimiter: str, columns: Columns) -> None:
        self.where, self.delimiter, self.columns = where, delimiter, columns
        self.labels: list[str] = []
        self.has_decimal_commas = False

    def pixels_of(self, batch: Sequence[Line]) -> np.ndarray:
        """(n, D), uint8 where every value is written as a whole number 0..255 (8 times faster), else float32."""
        for number, line in batch:
            self._take_label(number, line)
        text = [line for _, line in batch]
        for dtype in (np.uint8, np.float32):
            if (plain := self._parsed(text, dtype)) is not None:
                return plain
        pixels = self._parsed([self._with_decimal_points(line) for line in text], np.float32)
        if pixels is None:
            raise self._refusal(batch)
        if not self.has_decimal_commas:
            data_note(f"{self.where}: its numbers have decimal commas: 0,5 is read as 0.5")
        self.has_decimal_commas = True
        return pixels

    def _take_label(self, number: int, line: str) -> None:
        n, place = self.columns.n, self.columns.label
        plain = '"' not in line
        cells = [] if plain else _cells(line, self.delimiter)
        found = line.count(self.delimiter) + 1 if plain else len(cells)
        require(
            found == n,
            f"{self.where}, line {number}, has {found} columns; expected {n} as before: the line is {quoted(line)}",
        )
        if place is None:
            return
        if plain and 2 * place < n:
            label = line.split(self.delimiter, place + 1)[place]
        else:
            label = line.rsplit(self.delimiter, n - place)[place - n] if plain else cells[place]
        self.labels.append(label.strip())

    def _parsed(self, text: list[str], dtype: type) -> np.ndarray | None:
        """None where a pixel is not written as such a number."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # NumPy 1 cuts 0.5 to the uint8 0 with no more than this
            try:
                return np.loadtxt(
                    text, dtype, delimiter=self.delimiter, comments=None, quotechar='"', ndmin=2,
                    usecols=self.columns.pixels,
                )  # fmt: skip
            except (ValueError, DeprecationWarning):
                return None

    def _with_decimal_points(self, line: str) -> str:
        if self.delimiter != ",":
            return line.replace(",", ".")
        return re.sub(r'"([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)"', r"\1.\2", line)

    def _refusal(self, batch: Sequence[Line]) -> InputError:
        n = len(self.columns.pixels)
        for number, line in batch:
            cells = _cells(line, self.delimiter)
            for pixel, place in enumerate(self.columns.pixels):
                if not is_number(cells[place]):
                    return InputError(
                        f"{self.where}, line {number}, has {quoted(cells[place])} as pixel {pixel} (of 0..{n - 1}); "
                        f"expected a number: the line is {quoted(line)}"
                    )
        return InputError(f"{self.where}, lines {batch[0][0]} to {batch[-1][0]}, hold a value that is not a number")

    def label_array(self, pixels: np.ndarray) -> np.ndarray | None:
        """The labels as text, (N,); None where there is no such column. Raises `InputError` where the first column,
        which was guessed to hold them, holds one value, and the last one, which may as well, does not."""
        if self.columns.label is None:
            return None
        if self.columns.guessed and len(set(self.labels)) == 1 and len(np.unique(pixels[:, -1])) > 1:
            n = len(self.columns.pixels) + 1
            raise InputError(
                f"{self.where}: the first of {n} columns is {quoted(self.labels[0])} in every line, so the last may be "
                "the label; give it a header line that calls one column label"
            )
        labels = [_with_point(label) for label in self.labels] if self.has_decimal_commas else self.labels
        return np.array(whole_numbers_and_none(labels))


def whole_numbers_and_none(labels: list[str]) -> list[str]:
    """`whole_numbers` of the labels that are not missing; the others as they are."""
    given = [label for label in labels if not is_missing_label(label)]
    text_of = dict(zip(given, whole_numbers(given), strict=True))
    return [text_of.get(label, label) for label in labels]


def _with_point(label: str) -> str:
    return label.replace(",", ".") if re.fullmatch(r"[+-]?\d*,\d+", label) else label


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter))


def _without_numbering(first: Line, rows: list[list[str]], delimiter: str, where: str) -> Line:
    """The first line as it was before pandas took it for names, and numbered those that came twice: 0, 0.1, 0.2.

    Changes rows[0], too.
    """
    names = [cell.strip() for cell in rows[0]]
    seen: dict[str, int] = {}
    plain = []
    for name in names:
        base, _, copy = name.rpartition(".")
        is_copy = base in seen and copy == str(seen[base])
        plain.append(base if is_copy else name)
        seen[plain[-1]] = seen.get(plain[-1], 0) + 1
    n_copies = sum(name != other for name, other in zip(names, plain, strict=True))
    fractions_elsewhere = any("." in cell for row in rows[1:] for cell in row)
    if n_copies < 2 or len(rows) < 2 or fractions_elsewhere or not all(map(is_number, plain)):
        return first
    data_note(
        f"{where}: line 1 is an image that was once taken for names, and its copies numbered ({_example(names, plain)})"
    )
    rows[0] = plain
    return first[0], delimiter.join(plain)


def _example(names: list[str], plain: list[str]) -> str:
    written, meant = next((name, other) for name, other in zip(names, plain, strict=True) if name != other)
    return f"{written} is read as {meant}"


def _whole(pixels: np.ndarray, where: str) -> np.ndarray:
    """Floats without a fraction ("3.0", "1e2") as whole numbers. Raises `InputError` on those of more than 63 bits."""
    if pixels.dtype == np.uint8 or not np.isfinite(pixels).all() or (pixels != np.rint(pixels)).any():
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    fits = low >= -(2.0**63) and high < 2.0**63
    require(fits, f"{where} holds whole numbers from {low:g} to {high:g}; expected 0..255: rescale them")
    return pixels.astype(np.int64)
