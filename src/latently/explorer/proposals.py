"""What to label next: where a label tells the most.

clusters: the image in the middle of each cluster of codes, the largest cluster first (Nguyen & Smeulders 2004): with no
label yet, the first ones should show what there is. uncertain: the images whose two best classes are nearest to each
other (margin sampling, Scheffer et al. 2001), by the run's classifier, or by labels that spread through the codes.
"""

import numpy as np
from sklearn.cluster import KMeans

from latently import spreading
from latently.errors import InputError, require
from latently.explorer.labelling import LabelFile
from latently.explorer.scene import Scene

CANDIDATES = 3_000  # that are looked at; of more, so many are drawn


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
        return unlabelled[centres(scene.codes[unlabelled], min(n, len(unlabelled)))]
    if by == "uncertain":
        return unlabelled[np.argsort(margins(scene, known, unlabelled), kind="stable")[:n]]
    raise InputError(f"there is no way {by[:40]!r} to propose; there are clusters, uncertain")


def centres(codes: np.ndarray, n: int) -> np.ndarray:
    """The code nearest to each of n cluster centres, (n,) places, the largest cluster first."""
    clusters = KMeans(n, n_init=1, random_state=0).fit(codes)
    distances = clusters.transform(codes)  # (N, n)
    largest = np.argsort(-np.bincount(clusters.labels_, minlength=n), kind="stable")
    return np.array(list(dict.fromkeys(distances.argmin(0)[largest].tolist())))


def margins(scene: Scene, known: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How far the best class of each point lies before the second, (n,), 0..1."""
    p = scene.classify(scene.pixels(points)) if scene.few is not None else spread_from(scene.codes, known, points)
    best = np.sort(p, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


def spread_from(codes: np.ndarray, known: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Beliefs of points (n,) by the labels that spread to them through the codes, (n, classes)."""
    labelled = np.flatnonzero(known != "")
    names, classes = np.unique(known[labelled], return_inverse=True)
    require(len(names) >= 2, "label images of two classes first, or take the centres of clusters")
    given = np.concatenate([classes, np.full(len(points), -1)])
    return spreading.spread(codes[np.concatenate([labelled, points])], given, len(names))[len(labelled) :]
