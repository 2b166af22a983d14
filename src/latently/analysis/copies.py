"""Are samples copies? The training image nearest to each, and how near test images are to theirs.

Distances are Euclidean, between pixels from 0 to 1. A decoder smooths what it makes, and a smooth image is nearer to
any other than one with every detail; so test images stand beside the samples twice, as they are and rebuilt.
"""

from dataclasses import dataclass

import numpy as np

from latently import pictures
from latently.analysis.similar import DRAWN, nearest
from latently.data import ImageSet
from latently.estimator import Autoencoder
from latently.pictures import Figure

MEASURED = 1000  # test images


@dataclass(frozen=True)
class Copies:
    """Samples, the training image nearest to each and its distance, (n, ...) and (n,); the median distance of test
    images, and of test images rebuilt."""

    samples: np.ndarray
    nearest: np.ndarray
    distances: np.ndarray
    of_test: float
    of_rebuilt: float

    def sentence(self) -> str:
        of_test = f"of test images {self.of_test:.3g}, of test images rebuilt {self.of_rebuilt:.3g}"
        return f"median distance to the nearest training image: {np.median(self.distances):.3g}, {of_test}"

    def picture(self) -> Figure:
        """The first samples, each above its nearest training image."""
        captions = [f"{distance:.3g}" for distance in self.distances[:DRAWN]]
        title = "Samples, the nearest training images, and their distance"
        names = ("sample", "nearest")
        return pictures.reconstructions(self.samples[:DRAWN], self.nearest[:DRAWN], captions, names=names, title=title)


def copies(estimator: Autoencoder, samples: np.ndarray, train: ImageSet, test: ImageSet) -> Copies:
    """samples (n, *the shape of an image), as `Autoencoder.sample` gives them; at most 1,000 of test are measured."""
    known = estimator.seen(train.images)
    some = test.spread(MEASURED)
    images, labels = test.images[some], test.label_names[some]
    places, distances = nearest(flat(known), flat(samples), 1)
    of_test, of_rebuilt = (
        float(np.median(nearest(flat(known), flat(each), 1)[1]))
        for each in (estimator.seen(images), estimator.reconstruct(images, labels))
    )
    return Copies(samples, known[places[:, 0]], distances[:, 0], of_test, of_rebuilt)


def flat(images: np.ndarray) -> np.ndarray:
    return np.asarray(images, np.float32).reshape(len(images), -1)
