"""What others may call an image: its name, its stem, its path, or its position."""

import os
import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from latently.data.imageset import ImageSet

SEVERAL = -1  # what a word calls that fits more than one image


def composed(name: str) -> str:
    """Letters with their accents as one, however a disk or a table writes them."""
    return unicodedata.normalize("NFC", name)


def is_whole_number(word: str) -> bool:
    return re.fullmatch("[0-9]{1,18}", word) is not None


class ImageNames:
    """The images of a set by what a person or another program calls them."""

    def __init__(self, images: ImageSet) -> None:
        self.names = [composed(str(name)) for name in images.names.tolist()]
        self.index_of = {name: index for index, name in enumerate(self.names)}
        sources = {_slashed(images.source), _slashed(os.path.realpath(images.source))}
        self.folders = sorted({ending for source in sources for ending in _endings(source)})

    def find(self, word: str) -> int | None:
        """The image that a word calls, by name, else by position; None where it is none, or more than one."""
        index = self.by_name(word)
        return self.by_position(word) if index is None else None if index == SEVERAL else index

    def by_name(self, word: str) -> int | None:
        """The image of this name, path or stem; `SEVERAL` where more than one is called so, None where none is.

        A path may have either slash, be absolute or begin with ./, or hold the last folders alone. What fits as it is
        written wins over what fits in another case, or with other zeros before a number (7 for 007.png).
        """
        word = composed(word)
        if word in self.index_of:
            return self.index_of[word]
        path = _slashed(word)
        found = self._names.find(path, self.folders)
        if found is None:
            found = self._stems.find(path, self.folders)
        if found is None:
            found = self._folded_names.find(path.casefold(), self._folded_folders)
        if found is None:
            found = self._folded_stems.find(path.casefold(), self._folded_folders)
        if found is not None:
            return found
        return self._numbers.get(int(path)) if is_whole_number(path) else None

    def by_position(self, word: str) -> int | None:
        """The image at this position, from 0."""
        return int(word) if is_whole_number(word) and str(int(word)) == word and int(word) < len(self.names) else None

    @cached_property
    def _names(self) -> "_Paths":
        return _Paths(enumerate(self.names))

    @cached_property
    def _stems(self) -> "_Paths":
        return _Paths((index, stem) for index, name in enumerate(self.names) if (stem := _stem(name)) != name)

    @cached_property
    def _folded_names(self) -> "_Paths":
        return _Paths((index, name.casefold()) for index, name in enumerate(self.names))

    @cached_property
    def _folded_stems(self) -> "_Paths":
        return _Paths((i, stem.casefold()) for i, name in enumerate(self.names) if (stem := _stem(name)) != name)

    @cached_property
    def _folded_folders(self) -> list[str]:
        return [folder.casefold() for folder in self.folders]

    @cached_property
    def _numbers(self) -> dict[int, int]:
        numbers: dict[int, int] = {}
        for index, name in enumerate(self.names):
            stem = _stem(name).rpartition("/")[2]
            if is_whole_number(stem):
                _add(numbers, int(stem), index)
        return numbers


class _Paths:
    """Paths below one folder, of images by their number, and the ends of those paths."""

    def __init__(self, paths: Iterator[tuple[int, str]]) -> None:
        self.whole: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        for index, path in paths:
            _add(self.whole, path, index)
            rest = path
            while "/" in rest:
                rest = rest.partition("/")[2]
                _add(self.ends, rest, index)

    def find(self, path: str, folders: list[str]) -> int | None:
        """The image of this path, which may begin with one of these folders, or be a path's end."""
        if path in self.whole:
            return self.whole[path]
        below = {self.whole.get(path[len(folder) :]) for folder in folders if path.startswith(folder)}
        found = (below | {self.ends.get(path)}) - {None}
        return (found.pop() if len(found) == 1 else SEVERAL) if found else None


def _add(index_of: dict[Any, int], key: Any, index: int) -> None:
    if index_of.setdefault(key, index) != index:
        index_of[key] = SEVERAL


def _stem(name: str) -> str:
    """The name without its ending."""
    return os.path.splitext(name)[0]


def _slashed(path: str) -> str:
    """With / alone, without ./ and what .. takes back."""
    return os.path.normpath(path.replace("\\", "/")).replace("\\", "/") if path else path


def _endings(folder: str) -> Iterator[str]:
    """The folder's path, and its last names: /x/photos/, x/photos/, photos/."""
    names = folder.split("/")
    return ("/".join(names[start:]) + "/" for start in range(len(names)) if names[start:] != [""])
