"""One image file: its header, and its pixels, upright and prepared."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from latently.common.errors import require
from latently.data.preparation import Preparation, over_black
from latently.data.ranges import BYTE, TWO_BYTES, Limits, limits_of, number, scaled, to_bytes
from latently.data.reading import UnreadableError, reading

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # no others: Pillow's EPS would start Ghostscript
OPTIONAL = {"AVIF": (".avif",), "HEIF": (".heic", ".heif")}  # that some installations read
EXTRAS = dict.fromkeys(OPTIONAL["HEIF"], "heic")  # what to install for them
LARGEST_BYTES = 2**30  # of one decoded image, at four bytes a pixel: 268 megapixels
LARGE_BYTES = 2**28  # of these, one is decoded at a time
STRIPE = 2**22  # pixels of a large image that are converted at a time
DRAFT = 2  # a JPEG is decoded at no less than this times the size that it is resized to

_one_large_image = threading.Lock()


@dataclass(frozen=True)
class Header:
    """What a file says of its image before it is decoded: size in pixels once it is upright, and whether it has
    colours."""

    height: int
    width: int
    is_colour: bool
    is_turned: bool
    """Whether its EXIF orientation turns or mirrors it."""
    has_frames: bool
    """Whether other frames or pages follow the first."""


@cache
def formats() -> tuple[str, ...]:
    """Pillow's names of what is read here."""
    from PIL import features

    found = list(FORMATS)
    if "avif" in features.modules and features.check("avif"):
        found.append("AVIF")
    if find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        found.append("HEIF")
    return tuple(found)


@cache
def readable_suffixes() -> tuple[str, ...]:
    """The endings of files that are read here."""
    return SUFFIXES + tuple(suffix for name in OPTIONAL if name in formats() for suffix in OPTIONAL[name])


def is_image_name(name: str) -> bool:
    """Whether a file of this name is read as an image; hidden files are not."""
    return name.lower().endswith(readable_suffixes()) and not name.startswith(".")


def is_image_path(path: Path) -> bool:
    """Whether a file of this name is one image. Raises `InputError` where only another installation reads it."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES and not any(suffix in endings for endings in OPTIONAL.values()):
        return False
    install = f"pip install 'latently[{EXTRAS[suffix]}]'" if suffix in EXTRAS else "update Pillow"
    require(is_image_name(f"image{suffix}"), f"{path} is not read by this installation: {install}")
    return True


class LargeImages:
    """Inside, in any number of threads at once, Pillow opens images of any size: `read_image` holds them to
    `LARGEST_BYTES` by itself. And it does not warn of damaged metadata, of which it cannot say the file."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.before: int | None = None
        self.filter: Any = None

    def __enter__(self) -> None:
        from PIL import Image

        with self.lock:
            if not self.inside:
                self.before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self.filter = warnings.filters[0]
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        from PIL import Image

        with self.lock:
            self.inside -= 1
            if not self.inside:
                Image.MAX_IMAGE_PIXELS = self.before
                with suppress(ValueError):  # somebody else restored the filters meanwhile
                    cast(list[Any], warnings.filters).remove(self.filter)


large_images = LargeImages()


def read_header(path: Path) -> Header:
    """Raises `InputError` where the file is no image. A palette is decoded: only its pixels tell whether it is grey."""
    from PIL import Image

    with large_images, reading(str(path), "an image"), Image.open(path, formats=formats()) as image:
        # Pillow would decode a whole PNG to look for an orientation behind its pixels.
        has_exif = image.format != "PNG" or not image.info.keys().isdisjoint(("exif", "xmp", "XML:com.adobe.xmp"))
        orientation = image.getexif().get(0x0112, 1) if has_exif else 1
        has_frames = image.format != "MPO" and bool(getattr(image, "is_animated", False))  # a telephone's preview
        width, height = image.size
        if orientation in range(5, 9) and image.format != "TIFF":  # Pillow turns a TIFF by itself
            width, height = height, width
        is_turned = orientation in range(2, 9)
        if image.mode in ("P", "PA"):
            image.seek(0)
            with _room_for(image, path):
                is_colour = _eight_bit(image).ndim == 3
        else:
            is_colour = image.mode not in ("1", "L", "LA", "La", "F") and not image.mode.startswith("I")
    return Header(height, width, is_colour, is_turned, has_frames)


def read_image(path: Path, preparation: Preparation, beyond: list[Limits] | None = None) -> np.ndarray:
    """One image file -> (H, W) or (H, W, 3) uint8, prepared. Raises `InputError` where it cannot be read.

    A JPEG that is to be cropped or padded is decoded at a fraction of its size: no smaller than twice what is wanted.
    beyond: is given the range of an image that has pixels above the number that `scale` makes white.
    """
    with decoding(path, preparation) as image:
        pixels, maximum = stored_pixels(image, path), preparation.maximum
        if beyond is not None and maximum is not None and not (pixels.dtype == np.uint8 and maximum >= BYTE):
            limits = file_limits(pixels)
            beyond += [limits] if limits.high > maximum else []
        return preparation.apply_one(as_bytes(pixels, maximum, path))


def picture_pixels(image: "Image", where: str) -> np.ndarray:
    """An image of Pillow's -> (H, W) or (H, W, 3) uint8, as a file of it is read. Raises `InputError` if it cannot."""
    from PIL import ImageOps

    return as_bytes(stored_pixels(ImageOps.exif_transpose(image), where), None, where)


def read_limits(path: Path) -> Limits:
    """The range of an image file, as it stores its pixels. Raises `InputError` where it cannot be read."""
    with decoding(path, Preparation()) as image:
        return file_limits(stored_pixels(image, path))


def file_limits(pixels: np.ndarray) -> Limits:
    """Of pixels as `stored_pixels` gives them."""
    limits = limits_of(pixels)
    return replace(limits, white=TWO_BYTES) if pixels.dtype.kind in "iu" and not limits.are_bytes else limits


@contextmanager
def decoding(path: Path, preparation: Preparation) -> Iterator["Image"]:
    """A file's image, upright, within the limits of memory."""
    from PIL import Image, ImageOps

    with large_images, reading(str(path), "an image"), Image.open(path, formats=formats()) as image:
        if preparation.fit in ("crop", "pad") and preparation.image_size:
            least = DRAFT * max(preparation.image_size)
            image.draft(None, (least, least))
        with _room_for(image, path):
            ImageOps.exif_transpose(image, in_place=True)  # else it would copy what is upright
            yield image


def _room_for(image: "Image", path: Path) -> AbstractContextManager[object]:
    """Inside, the image may be decoded. Raises `InputError` where it is too large for that."""
    n_bytes = 4 * image.width * image.height
    _require_readable(
        n_bytes <= LARGEST_BYTES,
        path,
        f"is {image.height:,} x {image.width:,} pixels, which take {n_bytes / 1e9:,.1f} GB once decoded; "
        f"one image may take {LARGEST_BYTES / 1e9:,.1f} GB: save it smaller",
    )
    return _one_large_image if n_bytes > LARGE_BYTES else nullcontext()


def _composed(image: "Image", mode: str) -> np.ndarray:
    """As mode L, LA, RGB or RGBA -> (H, W) or (H, W, 3) uint8, alpha over black. By stripes: all at once, the numbers
    in between would take several times the memory of the image."""
    rows = max(1, STRIPE // image.width)
    if rows >= image.height:
        return over_black(np.asarray(image.convert(mode)))
    pixels = np.empty((image.height, image.width, 3)[: 3 if mode in ("RGB", "RGBA") else 2], np.uint8)
    for top in range(0, image.height, rows):
        stripe = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels[top : top + rows] = over_black(np.asarray(stripe.convert(mode)))
    return pixels


def stored_pixels(image: "Image", where: Path | str) -> np.ndarray:
    """An image of Pillow's -> (H, W) or (H, W, 3) uint8, alpha composed over black; or (H, W) whole numbers of more
    bits, or floats. Raises `InputError` for numbers below 0, and NaN."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return _eight_bit(image)
    values = np.asarray(image)
    low, high = values.min().item(), values.max().item()
    _require_readable(low >= 0, where, f"holds grey values from {low:g} to {high:g}; expected numbers from 0")
    return values


def as_bytes(pixels: np.ndarray, maximum: float | None, where: Path | str) -> np.ndarray:
    """`stored_pixels` as uint8, in which `maximum` is white; by default 255, or 65535 of 16 bits."""
    if pixels.dtype == np.uint8:
        return scaled(pixels, maximum)
    if maximum is None:
        low, high = pixels.min().item(), pixels.max().item()
        advice = f"--scale {number(file_limits(pixels).likely_white)} makes that white"
        floats = f"holds floats, which have no known range; {advice}, or save them as a .npy array (N, H, W)"
        _require_readable(pixels.dtype.kind != "f", where, floats)
        beyond = f"holds grey values from {low} to {high}; expected 16 bits, 0..{TWO_BYTES}: {advice}"
        _require_readable(high <= TWO_BYTES, where, beyond)
    return to_bytes(pixels, maximum or TWO_BYTES)


def _eight_bit(image: "Image") -> np.ndarray:
    mode = image.mode
    has_alpha = image.has_transparency_data
    if mode in ("1", "L", "LA", "La"):
        return _composed(image, "LA" if has_alpha else "L")
    pixels = _composed(image, "RGBA" if has_alpha else "RGB")
    is_grey = mode in ("P", "PA") and bool((pixels == pixels[..., :1]).all())
    return pixels[..., 0] if is_grey else pixels


def _require_readable(condition: bool, path: Path | str, reason: str) -> None:
    if not condition:
        raise UnreadableError(f"{path} {reason}", reason)
