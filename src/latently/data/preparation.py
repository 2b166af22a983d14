"""How images are made alike: size and channels. A run remembers it and does the same to whatever it is given later."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from latently.common.errors import InputError, require

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601: grey = weighted R, G, B


@dataclass(frozen=True)
class Preparation:
    """Resize to `image_size` (height, width), bicubic and antialiased, and turn to `channels` 1 or 3; None keeps them.

    >>> Preparation(image_size=(4, 4), channels=1).apply(np.zeros((5, 8, 6, 3), np.uint8)).shape
    (5, 4, 4)
    """

    image_size: tuple[int, int] | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        size = self.image_size
        require(
            size is None
            or (isinstance(size, tuple) and len(size) == 2 and all(type(n) is int and n >= 1 for n in size)),
            f"--image-size was {size}; expected height and width in pixels, whole numbers from 1",
        )
        require(self.channels in (None, 1, 3), f"--channels was {self.channels}; expected 1 (grey) or 3 (colour)")

    def apply(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W[, C]) uint8 or float -> (N, h, w) where channels is 1, (N, h, w, 3) where 3; the type is kept.

        Colour to grey is BT.601 luma, grey to colour repeats; alpha (2 or 4 channels) is composed over black.
        """
        if self == Preparation():
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
            image = _resize(image, self.image_size)
        if self.channels == 3 and (image.ndim == 2 or image.shape[2] == 1):
            image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
        return image

    def to_json(self) -> dict[str, Any]:
        """{"image_size": [h, w] or None, "channels": 1, 3 or None}."""
        return {"image_size": None if self.image_size is None else list(self.image_size), "channels": self.channels}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Preparation":
        """The inverse of `to_json`; `InputError` on anything else."""
        if not isinstance(values, dict) or set(values) != {"image_size", "channels"}:
            raise InputError(f"the images' preparation was {values!r}; expected the keys image_size and channels")
        size = values["image_size"]
        return cls(tuple(size) if isinstance(size, list) else size, values["channels"])


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
    return image[..., 0] if image.shape[2] == 1 else _like(image, image @ LUMA)


def _resize(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    from PIL import Image

    assert size is not None
    if image.ndim == 3:
        return np.stack([_resize(image[..., channel], size) for channel in range(image.shape[2])], axis=-1)
    plane = np.ascontiguousarray(image, dtype=np.uint8 if image.dtype == np.uint8 else np.float32)
    resized = np.asarray(Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BICUBIC))
    # Bicubic overshoots at edges; uint8 is clipped by Pillow, and floats in [0, 1] must stay there.
    return resized if plane.dtype == np.uint8 else resized.clip(plane.min(), plane.max())


def _like(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.rint(values).astype(np.uint8) if image.dtype == np.uint8 else values.astype(image.dtype)
