"""What to label next: where a label tells the most.

clusters: the image in the middle of each cluster of codes, the largest cluster first (Nguyen & Smeulders 2004): with no
label yet, the first ones should show what there is. uncertain: images whose two best classes are near to each other
(margin sampling, Scheffer et al. 2001), by the run's classifier, or by labels that spread through the codes; of ten
times as many, those in the middle of clusters, as the least certain of all are often one image many times
(cluster-margin, Citovsky et al. 2021).
"""

import numpy as np
from sklearn.cluster import KMeans

from latently.common.errors import InputError, require
from latently.estimator import label_spreading
from latently.explorer.saved_labels import LabelFile
from latently.explorer.scene import Scene

CANDIDATES = 3_000  # that are looked at; of more, so many are drawn
FEW = 10_000  # images that are all classified once, and not the candidates each time
SPREAD = 10  # times as many of the least certain as are wanted: what they are chosen from


def propose(by: str, n: int, scene: Scene, labels: LabelFile) -> np.ndarray:
    """At most n points without a label, (n,), the most telling first.

    Raises InputError where there is nothing to go by.
    """
    known = labels.known()[scene.shown]
    unlabelled = np.flatnonzero(known == "")
    require(len(unlabelled) > 0, "every image that is shown carries a label")
    if len(unlabelled) > CANDIDATES:
        drawn = np.random.default_rng(len(scene.shown) - len(unlabelled)).choice(unlabelled, CANDIDATES, replace=False)
        unlabelled = np.sort(drawn)
    if by == "clusters":
        return unlabelled[centres(scene.codes[unlabelled], n)]
    if by == "uncertain":
        return unlabelled[apart(margins(scene, known, unlabelled), scene.codes[unlabelled], n)]
    raise InputError(f"there is no way {by[:40]!r} to propose; there are clusters, uncertain")


def centres(codes: np.ndarray, n: int) -> np.ndarray:
    """The code nearest to each of n cluster centres, at most n places, the largest cluster first."""
    n = min(n, len(np.unique(codes, axis=0)))  # of a collapsed code there is one
    clusters = KMeans(n, n_init=1, random_state=0).fit(codes)
    distances = clusters.transform(codes)  # (N, n)
    largest = np.argsort(-np.bincount(clusters.labels_, minlength=n), kind="stable")
    return np.array(list(dict.fromkeys(distances.argmin(0)[largest].tolist())))


def apart(margins: np.ndarray, codes: np.ndarray, n: int) -> np.ndarray:
    """At most n places of small margin that are not all alike, the smallest first."""
    candidates = np.argsort(margins, kind="stable")[: SPREAD * n]
    return candidates[np.sort(centres(codes[candidates], n))]


def margins(scene: Scene, known: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The lead of the best class of each point, (n,)."""
    if scene.few is None:
        return lead(spread_from(scene.codes, known, points))
    if len(scene.images) <= FEW:
        return lead(scene.probabilities[points])
    return lead(scene.classify(scene.pixels(points)))


def lead(p: np.ndarray) -> np.ndarray:
    """(n, classes) -> how far the best class of each lies before the second, (n,), 0..1."""
    best = np.sort(p, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


def spread_from(codes: np.ndarray, known: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Beliefs of points (n,) by the labels that spread to them through the codes, (n, classes)."""
    labelled = np.flatnonzero(known != "")
    names, classes = np.unique(known[labelled], return_inverse=True)
    require(len(names) >= 2, "label images of two classes first, or take the centres of clusters")
    given = np.concatenate([classes, np.full(len(points), -1)])
    return label_spreading.spread(codes[np.concatenate([labelled, points])], given, len(names))[len(labelled) :]
