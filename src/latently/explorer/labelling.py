"""Labels that a person gives on the page, in a CSV file as `latently train --labels` reads it.

Every change is on the disk before it is answered, by a rename: a server that is killed loses none. A change tells which
images get which label, and nothing of the others, so that two tabs do not undo each other's work; what another program
wrote to the file since is read first. Several servers of one file wait for each other.
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

LONGEST = 100  # letters of a label


class LabelFile:
    """image number -> label, and the file that holds the same. Raises InputError for a file of other images.

    first: another such file, whose labels this one begins with where it is not there yet.
    """

    def __init__(self, path: Path, images: ImageSet, first: Path | None = None) -> None:
        self.path, self.images = path, images
        self.labels: dict[int, str] = {}
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        require(not path.is_dir(), f"--labels is {path}, which is a folder; give a CSV file, new or kept from here")
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
        """Take up what is in the file, where it is not what was written last."""
        stamp = stamp_of(self.path)
        if stamp != self._stamp:
            self.labels = {} if stamp is None else self._labels_of(self.path)
            self._stamp = stamp

    def _write(self, labels: dict[int, str]) -> None:
        write_text(self.path, self._as_csv(labels))
        self.labels, self._stamp = labels, stamp_of(self.path)

    def change(self, changes: Iterable[tuple[str, np.ndarray]], shown: np.ndarray) -> dict[str, Any]:
        """Give images (numbers) labels; an empty one takes them away. -> the state, and `before`: what undoes it."""
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
        """Add the labels of a CSV file; where both have one, the file's. Raises InputError as `--labels` would."""
        taken = labels_in(decoded(content, "the file"), "the file", self.images)
        require(bool(taken), "the file holds no label; expected lines of image, label")
        groups: dict[str, list[int]] = {}
        for image, label in taken.items():
            groups.setdefault(label, []).append(image)
        return self.change([(label, np.array(images)) for label, images in groups.items()], shown)

    def state(self, shown: np.ndarray) -> dict[str, Any]:
        """`revision`, another whenever the file is, and `labels`: [{label, points}], points being places in `shown`."""
        with self._lock:
            self._read()
            return self._state(shown)

    def _state(self, shown: np.ndarray) -> dict[str, Any]:
        return {"revision": str(self._stamp), "labels": grouped(self.labels, shown)}

    def known(self) -> np.ndarray:
        """The label of every image as text, (all images,), empty where there is none: those given here, and where the
        source labels only some of its images, the source's."""
        own = self.images.label_names.astype(object)
        names = own if (self.images.labels < 0).any() else np.full(len(self.images), "", dtype=object)
        with self._lock:
            for image, label in self.labels.items():
                names[image] = label
        return names.astype(str)

    def text(self, with_own: bool = False) -> str:
        """The file's content; with_own: and the labels that the images came with, where none was given here."""
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
    """A refusal says that the labels may be kept in another place."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{error}; --labels keeps the labels of these images in another file") from None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """No other explorer writes into the folder meanwhile. Without effect where the system has no such locks."""
    if fcntl is None or not folder.is_dir():
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network's disk may refuse
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def written_name(images: ImageSet, image: int) -> str:
    """The image's name, or its number where the name is no text that a file can hold."""
    name = str(images.names[image])
    is_text = name.encode(errors="replace").decode() == name
    return name if is_text and name else str(image)


def checked_label(label: str) -> str:
    """Without spaces around it. Raises InputError for what a line of the file cannot hold."""
    label = label.strip()
    require(len(label) <= LONGEST, f"a label has {len(label)} letters; expected at most {LONGEST}")
    require(label.isprintable(), f"the label {label!r} holds a line break or another letter that cannot be printed")
    require(not label or not is_missing_label(label), f"{label!r} means no label; choose another name")
    return label


def grouped(labels: dict[int, str], shown: np.ndarray) -> list[dict[str, Any]]:
    """{image: label} -> [{label, points}] of those that are shown, sorted by label."""
    point_of = {image: point for point, image in enumerate(shown.tolist())} if labels else {}
    groups: dict[str, list[int]] = {}
    for image, label in labels.items():
        if image in point_of:
            groups.setdefault(label, []).append(point_of[image])
    return [{"label": label, "points": groups[label]} for label in sorted(groups)]


def stamp_of(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written; None where there is none."""
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino
