"""What the images of a folder are like before any is decoded, and how they are made alike where they differ."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from latently.data.image_file import Header, read_header
from latently.data.preparation import Fit, Preparation
from latently.data.reading import UnreadableError, in_threads

LARGEST_SIDE = 64  # that is chosen for images where there is no GPU
SIDES = (8, 12, 16, 24, 32, 48, 64, 96, 128)  # to choose from
SMALLER = 0.1  # of the images may be smaller than the side that is chosen for all
AS_LARGE_AS = 2**20  # pixels: images of one size are taken as they are up to this


@dataclass(frozen=True)
class Survey:
    """The headers of N images."""

    headers: Sequence[Header]

    @property
    def sizes(self) -> np.ndarray:
        """(N, 2) heights and widths."""
        return np.array([(header.height, header.width) for header in self.headers])

    @property
    def n_colour(self) -> int:
        return sum(header.is_colour for header in self.headers)

    @property
    def have_one_size(self) -> bool:
        return bool((self.sizes == self.sizes[0]).all())

    @property
    def have_one_kind(self) -> bool:
        """Whether all are grey, or all have colours."""
        return self.n_colour in (0, len(self.headers))

    def choose(self, asked: Preparation, largest_side: int) -> Preparation:
        """How these images are made alike: what was asked for, and the rest as it suits them."""
        if asked.fit == "none":
            return asked
        channels = asked.channels or (None if self.have_one_kind else 3)
        small = bool(self.sizes[0].prod() <= AS_LARGE_AS)
        if self.have_one_size and (asked.fit != "auto" or asked.image_size or small):
            return replace(asked, channels=channels).of_one_size()
        side = self.side(largest_side)
        channels = asked.channels or (3 if self.n_colour else 1)
        fit: Fit = "crop" if asked.fit == "auto" else asked.fit
        return replace(asked, image_size=asked.image_size or (side, side), channels=channels, fit=fit)

    def side(self, largest: int) -> int:
        """Of the square that suits these images: the largest of `SIDES` that few of them are smaller than."""
        shorter = int(np.quantile(self.sizes.min(axis=1), SMALLER, method="lower"))
        return max((side for side in SIDES if side <= min(shorter, largest)), default=min(shorter, largest))

    def sentence(self, asked: Preparation, chosen: Preparation, why: str = "") -> str:
        """What is done to these images that nobody asked for; empty where it is nothing.

        why: in the place of the flags that would change it.
        """
        changed = chosen.fit in ("crop", "pad", "stretch") and (chosen.image_size, chosen.fit) != (
            asked.image_size,
            asked.fit,
        )
        n = len(self.headers)
        n_converted = 0 if asked.channels else self._n_converted(chosen)
        fits = self.have_one_size and (asked.image_size or tuple(self.sizes[0]) == chosen.image_size)
        if changed and not fits:
            height, width = chosen.image_size or (0, 0)
            how = {"crop": "cropped at the centre", "pad": "padded with black", "stretch": "stretched"}[chosen.fit]
            colour = f", in {_colour(chosen)}" if n_converted else ""
            images = "an image" if n == 1 else f"{n:,} images"
            return (
                f"{images} of {self.range()} {'is' if n == 1 else 'are'} {how} to {height} x {width} pixels"
                f"{self.turned()}{colour}; {why or '--image-size, --fit and --channels change this'}"
            )
        if n_converted:
            was, becomes = ("colour", "grey") if chosen.channels == 1 else ("grey", "colour")
            why = why or "as the others are; --channels 1 makes all grey"
            return f"{n_converted:,} of {n:,} images are {was} and are read as {becomes}, {why}"
        return ""

    def _n_converted(self, chosen: Preparation) -> int:
        """How many images lose their colours, or are grey and become colour."""
        return {1: self.n_colour, 3: len(self.headers) - self.n_colour}.get(chosen.channels or 0, 0)

    def range(self) -> str:
        """`150 sizes (108 x 192 to 192 x 192)`"""
        sizes = np.unique(self.sizes, axis=0)
        by_area = sizes[np.argsort(sizes.prod(axis=1), kind="stable")]
        first, last = (f"{height:,} x {width:,}" for height, width in (by_area[0], by_area[-1]))
        return f"{len(sizes):,} sizes ({first} to {last}, height x width)" if len(sizes) > 1 else first

    def frames(self) -> str:
        n = sum(header.has_frames for header in self.headers)
        if not n:
            return ""
        return f"{n:,} {'file has' if n == 1 else 'files have'} several frames or pages, of which the first is read"

    def turned(self) -> str:
        n = sum(header.is_turned for header in self.headers)
        return f" ({n:,} turned upright first)" if n else ""


def _colour(chosen: Preparation) -> str:
    return "grey" if chosen.channels == 1 else "colour"


def look_at(folder: Path, names: Sequence[str]) -> Survey:
    """The headers of these files, as far as they can be read."""

    def header(name: str) -> Header | None:
        with suppress(UnreadableError):
            return read_header(folder / name)
        return None

    return Survey([header for header in in_threads(header, names) if header])
