"""Slow results of a run and its images, cached in RUN/explorer as .npz without pickle."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import nn

from latently.common.files import atomic_write
from latently.data import ImageSet
from latently.runs.record import weights_hash

MOST_BYTES = 2**28  # larger arrays are not cached


class Cache:
    """Arrays that depend only on the weights of a net and on images; the key is the hash of both."""

    def __init__(self, run: Path, images: ImageSet, net: nn.Module) -> None:
        self.folder = run / "explorer"
        self.images, self.net = images, net
        self._key = ""

    @property
    def key(self) -> str:
        if not self._key:
            self._key = self.images.pixel_hash + weights_hash(self.net)
        return self._key

    def of(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of that name: from the cache if it has the right key, otherwise computed and cached."""
        path = self.folder / f"{name}.npz"
        kept = self.read(path)
        if kept is not None:
            return kept
        values = compute()
        if values.nbytes <= MOST_BYTES:
            self.write(path, values)
        return values

    def read(self, path: Path) -> np.ndarray | None:
        """None if the file is missing, damaged, or of other images or weights: then it is computed again."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                return kept["values"] if str(kept["key"]) == self.key else None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
            return None

    def write(self, path: Path, values: np.ndarray) -> None:
        try:
            with atomic_write(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, values=values, key=np.array(self.key))
        except OSError:
            return  # exploring also works on a read-only disk
