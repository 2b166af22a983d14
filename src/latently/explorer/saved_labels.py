"""Labels given on the page, in a CSV file that `latently train --labels` reads.

Every change is written to disk atomically before it is answered, so a killed server loses no labels. A change contains
only the images that it labels, so that two browser tabs do not undo each other's work; changes of the file by other
programs are read first. Several servers of one file use a lock.
"""

import csv
import io
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from latently.common.errors import InputError, require
from latently.common.files import require_writable, write_text
from latently.data import ImageSet
from latently.data.classes import is_missing_label
from latently.data.label_file import labels_in
from latently.data.text import decoded

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LONGEST = 100  # characters of a label


class LabelFile:
    """Image index -> label, stored in a file. Raises InputError for a file of other images.

    first: another label file, whose labels are copied if this file does not exist yet.
    """

    def __init__(self, path: Path, images: ImageSet, first: Path | None = None) -> None:
        self.path, self.images = path, images
        self.labels: dict[int, str] = {}
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        require(
            not path.is_dir(), f"--labels is {path}, which is a folder; give a CSV file, new or written by this page"
        )
        with elsewhere():
            require_writable(path)
        self._read()
        if first is not None and self._stamp is None and first.is_file():
            self._write(self._labels_of(first))

    def _labels_of(self, path: Path) -> dict[int, str]:
        text = decoded(path.read_bytes(), str(path))
        with elsewhere():
            return labels_in(text, str(path), self.images)

    def _read(self) -> None:
        """Read the file if it has changed since it was last read or written."""
        stamp = stamp_of(self.path)
        if stamp != self._stamp:
            self.labels = {} if stamp is None else self._labels_of(self.path)
            self._stamp = stamp

    def _write(self, labels: dict[int, str]) -> None:
        write_text(self.path, self._as_csv(labels))
        self.labels, self._stamp = labels, stamp_of(self.path)

    def change(self, changes: Iterable[tuple[str, np.ndarray]], shown: np.ndarray) -> dict[str, Any]:
        """Label images (by index); an empty label removes labels. -> the state, and `before`: the change that undoes
        it."""
        checked = [(checked_label(label), images) for label, images in changes]
        with self._lock, alone_in(self.path.parent):
            self._read()
            labels: dict[int, str] = dict(self.labels)
            before: dict[int, str] = {}
            for label, images in checked:
                for image in images.tolist():
                    before.setdefault(image, labels.get(image, ""))
                    if label:
                        labels[image] = label
                    else:
                        labels.pop(image, None)
            if labels != self.labels:
                self._write(labels)
            return self._state(shown) | {"before": grouped(before, shown)}

    def take(self, content: bytes, shown: np.ndarray) -> dict[str, Any]:
        """Add the labels of a CSV file, which replace existing ones. Raises InputError as `--labels` would."""
        taken = labels_in(decoded(content, "the file"), "the file", self.images)
        require(bool(taken), "the file contains no labels; expected lines of image, label")
        groups: dict[str, list[int]] = {}
        for image, label in taken.items():
            groups.setdefault(label, []).append(image)
        return self.change([(label, np.array(images)) for label, images in groups.items()], shown)

    def state(self, shown: np.ndarray) -> dict[str, Any]:
        """`revision`, which changes with the file, and `labels`: [{label, points}]; points are indices into `shown`."""
        with self._lock:
            self._read()
            return self._state(shown)

    def _state(self, shown: np.ndarray) -> dict[str, Any]:
        return {"revision": str(self._stamp), "labels": grouped(self.labels, shown)}

    def known(self) -> np.ndarray:
        """The label of every image as text, (all images,), empty if none: labels given here, and those of the source if
        it labels only some of its images."""
        own = self.images.label_names.astype(object)
        names = own if (self.images.labels < 0).any() else np.full(len(self.images), "", dtype=object)
        with self._lock:
            for image, label in self.labels.items():
                names[image] = label
        return names.astype(str)

    def text(self, with_own: bool = False) -> str:
        """Content of the file; with_own: including the labels of the source for images without a label given here."""
        own = {image: name for image, name in enumerate(self.images.label_names.tolist()) if name} if with_own else {}
        with self._lock:
            self._read()
            return self._as_csv(own | self.labels)

    def _as_csv(self, labels: dict[int, str]) -> str:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["image", "label"])
        writer.writerows([written_name(self.images, image), label] for image, label in sorted(labels.items()))
        return text.getvalue()


@contextmanager
def elsewhere() -> Iterator[None]:
    """Adds to an InputError that labels can be stored in another file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{error}; use --labels to store labels in another file") from None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Locks the folder against other explorers. No effect on systems without file locks."""
    if fcntl is None or not folder.is_dir():
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # network file systems may not support it
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def written_name(images: ImageSet, image: int) -> str:
    """The image's name, or its index if the name is not text that a file can hold."""
    name = str(images.names[image])
    is_text = name.encode(errors="replace").decode() == name
    return name if is_text and name else str(image)


def checked_label(label: str) -> str:
    """Strips the label. Raises InputError for a label that the file cannot store."""
    label = label.strip()
    require(len(label) <= LONGEST, f"a label has {len(label)} characters; expected at most {LONGEST}")
    require(label.isprintable(), f"the label {label!r} contains a line break or another unprintable character")
    require(not label or not is_missing_label(label), f"{label!r} means no label; choose another name")
    return label


def grouped(labels: dict[int, str], shown: np.ndarray) -> list[dict[str, Any]]:
    """{image: label} -> [{label, points}] of the images that are shown, sorted by label."""
    point_of = {image: point for point, image in enumerate(shown.tolist())} if labels else {}
    groups: dict[str, list[int]] = {}
    for image, label in labels.items():
        if image in point_of:
            groups.setdefault(label, []).append(point_of[image])
    return [{"label": label, "points": groups[label]} for label in sorted(groups)]


def stamp_of(path: Path) -> tuple[int, ...] | None:
    """A stamp that changes when the file is written; None if there is no file."""
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino
