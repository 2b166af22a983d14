"""Labels that come apart from their images, and labels that are hidden."""

import csv
import re
import unicodedata
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from latently.common.errors import InputError, require
from latently.data.classes import is_missing_label
from latently.data.imageset import UNLABELLED, ImageSet
from latently.data.reading import open_plain, reading
from latently.data.splits import label_budget

# A first line that starts or ends so is no image.
HEADERS = ("image", "file", "filename", "file_name", "file name", "path", "name", "index")
LABEL_HEADERS = ("label", "labels", "class", "target")


def read_labels(path: Path, images: ImageSet) -> ImageSet:
    """`images` with the labels of a CSV file: a line holds an image's name or number (from 0), and its label.

    Images without a line, or whose label is missing (`is_missing_label`: empty, nan, -1), are unlabelled. A file's name
    may be given without its folder where that says which one is meant. Raises `InputError` for a line that names no
    image, two lines that disagree, and a file without a label; warns of a class with a single one.
    """
    where = str(path)
    problem = "is a folder" if path.is_dir() else "does not exist"
    require(path.is_file(), f"--labels is {where}, which {problem}; expected a CSV file of image, label")
    with reading(where, "CSV"), open_plain(path) as stream:
        text = stream.read().decode("utf-8-sig")
    known = labels_in(text, where, images)
    require(bool(known), f"{where} holds no label; expected lines of image, label")
    named = whole_numbers(list(known.values()))
    classes, codes, counts = np.unique(named, return_inverse=True, return_counts=True)
    for name in classes[counts == 1].tolist():
        warnings.warn(
            f"the class {name!r} has a single label in {where}; it can train or be judged, not both", stacklevel=2
        )
    labels = np.full(len(images), UNLABELLED, dtype=np.int64)
    labels[list(known)] = codes
    return replace(images, labels=labels, classes=tuple(classes.tolist()))


def whole_numbers(labels: list[str]) -> list[str]:
    """3.0 as 3 where all labels are so written, as tables write whole numbers beside empty cells.

    >>> whole_numbers(["3.0", "12.0"])
    ['3', '12']
    """
    written_so = all(re.fullmatch(r"\d+\.0*", label) for label in labels)
    return [label.partition(".")[0] for label in labels] if written_so else labels


def composed(name: str) -> str:
    """Letters with their accents as one, however a disk or a table writes them."""
    return unicodedata.normalize("NFC", name)


def labels_in(text: str, where: str, images: ImageSet) -> dict[int, str]:
    """The labels in the text of a CSV file, as `read_labels` takes them, by the image's number.

    where: what errors call the file.
    """
    index_of = indices(images)
    given: dict[int, tuple[str, int]] = {}  # image -> label, and the line that gave it
    with reading(where, "CSV"):
        rows = text.splitlines()
        delimiter = max(",;\t", key="".join(rows[:1]).count)
        lines = [[cell.strip() for cell in cells] for cells in csv.reader(rows, delimiter=delimiter)]
    for number, cells in enumerate(lines, start=1):
        if not any(cells) or (number == 1 and is_header(cells, index_of)):
            continue
        require(len(cells) == 2, f"{where}, line {number}: {len(cells)} columns; expected two, image and label")
        name, label = cells
        index = index_of.get(composed(name))
        if index is None:
            several = any(str(known).endswith(f"/{name}") for known in images.names)
            problem = "there is more than one image" if several else "there is no image"
            hint = "; give its folder, too" if several else ""
            raise InputError(f"{where}, line {number}: {problem} {name!r} in {images.source}{hint}")
        before, line = given.setdefault(index, (label, number))
        require(before == label, f"{where}, line {number}: {name} is {label!r}, but line {line} says {before!r}")
    return {index: label for index, (label, _) in given.items() if not is_missing_label(label)}


def is_header(cells: list[str], index_of: dict[str, int]) -> bool:
    first, last = cells[0], cells[-1].lower()
    return first.lower() in HEADERS or (last in LABEL_HEADERS and first not in index_of)


def indices(images: ImageSet) -> dict[str, int]:
    """What a line may call an image: its number, its name, or the last part of that where no other image has it."""
    by_number = {str(index): index for index in range(len(images))}
    by_name = {composed(str(name)): index for index, name in enumerate(images.names)}
    last: dict[str, int | None] = {}
    for name, index in by_name.items():
        short = name.rpartition("/")[2]
        last[short] = None if short in last else index
    return by_number | {name: index for name, index in last.items() if index is not None} | by_name


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
