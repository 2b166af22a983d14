"""Codes of any width on a plane, and the way from a place on it back to a code."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from latently.common.errors import require
from latently.explorer.cache import Cache

FITTED = 20_000  # codes that the principal components are fitted on


@dataclass(frozen=True)
class Plane:
    """positions (N, 2) float32. frame (3, Z) float32: the code at (x, y) is frame[0] + x frame[1] + y frame[2]; None
    where the plane is curved, so that a place has no code of its own but those of the points around it."""

    positions: np.ndarray
    frame: np.ndarray | None

    def to_bytes(self) -> bytes:
        """The positions, then the frame where there is one, little-endian."""
        parts = [self.positions] if self.frame is None else [self.positions, self.frame]
        return b"".join(np.ascontiguousarray(part, dtype="<f4").tobytes() for part in parts)


def offered(latent_dim: int) -> list[dict[str, str]]:
    """The planes of codes of this width, the first one first shown."""
    if latent_dim <= 2:
        return [{"name": "code", "title": "The code"}]
    made = [
        {"name": "pca", "title": "Principal components"},
        {"name": "dimensions", "title": "Two dimensions of the code"},
    ]
    return [*made, {"name": "umap", "title": "UMAP"}] if find_spec("umap") else made


def make(name: str, codes: np.ndarray, dims: tuple[int, int], cache: Cache) -> Plane:
    """The plane of a name; dims: the two of `dimensions`. Raises InputError for dimensions that there are not."""
    width = codes.shape[1]
    if name == "umap":
        return Plane(cache.of("umap", lambda: umap(codes)), None)
    if name == "pca":
        pca = PCA(2, svd_solver="randomized" if width > 500 else "auto", random_state=0).fit(codes[:FITTED])
        frame = np.stack([pca.mean_, *pca.components_]).astype(np.float32)
        return Plane((codes - frame[0]) @ frame[1:].T, frame)
    if width == 1:  # a line: the second coordinate only spreads the points, and says nothing
        spread = np.random.default_rng(0).uniform(-1, 1, len(codes))
        return Plane(np.stack([codes[:, 0], spread], axis=1).astype(np.float32), np.array([[0], [1], [0]], np.float32))
    i, j = (0, 1) if name == "code" else dims
    fits = 0 <= i < width and 0 <= j < width and i != j
    require(fits, f"the dimensions are {i} and {j}; expected two different ones from 0 to {width - 1}")
    frame = np.zeros((3, width), np.float32)
    frame[0] = codes.mean(0)
    frame[0, [i, j]] = 0
    frame[1, i] = frame[2, j] = 1
    return Plane(codes[:, [i, j]], frame)


def umap(codes: np.ndarray) -> np.ndarray:
    """McInnes, Healy & Melville 2018; about a minute for 70,000 codes."""
    import umap as library

    made: Any = library.UMAP(random_state=0, n_jobs=1).fit_transform(codes)
    return made.astype(np.float32)
