"""Labels of any kind, numbers or names, as indices into the classes that were fitted."""

from typing import Any

import numpy as np

from latently.common.errors import require

MISSING_TEXTS = ("", "nan", "-1", "-1.0")  # how files write that an image has no label


def encode_labels(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels of any kind -> the classes in order, and indices into them, (n,) int64, -1 = unlabelled.

    Raises InputError unless two classes or more have a label.
    """
    from sklearn.utils import column_or_1d  # not at the top: what only makes images would wait for it
    from sklearn.utils.multiclass import check_classification_targets

    y = column_or_1d(as_labels(y), warn=True)
    missing = is_missing(y)
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
    """Labels as an array. Of a list that mixes names with -1 or NaN, NumPy alone would make names of all."""
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
    """Whether a label says nothing: None, pandas' NA or NaT, NaN, -1 as a number, and the texts of `MISSING_TEXTS`,
    whatever their case and the white space around them.

    >>> [label for label in (None, "", " NaN ", -1.0, "-1", 0, "none") if not is_missing_label(label)]
    [0, 'none']
    """
    if label is None or type(label).__name__ in ("NAType", "NaTType"):  # NA is neither equal to itself nor not
        return True
    if isinstance(label, bytes):
        label = label.decode(errors="replace")
    return label.strip().lower() in MISSING_TEXTS if isinstance(label, str) else bool(label == -1 or label != label)


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
