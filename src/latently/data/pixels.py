"""Numbers of any kind -> pixels."""

import numpy as np

from latently.common.errors import InputError, require
from latently.data.ranges import Limits, number, scaled


def as_pixels(array: np.ndarray, where: str, first: int = 0, maximum: float | None = None) -> np.ndarray:
    """Pixels as uint8 0..255 (bytes, bools, whole numbers in that range) or float32, unscaled, where they are floats.

    first: the number of the first of these images among all. maximum: the number that becomes 255, or 1 (`scaled`).

    Raises `InputError` on whole numbers outside 0..255, NaN, infinity, and anything that is not a real number.
    """
    kind = array.dtype.kind
    pixel_type(array, where)
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if kind == "f":
        return scaled(finite(array, where, first), maximum)
    if array.dtype == np.uint8:
        return np.ascontiguousarray(scaled(array, maximum))
    low, high = int(array.min()), int(array.max())
    white = number(Limits(0, max(high, 0), 255).likely_white)
    advice = f"--scale {white} makes {white} white, or" if low >= 0 else "rescale them, or"
    require(
        low >= 0 and (maximum is not None or high <= 255),
        f"{where} holds whole numbers from {low} to {high}; expected 0..255: {advice} save them as floats",
    )
    return np.ascontiguousarray(scaled(array, maximum), dtype=np.uint8)


def pixel_type(array: np.ndarray, where: str) -> np.dtype:
    """What `as_pixels` makes of such an array."""
    kind, sentence = array.dtype.kind, f"{where} holds values of type {array.dtype}"
    require(kind in "buif", f"{sentence}; expected whole numbers 0..255, bools or floats")
    return np.dtype(np.float32 if kind == "f" else np.uint8)


def unit(pixels: np.ndarray) -> np.ndarray:
    """Bytes as 0..1, other numbers as they are, float32: what a net is shown (`scale`, of arrays)."""
    return pixels.astype(np.float32) / np.float32(255 if pixels.dtype == np.uint8 else 1)


def finite(array: np.ndarray, where: str, first: int = 0) -> np.ndarray:
    """Numbers as float32. Raises `InputError` on NaN and infinity."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float32 becomes infinite, and is reported so
        pixels = np.ascontiguousarray(array, dtype=np.float32)
    bad = ~np.isfinite(pixels)
    if bad.any():
        first += int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])
        kind = "NaN or infinite values" if not np.isfinite(array).all() else "numbers too large for float32"
        raise InputError(
            f"{where} holds {int(bad.sum()):,} {kind}, the first in image {first}; "
            "expected finite pixels: replace them or leave these images out"
        )
    return pixels
