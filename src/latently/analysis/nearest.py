"""The nearest rows among many."""

import numpy as np
from sklearn.neighbors import NearestNeighbors


def nearest(codes: np.ndarray, queries: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n codes (N, Z) nearest to each query (Q, Z), nearest first: indices and distances, (Q, n) each.

    >>> nearest(np.array([[0.0], [5.0], [3.0]]), np.array([[4.5]]), 2)[0].tolist()
    [[1, 2]]
    """
    distances, places = NearestNeighbors(n_neighbors=n, algorithm="brute").fit(codes).kneighbors(queries)
    return places, distances
