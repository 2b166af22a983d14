"""Confident learning, Northcutt, Jiang & Chuang 2021: which labels are wrong, by probabilities of a classifier that did
not see them.

    t_j = mean of p(j | x) over the x labelled j
    C_ij = number of x labelled i of which j is the most probable class among those with p(j | x) >= t_j
    Q_ij = C_ij / sum_j C_ij * n_i / n, the share of all images that are labelled i and are j

Of each i and j, the n Q_ij images of the largest p(j | x) - p(i | x) are suspects ("prune by noise rate"), if another
class is more probable than their label. The least probable label comes first: with labels altered at random, that found
half as many again as the margin to the best other class (docs/log.md).
"""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from latently.common.console import good_enough
from latently.common.errors import require

FOLDS = 5
STRENGTHS = (0.003, 0.01, 0.03, 0.1)  # inverse penalties, of which the first fold chooses by its log loss
MOST_STEPS = 300


def held_out_probabilities(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """p(class | x) by a linear probe of the standardised features (N, D) that learned from the other folds; labels (N,)
    from 0, each class there. -> (N, K)

    Raises InputError for fewer than two classes, and for a class of a single image.
    """
    counts = np.bincount(labels)
    require(len(counts) >= 2, "all labels are of one class; label noise is between two or more")
    require(int(counts.min()) >= 2, "a class has a single image, whose label no other can contradict; leave it out")
    folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=seed)
    p = np.zeros((len(features), len(counts)))
    strengths: tuple[float, ...] = STRENGTHS
    for learned, judged in folds.split(features, labels):
        scaler = StandardScaler().fit(features[learned])
        x, others = scaler.transform(features[learned]), scaler.transform(features[judged])
        found = {strength: fitted(x, labels[learned], strength).predict_proba(others) for strength in strengths}
        best = min(found, key=lambda strength: log_loss(labels[judged], found[strength], labels=range(len(counts))))
        p[judged], strengths = found[best], (best,)
    return p


def fitted(x: np.ndarray, labels: np.ndarray, strength: float) -> LogisticRegression:
    with good_enough():
        return LogisticRegression(C=strength, max_iter=MOST_STEPS).fit(x, labels)


def confident_joint(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """C of probabilities (N, K) and labels (N,). -> (K, K) counts: labelled i, confidently j

    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    >>> confident_joint(p, np.array([0, 0, 0, 1, 1, 1])).tolist()
    [[2, 1], [0, 2]]
    """
    n_classes = p.shape[1]
    threshold = np.array([p[labels == j, j].mean() for j in range(n_classes)])  # t
    confident = np.where(p >= threshold - 1e-12, p, -1)  # rounding: of equal probabilities the mean may be above all
    sure = confident.max(1) >= 0
    joint = np.zeros((n_classes, n_classes), int)
    np.add.at(joint, (labels[sure], confident.argmax(1)[sure]), 1)
    return joint


@dataclass(frozen=True)
class LabelNoise:
    """suspects: (S,) indices of images whose label is likely wrong, the least probable label first; likely: (N,) the
    most probable class; of_label: (N,) p(label | x); noise_rate: the share of wrong labels, the sum of Q off its
    diagonal."""

    suspects: np.ndarray
    likely: np.ndarray
    of_label: np.ndarray
    noise_rate: float


def label_noise(p: np.ndarray, labels: np.ndarray) -> LabelNoise:
    """Of held-out probabilities p(class | x), (N, K), and labels (N,), from 0, each class there."""
    n, counts = len(p), np.bincount(labels)
    joint = confident_joint(p, labels).astype(float)
    unknown = joint.sum(1) == 0  # of no image labelled so is any class confident: nothing speaks against the label
    joint[unknown] = np.diag(counts)[unknown]
    q = joint / joint.sum(1, keepdims=True) * (counts / n)[:, None]
    likely, of_label, suspect = p.argmax(1), p[np.arange(n), labels], np.zeros(n, bool)
    for i, j in np.argwhere(q > 0):
        if i != j:
            members = np.flatnonzero(labels == i)
            margin = p[members, j] - p[members, i]
            suspect[members[np.argsort(-margin, kind="stable")[: round(n * q[i, j])]]] = True
    suspects = np.flatnonzero(suspect & (likely != labels))
    suspects = suspects[np.argsort(of_label[suspects], kind="stable")]
    return LabelNoise(suspects, likely, of_label, float(q.sum() - np.trace(q)))
