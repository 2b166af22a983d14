"""Active learning: which images to label next.

clusters: the image nearest to each cluster centre of the codes, largest cluster first (Nguyen & Smeulders 2004): a good
start without any label. uncertain: images with a small margin between the two best classes (margin sampling, Scheffer
et al. 2001), by the run's classifier or by label spreading; from ten times as many candidates, the ones nearest to
cluster centres are taken, because the least certain images are often near-duplicates (cluster-margin, Citovsky et al.
2021). odd: the oddest by the score of `latently score`, of all images.
"""

import numpy as np
from sklearn.cluster import KMeans

from latently.common.errors import InputError, require
from latently.estimator import label_spreading
from latently.explorer.saved_labels import LabelFile
from latently.explorer.scene import Scene

CANDIDATES = 3_000  # a random subset of this size is considered
FEW = 10_000  # up to this many images are all classified once; otherwise the candidates each time
SPREAD = 10  # candidates per proposed image in `uncertain`


def propose(by: str, n: int, scene: Scene, labels: LabelFile) -> np.ndarray:
    """At most n unlabelled points, (n,), most informative first.

    Raises InputError if all images are labelled, or too few for `uncertain`.
    """
    known = labels.known()[scene.shown]
    unlabelled = np.flatnonzero(known == "")
    require(len(unlabelled) > 0, "all images shown are labelled")
    if by == "odd":
        return unlabelled[np.argsort(scene.scores[unlabelled], kind="stable")[:n]]
    if len(unlabelled) > CANDIDATES:
        drawn = np.random.default_rng(len(scene.shown) - len(unlabelled)).choice(unlabelled, CANDIDATES, replace=False)
        unlabelled = np.sort(drawn)
    if by == "clusters":
        return unlabelled[centres(scene.features[unlabelled], n)]
    if by == "uncertain":
        return unlabelled[apart(margins(scene, known, unlabelled), scene.features[unlabelled], n)]
    raise InputError(f"there is no method {by[:40]!r} to propose images; there are clusters, uncertain, odd")


def centres(codes: np.ndarray, n: int) -> np.ndarray:
    """Indices of the codes nearest to n cluster centres, at most n, largest cluster first."""
    n = min(n, len(np.unique(codes, axis=0)))  # a collapsed code has only one
    clusters = KMeans(n, n_init=1, random_state=0).fit(codes)
    distances = clusters.transform(codes)  # (N, n)
    largest = np.argsort(-np.bincount(clusters.labels_, minlength=n), kind="stable")
    return np.array(list(dict.fromkeys(distances.argmin(0)[largest].tolist())))


def apart(margins: np.ndarray, codes: np.ndarray, n: int) -> np.ndarray:
    """At most n indices with small margins and different codes, smallest margin first."""
    candidates = np.argsort(margins, kind="stable")[: SPREAD * n]
    return candidates[np.sort(centres(codes[candidates], n))]


def margins(scene: Scene, known: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The margin between the two best classes of each point, (n,)."""
    if scene.few is None:
        return lead(spread_from(scene.features, known, points))
    if len(scene.images) <= FEW:
        return lead(scene.probabilities[points])
    return lead(scene.classify(scene.pixels(points)))


def lead(p: np.ndarray) -> np.ndarray:
    """(n, classes) -> difference between the two largest probabilities, (n,), 0..1."""
    best = np.sort(p, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


def spread_from(codes: np.ndarray, known: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Class probabilities of points (n,) by label spreading, (n, classes)."""
    labelled = np.flatnonzero(known != "")
    names, classes = np.unique(known[labelled], return_inverse=True)
    require(len(names) >= 2, "label images of two classes first, or use cluster centres")
    given = np.concatenate([classes, np.full(len(points), -1)])
    return label_spreading.spread(codes[np.concatenate([labelled, points])], given, len(names))[len(labelled) :]
