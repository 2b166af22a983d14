"""Labels that spread from few images to all, from neighbour to neighbour through the space of codes.

Zhou et al. 2004, learning with local and global consistency: F <- alpha S F + (1 - alpha) Y, where S is the graph of
nearest neighbours, normalised by degrees, and Y holds the labels. The graph's scale is each image's own distance to its
last neighbour (Zelnik-Manor & Perona 2004), so that dense and thin regions carry alike.
"""

import numpy as np
from scipy import sparse

N_NEIGHBOURS = 10
ALPHA = 0.99  # share of its neighbours in what an image believes
N_STEPS = 50
TINY = 1e-30  # similarity to others of an image whose nearest are all its copies


def spread(codes: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """(N, Z), (N,) class indices with -1 = unlabelled -> (N, classes) beliefs, rows sum to 1.

    Every class begins with the same weight, however many labels it has. A row is uniform where no label can reach.
    """
    labelled = np.flatnonzero(labels >= 0)
    given = np.zeros((len(codes), n_classes), np.float32)
    given[labelled, labels[labelled]] = 1
    given /= np.maximum(given.sum(0), 1)
    graph, belief = neighbours(codes), given
    for _ in range(N_STEPS):
        belief = ALPHA * (graph @ belief) + (1 - ALPHA) * given
    total = belief.sum(1, keepdims=True)
    return np.where(total > 0, belief / np.where(total > 0, total, 1), 1 / n_classes)


def neighbours(codes: np.ndarray) -> sparse.csr_matrix:
    """D^-1/2 W D^-1/2 (N, N), W the similarity of each image and its nearest, taken both ways. float32"""
    n, k = len(codes), min(N_NEIGHBOURS, len(codes) - 1)
    from sklearn.neighbors import NearestNeighbors  # not at the top: every command would wait for it

    distance, index = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(codes).kneighbors(codes)
    distance, index = distance[:, 1:], index[:, 1:]  # without itself
    scale = np.maximum(distance[:, -1:], 1e-12)
    similarity = np.exp(-(distance**2) / (scale * scale[index][:, :, 0]))
    one_way = sparse.csr_matrix((similarity.ravel(), index.ravel(), np.arange(0, n * k + 1, k)), (n, n))
    both_ways = one_way.maximum(one_way.T)
    degree = sparse.diags(1 / np.sqrt(np.maximum(np.asarray(both_ways.sum(1)).ravel(), TINY)))
    return (degree @ both_ways @ degree).tocsr().astype(np.float32)
