"""A folder of images: one subfolder per class; images directly inside are unlabelled."""

import math
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from latently.common.errors import InputError, require
from latently.data.cache import kept, last_written
from latently.data.classes import is_missing_label
from latently.data.imageset import UNLABELLED, ImageSet
from latently.data.mapped import Images, Mapped, stays_on_disk
from latently.data.preparation import Preparation, over_black
from latently.data.reading import reading, require_memory

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # no others: Pillow's EPS would start Ghostscript
FILES_AT_ONCE, FILES_IN_A_PART = 64, 1024  # of a thread; decoded between two writes to the disk


def read_folder(folder: Path, preparation: Preparation, progress: bool = False) -> ImageSet:
    """Every image in `folder`, sorted by relative path, decoded to uint8 and prepared one by one.

    Many of them are decoded once, with a bar on stderr where `progress`, into a memory-mapped
    array in the cache: the images are then `Mapped`.

    Grey files give (N, H, W), colour (N, H, W, 3). Alpha is composed over black. A palette that shows greys only is
    grey. 16-bit grey is value / 257, rounded. The EXIF orientation is applied. Of an animation the first frame counts.
    Raises `InputError` naming the file that is damaged, or of another size or channel count than the first one.
    """
    names, labels, classes = index_folder(folder)
    with warnings.catch_warnings():
        from PIL import Image

        warnings.simplefilter("error", Image.DecompressionBombWarning)
        images = _images(folder, names, preparation, progress)
    return ImageSet(images, labels, classes, np.array(names), str(folder.absolute()))


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
            yield from (name for name in [entry.name] if _is_image(name))
            continue
        for root, subfolders, files in os.walk(entry.path, onerror=_raise):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            below = Path(root).relative_to(folder).as_posix()
            yield from (f"{below}/{name}" for name in files if _is_image(name))


def _visible(entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    return (entry for entry in entries if not entry.name.startswith("."))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


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

    def decode_some(start: int) -> None:
        for i in range(start, min(start + FILES_AT_ONCE, len(names))):
            image = _decode(folder / names[i], preparation)
            if image.shape != first.shape:
                raise InputError(_odd_one(folder / names[i], image, first_name, first))
            images[i] = image

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            list(pool.map(decode_some, range(0, len(names), FILES_AT_ONCE)))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # the first bad file ends it, not the last good one
            raise
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
    """One file -> (H, W) or (H, W, 3) uint8, prepared."""
    from PIL import Image, ImageOps

    with reading(str(path), "an image"), Image.open(path, formats=FORMATS) as image:
        pixels = _pixels(ImageOps.exif_transpose(image), path)
    return preparation.apply_one(pixels)


def read_image(path: Path, preparation: Preparation) -> np.ndarray:
    """One image file -> (H, W) or (H, W, 3) uint8, prepared. Raises `InputError` where it cannot be read."""
    return _decode(path, preparation)


def _pixels(image: "Image", path: Path) -> np.ndarray:
    mode = image.mode
    require(mode != "F", f"{path} holds floats, which have no known range; save them as a .npy array (N, H, W)")
    if mode.startswith("I"):
        return _from_16_bit(np.asarray(image), path)
    has_alpha = image.has_transparency_data
    if mode in ("1", "L", "LA", "La"):
        return over_black(np.asarray(image.convert("LA" if has_alpha else "L")))
    pixels = over_black(np.asarray(image.convert("RGBA" if has_alpha else "RGB")))
    is_grey = mode in ("P", "PA") and bool((pixels == pixels[..., :1]).all())
    return pixels[..., 0] if is_grey else pixels


def _from_16_bit(values: np.ndarray, path: Path) -> np.ndarray:
    low, high = int(values.min()), int(values.max())
    require(low >= 0 and high <= 65535, f"{path} holds grey values from {low} to {high}; expected 16 bits, 0..65535")
    return ((values.astype(np.int32) + 128) // 257).astype(np.uint8)  # 257 = 65535 / 255
