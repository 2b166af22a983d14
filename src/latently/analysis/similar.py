"""The images with the codes nearest to a query. Distances are Euclidean, between unscaled codes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latently import pictures
from latently.analysis.nearest import nearest
from latently.common.console import data_note
from latently.common.errors import require
from latently.data import ImageSet, Preparation, read_image, unit
from latently.data.image_names import ImageNames
from latently.data.imageset import UNLABELLED
from latently.estimator import Autoencoder
from latently.pictures import Figure

DRAWN = 20  # queries in a picture


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
