"""Labels of any kind, numbers or names, as indices into the classes that were fitted."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from latently.common.console import data_note
from latently.common.errors import require

# How files write that an image has no label: these in any case, and -1; and these as pandas reads and writes them.
MISSING_TEXTS = ("", "nan", "-nan")
MISSING_SPELLINGS = ("NA", "N/A", "n/a", "NULL", "null", "<NA>", "#N/A", "#NA")
LABEL_COLUMNS = ("label", "labels", "class", "target", "species", "y")  # what others call labels


def encode_labels(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels of any kind -> the classes in order, and indices into them, (n,) int64, -1 = unlabelled.

    Raises InputError unless two classes or more have a label.
    """
    from sklearn.utils import column_or_1d  # not at the top: what only makes images would wait for it
    from sklearn.utils.multiclass import check_classification_targets

    y = column_or_1d(as_labels(y), warn=True)
    missing = is_missing(y)
    none = y[missing].tolist()
    if any(isinstance(label, str) and label.strip() for label in none):  # -1, NaN and "" are what they were given for
        note_missing("y", none, len(y))
    require(not missing.all(), "no image carries a label; a classifier needs some of two classes or more")
    present = np.array(y[~missing].tolist())  # of one type, also where None stood among the names
    check_classification_targets(present)
    classes, known = np.unique(present, return_inverse=True)
    two = missing.any() and (classes.dtype.kind in "if" or classes[0] in ("1", "+1"))
    hint = "; -1 means unlabelled here: call the classes 0 and 1" if two else ""
    require(len(classes) >= 2, f"all labels are of one class, {classes[0]}; a classifier needs two or more{hint}")
    codes = np.full(len(y), -1)
    codes[~missing] = known
    return classes, codes


def as_labels(y: Any) -> np.ndarray:
    """Labels as an array, masked ones as None. Of a list that mixes names with -1 or NaN, NumPy alone would make names
    of all. Tensors of torch may be on any device."""
    if hasattr(y, "detach"):
        y = y.detach().cpu().numpy()
    if isinstance(y, list | tuple):
        y = [label.tolist() if hasattr(label, "detach") else label for label in y]
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        labels = y.data.astype(object)
        labels[y.mask] = None
        return np.asarray(labels)
    return np.array(y, dtype=object) if isinstance(y, list | tuple) else np.asarray(y)


def is_missing(y: np.ndarray) -> np.ndarray:
    """Which labels are missing, by the one rule of `is_missing_label`. (n,) of any type -> (n,) bool"""
    if y.dtype.kind in "biu":
        return np.asarray(y == -1)
    if y.dtype.kind == "f":
        return np.asarray((y == -1) | np.isnan(y))
    labels, places = (y, None) if y.dtype.kind == "O" else np.unique(y, return_inverse=True)
    missing = np.array([is_missing_label(label) for label in labels.tolist()], dtype=bool)
    return missing if places is None else missing[places]


def is_missing_label(label: Any) -> bool:
    """Whether a label says nothing: None, pandas' NA or NaT, NaN, -1, an empty text and what pandas reads as missing.

    `MISSING_TEXTS` whatever their case, `MISSING_SPELLINGS` as they stand; white space around them does not count.

    >>> [label for label in (None, "", " NaN ", -1.0, "-1", "NA", 0, "none", "na") if not is_missing_label(label)]
    [0, 'none', 'na']
    """
    if label is None or type(label).__name__ in ("NAType", "NaTType"):  # NA is neither equal to itself nor not
        return True
    if isinstance(label, bytes):
        label = label.decode(errors="replace")
    if not isinstance(label, str):
        return bool(label == -1 or label != label)
    label = label.strip()
    return label.lower() in MISSING_TEXTS or label in MISSING_SPELLINGS or bool(re.fullmatch(r"-1(\.0*)?", label))


def note_missing(where: str, missing: Iterable[Any], n: int) -> None:
    """Note how many of n labels are missing, and how they are spelled, unless none is."""
    spelled = Counter(_spelling(label) for label in missing)
    if spelled:
        n_missing = spelled.total()
        kinds = ", ".join(f"{count:,} {spelling}" for spelling, count in sorted(spelled.items(), key=_often_first))
        data_note(f"{where}: {n_missing:,} of {n:,} labels {'is' if n_missing == 1 else 'are'} missing: {kinds}")


def _spelling(label: Any) -> str:
    text = label.decode(errors="replace") if isinstance(label, bytes) else class_name(label)
    return repr(text.strip()) if text.strip() else "empty"


def _often_first(item: tuple[str, int]) -> tuple[int, bool, str]:
    spelling, count = item
    return -count, spelling != "empty", spelling


def whole_numbers(labels: list[str]) -> list[str]:
    """3.0 as 3 where all labels are whole numbers, as tables write them beside empty cells. All others keep their text.

    >>> whole_numbers(["3.0", "3", "007"]), whole_numbers(["1e3", "1000"]), whole_numbers(["1.0", "1.5"])
    (['3', '3', '007'], ['1e3', '1000'], ['1.0', '1.5'])
    """
    distinct = set(labels)
    if not all(re.fullmatch(r"[+-]?\d+(\.0*)?|[+-]?\d+(\.\d+)?[eE][+-]?\d+", label) for label in distinct):
        return labels
    whole = {label: re.sub(r"\.0*$", "", label) for label in distinct}
    return [whole[label] for label in labels]


def class_name(label: Any) -> str:
    """0.0 is called 0."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def class_indices(y: Any, classes: np.ndarray) -> np.ndarray:
    """Labels as indices into `classes`, (n,) int64; -1 where there is none, or one of another class.

    A class goes by its name, too: what was fitted on 0, 1, 2 or on 0.0, 1.0, 2.0 knows "2" from a file, and the other
    way round.

    >>> class_indices(["2", 0, ""], np.array([0, 1, 2])).tolist()
    [2, 0, -1]
    """
    y = as_labels(y)
    codes, given = np.full(len(y), -1), np.flatnonzero(~is_missing(y))
    y = y[given]
    names = np.array([class_name(label) for label in y.tolist()], dtype=str)
    for code, label in enumerate(classes.tolist()):
        codes[given[(y == label) | (names == class_name(label))]] = code
    return codes


def stored_classes(params: dict[str, Any]) -> np.ndarray:
    """The classes that params.json lists. Raises InputError, or KeyError, where it lists none."""
    classes = params["classes"]
    fits = isinstance(classes, list) and len(classes) >= 2 and all(isinstance(c, str | int | float) for c in classes)
    require(fits, f"classes is {classes!r}; expected a list of two names or numbers at least")
    return np.array(classes)
