"""Which number is white: the range of pixels, notes where it is unusual, and the number that scales it."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from latently.common.console import data_note
from latently.common.settings import Positive

Scale = Literal["auto", "none"] | Positive | None
BYTE, TWO_BYTES = 255, 65535
COMMON = (1, 16, 100)  # of masks, scikit-learn's digits, per cent: highest values besides those of so many bits
WHITE_FLOATS = 1.001  # floats that were resized, or written with few digits, reach a little beyond 1
FAINT_FLOATS = 0.1
LARGE_FLOATS = 100.0  # no standardised pixel lies so many standard deviations away
TIMES = 10  # as far from 0: another scale
DIGITS = 6  # of a number that is found in floats


@dataclass(frozen=True)
class Limits:
    """The lowest and the highest of some pixels as they are stored.

    white: the number that is white unless scaled: 255 of whole numbers, 65535 of 16-bit files, 1 of floats.
    are_bytes: whether their type holds no more than 0..255.
    """

    low: float
    high: float
    white: int
    are_bytes: bool = False

    @property
    def are_unusual(self) -> bool:
        """Whether whole numbers use at most half of their range, or exceed it; whether floats are far from 0..1, or
        from standardised ones."""
        if not self.are_finite:
            return False
        if self.low < 0:
            return self.white == 1 and self.largest > LARGE_FLOATS
        if self.white == 1:
            return self.high > WHITE_FLOATS or 0 < self.high <= FAINT_FLOATS
        return 0 < self.high <= self.white / 2 or self.high > self.white

    @property
    def are_finite(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def largest(self) -> float:
        """Without its sign."""
        return max(self.high, -self.low)

    @property
    def likely_white(self) -> float:
        """The number that is probably white: the highest of as many bits, or of `COMMON`; of other floats, the largest.

        >>> [Limits(0, high, 255).likely_white for high in (1, 2, 14, 16, 100, 240, 4000)]
        [1, 3, 15, 16, 100, 255, 4095]
        >>> Limits(0, 237.4, 1).likely_white, Limits(0, 7.3, 1).likely_white, Limits(-2e6, 1e6, 1).likely_white
        (255, 7.3, 2000000.0)
        """
        largest = self.largest
        if largest in (0, *COMMON):
            return max(int(largest), 1)
        if self.low >= 0 and 1 < largest <= TWO_BYTES and largest == int(largest):
            return int(2 ** int(largest).bit_length() - 1)
        if self.low >= 0 and BYTE / 2 < largest <= BYTE:
            return BYTE
        near = float(f"{largest:.{DIGITS}g}")
        with np.errstate(over="ignore", invalid="ignore"):  # numbers beyond float32 are refused elsewhere
            exceeds = np.float32(largest) / np.float32(near) > 1  # a likelihood that takes 0..1 would refuse it
        step = 10.0 ** (math.floor(math.log10(near)) + 1 - DIGITS)
        return float(f"{near + exceeds * step:.{DIGITS}g}")

    def __str__(self) -> str:
        """`from 0 to 4095 of 0..65535 (12 of 16 bits)`"""
        reach = f"from {number(self.low)} to {number(self.high)}"
        if self.high > self.white > 1:
            return f"{reach}, beyond 0..{self.white}"
        if self.white == 1:
            return f"{reach}, where floats are usually 0..1"
        uses_few = self.white == TWO_BYTES and self.high <= self.white / 2
        return f"{reach} of 0..{self.white}" + uses_few * f" ({int(self.high).bit_length()} of 16 bits)"


def number(value: float) -> str:
    """As it may be written after --scale.

    >>> number(1048575.0), number(0.00392157), number(16)
    ('1048575', '0.00392157', '16')
    """
    return f"{value:.10g}"


def limits_of(array: Any) -> Limits:
    """Of numbers as an array, or `Mapped`, has them. Bools are black and white."""
    if array.dtype == np.bool_:
        return Limits(0, BYTE, BYTE, are_bytes=True)
    low, high = array.min().item(), array.max().item()
    return Limits(low, high, 1 if array.dtype.kind == "f" else BYTE, array.dtype == np.uint8)


def limits_of_all(parts: list[Limits]) -> Limits | None:
    """Of the files that store the widest numbers: bytes among them have no range in common with these."""
    if not parts:
        return None
    white = 1 if any(part.white == 1 for part in parts) else max(part.white for part in parts)
    alike = [part for part in parts if part.white == white]
    low, high = min(part.low for part in alike), max(part.high for part in alike)
    return Limits(low, high, white, all(part.are_bytes for part in alike))


def maximum_of(scale: Scale) -> float | None:
    """The number that becomes white, where `scale` is one."""
    return None if scale is None or isinstance(scale, str) else float(scale)


def stay_bytes(maximum: float | None) -> bool:
    """Whether bytes stay as they are: they do where it is another kind of pixel that is scaled."""
    return maximum is None or maximum >= BYTE


def decided(scale: Scale, limits: Limits, where: str) -> Scale:
    """`scale` for pixels of this range: instead of auto the number that was found, or None if their range is usual.

    `DataNote`s tell of an unusual range, of the number found, and of pixels beyond the number that was given.
    """
    refused = not limits.are_finite or (scale is None and limits.high > limits.white > 1)
    if scale == "none" or refused:
        return scale
    maximum = maximum_of(scale)
    if maximum is not None and not (limits.are_bytes and stay_bytes(maximum)):
        note_beyond(maximum, limits, where)
        return scale
    if not limits.are_unusual:
        return maximum
    white = limits.likely_white
    if scale == "auto":
        data_note(
            f"{where}: the pixels reach {limits}; {number(white)} is read as white, and --scale none changes this"
        )
        return white
    data_note(f"{where}: the pixels reach {limits}; {HOW_TO_SCALE.format(number(white))}")
    return scale


HOW_TO_SCALE = "--scale {} of train and data makes that white, and --scale none says that this is meant"


def note_beyond(maximum: float, limits: Limits, where: str) -> None:
    """A `DataNote` of pixels that are brighter than white."""
    if limits.largest <= maximum:
        return
    beyond = "is beyond 1" if limits.white == 1 else "is white, too"
    data_note(f"{where}: the pixels reach {limits}; what is above {number(maximum)} (--scale) {beyond}")


def scaled(values: np.ndarray, maximum: float | None) -> np.ndarray:
    """Whole numbers from 0 as uint8, `maximum` and more as 255; floats as float32, `maximum` as 1. Bytes stay as they
    are where `stay_bytes` says so.

    >>> scaled(np.array([0, 2048, 4095, 5000]), 4095), scaled(np.array([1, 16], np.uint8), 16)
    (array([  0, 128, 255, 255], dtype=uint8), array([ 16, 255], dtype=uint8))
    """
    if maximum is None or (values.dtype == np.uint8 and stay_bytes(maximum)):
        return values
    if values.dtype.kind == "f":
        return values.astype(np.float32) / np.float32(maximum)
    return to_bytes(values, maximum)


def to_bytes(values: np.ndarray, maximum: float) -> np.ndarray:
    """Numbers from 0 as uint8, `maximum` and more as 255."""
    if values.dtype in (np.uint8, np.uint16):  # a table of all
        table = to_bytes(np.arange(np.iinfo(values.dtype).max + 1), maximum)
        return np.asarray(table[values])
    return np.rint(np.minimum(values * (BYTE / maximum), BYTE)).astype(np.uint8)


def unusual_range(images: Any) -> str:
    """`the pixels reach from 0 to 16 of 0..255`, of an array or `Mapped`; empty where their range is usual."""
    limits = limits_of(images)
    return f"the pixels reach {limits}" if limits.are_unusual else ""


def seen_limits(images: Any) -> Limits:
    """Of pixels as a model is given them: bytes are 0..1, other numbers are what they are."""
    return Limits(0, 1, 1, are_bytes=True) if images.dtype == np.uint8 else replace(limits_of(images), white=1)


def note_as_they_are(limits: Limits, where: str) -> None:
    """A `DataNote` if pixels that nobody scales, as `seen_limits` has them, are far from 0..1."""
    if limits.are_unusual:
        white = number(limits.likely_white)
        data_note(
            f"{where}: the pixels reach {limits}, and are used so; divide them by {white}, or give bytes as uint8"
        )


def note_other_scale(limits: Limits, fitted: Limits, where: str) -> None:
    """A `DataNote` if pixels, as `seen_limits` has them, are hardly on the scale of those that a model was fitted on:
    ten times as far from 0, within 0..1 where those reached 10, or on both sides of 0 where only one of them is."""
    larger = limits.largest > TIMES * fitted.largest > 0
    smaller = fitted.largest > TIMES and 0 < limits.largest <= WHITE_FLOATS
    centred = fitted.low >= 0 and limits.low < -fitted.high / 2
    plain = fitted.low < 0 and limits.are_bytes
    if larger or smaller or centred or plain:
        now, then = (f"from {number(each.low)} to {number(each.high)}" for each in (limits, fitted))
        bytes_are = " (bytes are divided by 255)" * limits.are_bytes
        data_note(f"{where}: the pixels reach {now}{bytes_are}, but the model was fitted on {then}; scale them alike")
