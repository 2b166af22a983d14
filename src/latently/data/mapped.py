"""Images that stay on the disk: a memory-mapped array, of which a batch at a time is read.

What the system keeps of the file in its page cache, it gives back when memory is wanted elsewhere; nothing here holds
more than `PART_BYTES` of pixels at a time.
"""

import math
from collections.abc import Iterator
from functools import partial
from mmap import mmap
from typing import Any

import numpy as np

from latently.data.pixels import as_pixels, finite, pixel_type

IN_MEMORY_BYTES = 2**28  # of images that are read into memory whole: 340,000 of 28 x 28
PART_BYTES = 2**24  # read at a time, where all are gone through


def stays_on_disk(n_bytes: int) -> bool:
    """Whether images of this size are left on the disk."""
    return n_bytes > IN_MEMORY_BYTES


class Mapped:
    """N images as rows of a memory-mapped array, which come as uint8 or float32 whatever it holds.

    `images[rows]` reads these rows into memory; `images.take(rows)` reads nothing: they are a `Mapped` of their own.
    dtype: what the pixels become, by default as in `as_pixels`; maximum: as there. Numbers that are no pixels raise
    `InputError` at once, which takes a reading of all of them, but of bytes and bools: those hold no others.

    >>> images = Mapped(np.arange(12).reshape(3, 2, 2), "here")
    >>> images.take(np.array([2, 0]))[:1].tolist()
    [[[8, 9], [10, 11]]]
    """

    def __init__(self, array: np.ndarray, where: str, dtype: Any = None, maximum: float | None = None) -> None:
        self.array = np.asarray(array)  # still of the file: NumPy's own class would make every row one of its kind
        self.where, self.dtype = where, np.dtype(dtype or pixel_type(array, where))
        self.maximum = maximum
        self.index: np.ndarray | None = None
        self.limits: tuple[float, float] | None = None
        if array.dtype not in (np.uint8, np.bool_):
            self.limits = self._looked_through()

    def __len__(self) -> int:
        return len(self.array if self.index is None else self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def nbytes(self) -> int:
        """Of the pixels, if they were in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, rows: Any) -> np.ndarray:
        found = self._stored(rows)
        if found.dtype == np.bool_ or self.maximum is not None:
            return as_pixels(found, self.where, maximum=self.maximum)
        return np.ascontiguousarray(found, self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        """A whole file is sent to another process by its path."""
        state, file = vars(self).copy(), self.array.base
        if isinstance(file, np.memmap) and file.filename and self._is_all_of(file):
            state["array"] = str(file.filename), file.dtype, file.offset, file.shape
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        if isinstance(self.array, tuple):
            path, dtype, offset, shape = self.array
            self.array = np.asarray(np.memmap(path, dtype, "r", offset, shape))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them, in memory, for what cannot do with less."""
        return np.array(self[:], dtype)

    def take(self, rows: np.ndarray) -> "Mapped":
        """Those at `rows`, ints or a mask, none of them read."""
        part = object.__new__(Mapped)
        part.__dict__ |= vars(self)
        part.index = (np.arange(len(self.array)) if self.index is None else self.index)[rows]
        return part

    def parts(self) -> Iterator[np.ndarray]:
        """All of them in order, some at a time."""
        return (self[rows] for rows in self._slices())

    def min(self) -> Any:
        """No pixel is lower; of a part of an array, the lowest may be higher."""
        self.limits = self.limits or self._looked_through()
        return self.dtype.type(self.limits[0])

    def max(self) -> Any:
        """No pixel is higher."""
        self.limits = self.limits or self._looked_through()
        return self.dtype.type(self.limits[1])

    def _is_all_of(self, file: np.memmap) -> bool:
        """And not a slice of it, or in another order."""
        return isinstance(file.base, mmap) and file.shape == self.array.shape and self.array.flags.c_contiguous

    def _stored(self, rows: Any) -> np.ndarray:
        stored: np.ndarray = self.array[rows if self.index is None else self.index[rows]]
        return stored

    def _slices(self) -> Iterator[slice]:
        size = max(1, PART_BYTES // (math.prod(self.shape[1:]) * max(self.array.itemsize, self.dtype.itemsize)))
        return (slice(start, start + size) for start in range(0, len(self), size))

    def _looked_through(self) -> tuple[float, float]:
        """The lowest and the highest pixel."""
        to_floats = self.dtype == np.float32 and self.maximum is None
        checked = finite if to_floats else partial(as_pixels, maximum=self.maximum)
        low, high = math.inf, -math.inf
        for rows in self._slices():
            pixels = checked(self._stored(rows), self.where, rows.start)
            low, high = min(low, float(pixels.min())), max(high, float(pixels.max()))
        return low, high


Images = np.ndarray | Mapped


def taken(images: Images, rows: np.ndarray) -> Images:
    """Images at `rows`, ints or a mask: copied where they are in memory, else not read."""
    return images.take(rows) if isinstance(images, Mapped) else images[rows]


def left_on_disk(X: Any) -> Any:
    """X, but a large memory-mapped array of NumPy's as `Mapped`: bytes as they are, other numbers as float32."""
    is_large = isinstance(X, np.memmap) and stays_on_disk(X.nbytes)
    return Mapped(X, "X", np.uint8 if X.dtype == np.uint8 else np.float32) if is_large else X
