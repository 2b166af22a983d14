"""How images are made alike: size and channels. A run remembers it and does the same to whatever it is given later."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from latently.common.errors import InputError, require
from latently.common.settings import accepts
from latently.data.ranges import Scale, maximum_of

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in grey (ITU-R BT.601)


Fit = Literal["auto", "crop", "pad", "stretch", "none"]


@dataclass(frozen=True)
class Preparation:
    """Resize to `image_size` (height, width), bicubic and antialiased, and turn to `channels` 1 or 3; None keeps them.

    fit: how an image of another shape becomes `image_size`.
        crop     resized until it covers that size, then cut equally on both sides.
        pad      resized until it fits in, with black beside it.
        stretch  each side resized by itself.
        none     images are to be of one size already, or `image_size` makes them so by stretching.
        auto     none, or stretch, where all images have one size; else crop. A folder whose images differ, or have more
                 than a megapixel, gets an image_size that suits them where none is given (`folder_survey`).

    skip_broken: leave out the files of a folder that cannot be read.

    scale: the number that is white: 255 in bytes, 1 in floats. Bytes stay as they are where it is above 255.
        auto     the number that the range of the pixels suggests, where that range is unusual (`Limits`).
        none     they stay as they are: 255 is white, in 16-bit files 65535.
        None     the same, and a note where their range is unusual.

    >>> Preparation(image_size=(4, 4), channels=1).apply(np.zeros((5, 8, 6, 3), np.uint8)).shape
    (5, 4, 4)
    """

    image_size: tuple[int, int] | None = None
    channels: int | None = None
    fit: Fit = "auto"
    skip_broken: bool = False
    scale: Scale = None

    def __post_init__(self) -> None:
        size = self.image_size
        require(
            size is None
            or (isinstance(size, tuple) and len(size) == 2 and all(type(n) is int and n >= 1 for n in size)),
            f"--image-size was {size}; expected height and width in pixels, whole numbers from 1",
        )
        require(self.channels in (None, 1, 3), f"--channels was {self.channels}; expected 1 (grey) or 3 (colour)")
        require(self.fit in get_args(Fit), f"--fit was {self.fit!r}; expected {', '.join(get_args(Fit))}")
        require(accepts(Scale, self.scale), f"--scale was {self.scale!r}; expected auto, none or a number above 0")

    @property
    def maximum(self) -> float | None:
        """The number that becomes white, where `scale` is one."""
        return maximum_of(self.scale)

    @property
    def keeps_all(self) -> bool:
        """Whether images keep their size and channels."""
        return self.image_size is None and self.channels is None

    def of_one_size(self) -> "Preparation":
        """What `auto` means where all images have one size."""
        return replace(self, fit="stretch" if self.image_size else "none") if self.fit == "auto" else self

    def apply(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W[, C]) uint8 or float -> (N, h, w) where channels is 1, (N, h, w, 3) where 3; the type is kept.

        Colour to grey is BT.601 luma, grey to colour repeats; alpha (2 or 4 channels) is composed over black.
        """
        if self.keeps_all:
            return images
        first = self.apply_one(images[0])
        prepared = np.empty((len(images), *first.shape), first.dtype)
        for i, image in enumerate(images):
            prepared[i] = self.apply_one(image)
        return prepared

    def apply_one(self, image: np.ndarray) -> np.ndarray:
        """The same for one image (H, W[, C])."""
        if self.channels is not None:
            image = over_black(image)
        if self.channels == 1:
            image = _grey(image)
        if self.image_size not in (None, image.shape[:2]):
            image = _fitted(image, self.image_size, self.fit)
        if self.channels == 3 and (image.ndim == 2 or image.shape[2] == 1):
            image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
        return image

    def to_json(self) -> dict[str, Any]:
        """{"image_size": [h, w] or None, "channels": 1, 3 or None}, and "fit" where images of another shape are not
        stretched, and "skip_broken" and "scale" where they are given."""
        size = None if self.image_size is None else list(self.image_size)
        values: dict[str, Any] = {"image_size": size, "channels": self.channels}
        values |= {} if self.fit == _unsaid_fit(size) else {"fit": self.fit}
        values |= {"skip_broken": True} if self.skip_broken else {}
        return values | ({} if self.scale is None else {"scale": self.scale})

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Preparation":
        """The inverse of `to_json`; `InputError` on anything else."""
        if not isinstance(values, dict) or set(values) - {"fit", "skip_broken", "scale"} != {"image_size", "channels"}:
            raise InputError(f"the images' preparation was {values!r}; expected the keys image_size and channels")
        size = values["image_size"]
        fit = values.get("fit", _unsaid_fit(size))
        size = tuple(size) if isinstance(size, list) else size
        return cls(size, values["channels"], fit, values.get("skip_broken") is True, values.get("scale"))


AS_THEY_ARE = Preparation(fit="none")


def _unsaid_fit(size: Any) -> Fit:
    """Of a preparation that was written down without one, as older versions did."""
    return "none" if size is None else "stretch"


def over_black(image: np.ndarray) -> np.ndarray:
    """Compose (H, W, 2) or (H, W, 4), alpha last, over black: what is transparent becomes 0, the background.

    Alpha is 0..255 in uint8, 0..1 in floats. An image without alpha comes back as it is.
    """
    if image.ndim == 2 or image.shape[2] not in (2, 4):
        return image
    colour, alpha = image[..., :-1], image[..., -1:].astype(np.float32)
    if image.dtype == np.uint8:
        alpha /= 255
    composed = _like(image, colour * alpha)
    return composed[..., 0] if composed.shape[2] == 1 else composed


def _grey(image: np.ndarray) -> np.ndarray:
    if image.ndim == 2:
        return image
    return image[..., 0] if image.shape[2] == 1 else _like(image, image @ np.array(LUMA, np.float32))


def _fitted(image: np.ndarray, size: tuple[int, int] | None, fit: Fit) -> np.ndarray:
    """(H, W[, C]) -> (h, w[, C])"""
    assert size is not None
    height, width = image.shape[:2]
    if fit == "crop":
        share = min(height / size[0], width / size[1])  # pixels that become one
        inner = (share * size[0], share * size[1])
        top, left = (height - inner[0]) / 2, (width - inner[1]) / 2
        return _resize(image, size, (left, top, left + inner[1], top + inner[0]))
    if fit == "pad":
        share = max(height / size[0], width / size[1])
        inside = max(1, round(height / share)), max(1, round(width / share))
        padded = np.zeros((*size, *image.shape[2:]), image.dtype)
        top, left = (size[0] - inside[0]) // 2, (size[1] - inside[1]) // 2
        padded[top : top + inside[0], left : left + inside[1]] = _resize(image, inside)
        return padded
    return _resize(image, size)


def _resize(
    image: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """box: left, top, right, bottom of the part to take; None: all."""
    from PIL import Image

    if image.ndim == 3:
        return np.stack([_resize(image[..., channel], size, box) for channel in range(image.shape[2])], axis=-1)
    plane = np.ascontiguousarray(image, dtype=np.uint8 if image.dtype == np.uint8 else np.float32)
    resized = np.asarray(Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BICUBIC, box))
    # Bicubic overshoots at edges; uint8 is clipped by Pillow, and floats in [0, 1] must stay there.
    return resized if plane.dtype == np.uint8 else resized.clip(plane.min(), plane.max())


def _like(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.rint(values).astype(np.uint8) if image.dtype == np.uint8 else values.astype(image.dtype)
