"""Images with similar codes: the nearest to a query, and near-duplicates within a set.

Distances are Euclidean, between unscaled codes. Searches run in blocks, so memory is linear in the number of images.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors

from latently import pictures
from latently.common.console import data_note
from latently.common.errors import require
from latently.data import ImageSet, Preparation, read_image, unit
from latently.data.image_names import ImageNames
from latently.data.imageset import UNLABELLED
from latently.estimator import Autoencoder
from latently.pictures import Figure

NEAR = 0.25  # default threshold, times the median distance to the nearest neighbour (docs/decisions.md)
MOST_PAIRS = 1_000_000
AT_ONCE, PAIRS_AT_ONCE = 1000, 10_000_000
DRAWN = 20  # queries or pairs in a picture


def nearest(codes: np.ndarray, queries: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n codes (N, Z) nearest to each query (Q, Z), nearest first: indices and distances, (Q, n) each.

    >>> nearest(np.array([[0.0], [5.0], [3.0]]), np.array([[4.5]]), 2)[0].tolist()
    [[1, 2]]
    """
    distances, places = NearestNeighbors(n_neighbors=n, algorithm="brute").fit(codes).kneighbors(queries)
    return places, distances


@dataclass(frozen=True)
class Pairs:
    """Near-duplicates: indices first and second (P,) and distance (P,) of each pair, closest first; and the largest
    distance that counts."""

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    threshold: float

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
            one, like, captions, names=("image", "duplicate"), title="Near-duplicates, and the distance of their codes"
        )


def duplicates(estimator: Autoencoder, images: ImageSet, threshold: float | None = None) -> Pairs:
    """`near_duplicates` of the codes of images."""
    return near_duplicates(estimator.features(images.images, images.label_names), threshold)


def near_duplicates(codes: np.ndarray, threshold: float | None = None) -> Pairs:
    """Pairs of codes (N, Z) at most `threshold` apart; None: a quarter of the median distance from an image to its
    nearest neighbour, exact copies not counted.

    Raises InputError for a single image, and for more than a million pairs.

    >>> near_duplicates(np.array([[0.0], [8.0], [0.1], [3.0], [5.5]])).second.tolist()
    [2]
    """
    require(len(codes) >= 2, "got a single image; near-duplicates need at least two")
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
        too_many = f"more than {MOST_PAIRS:,} pairs are closer than {threshold:g}; give a smaller --threshold"
        require(sum(each.shape[1] for each in found) <= MOST_PAIRS, too_many)
    first, second = np.concatenate(found, axis=1)
    distance = distances_between(codes, first, second)
    order = np.lexsort((second, first, distance))[: int((distance <= threshold).sum())]
    return Pairs(first[order], second[order], distance[order], threshold)


def distances_between(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances of pairs of indices (P,), from differences: exactly 0 for copies, unlike the dot products of the
    search."""
    squares = [np.square(codes[a].astype(float) - codes[b]).sum(1) for a, b in in_parts(first, second)]
    return np.sqrt(np.concatenate([np.zeros(0), *squares]))


def in_parts(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs in batches."""
    for start in range(0, len(first), AT_ONCE):
        yield first[start : start + AT_ONCE], second[start : start + AT_ONCE]


# Queries --------------------------------------------------------------------------------------------------------------


def read_queries(
    words: Sequence[str], images: ImageSet, preparation_for: Callable[[str], Preparation], flag: str = "--query"
) -> ImageSet:
    """The images that the words of a flag name: the index (from 0) or name of one of `images`, or an image file, which
    is prepared by `preparation_for` its path and has no label. Raises InputError for any other word, and for a file of
    another shape.
    """
    known_names = ImageNames(images)
    rows = [_row_of(word, known_names, images.source, flag) for word in words]
    pixels_of, labels = [], []
    for word, row in zip(words, rows, strict=True):
        if row is not None:
            pixels_of.append(images.images[row])
            labels.append(images.labels[row])
            continue
        known = f"a number from 0 to {len(images) - 1}, or a name, of an image of {images.source}, or an image file"
        require(Path(word).is_file(), f"{flag} is {word}; expected {known}")
        pixels = read_image(Path(word), preparation_for(word))
        have, want = pixels.shape, images.image_shape
        fits = f"{flag} is {word}, an image of shape {have}; those of {images.source} have {want}: resize it"
        require(have == want, fits)
        pixels_of.append(pixels if images.images.dtype == np.uint8 else unit(pixels))
        labels.append(UNLABELLED)
    names = [word if row is None else str(images.names[row]) for word, row in zip(words, rows, strict=True)]
    return ImageSet(np.stack(pixels_of), np.array(labels), images.classes, np.array(names), "queries")


def _row_of(word: str, names: ImageNames, source: str, flag: str) -> int | None:
    """The image of this name or position; none for a file in a folder of its own that is not among the images."""
    place = names.by_position(word)
    if place is not None and word not in names.index_of:
        named = names.by_name(word)
        if named not in (None, place):
            data_note(f"{flag} {word} is the image at position {word}, {names.names[place]!r}, not one of that name")
        return place
    within = name_within(word, source)
    is_other_file = not within and Path(word).name != word and Path(word).is_file()
    return None if is_other_file and word not in names.index_of else names.find(within or word)


def name_within(word: str, source: str) -> str:
    """The name of a file within the image folder `source`; for other files, an empty name."""
    path, folder = Path(word).resolve(), Path(source).expanduser().resolve()
    return path.relative_to(folder).as_posix() if folder in path.parents else ""


@dataclass(frozen=True)
class Neighbours:
    """The n nearest other images of each of Q queries: indices and distances, (Q, n)."""

    queries: ImageSet
    places: np.ndarray
    distances: np.ndarray

    def columns(self, images: ImageSet) -> dict[str, np.ndarray]:
        """A row per query and neighbour, nearest first; with labels if there are any."""
        n_queries, n = self.places.shape
        told = {
            "query": np.repeat(self.queries.names, n),
            "rank": np.tile(np.arange(1, n + 1), n_queries),
            "image": images.names[self.places].ravel(),
            "distance": self.distances.ravel(),
        }
        return told | ({"label": images.label_names[self.places].ravel()} if images.classes else {})

    def picture(self, estimator: Autoencoder, images: ImageSet) -> Figure:
        """A row per query: the query, then its neighbours."""
        some = slice(DRAWN)
        block = np.concatenate([self.queries.images[some, None], images.images[self.places[some]]], axis=1)
        seen = estimator.seen(block.reshape(-1, *images.image_shape)).reshape(block.shape)
        columns = ["query", *map(str, range(1, block.shape[1]))]
        return pictures.grid(seen, self.queries.names[some].tolist(), columns, "Nearest images by code")


def neighbours(estimator: Autoencoder, images: ImageSet, queries: ImageSet, n: int) -> Neighbours:
    """The n images with the codes nearest to that of each query, without the query itself; fewer if there are no
    more."""
    known = not estimator.model_.needs_labels or bool((queries.labels >= 0).all())
    require(
        known,
        "a conditional model needs the class of an image to encode it; give --query the number of a labelled image",
    )
    codes = estimator.features(images.images, images.label_names)
    of_queries = estimator.features(queries.images, queries.label_names)
    others = len(images) - int(np.isin(queries.names, images.names).any())
    require(others >= 1, f"{images.source} has no other images; give other --data")
    n = min(n, others)
    places, distances = nearest(codes, of_queries, min(n + 1, len(images)))
    itself = images.names[places] == queries.names[:, None]  # (Q, n + 1)
    kept = np.argsort(itself, axis=1, kind="stable")[:, :n]
    return Neighbours(queries, *(np.take_along_axis(each, kept, axis=1) for each in (places, distances)))
