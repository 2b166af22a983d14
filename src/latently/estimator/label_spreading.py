"""Label spreading: propagate few labels to all images, over the graph of nearest neighbours in code space.

Zhou et al. 2004, learning with local and global consistency: F <- alpha S F + (1 - alpha) Y, where S is the graph of
nearest neighbours, normalised by degrees, and Y holds the labels. The graph's scale is each image's own distance to its
last neighbour (Zelnik-Manor & Perona 2004), so that labels spread alike in dense and sparse regions.
"""

import numpy as np
from scipy import sparse

N_NEIGHBOURS = 10
ALPHA = 0.99  # weight of the neighbours against the given labels
N_STEPS = 50
TINY = 1e-30  # least degree, for an image whose nearest neighbours are all copies of it


def spread(codes: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """(N, Z), (N,) class indices with -1 = unlabelled -> (N, classes) class probabilities, rows sum to 1.

    Every class has the same total weight, whatever its number of labels. Rows that no label reaches are uniform.
    """
    return spread_over(neighbours(codes), labels, n_classes)


def spread_over(graph: sparse.csr_matrix, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """`spread`, over the graph of `neighbours`."""
    labelled = np.flatnonzero(labels >= 0)
    given = np.zeros((len(labels), n_classes), np.float32)
    given[labelled, labels[labelled]] = 1
    given /= np.maximum(given.sum(0), 1)
    belief = given
    for _ in range(N_STEPS):
        belief = ALPHA * (graph @ belief) + (1 - ALPHA) * given
    total = belief.sum(1, keepdims=True)
    return np.where(total > 0, belief / np.where(total > 0, total, 1), 1 / n_classes)


def neighbours(codes: np.ndarray) -> sparse.csr_matrix:
    """D^-1/2 W D^-1/2, (N, N) float32, of the similarities W and their degrees D."""
    both_ways = similarities(codes)
    degree = sparse.diags(1 / np.sqrt(np.maximum(np.asarray(both_ways.sum(1)).ravel(), TINY)))
    return (degree @ both_ways @ degree).tocsr().astype(np.float32)


def similarities(codes: np.ndarray) -> sparse.csr_matrix:
    """W (N, N), the symmetric similarity of each image and its nearest neighbours, from 0 to 1."""
    n, k = len(codes), min(N_NEIGHBOURS, len(codes) - 1)
    from sklearn.neighbors import NearestNeighbors  # not at the top: it slows the start of every command

    distance, index = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(codes).kneighbors(codes)
    others = index != np.arange(n)[:, None]
    others[others.all(1), -1] = False  # among copies of it, which may stand before it, itself may be missing
    distance, index = distance[others].reshape(n, k), index[others].reshape(n, k)
    scale = np.maximum(distance[:, -1:], 1e-12)
    similarity = np.exp(-(distance**2) / (scale * scale[index][:, :, 0]))
    one_way = sparse.csr_matrix((similarity.ravel(), index.ravel(), np.arange(0, n * k + 1, k)), (n, n))
    return one_way.maximum(one_way.T)
