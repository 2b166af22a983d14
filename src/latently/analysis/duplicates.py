"""Near-duplicates within a set of images.

By pixels: pairs whose codes, or small grey images, are near are compared as alignment.py says, so that a copy is found
if it is recompressed, scaled, brightened, mirrored, cropped a little or captioned. The distance is 1 - correlation.

By codes: the Euclidean distance of unscaled codes. It finds copies and slight noise, of rows of numbers, too.

Searches run in blocks, so memory is linear in the number of images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from latently import pictures
from latently.analysis.alignment import grey, likeness, small, unit
from latently.analysis.nearest import nearest
from latently.common.errors import require
from latently.data import ImageSet
from latently.data.batches import to_channels_first
from latently.estimator import Autoencoder
from latently.pictures import Figure

By = Literal["auto", "pixels", "codes"]
NEAR = 0.25  # default threshold, times the median distance to the nearest neighbour (docs/decisions.md)
# by pixels: times the median distance to the third nearest, since each image may have a copy or two; and at most
NEAR_BY_PIXELS, THIRD, FARTHEST = 0.2, 2, 0.15
LEAST_SIDE = 8  # of images that are compared by pixels
BY_CODES, BY_THUMBNAILS = 10, 3  # nearest images of each that are compared
THUMBNAIL = 8  # pixels per side
MOST_PAIRS = 1_000_000
AT_ONCE, PAIRS_AT_ONCE = 1000, 10_000_000
DRAWN = 20  # pairs in a picture
SINGLE = "got a single image; near-duplicates need at least two"


@dataclass(frozen=True)
class Pairs:
    """Near-duplicates: indices first and second (P,) and distance (P,) of each pair, closest first; the largest
    distance that counts, and what it is of."""

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    threshold: float
    by: str

    def columns(self, images: ImageSet) -> dict[str, np.ndarray]:
        """A row per pair: names, distance, whether all pixels are equal, and labels if there are any."""
        pixels, shown = tuple(range(1, images.images.ndim)), images.images
        same = [(shown[a] == shown[b]).all(pixels) for a, b in in_parts(self.first, self.second)]
        told = {"image": images.names[self.first], "like": images.names[self.second], "distance": self.distance}
        told |= {"same_pixels": np.concatenate([np.zeros(0, bool), *same])}
        if not images.classes:
            return told
        return told | {"label": images.label_names[self.first], "label_of_like": images.label_names[self.second]}

    def picture(self, estimator: Autoencoder, images: ImageSet) -> Figure:
        """The closest pairs, one image above the other. Raises InputError if there is no pair."""
        require(len(self.first) > 0, f"no two images are closer than {self.threshold:g}, so there is nothing to draw")
        one, like = (estimator.seen(images.images[each[:DRAWN]]) for each in (self.first, self.second))
        captions = [f"{distance:.3g}" for distance in self.distance[:DRAWN]]
        return pictures.reconstructions(
            one, like, captions, names=("image", "duplicate"), title=f"Near-duplicates, and their distance by {self.by}"
        )


def duplicates(estimator: Autoencoder, images: ImageSet, threshold: float | None = None, by: By = "auto") -> Pairs:
    """Near-duplicates among images. by: auto is pixels where there are pictures of at least 8 x 8 pixels.

    threshold: largest distance; None: by codes a quarter of the median distance from an image to its nearest
    neighbour, by pixels a fifth of that to its third nearest, at most 0.15; exact copies not counted.

    Raises InputError for a single image, for more than a million pairs, and for pixels of what is no picture.
    """
    is_picture = len(images.image_shape) > 1 and min(images.image_shape[:2]) >= LEAST_SIDE
    require(by != "pixels" or is_picture, f"--by pixels compares pictures of at least {LEAST_SIDE} x {LEAST_SIDE} "
            f"pixels, and those of {images.source} have shape {images.image_shape}; give --by codes")  # fmt: skip
    require(len(images) >= 2, SINGLE)
    codes = estimator.features(images.images, images.label_names)
    if by == "codes" or not is_picture:
        return near_duplicates(codes, threshold)
    own = np.unique(images.originals)  # exact copies are left to the end
    parts = np.array_split(own, len(own) // AT_ONCE + 1)
    seen = torch.cat([small(to_channels_first(estimator.seen(images.images[part]))) for part in parts])
    return with_copies(near_by_pixels(seen, codes[own], threshold), images.originals, own)


def near_by_pixels(images: Tensor, codes: np.ndarray, threshold: float | None = None) -> Pairs:
    """Pairs of different small images (N, C, h, w), with their codes (N, Z), that are alike."""
    if len(images) < 2:  # the others are equal
        return Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0), 0.0 if threshold is None else threshold, "pixels")
    first, second = likely_pairs(images, codes)
    distance = (1 - likeness(images, first, second)).clip(0)
    if threshold is None:
        threshold = min(FARTHEST, NEAR_BY_PIXELS * float(np.median(of_rank(THIRD, first, second, distance))))
    near = np.flatnonzero(distance <= threshold)
    near = near[np.lexsort((second[near], first[near], distance[near]))]
    return Pairs(first[near], second[near], distance[near], threshold, "pixels")


def of_rank(rank: int, first: np.ndarray, second: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """The distance of each image to its neighbour of this rank, from 0, or to its last one; of pairs (P,)."""
    image, apart = np.concatenate([first, second]), np.tile(distance, 2)
    order = np.lexsort((apart, image))
    _, starts, counts = np.unique(image[order], return_index=True, return_counts=True)
    found: np.ndarray = apart[order][starts + np.minimum(rank, counts - 1)]
    return found


def likely_pairs(images: Tensor, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that are worth comparing (P,): by codes, which may know a crop, and by thumbnails of the whole image, of
    its mirror, and of its upper and lower halves, which know copies with bars."""
    n, half = len(images), THUMBNAIL // 2
    thumbnails = torch.nn.functional.interpolate(grey(images), (THUMBNAIL, THUMBNAIL), mode="area")
    searches = [(codes, codes, BY_CODES)]
    searches += [
        (unit(kept).numpy(), unit(asked).numpy(), BY_THUMBNAILS)
        for kept, asked in (
            (thumbnails, thumbnails),
            (thumbnails, thumbnails.flip(3)),
            (thumbnails[:, :, :half], thumbnails[:, :, :half]),
            (thumbnails[:, :, half:], thumbnails[:, :, half:]),
        )
    ]
    found = []
    for kept, asked, most in searches:
        places, _ = nearest(kept, asked, min(most + 1, n))  # one of them is the image itself
        found.append(np.stack([np.repeat(np.arange(n), places.shape[1]), places.ravel()], 1))
    pairs = np.sort(np.concatenate(found), 1)
    pairs = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)
    return pairs[:, 0], pairs[:, 1]


def with_copies(pairs: Pairs, originals: np.ndarray, own: np.ndarray) -> Pairs:
    """Pairs of images `own` (M,), which differ, as pairs of all images, whose first equal one is `originals` (N,): each
    equal image pairs like the other, and equal ones are at distance 0."""
    order = np.argsort(originals, kind="stable")
    equal = np.split(order, np.flatnonzero(np.diff(originals[order])) + 1)  # one array for each of own
    n_equal = np.array([len(each) for each in equal])
    total = int((n_equal * (n_equal - 1) // 2).sum() + (n_equal[pairs.first] * n_equal[pairs.second]).sum())
    require_fewer(total, pairs.threshold)
    first = [each[np.triu_indices(len(each), 1)[0]] for each in equal if len(each) > 1]
    second = [each[np.triu_indices(len(each), 1)[1]] for each in equal if len(each) > 1]
    distance = [np.zeros(sum(map(len, first)))]
    for a, b, apart in zip(pairs.first, pairs.second, pairs.distance, strict=True):
        product = np.array(np.meshgrid(equal[a], equal[b])).reshape(2, -1)
        first.append(product.min(0))
        second.append(product.max(0))
        distance.append(np.full(product.shape[1], apart))
    none = np.zeros(0, int)
    one, other, apart = np.concatenate([none, *first]), np.concatenate([none, *second]), np.concatenate(distance)
    order = np.lexsort((other, one, apart))
    return Pairs(one[order], other[order], apart[order], pairs.threshold, pairs.by)


def require_fewer(n_pairs: int, threshold: float) -> None:
    too_many = f"more than {MOST_PAIRS:,} pairs are closer than {threshold:g}; give a smaller --threshold"
    require(n_pairs <= MOST_PAIRS, too_many)


def near_duplicates(codes: np.ndarray, threshold: float | None = None) -> Pairs:
    """Pairs of codes (N, Z) at most `threshold` apart; None: a quarter of the median distance from an image to its
    nearest neighbour, exact copies not counted.

    Raises InputError for a single image, and for more than a million pairs.

    >>> near_duplicates(np.array([[0.0], [8.0], [0.1], [3.0], [5.5]])).second.tolist()
    [2]
    """
    require(len(codes) >= 2, SINGLE)
    _, distances = nearest(codes, codes, 2)
    closest = distances[:, 1]  # the nearest of all is the image itself, or a copy of it
    rest = 1e-6 * float(np.abs(codes).max())  # rounding error between copies
    if threshold is None:
        apart = closest[closest > rest]
        threshold = NEAR * float(np.median(apart)) if len(apart) else 0.0
    reach = max(threshold, rest)
    some = np.flatnonzero(closest <= reach)  # the other images have no near-duplicate
    near, found = codes[some], [np.zeros((2, 0), int)]
    at_once = max(1, PAIRS_AT_ONCE // max(1, len(some)))  # all images may be copies
    for start in range(0, len(some), at_once):
        part = some[start : start + at_once]
        search = NearestNeighbors(radius=reach, algorithm="brute").fit(near)
        graph = search.radius_neighbors_graph(codes[part]).tocoo()
        pairs = np.stack([part[graph.row], some[graph.col]])  # (2, P)
        found.append(pairs[:, pairs[0] < pairs[1]])
        require_fewer(sum(each.shape[1] for each in found), threshold)
    first, second = np.concatenate(found, axis=1)
    distance = distances_between(codes, first, second)
    order = np.lexsort((second, first, distance))[: int((distance <= threshold).sum())]
    return Pairs(first[order], second[order], distance[order], threshold, "codes")


def distances_between(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances of pairs of indices (P,), from differences: exactly 0 for copies, unlike the dot products of the
    search."""
    squares = [np.square(codes[a].astype(float) - codes[b]).sum(1) for a, b in in_parts(first, second)]
    return np.sqrt(np.concatenate([np.zeros(0), *squares]))


def in_parts(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs in batches."""
    for start in range(0, len(first), AT_ONCE):
        yield first[start : start + AT_ONCE], second[start : start + AT_ONCE]
