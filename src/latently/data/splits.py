"""Which images train, which choose, which judge; and which few labels may be used."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from latently.common.errors import InputError, require
from latently.data.imageset import TEST, TRAIN, UNLABELLED, VALIDATION, ImageSet

SPLITS = ("auto", "standard", "pooled", "random", "grouped", "all")
N_VALIDATION = 5_000  # of the standard split


@dataclass(frozen=True)
class Split:
    """Indices (int64) into an `ImageSet`'s images: train, validation and test."""

    kind: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The kind and three lists of ints."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {"kind": self.kind} | {name: indices.tolist() for name, indices in parts.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Split":
        """The inverse of `to_json`; `InputError` on anything else."""
        try:
            parts = [np.array(values[name], dtype=np.int64) for name in ("train", "validation", "test")]
            return cls(str(values["kind"]), *parts)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"the split is damaged ({error!r}); expected a kind and lists of image numbers: "
                "train, validation and test"
            ) from error


def split(data: ImageSet, kind: str = "auto", seed: int = 0, limit: int | None = None) -> Split:
    """Split `data`; `limit` keeps the first so many training images.

    auto      standard where the source has its own test images or split, else random.
    standard  validation = the first 5,000 images, train = the others of the source's training part, test = its test
              part; in order, so nothing is drawn. Of a folder with train, val and test in it, these; where there is no
              val, a tenth of the training images of each class.
    pooled    all images re-split per class, 70 / 20 / 10 %: 0.3 held out, then 0.34 of that is the test.
    random    80 / 10 / 10 % per class, unlabelled images counting as one more class.
    grouped   as random, but images with the same pixels are in one part, and count as one image; where more than a
              twentieth of all images are alike, they train.
    all       every image trains; validation and test are empty.

    The drawn kinds (pooled, random, grouped), and a folder's own parts, hold `train` in random order, so that its
    first N are a fair sample, and so does `all` where there is a limit; all else is sorted. Raises `InputError` on an
    unknown kind, too few images, and a limit outside 1..len(train).
    """
    require(kind in SPLITS, f"no split is called {kind!r}; expected one of {', '.join(SPLITS)}")
    if kind == "auto":
        kind = "standard" if data.has_split else "random"
    if kind == "standard":
        train, validation, test = _standard(data) if data.parts is None else _own(data, np.random.default_rng(seed))
    elif kind == "all":
        order = np.arange(len(data)) if limit is None else np.random.default_rng(seed).permutation(len(data))
        train, validation, test = order, np.arange(0), np.arange(0)
    else:
        draw = {"pooled": _pooled, "random": _random, "grouped": _grouped}[kind]
        train, validation, test = draw(data, np.random.default_rng(seed))
    if limit is not None:
        require(
            1 <= limit <= len(train),
            f"--limit was {limit:,}; expected 1..{len(train):,}, the training images of {data.source}, split {kind!r}",
        )
        train = train[:limit]
    return Split(kind, train, validation, test)


Parts = tuple[np.ndarray, np.ndarray, np.ndarray]  # train, validation, test


def _standard(data: ImageSet) -> Parts:
    require(
        data.n_train is not None and data.n_train > N_VALIDATION,
        f"{data.source} has no test images of its own, as the standard split needs; use --split random",
    )
    return np.arange(N_VALIDATION, data.n_train), np.arange(N_VALIDATION), np.arange(data.n_train or 0, len(data))


def _own(data: ImageSet, rng: np.random.Generator) -> Parts:
    """The parts that the source names; without validation images a tenth of each training class."""
    assert data.parts is not None
    train, validation, test = (np.flatnonzero(data.parts == part) for part in (TRAIN, VALIDATION, TEST))
    if not len(validation):
        classes = [train[members] for members in _shuffled_classes(data.labels[train], rng)]
        validation = np.sort(np.concatenate([members[: len(members) // 10] for members in classes]))
        train = np.setdiff1d(train, validation)
    return rng.permutation(train), validation, test


def _pooled(data: ImageSet, rng: np.random.Generator) -> Parts:
    """Per class, the sizes that scikit-learn's train_test_split takes: the held-out part is rounded up."""
    train, validation, test = [], [], []
    for members in _shuffled_classes(data.labels, rng):
        n_held_out = math.ceil(0.3 * len(members))
        n_test = math.ceil(0.34 * n_held_out)
        train.append(members[n_held_out:])
        validation.append(members[n_test:n_held_out])
        test.append(members[:n_test])
    parts = [np.concatenate(part) for part in (train, validation, test)]
    require(
        all(len(part) > 0 for part in parts),
        f"{data.source} has too few images per class for the pooled split; expected 4 or more of one class, "
        "or use --split all",
    )
    return rng.permutation(parts[0]), np.sort(parts[1]), np.sort(parts[2])


def _random(data: ImageSet, rng: np.random.Generator) -> Parts:
    """Lay the shuffled classes end to end and take every tenth image for validation, the next one for test.

    So each class gives a tenth, to within one image, and so does the whole. Classes of one or two images, which
    cannot be in all three parts, train; where there are no others, classes are disregarded.
    """
    n = len(data)
    require(n >= 3, f"{data.source} has {n} image(s); a random split needs 3 or more: add some, or use --split all")
    classes = _shuffled_classes(data.labels, rng)
    in_a_row = [members for members in classes if len(members) >= 3] or [rng.permutation(n)]
    order = np.concatenate(in_a_row)
    validation, test = order[1::10], order[2::10]
    train = np.setdiff1d(np.arange(n), np.concatenate([validation, test]))
    return rng.permutation(train), np.sort(validation), np.sort(test)


def _grouped(data: ImageSet, rng: np.random.Generator) -> Parts:
    """Draw as `_random` among the first images of all groups of copies; the others of a group follow it."""
    firsts, group, sizes = np.unique(data.originals, return_inverse=True, return_counts=True)
    drawn = np.flatnonzero(sizes <= max(1, len(data) // 20))
    _, *held_out = _random(data.take(firsts[drawn]), rng)
    part = np.full(len(firsts), TRAIN)
    for which, places in zip((VALIDATION, TEST), held_out, strict=True):
        part[drawn[places]] = which
    train, validation, test = (np.flatnonzero(part[group] == which) for which in (TRAIN, VALIDATION, TEST))
    return rng.permutation(train), validation, test


def n_in_training(data: ImageSet, split: Split, part: str) -> int:
    """How many images of a part of the split have the same pixels as a training image."""
    originals = data.originals
    return int(np.isin(originals[getattr(split, part)], originals[split.train]).sum())


def _shuffled_classes(labels: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]


def label_budget(labels: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Draw `n` labelled images, as evenly over the classes as they allow -> sorted indices into `labels`.

    `labels` is (N,) int, -1 = unlabelled. Where `n` is no multiple of the number of classes, the classes that give one
    more are drawn, too; a class that runs out leaves its share to the others. With one seed a smaller budget is part
    of a larger one. Raises `InputError` where there are fewer labels than `n`, or more classes.

    >>> labels = np.repeat([0, 1, 2], [50, 50, 2])
    >>> np.bincount(labels[label_budget(labels, 12)])
    array([5, 5, 2])
    """
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(np.flatnonzero(labels != UNLABELLED))
    require(1 <= n <= len(drawn), f"a budget of {n} labels was asked for; expected 1..{len(drawn)}, the labels there")
    classes, codes, counts = np.unique(labels[drawn], return_inverse=True, return_counts=True)
    require(
        n >= len(classes), f"a budget of {n} labels cannot cover {len(classes)} classes; ask for {len(classes)} or more"
    )
    place = np.empty(len(drawn), dtype=np.int64)  # each image's place in its class: first, second ...
    place[np.argsort(codes, kind="stable")] = np.concatenate([np.arange(count) for count in counts])
    turn = rng.permutation(len(classes))[codes]  # all first places before all second ones, classes in drawn order
    return np.sort(drawn[np.lexsort((turn, place))[:n]])
