"""The nearest rows among many: exactly, or of very many by an inverted file (Jegou et al. 2011), if faiss is there."""

import math
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from latently.common.console import note

INDEXED = 100_000  # rows and queries above which an index is worth it
PROBED = 16  # cells that are searched for each query


def nearest(codes: np.ndarray, queries: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n codes (N, Z) nearest to each query (Q, Z), nearest first: indices and distances, (Q, n) each.

    Of more than 100,000 codes and queries approximately, where faiss is installed: of 500,000 codes the nearest is
    found for 99 % (docs/how-to/twins.md).

    >>> nearest(np.array([[0.0], [5.0], [3.0]]), np.array([[4.5]]), 2)[0].tolist()
    [[1, 2]]
    """
    if min(len(codes), len(queries)) > INDEXED:
        if find_spec("faiss"):
            return by_index(codes, queries, n)
        note(f"comparing {len(queries):,} codes with {len(codes):,}; pip install 'latently[index]' is far quicker")
    distances, places = NearestNeighbors(n_neighbors=n, algorithm="brute").fit(codes).kneighbors(queries)
    return places, distances


def by_index(codes: np.ndarray, queries: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """As `nearest`, among the codes of 16 of the cells into which they are divided. Where these hold fewer than n, the
    distance is infinite."""
    import faiss

    rows, asked = (np.ascontiguousarray(each, np.float32) for each in (codes, queries))
    library: Any = faiss
    cells = max(1, round(3 * math.sqrt(len(rows))))
    index = library.IndexIVFFlat(library.IndexFlatL2(rows.shape[1]), rows.shape[1], cells)
    index.nprobe = PROBED
    index.train(rows)
    index.add(rows)
    squares, places = index.search(asked, n)
    missing = places < 0
    return np.where(missing, 0, places), np.where(missing, np.inf, np.sqrt(squares.clip(0)))
