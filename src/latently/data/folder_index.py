"""Which files of a folder are its images, their classes, and the split that its subfolders are. Opens none of them."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import numpy as np

from latently.common.errors import require
from latently.data.classes import is_missing_label
from latently.data.image_file import EXTRAS, is_image_name, readable_suffixes
from latently.data.imageset import TEST, TRAIN, UNLABELLED, VALIDATION

PART_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
MOST_KINDS = 5  # of files passed over that are named


@dataclass(frozen=True)
class Index:
    """The N images of a folder.

    names: their relative paths, with "/", sorted.
    labels: (N,) int64, an index into `classes`; -1 = unlabelled.
    parts: (N,) TRAIN, VALIDATION or TEST, where the subfolders are a split; else None.
    passed_over: how many files of each kind are not read.
    unlabelled: how many images are in subfolders whose name means no label, by that name.
    outer: the subfolders around them all, which are neither a split nor classes.
    inside: how many subfolders a class has, of those that have any.
    """

    names: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    parts: np.ndarray | None = None
    passed_over: Counter[str] = field(default_factory=Counter)
    unlabelled: Counter[str] = field(default_factory=Counter)
    outer: str = ""
    inside: dict[str, int] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """What a person should know of how the folder was read."""
        found = (self._of_outer(), self._of_parts(), self._of_inside(), self._of_missing(), self._of_files())
        return [text for text in found if text]

    def _of_outer(self) -> str:
        are = "the classes" if self.parts is None else "the split"
        return f"all images are in {self.outer.rstrip('/')}, so its subfolders are {are}" if self.outer else ""

    def _of_inside(self) -> str:
        some = ", ".join(f"{name} ({n:,})" for name, n in list(self.inside.items())[:MOST_KINDS])
        more = ", other classes" * (len(self.inside) > MOST_KINDS)
        return f"subfolders inside a class are no classes of their own: {some}{more}" if some else ""

    def _of_parts(self) -> str:
        names = [name.removeprefix(self.outer) for name in self.names]
        if self.parts is None:
            tops = {_top(name) for name in names}
            like_parts = sorted(tops & PART_NAMES.keys())
            others = "images" if "" in tops else "other folders"
            is_like = len({PART_NAMES[top] for top in like_parts}) > 1
            sentence = (
                f"{' and '.join(like_parts)} are taken as classes, not as the split, as {others} stand beside them"
            )
            return sentence if is_like else ""
        folders = sorted({name.partition("/")[0] for name in names}, key=lambda name: PART_NAMES[name.lower()])
        counts = Counter(name.partition("/")[0] for name in names)
        return f"its subfolders are the split: {', '.join(f'{name} ({counts[name]:,})' for name in folders)}"

    def _of_missing(self) -> str:
        kinds = ", ".join(f"{name!r} ({count:,})" for name, count in sorted(self.unlabelled.items()))
        return f"images in subfolders whose names mean a missing label are unlabelled: {kinds}" if kinds else ""

    def _of_files(self) -> str:
        if not self.passed_over:
            return ""
        n = self.passed_over.total()
        kinds = [f"{count:,} {kind}" for kind, count in self.passed_over.most_common(MOST_KINDS)]
        more = ["other kinds"] if len(self.passed_over) > MOST_KINDS else []
        extra = next((f"; pip install 'latently[{EXTRAS[kind]}]' reads {kind}" for kind in self.passed_over
                      if kind in EXTRAS), "")  # fmt: skip
        return f"{n:,} {'file is' if n == 1 else 'files are'} passed over: {', '.join(kinds + more)}{extra}"


def index_folder(folder: Path) -> Index:
    """Images in a subfolder whose name means no label (`is_missing_label`: nan, -1) are unlabelled. Subfolders train,
    val and test, where they are all there is, are the split, not classes. A folder around all others, as archives have
    it, is no class."""
    passed_over: Counter[str] = Counter()
    names = sorted(image_names(folder, passed_over))
    kinds = " ".join(readable_suffixes())
    none = f"{folder} holds no image; expected {kinds} in it or in one subfolder per class"
    held = f" (it holds {', '.join(f'{n:,} {kind}' for kind, n in passed_over.most_common(MOST_KINDS))})"
    require(bool(names), none + (held if passed_over else ""))
    outer = _outer(names)
    inner = [name.removeprefix(outer) for name in names]
    parts = _parts(inner)
    inner = inner if parts is None else [name.partition("/")[2] for name in inner]
    tops = [name.partition("/")[0] if "/" in name else None for name in inner]
    unlabelled = Counter(top for top in tops if top is not None and is_missing_label(top))
    tops = [None if top in unlabelled else top for top in tops]
    classes = tuple(sorted({top for top in tops if top is not None}))
    code_of = {top: code for code, top in enumerate(classes)}
    labels = np.array([UNLABELLED if top is None else code_of[top] for top in tops], dtype=np.int64)
    deeper = {tuple(name.split("/")[:2]) for name in inner if name.count("/") > 1}
    inside = dict(sorted(Counter(top for top, _ in deeper).items()))
    return Index(names, labels, classes, parts, passed_over, unlabelled, outer, inside)


def _outer(names: list[str]) -> str:
    """The subfolders around all images where several stand in the innermost of them; else empty.

    >>> _outer(["photos/cat/1.png", "photos/dog/1.png"]), _outer(["cat/1.png", "cat/young/2.png"])
    ('photos/', '')
    """
    folders = [name.split("/")[:-1] for name in names]
    common = [
        one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(folders), max(folders), strict=False))
    ]
    below = {folder[len(common)] for folder in folders if len(folder) > len(common)}
    return "".join(f"{folder}/" for folder in common) if len(below) > 1 else ""


def _parts(names: list[str]) -> np.ndarray | None:
    """Of each image the part that its folder names; None where the folders are no split: one of the images that train
    is there, and one of another part, and nothing else stands beside them."""
    tops = [_top(name) for name in names]
    parts = {PART_NAMES.get(top) for top in set(tops)}
    if None in parts or TRAIN not in parts or len(parts) < 2:
        return None
    return np.array([PART_NAMES[top] for top in tops], dtype=np.int8)


def _top(name: str) -> str:
    """The subfolder, in small letters; empty for an image directly inside."""
    return name.partition("/")[0].lower() if "/" in name else ""


def image_names(folder: Path, passed_over: Counter[str]) -> Iterator[str]:
    """Relative paths of the images in `folder`, hidden files and folders left out. A class folder may be a link; links
    deeper down are not followed, and no folder is walked twice, so there are no loops."""
    walked = {_identity(folder)}

    def walk(place: str, below: str) -> Iterator[str]:
        entries = [entry for entry in os.scandir(place) if not entry.name.startswith(".")]
        for entry in sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name)):
            if entry.is_dir():
                if below and entry.is_symlink():
                    continue
                if (identity := _identity(Path(entry.path))) not in walked:
                    walked.add(identity)
                    yield from walk(entry.path, f"{below}{entry.name}/")
            elif not entry.is_file():
                passed_over["that are no files (links to nothing, pipes)"] += 1
            elif is_image_name(entry.name):
                yield below + entry.name
            else:
                passed_over[Path(entry.name).suffix.lower() or "without an ending"] += 1

    return walk(str(folder), "")


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino
