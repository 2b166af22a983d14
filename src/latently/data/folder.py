"""A folder of images: one subfolder per class; images directly inside are unlabelled."""

import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np

from latently.common.errors import DataNote, InputError, require
from latently.data.cache import kept, last_written
from latently.data.classes import is_missing_label
from latently.data.folder_survey import LARGEST_SIDE, look_at
from latently.data.image_file import SUFFIXES, is_image_name, large_images, read_image
from latently.data.imageset import UNLABELLED, ImageSet
from latently.data.mapped import Images, Mapped, stays_on_disk
from latently.data.preparation import AS_THEY_ARE, Preparation
from latently.data.reading import in_threads, require_memory

FILES_IN_A_PART = 1024  # decoded between two writes to the disk


def read_folder(
    folder: Path, preparation: Preparation, progress: bool = False, largest_side: int = LARGEST_SIDE
) -> ImageSet:
    """Every image in `folder`, sorted by relative path, decoded to uint8 and prepared one by one.

    Many of them are decoded once, with a bar on stderr where `progress`, into a memory-mapped
    array in the cache: the images are then `Mapped`.

    Grey files give (N, H, W), colour (N, H, W, 3). Alpha is composed over black. A palette that shows greys only is
    grey. 16-bit grey is value / 257, rounded. The EXIF orientation is applied. Of an animation the first frame counts.
    Images that differ are made alike as `preparation` says, or as suits them, up to `largest_side`; a `DataNote` tells.
    Raises `InputError` naming the file that is damaged, or where `preparation` forbids it, unlike the first one.
    """
    names, labels, classes = index_folder(folder)
    preparation = chosen_preparation(folder, names, preparation, largest_side)
    with large_images:
        images = _images(folder, names, preparation, progress)
    return ImageSet(images, labels, classes, np.array(names), str(folder.absolute()), preparation=preparation)


def read_one(path: Path, preparation: Preparation, largest_side: int = LARGEST_SIDE) -> ImageSet:
    """One image file, without a label, as `read_folder` reads it."""
    preparation = chosen_preparation(path.parent, [path.name], preparation, largest_side)
    pixels = read_image(path, preparation)[None]
    return ImageSet(
        pixels, np.array([UNLABELLED]), (), np.array([path.name]), str(path.absolute()), preparation=preparation
    )


def chosen_preparation(folder: Path, names: list[str], asked: Preparation, largest_side: int) -> Preparation:
    """How these images are made alike; a `DataNote` tells what was chosen. Where all is said, no file is opened."""
    if asked.fit == "none" or (asked.fit != "auto" and asked.image_size and asked.channels):
        return asked
    survey = look_at(folder, names)
    chosen = survey.choose(asked, largest_side)
    if sentence := survey.sentence(asked, chosen):
        warnings.warn(DataNote(f"{folder}: {sentence}"), stacklevel=2)
    return chosen


def note_fitting(path: Path, preparation: Preparation, why: str) -> None:
    """A `DataNote` where images of a folder, or one image, must be fitted to be as a run's are."""
    folder, names = (path, index_folder(path)[0]) if path.is_dir() else (path.parent, [path.name])
    if sentence := look_at(folder, names).sentence(AS_THEY_ARE, preparation, why):
        warnings.warn(DataNote(f"{path}: {sentence}"), stacklevel=2)


def index_folder(folder: Path) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """The sorted relative paths of its images, their labels (N,) and the classes; none of them is opened.

    Images in a subfolder whose name means no label (`is_missing_label`: nan, -1) are unlabelled.
    """
    names = sorted(_image_names(folder))
    require(bool(names), f"{folder} holds no image; expected {' '.join(SUFFIXES)} in it or in one subfolder per class")
    tops = [name.split("/")[0] if "/" in name else None for name in names]
    tops = [None if is_missing_label(top) else top for top in tops]
    classes = tuple(sorted({top for top in tops if top is not None}))
    code_of = {top: code for code, top in enumerate(classes)}
    return names, np.array([UNLABELLED if top is None else code_of[top] for top in tops], dtype=np.int64), classes


def _image_names(folder: Path) -> Iterator[str]:
    """Relative paths, with "/", of the images in `folder`; hidden files and folders are passed over."""
    for entry in _visible(os.scandir(folder)):
        if (
            not entry.is_dir()
        ):  # a class folder may be a link; links deeper down are not followed, so there are no loops
            yield from (name for name in [entry.name] if is_image_name(name))
            continue
        for root, subfolders, files in os.walk(entry.path, onerror=_raise):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            below = Path(root).relative_to(folder).as_posix()
            yield from (f"{below}/{name}" for name in files if is_image_name(name))


def _visible(entries: Iterator[os.DirEntry]) -> Iterator[os.DirEntry]:
    return (entry for entry in entries if not entry.name.startswith("."))


def _raise(error: OSError) -> NoReturn:
    raise error


def _images(folder: Path, names: list[str], preparation: Preparation, progress: bool) -> Images:
    first = _decode(folder / names[0], preparation)
    shape = (len(names), *first.shape)
    if not stays_on_disk(math.prod(shape)):
        require_memory(math.prod(shape), f"{folder}, {len(names):,} images of {_size(first)},")
        return _decoded(folder, names, preparation, names[0], first)
    parts = (
        _decoded(folder, names[start : start + FILES_IN_A_PART], preparation, names[0], first)
        for start in range(0, len(names), FILES_IN_A_PART)
    )
    array = kept(folder, preparation, last_written(folder, names), shape, first.dtype, parts, progress)
    return Mapped(array, str(folder))


def _decoded(
    folder: Path, names: list[str], preparation: Preparation, first_name: str, first: np.ndarray
) -> np.ndarray:
    """These images, which must be like the first of all."""
    images = np.empty((len(names), *first.shape), np.uint8)

    def decode(place: int) -> None:
        image = _decode(folder / names[place], preparation)
        if image.shape != first.shape:
            raise InputError(_odd_one(folder / names[place], image, first_name, first))
        images[place] = image

    in_threads(decode, range(len(names)))
    return images


def _odd_one(path: Path, image: np.ndarray, first_name: str, first: np.ndarray) -> str:
    differ, flags = [], []
    if image.shape[:2] != first.shape[:2]:
        differ.append(f"{_size(image)} where {first_name} is {_size(first)} (height x width)")
        flags.append(f"--image-size {first.shape[0]} {first.shape[1]}")
    if image.ndim != first.ndim:
        kinds = {2: "grey", 3: "colour"}
        differ.append(f"{kinds[image.ndim]} where {first_name} is {kinds[first.ndim]}")
        flags.append("--channels 1 (or 3)")
    return f"{path} is {' and '.join(differ)}; all images must be alike: {' with '.join(flags)} makes them so"


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"


def _decode(path: Path, preparation: Preparation) -> np.ndarray:
    return read_image(path, preparation)
