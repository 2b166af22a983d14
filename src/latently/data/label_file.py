"""Labels that come apart from their images, and labels that are hidden."""

import csv
import io
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from latently.common.console import data_note
from latently.common.errors import InputError, require
from latently.data.classes import LABEL_COLUMNS, is_missing_label, note_missing, whole_numbers
from latently.data.columns import IMAGE_COLUMNS, is_unnamed, plain_name
from latently.data.image_names import SEVERAL, ImageNames, is_whole_number
from latently.data.imageset import UNLABELLED, ImageSet
from latently.data.reading import open_plain, reading
from latently.data.splits import label_budget
from latently.data.text import decoded, named_delimiter, quoted, some

DELIMITERS = ",;\t"
LINES_THAT_TELL = 200  # what separates the columns


def read_labels(path: Path, images: ImageSet) -> ImageSet:
    """`images` with the labels of a CSV file: a line holds what an image is called (`ImageNames`), and its label.

    Images without a line, or whose label is missing (`is_missing_label`: empty, nan, -1), are unlabelled. A number is a
    name or stem where an image is called so, else a position, from 0. Raises `InputError` for a line that names no
    image, two lines that disagree, and a file without a label; warns of a class with a single one.
    """
    where = str(path)
    problem = "is a folder" if path.is_dir() else "does not exist"
    require(path.is_file(), f"--labels is {where}, which {problem}; expected a CSV file of image, label")
    with reading(where, "CSV"), open_plain(path) as stream:
        text = decoded(stream.read(), where)
    known = labels_in(text, where, images)
    require(bool(known), f"{where} holds no label; expected lines of image, label")
    named = whole_numbers(list(known.values()))
    classes, codes, counts = np.unique(named, return_inverse=True, return_counts=True)
    for name in classes[counts == 1].tolist():
        warnings.warn(
            f"the class {quoted(name)} has a single label in {where}; it can train or be judged, not both", stacklevel=2
        )
    labels = np.full(len(images), UNLABELLED, dtype=np.int64)
    labels[list(known)] = codes
    return replace(images, labels=labels, classes=tuple(classes.tolist()))


@dataclass(frozen=True)
class LabelLine:
    """A line of a label file: its number, what it calls an image, the label, and all cells."""

    number: int
    word: str
    label: str
    cells: list[str]


def labels_in(text: str, where: str, images: ImageSet) -> dict[int, str]:
    """The labels in the text of a CSV file, as `read_labels` takes them, by the image's number.

    where: what errors call the file.
    """
    names = ImageNames(images)
    with reading(where, "CSV"):
        rows = _rows(text)
    lines = _label_lines(rows, names, where)
    given: dict[int, LabelLine] = {}
    for line, index in zip(lines, _images_of(lines, names, images.source, where), strict=True):
        before = given.setdefault(index, line)
        if before.label != line.label:
            sentence = f"{where}, line {line.number}: {quoted(line.word.strip())} is {quoted(line.label)}"
            raise InputError(f"{sentence}, but line {before.number} says {quoted(before.label)}")
    missing = {label for label in {line.label for line in given.values()} if is_missing_label(label)}
    note_missing(where, (line.label for line in given.values() if line.label in missing), len(given))
    return {index: line.label for index, line in given.items() if line.label not in missing}


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Number and cells of each line that holds any, separated by what cuts all lines alike."""
    first, _, rest = text.partition("\n")
    named = named_delimiter(first)
    if named:
        return list(_cut(rest, named, 1))
    candidates = sorted(DELIMITERS, key=first.count, reverse=True)
    for delimiter in candidates:
        n_cells = {len(cells) for _, cells in islice(_cut(text, delimiter, 0), LINES_THAT_TELL)}
        if len(n_cells) == 1 and n_cells != {1}:
            return list(_cut(text, delimiter, 0))
    return list(_cut(text, candidates[0], 0))


def _cut(text: str, delimiter: str, start: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return ((start + reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells))


def _label_lines(rows: list[tuple[int, list[str]]], names: ImageNames, where: str) -> list[LabelLine]:
    """Image and label of each line: the first and second of two columns, or those that a header calls so."""
    if not rows:
        return []
    header = [plain_name(cell) for cell in rows[0][1]]
    n, columns = 2, (0, 1)
    if _is_header(rows[0][1], header, names):
        if not any(name in LABEL_COLUMNS for name in header) or not any(name in IMAGE_COLUMNS for name in header):
            data_note(f"{where}: line {rows[0][0]}, {quoted(','.join(rows[0][1]))}, is taken for a header")
        columns, rows, n = _columns_of(header, where), rows[1:], len(header)
    lines = []
    for number, cells in rows:
        while len(cells) > n and not cells[-1].strip():
            cells = cells[:-1]
        problem = f"{where}, line {number}: {len(cells)} columns; expected two, image and label"
        require(len(cells) == n, f"{problem}: the line is {quoted(','.join(cells))}")
        lines.append(LabelLine(number, cells[columns[0]], cells[columns[1]].strip(), cells))
    return lines


def _is_header(cells: Sequence[str], header: Sequence[str], names: ImageNames) -> bool:
    """A line of words that are used for images and labels, unless it may as well be an image and its label."""
    calls_image = any(name in IMAGE_COLUMNS for name in header)
    calls_label = any(name in LABEL_COLUMNS for name in header)
    if calls_image and calls_label:
        return True
    words = not any(re.search(r"[\d./\\]", cell) for cell in cells)
    return (calls_image or calls_label) and words and names.find(cells[0].strip()) is None


def _columns_of(header: list[str], where: str) -> tuple[int, int]:
    """The places of image and label. Of several columns that name the image, one that names a file is taken."""
    labels = [place for place, name in enumerate(header) if name in LABEL_COLUMNS]
    named = [place for place, name in enumerate(header) if name in IMAGE_COLUMNS]
    if len(header) == 2 and len(labels) + len(named) > 0 and len(labels) < 2 and len(named) < 2:
        image = named[0] if named else 1 - labels[0]
        return image, 1 - image
    sentence = f"{where} has {len(header)} columns, {some(header)}"
    require(len(labels) == 1, f"{sentence}; expected one of them to be called label")
    unnamed = [place for place, name in enumerate(header) if is_unnamed(name)]
    require(bool(named or unnamed), f"{sentence}; expected one of them to be called file or name")
    image = min(named, key=lambda place: IMAGE_COLUMNS.index(header[place])) if named else unnamed[0]
    passed_over = [header[place] for place in range(len(header)) if place not in (image, labels[0], *unnamed)]
    if passed_over:
        data_note(f"{where}: images are taken by {quoted(header[image])}, and {some(passed_over)} passed over")
    return image, labels[0]


def _images_of(lines: Sequence[LabelLine], names: ImageNames, source: str, where: str) -> list[int]:
    """The image of each line. Numbers are names in all lines, or positions in all where they are not the same."""
    found: list[int] = []
    numbered: list[tuple[LabelLine, int, int | None]] = []  # those that are names, and maybe positions
    positions: list[LabelLine] = []  # those that are positions alone
    for line in lines:
        index = _by_name(line.word, names, where)
        place = names.by_position(line.word.strip())
        if index == SEVERAL:
            sentence = (
                f"{where}, line {line.number}: there is more than one image {quoted(line.word.strip())} in {source}"
            )
            raise InputError(f"{sentence}; give its folder, too")
        if index is not None:
            found.append(index)
            if is_whole_number(line.word.strip()):
                numbered.append((line, index, place))
        elif place is not None:
            found.append(place)
            positions.append(line)
        else:
            raise InputError(_no_image(line, names, source, where))
    differ = [(line, index, place) for line, index, place in numbered if place is not None and place != index]
    if differ:
        line, index, place = differ[0]
        word, name, other = line.word.strip(), names.names[index], names.names[place]
        clash = f"{word} is the image {name!r}, and the image at position {word} is {other!r}"
        if positions:
            alone = f"line {positions[0].number} has {positions[0].word.strip()}, a position alone"
            raise InputError(f"{where}, line {line.number}: {clash}; {alone}: give all images by their names")
        data_note(f"{where}: {clash}; all numbers are taken for names")
    return found


def _by_name(word: str, names: ImageNames, where: str) -> int | None:
    """As it stands, without the white space around it, or, where it begins with .., from the file or from here."""
    for text in (word, word.strip()):
        index = names.by_name(text)
        if index is not None:
            return index
    if not re.match(r"\s*\.\.[/\\]", word):
        return None
    places = [os.path.abspath(os.path.join(base, word.strip())) for base in (os.path.dirname(where), os.getcwd())]
    return next((index for place in places if (index := names.by_name(place)) is not None), None)


def _no_image(line: LabelLine, names: ImageNames, source: str, where: str) -> str:
    n = len(names.names)
    three = ", ".join(quoted(names.names[place]) for place in sorted({0, n // 2, n - 1}))
    sentence = f"{where}, line {line.number}: there is no image {quoted(line.word.strip())} in {source}"
    return f"{sentence}; its images are called {three}: the line is {quoted(','.join(line.cells))}"


def within_budget(images: ImageSet, n_labels: int, seed: int, choosing: bool) -> tuple[ImageSet, ImageSet]:
    """`images` of which only `n_labels` keep their label, drawn by `label_budget`, and the images that choose.

    Where `choosing`, a fifth of the budget is set aside for them: a budget pays for its own validation. They leave the
    first set, where labels that spread would reach them. Else there are none. Raises `InputError` where the labels that
    train cannot cover all classes.
    """
    n_choosing = n_labels // 5 if choosing else 0
    drawn = label_budget(images.labels, n_labels, seed)
    n_classes, n_training = len(np.unique(images.labels[drawn])), n_labels - n_choosing
    few = f"of {n_labels} labels {n_choosing} choose the epoch, and {n_training} cannot cover {n_classes} classes"
    require(n_training >= n_classes, f"{few}; give more labels, or no patience")
    trains = label_budget(images.labels, n_training, seed)  # a part of those that were drawn
    chooses = np.setdiff1d(drawn, trains)
    labels = np.full(len(images), UNLABELLED, dtype=np.int64)
    labels[trains] = images.labels[trains]
    hidden = replace(images, labels=labels)
    if not choosing:
        return hidden, images.take(chooses)
    return hidden.take(np.setdiff1d(np.arange(len(images)), chooses)), images.take(chooses)
