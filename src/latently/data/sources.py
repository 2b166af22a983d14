"""`load`: a name or a path -> an `ImageSet`."""

import difflib
import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from latently.common.console import data_note
from latently.common.errors import InputError, require
from latently.data import arrays, download, idx, table
from latently.data.cache import decoded_array, file_states
from latently.data.folder import read_folder, read_one
from latently.data.folder_survey import LARGEST_SIDE
from latently.data.image_file import is_image_path
from latently.data.imageset import ImageSet
from latently.data.mapped import Images, Mapped, stays_on_disk
from latently.data.preparation import Preparation
from latently.data.ranges import Scale, decided, limits_of, maximum_of, scaled
from latently.data.reading import open_plain, reading, require_memory

NAMED = {
    "digits": "1,797 handwritten digits, 8x8, grey; embedded, never downloads (scikit-learn)",
    "mnist": "60,000 + 10,000 handwritten digits, 28x28, grey",
    "fashion-mnist": "60,000 + 10,000 pictures of clothes, 28x28, grey",
    "kmnist": "60,000 + 10,000 cursive Japanese characters, 28x28, grey",
}
KINDS = "a folder of images, one image, .npy, .npz, .csv or IDX, gzipped or not"

DIGITS = tuple("0123456789")
CLASSES = {
    "mnist": DIGITS,
    "fashion-mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}
READERS = {".npy": arrays.read_npy, ".npz": arrays.read_npz, ".csv": table.read_csv}


def load(
    source: str | Path,
    preparation: Preparation | None = None,
    progress: bool = False,
    largest_side: int = LARGEST_SIDE,
    scale: Scale = None,
) -> ImageSet:
    """The images of a known name (`NAMED`) or a path: a folder, one image, .npy, .npz, .csv or IDX, gzipped or not.

    `preparation` makes sizes, channels and ranges alike; `scale`, where given, takes the place of its own. A folder of
    images that differ is made alike without it: cropped at the centre to a square of at most `largest_side`.
    `DataNote`s tell of that, and of what may not be meant. `progress` shows a bar on stderr while a named set downloads
    or a large folder is decoded. Large .npy arrays and folders are not read into memory (`Mapped`). A name wins over a
    path: write ./mnist for a folder of that name. Raises `InputError` on data that cannot be used; what the disk itself
    refuses (a right to read, for one) stays an `OSError` with its path.

    >>> load("digits").images.shape
    (1797, 8, 8)
    """
    preparation = preparation or Preparation()
    if scale is not None:
        preparation = replace(preparation, scale=scale)
    name = str(source)
    if name in NAMED:
        data = _with_scale(_digits() if name == "digits" else _mnist_like(name, progress), preparation.scale)
    else:
        path = Path(os.path.expanduser(source))
        require(bool(name) and os.path.exists(path), _unknown(name))
        if path.is_dir():
            return read_folder(path, preparation, progress, largest_side)
        require(path.is_file(), f"{path} is neither a file nor a folder (a pipe, perhaps); save it as a file first")
        if is_image_path(path):
            return read_one(path, preparation, largest_side)
        data = _read_file(path, preparation.scale)
        if preparation.channels is None and data.images.shape[3:] in ((2,), (4,)):
            n = data.images.shape[3]
            data_note(
                f"{path}: {n} channels are taken as they are; is the last one alpha, --channels 3 (or 1) applies it"
            )
    preparation = replace(preparation.of_one_size(), scale=data.preparation.scale)
    if isinstance(data.images, Mapped):
        return replace(data, images=_prepared(data.images, preparation, path, progress), preparation=preparation)
    return replace(data, images=preparation.apply(data.images), preparation=preparation)


def _prepared(images: Mapped, preparation: Preparation, path: Path, progress: bool) -> Images:
    """As `preparation.apply`; what is still large afterwards is kept in the cache."""
    if preparation.keeps_all:
        return images
    first, parts = preparation.apply(images[:1]), (preparation.apply(part) for part in images.parts())
    if not stays_on_disk(first.nbytes * len(images)):
        return np.concatenate(list(parts))
    known_by, shape = file_states(path.parent, [path.name]), (len(images), *first.shape[1:])
    return Mapped(decoded_array(path, preparation, known_by, shape, first.dtype, parts, progress), str(path))


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), NAMED, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{name!r} is neither a known name nor a path{hint}; expected {', '.join(NAMED)}, or the path of {KINDS}"


def _read_file(path: Path, scale: Scale) -> ImageSet:
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix != ".npy":  # which need not be in memory
        require_memory(path.stat().st_size, str(path))
    if suffix in READERS:
        return READERS[suffix](path, scale)
    with reading(str(path), "IDX"), open_plain(path) as stream:
        head = stream.read(4)
    if not idx.is_idx(head) and "idx" not in path.name:
        raise InputError(f"{path} is of no known kind; expected {KINDS}")
    return idx.read_idx(path, scale)


def _with_scale(data: ImageSet, scale: Scale) -> ImageSet:
    """Of bytes in memory."""
    scale = decided(scale, limits_of(data.pixels), data.source)
    images = scaled(data.pixels, maximum_of(scale))
    return replace(data, images=images, preparation=replace(data.preparation, scale=scale))


def _digits() -> ImageSet:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # stored as 0..16
    return _named("digits", images, bunch.target, DIGITS)


def _mnist_like(name: str, progress: bool) -> ImageSet:
    parts = [idx.read_array(io.BytesIO(content), name) for content in download.fetch(name, progress)]
    train_images, train_labels, test_images, test_labels = parts
    images = np.concatenate([train_images, test_images])
    labels = np.concatenate([train_labels, test_labels])
    return _named(name, images, labels, CLASSES[name], n_train=len(train_images))


def _named(
    name: str, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], n_train: int | None = None
) -> ImageSet:
    return ImageSet(images, labels.astype(np.int64), classes, arrays.numbers(len(images)), name, n_train)
