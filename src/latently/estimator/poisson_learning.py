"""Poisson learning: classes of all images from a handful of labels. Calder, Cook, Thorpe & Slepcev 2020.

Labels are sources and sinks on the graph W of nearest neighbours, D its degrees, L = D - W, and classes are read off
the potential that they make (their algorithm 1). With class vectors y_j of the labelled images and their mean ybar:

    L u = sum_j (y_j - ybar) delta_j,   class of image i = argmax_k u_ik

Label spreading (label_spreading.py) at so few labels is a spike at each label over a near-constant rest, whose
constants decide; here they cancel, as the sources of each class sum to 0.

Poisson MBO (their algorithm 2) adds what is known of the classes' sizes. It alternates a heat flow with the sources and
a cut to one class per image, whose weights r_k are moved until class k has the fraction b_k of all images:

    u <- u - dt (L u - B),   B the sources above;   u_i <- the class vector of argmax_k r_k u_ik
"""

import numpy as np
from scipy import sparse

from latently.estimator.label_spreading import TINY, similarities

MOST_STEPS = 1000  # of the walk; on MNIST it mixes in about 300
ROUNDS, FLOW_STEPS = 20, 40  # of heat flow and cut
STEP = 0.95  # dt times the largest degree; the flow is stable below 1, for |L| is at most twice that degree
SETTLED = 1e-4  # fraction of the images whose class a round may still change at the end
RATE, CUTS = 0.1, 100  # of moving the weights r
LIGHTEST, HEAVIEST = 0.5, 2.0  # r stays between


def poisson(graph: sparse.csr_matrix, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Potentials u (N, classes) of labels (N,), -1 = unlabelled, on a graph of similarities W (N, N).

    u <- u + D^-1 (B - L u) until a random walk from the labels has mixed, and the constants have cancelled.
    """
    sources = sources_of(labels, n_classes)
    degrees = degrees_of(graph)
    average = sparse.diags(1 / degrees) @ graph  # D^-1 W
    u, pushed = np.zeros_like(sources), sources / degrees[:, None]
    labelled, even = labels >= 0, degrees / degrees.sum()
    walk, back = labelled / labelled.sum(), (graph @ sparse.diags(1 / degrees)).tocsr()
    for _ in range(MOST_STEPS):
        u, walk = pushed + average @ u, back @ walk
        if has_mixed(walk, even):
            break
    return np.asarray(u - (degrees @ u) / degrees.sum())


def has_mixed(walk: np.ndarray, even: np.ndarray) -> bool:
    """Whether a random walk is where chance would have it, but for less than an image's share."""
    return bool(np.abs(walk - even).max() < 1 / len(walk))


def poisson_mbo(graph: sparse.csr_matrix, labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Beliefs (N, classes) in each class, rows of sum 1, of labels (N,), -1 = unlabelled. shares: (classes,), the
    fraction of all images that is of each class, known beforehand; sum 1."""
    u = poisson(graph, labels, len(shares)).astype(np.float32)
    dt = STEP / degrees_of(graph).max()
    kept = sparse.diags(1 - dt * degrees_of(graph)) + dt * graph  # one step: u <- (1 - dt L) u + dt B
    kept, added = kept.tocsr().astype(np.float32), (dt * sources_of(labels, len(shares))).astype(np.float32)
    classes = np.full(len(labels), -1)
    for _ in range(ROUNDS):
        for _ in range(FLOW_STEPS):
            u = kept @ u + added
        before, weighted = classes, u * weights_for(u, shares)
        classes = weighted.argmax(1)
        u = one_hot(classes, len(shares))
        if (classes != before).mean() < SETTLED:
            break
    weighted = np.maximum(weighted, 0)
    total = weighted.sum(1, keepdims=True)
    return np.where(total > 0, weighted / np.where(total > 0, total, 1), u)


def weights_for(u: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """r (classes,), by which the argmax of r u has class k about as often as `shares` say; between 1/2 and 2."""
    r = np.ones(len(shares), np.float32)
    for _ in range(CUTS):
        found = np.bincount((u * r).argmax(1), minlength=len(shares)) / len(u)
        r = np.clip(r + RATE * (shares - found), LIGHTEST, HEAVIEST).astype(np.float32)
    return r


def sources_of(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """B (N, classes): y_j - ybar at labelled images, 0 elsewhere."""
    labelled = np.flatnonzero(labels >= 0)
    sources = np.zeros((len(labels), n_classes))
    given = np.eye(n_classes)[labels[labelled]]
    sources[labelled] = given - given.mean(0)
    return sources


def degrees_of(graph: sparse.csr_matrix) -> np.ndarray:
    return np.asarray(np.maximum(np.asarray(graph.sum(1)).ravel(), TINY))


def one_hot(classes: np.ndarray, n_classes: int) -> np.ndarray:
    return np.asarray(np.eye(n_classes, dtype=np.float32)[classes])


def spread_evenly(codes: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """As `label_spreading.spread`, by Poisson MBO: (N, Z) and (N,) -> (N, classes). Classes are taken to be equally
    frequent, which is what it needs to know."""
    return poisson_mbo(similarities(codes), labels, np.full(n_classes, 1 / n_classes))
