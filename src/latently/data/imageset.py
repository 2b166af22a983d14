"""What every source becomes."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from latently.data.mapped import Images, Mapped, taken
from latently.data.preparation import AS_THEY_ARE, Preparation

UNLABELLED = -1  # as in sklearn.semi_supervised
TRAIN, VALIDATION, TEST = range(3)  # parts of a split that a source has of its own


@dataclass(frozen=True)
class ImageSet:
    """N images of one shape, their labels and their names.

    images: (N, H, W) or (N, H, W, C), uint8 0..255, or float32 where the source held floats (kept as they are);
        where memory should not hold them, `Mapped`, which reads them from the disk as they are asked for.
    labels: (N,) int64, an index into `classes`; -1 = unlabelled.
    classes: the labels' names, in order ("0".."9" for MNIST, subfolder names for a folder).
    names: (N,) strings: the file's path relative to its folder, or the index as text.
    source: how the user named it: a known name, or an absolute path.
    n_train: where the source has its own test split, the number of images before it (60,000 for MNIST), else None.
    parts: where the source has a whole split of its own, (N,) TRAIN, VALIDATION or TEST; else None.
    preparation: how they were made alike, every choice as it was made.
    """

    images: Images
    labels: np.ndarray
    classes: tuple[str, ...]
    names: np.ndarray
    source: str
    n_train: int | None = None
    parts: np.ndarray | None = None
    preparation: Preparation = AS_THEY_ARE

    def __len__(self) -> int:
        return len(self.images)

    @property
    def pixels(self) -> np.ndarray:
        """All images in memory, for what cannot do with less."""
        return np.asarray(self.images)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, C)."""
        return self.images.shape[1:]

    @cached_property
    def pixel_hash(self) -> str:
        """`pixel_hash` of the images: it reads all of them, so a set computes it once."""
        return pixel_hash(self.images)

    @cached_property
    def originals(self) -> np.ndarray:
        """(N,) int64: the index of the first image with the same pixels: its own, unless the image is a copy.

        >>> ImageSet(np.uint8([[[7]], [[5]], [[7]]]), np.full(3, -1), (), np.arange(3), "here").originals.tolist()
        [0, 1, 0]
        """
        parts = self.images.parts() if isinstance(self.images, Mapped) else [self.images]
        hashes = (hash(image.tobytes()) for part in parts for image in part)  # 64 bits
        first: dict[int, int] = {}
        return np.fromiter((first.setdefault(known_by, i) for i, known_by in enumerate(hashes)), np.int64, len(self))

    @property
    def has_split(self) -> bool:
        """Whether the source has test images, or a whole split, of its own."""
        return self.n_train is not None or self.parts is not None

    @property
    def label_names(self) -> np.ndarray:
        """(N,) strings: the name of each image's class, empty where it is unlabelled."""
        names: np.ndarray = np.array([*self.classes, ""])[self.labels]
        return names

    def unlabelled(self) -> "ImageSet":
        """The same images, and no labels."""
        return replace(self, labels=np.full(len(self), UNLABELLED, dtype=np.int64), classes=())

    def labelled(self) -> "ImageSet":
        """The images that carry a label."""
        return self.take(np.flatnonzero(self.labels >= 0))

    def spread(self, n: int) -> np.ndarray:
        """Indices of at most `n` images to show: the first ones, or, if these are of few classes, as the first files of
        a folder are, some of each class in turn.

        >>> files = ImageSet(np.zeros((12, 1, 1)), np.repeat([0, 1, 2, 3], 3), tuple("abcd"), np.arange(12), "here")
        >>> files.spread(5).tolist()
        [0, 3, 6, 9, 1]
        """
        n = min(n, len(self))
        n_shown, n_classes = len(np.unique(self.labels[:n])), len(np.unique(self.labels))
        if 2 * n_shown > min(n, n_classes):
            return np.arange(n)
        order = np.argsort(self.labels, kind="stable")
        _, first, counts = np.unique(self.labels[order], return_index=True, return_counts=True)
        turn = np.arange(len(self)) - np.repeat(first, counts)  # place of an image in its class
        return order[np.argsort(turn, kind="stable")[:n]]

    def take(self, index: np.ndarray) -> "ImageSet":
        """The images at `index`, as a set of their own without a split."""
        images = taken(self.images, index)
        return replace(
            self, images=images, labels=self.labels[index], names=self.names[index], n_train=None, parts=None
        )


def pixel_hash(images: Images) -> str:
    """The hash that identifies these pixels (or numbers of any kind), with their shape and type."""
    name = hashlib.blake2b(repr((images.shape, images.dtype.str)).encode(), digest_size=16)
    for part in images.parts() if isinstance(images, Mapped) else [images]:
        name.update(np.ascontiguousarray(part).data)
    return name.hexdigest()
