"""Arrays of any origin -> the pixels and labels of an `ImageSet`; NumPy's own files."""

import gzip
import math
import sys
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from latently.common.console import data_note
from latently.common.errors import require
from latently.data.classes import LABEL_COLUMNS, class_name, is_missing, note_missing
from latently.data.imageset import UNLABELLED, ImageSet
from latently.data.mapped import PART_BYTES, Mapped, stays_on_disk
from latently.data.pixels import as_pixels, pixel_type
from latently.data.preparation import AS_THEY_ARE
from latently.data.ranges import Limits, Scale, decided, limits_of, limits_of_all, maximum_of
from latently.data.reading import open_plain, reading, require_memory

CHANNELS = (1, 2, 3, 4)
LARGEST_GRID = 8  # side of a code that is a grid, which may have as many channels
ONE_IMAGE = (0.5, 2)  # height / width of what may be one image


def read_npy(path: Path, scale: Scale = None) -> ImageSet:
    """One array of images, no labels. Never unpickles.

    A large array stays on the disk: the images are then `Mapped`.
    """
    with _reading_numpy(path, "a .npy array of numbers") as stream:
        # np.load opens a pickle under this name, too, or advises how to: only this magic is a .npy.
        require(stream.read(6) == b"\x93NUMPY", f"{path} is not a .npy array; write it with np.save(file, images)")
        stream.seek(0)
        is_plain = not isinstance(stream, gzip.GzipFile)
        if is_plain and stays_on_disk(path.stat().st_size):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            require_memory(path.stat().st_size, str(path))
            array = np.load(stream, allow_pickle=False)
    _note_rows(array, str(path))
    return image_set(array, None, path, scale)


def read_npz(path: Path, scale: Scale = None) -> ImageSet:
    """The arrays `images` and, where there, `labels`, or one that `LABEL_COLUMNS` names. Never unpickles."""
    with _reading_numpy(path, "a .npz archive of numbers or text") as stream:
        require(zipfile.is_zipfile(stream), f"{path} is not a .npz archive; write it with np.savez(file, images=...)")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as archive:
            keys = ", ".join(archive.files) or "none"
            require("images" in archive.files, f"{path} holds no array named 'images' (its keys: {keys}); rename one")
            key = _labels_key(archive.files, str(path))
            labels = archive[key] if key else None
            images = archive["images"]
    for name, array in (("images", images), (key, labels)):
        is_array = array is None or isinstance(array, np.ndarray)  # NumPy gives other members as bytes
        require(is_array, f"{path} holds {name!r}, which is damaged or no array; write it with np.savez")
    if labels is None:
        _note_rows(images, str(path))
    return image_set(images, labels, path, scale)


@contextmanager
def _reading_numpy(path: Path, expected: str) -> Iterator[BinaryIO]:
    """The file as a stream, without NumPy's warnings: of headers that Python 2 wrote, and of damaged ones."""
    where = str(path)
    with reading(where, f"{expected}, never of Python objects"), open_plain(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield stream


def _note_rows(array: np.ndarray, where: str) -> None:
    """A `DataNote` where rows may as well be those of one image: their number and length are those of its sides."""
    if array.ndim != 2 or not ONE_IMAGE[0] <= len(array) / max(array.shape[1], 1) <= ONE_IMAGE[1]:
        return
    n, width = array.shape
    side = math.isqrt(width)
    if side * side == width:
        data_note(f"{where}: {n:,} rows of {width:,} values are taken as {n:,} images of {side} x {side} pixels; "
                  f"if it is one image, save it as (1, {n}, {width})")  # fmt: skip


def _labels_key(keys: list[str], where: str) -> str | None:
    """The array that holds the labels: `labels`, else the only one that is called so."""
    called = sorted(key for key in keys if key.lower() in LABEL_COLUMNS)
    if "labels" in called or not called:
        return "labels" if called else None
    either = " and ".join(map(repr, called))
    require(len(called) == 1, f"{where} holds {either}, each of which may be the labels; call the right one 'labels'")
    return called[0]


def image_set(array: np.ndarray, labels: np.ndarray | None, path: Path, scale: Scale = None) -> ImageSet:
    """An `ImageSet` of an array (N, H, W), (N, H, W, C) or (N, D) and its labels (N,), or an `InputError`.

    scale: as in `Preparation`, that of the set tells what it came to.
    """
    where, on_disk = str(path), isinstance(array, np.memmap)
    shaped = as_images(array, where)
    pixel_type(shaped, where)
    scale = decided(scale, _limits_by_parts(shaped) if on_disk else limits_of(shaped), where)
    maximum = maximum_of(scale)
    images = Mapped(shaped, where, maximum=maximum) if on_disk else as_pixels(shaped, where, maximum=maximum)
    n = len(images)
    codes, classes = (np.full(n, UNLABELLED), ()) if labels is None else encode_labels(labels, n, where)
    preparation = replace(AS_THEY_ARE, scale=scale)
    return ImageSet(images, codes, classes, numbers(n), str(path.absolute()), preparation=preparation)


def _limits_by_parts(array: np.ndarray) -> Limits:
    """Of an array on the disk, a part at a time; of bytes no more than tells that their range is usual."""
    found: list[Limits] = []
    rows = max(1, PART_BYTES // (array[:1].nbytes))
    for start in range(0, len(array), rows):
        found.append(limits_of(array[start : start + rows]))
        if array.dtype == np.bool_ or (array.dtype == np.uint8 and not found[-1].are_unusual):
            break
    limits = limits_of_all(found)
    assert limits is not None
    return limits


def numbers(n: int) -> np.ndarray:
    """ "0", "1" ... as names of n images, each as wide as the last one: 24 bytes where NumPy's own take 84."""
    return np.arange(n).astype(f"U{len(str(n))}")


def as_images(array: np.ndarray, where: str) -> np.ndarray:
    """View (N, H, W), (N, H, W, 1..4) or (N, D) with square D as (N, H, W[, C]); one channel is (N, H, W)."""
    shape = array.shape
    require(
        array.ndim in (2, 3, 4),
        f"{where} holds an array of shape {shape}; expected images as (N, H, W), (N, H, W, C) or (N, D) with square D",
    )
    require(0 not in shape, f"{where} holds no images (its shape is {shape}); expected at least one")
    if array.ndim == 2:
        side = math.isqrt(shape[1])
        require(
            side * side == shape[1],
            f"{where} holds rows of {shape[1]} values, which is no square image; save it as (N, H, W) or (N, H, W, C)",
        )
        return array.reshape(-1, side, side)
    require_channels_last(shape, where)
    if array.ndim == 4:
        require(shape[3] in CHANNELS, f"{where} holds an array of shape {shape}; expected (N, H, W, C), C must be 1..4")
    return array[..., 0] if array.ndim == 4 and shape[3] == 1 else array


def require_channels_last(shape: tuple[int, ...], where: str) -> None:
    """Raise `InputError` for images as PyTorch orders them, (N, C, H, W)."""
    if len(shape) != 4 or shape[3] in CHANNELS:
        return
    first = shape[1] in (1, 3) or shape[1] < shape[2] == shape[3] > LARGEST_GRID
    advice = "the channels stand first: transpose it to (N, H, W, C)"
    require(not first, f"{where} holds an array of shape {shape}; expected (N, H, W, C), {advice}")


def encode_labels(labels: np.ndarray, n: int, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as whole numbers or text -> (N,) int64 indices into the sorted classes, and the classes' names.

    A missing label (`is_missing`) means unlabelled. Classes that are all numbers are sorted as numbers, else as text.
    Raises `InputError` on another length than `n` and on labels that are neither whole numbers nor text.
    """
    require(
        labels.shape == (n,),
        f"{where} has {n} images but labels of shape {labels.shape}; expected one label per image, -1 for none",
    )
    require(_is_text_throughout(labels), f"{where} has labels that hold no letters but other numbers; it is damaged")
    missing = is_missing(labels)
    note_missing(where, labels[missing].tolist(), n)
    if labels.dtype.kind == "f":
        labels = np.where(missing, UNLABELLED, labels).astype(np.float64)
        whole = np.isfinite(labels).all() and bool((labels % 1 == 0).all())
        require(whole, f"{where} has labels with fractions; expected whole numbers")
    require(labels.dtype.kind in "buifUS", f"{where} has labels of type {labels.dtype}; expected whole numbers or text")
    values, positions = np.unique(labels, return_inverse=True)
    names = [_text(value) for value in values.tolist()]
    classes = _sorted_classes({names[position] for position in np.unique(positions[~missing]).tolist()})
    code_of = {name: code for code, name in enumerate(classes)}
    codes = np.array([code_of.get(name, UNLABELLED) for name in names], dtype=np.int64)
    return np.where(missing, UNLABELLED, codes[positions]), classes


def _is_text_throughout(labels: np.ndarray) -> bool:
    """Whether an array of text holds nothing but letters: NumPy stores each as 32 bits, and looks at none."""
    if labels.dtype.kind != "U" or labels.dtype.itemsize == 0:
        return True
    letters = np.ascontiguousarray(labels.astype(labels.dtype.newbyteorder("="))).view(np.uint32)
    return not bool(((letters > sys.maxunicode) | ((letters >= 0xD800) & (letters <= 0xDFFF))).any())


def _text(label: str | bytes | float) -> str:
    """Bytes that are no UTF-8 are escaped: they stay apart."""
    return label.decode(errors="backslashreplace") if isinstance(label, bytes) else class_name(label)


def _sorted_classes(names: set[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted(sorted(names), key=float))  # sorted first, so that "1" and "1.0" have an order, too
    except ValueError:
        return tuple(sorted(names))
