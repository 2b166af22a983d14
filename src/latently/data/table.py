"""CSV: one image a line, with an optional first column of labels and an optional header."""

import csv
import io
import math
import warnings
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np

from latently.common.errors import InputError, require
from latently.data.arrays import image_set
from latently.data.classes import is_missing_label
from latently.data.imageset import ImageSet
from latently.data.reading import open_plain, reading

LINES_AT_ONCE = 4096
Line = tuple[int, str]  # number in the file, from 1, and text
Row = tuple[int, str, str]  # the same with the label cut off: number, label, the pixels' text


def read_csv(path: Path) -> ImageSet:
    """Square images of D columns, or 1 + D with the label (a number, text or nothing) first.

    Columns are separated by commas, semicolons or tabs. A first line that is not numbers is a header. Whole numbers
    0..255 become uint8; a fraction anywhere makes all float32. Raises `InputError` with the number of the bad line.
    """
    where = str(path)
    with reading(where, "CSV"), open_plain(path) as stream, io.TextIOWrapper(stream, "utf-8-sig") as text:
        lines: Iterator[Line] = ((number, line.rstrip("\r\n")) for number, line in enumerate(text, 1) if line.strip())
        first = next(lines, None)
        if first is None:
            raise InputError(f"{where} is empty; expected one image a line")
        delimiter = max(",;\t", key=first[1].count)
        cells = _cells(first[1], delimiter)
        n_pixels, has_label = _columns(len(cells), where)
        if not _is_header(cells, has_label):
            lines = chain([first], lines)
        rows = _rows(lines, delimiter, n_pixels, has_label, where)
        labels: list[str] = []
        parts: list[np.ndarray] = []
        while batch := list(islice(rows, LINES_AT_ONCE)):
            labels += [label for _, label, _ in batch]
            parts.append(_parse(batch, delimiter, n_pixels, where))
    require(bool(parts), f"{where} holds a header and no images; expected one image a line")
    return image_set(_whole(np.concatenate(parts)), _label_array(labels) if has_label else None, path)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter))


def _columns(n: int, where: str) -> tuple[int, bool]:
    """Number of pixel columns, and whether a label column stands before them."""
    for n_pixels in (n, n - 1):
        if n_pixels > 0 and math.isqrt(n_pixels) ** 2 == n_pixels:
            return n_pixels, n_pixels < n
    raise InputError(
        f"{where} has {n} columns; expected a square number of pixels, such as 784, or one more for labels in the "
        "first column (785); other shapes go into a .npy array (N, H, W[, C])"
    )


def _is_header(cells: list[str], has_label: bool) -> bool:
    """Column names: no pixel is a number, or the pixels are just counted (pandas' own names, 0, 1, 2 ...)."""
    pixels = cells[has_label:]
    if not any(map(_is_number, pixels)):
        return True
    counted = pixels in ([str(i) for i in range(len(pixels))], [str(i + 1) for i in range(len(pixels))])
    return counted and (len(pixels) > 256 or (has_label and cells[0] != "" and not _is_number(cells[0])))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _rows(lines: Iterator[Line], delimiter: str, n_pixels: int, has_label: bool, where: str) -> Iterator[Row]:
    for number, line in lines:
        label, pixels = "", line
        if has_label and line.startswith('"'):  # a quoted label may hold the delimiter
            label, *values = _cells(line, delimiter)
            pixels = delimiter.join(values)
        elif has_label:
            label, _, pixels = line.partition(delimiter)
        found = pixels.count(delimiter) + 1
        require(
            found == n_pixels,
            f"{where}, line {number}, has {found + has_label} columns; expected {n_pixels + has_label} as before",
        )
        yield number, label.strip(), pixels


def _parse(rows: list[Row], delimiter: str, n_pixels: int, where: str) -> np.ndarray:
    """(n, D), uint8 where every value is written as a whole number 0..255 (8 times faster), else float32."""
    text = [pixels for _, _, pixels in rows]
    for dtype in (np.uint8, np.float32):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "error", DeprecationWarning
                )  # NumPy 1 cuts 0.5 to the uint8 0 with no more than this
                return np.loadtxt(text, dtype, delimiter=delimiter, comments=None, quotechar='"', ndmin=2)
        except (ValueError, DeprecationWarning):
            pass
    for number, _, pixels in rows:
        for column, cell in enumerate(_cells(pixels, delimiter)):
            require(
                _is_number(cell),
                f"{where}, line {number}, has {cell!r} as pixel {column} (of 0..{n_pixels - 1}); expected a number",
            )
    raise InputError(f"{where}, lines {rows[0][0]} to {rows[-1][0]}, hold a value that is not a number")


def _whole(pixels: np.ndarray) -> np.ndarray:
    """Floats without a fraction ("3.0", "1e2") as whole numbers."""
    if pixels.dtype == np.uint8 or not np.isfinite(pixels).all() or (pixels != np.rint(pixels)).any():
        return pixels
    return pixels.astype(np.int64)


def _label_array(labels: list[str]) -> np.ndarray:
    """Numbers where every label is one ("3", "3.0") or missing, else the text itself."""
    try:
        numbers = np.array([math.nan if is_missing_label(label) else float(label) for label in labels])
    except ValueError:
        return np.array(labels)
    return numbers if np.array_equal(numbers, np.rint(numbers), equal_nan=True) else np.array(labels)
