"""Projections of codes of any width to a plane, and back."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from latently.common.errors import require
from latently.explorer.cache import Cache

FITTED = 20_000  # codes used to fit principal components


@dataclass(frozen=True)
class Plane:
    """positions (N, 2) float32. frame (3, Z) float32: the code at (x, y) is frame[0] + x frame[1] + y frame[2]; None
    for a nonlinear projection, where the code at a position is interpolated from nearby points."""

    positions: np.ndarray
    frame: np.ndarray | None

    def to_bytes(self) -> bytes:
        """The positions, then the frame if there is one, little-endian."""
        parts = [self.positions] if self.frame is None else [self.positions, self.frame]
        return b"".join(np.ascontiguousarray(part, dtype="<f4").tobytes() for part in parts)


def offered(latent_dim: int) -> list[dict[str, str]]:
    """The projections available for codes of this width; the first one is the default."""
    if latent_dim <= 2:
        return [{"name": "code", "title": "The code"}]
    made = [
        {"name": "pca", "title": "Principal components"},
        {"name": "dimensions", "title": "Two dimensions of the code"},
    ]
    return [*made, {"name": "umap", "title": "UMAP"}] if find_spec("umap") else made


def make(name: str, codes: np.ndarray, features: np.ndarray, dims: tuple[int, int], cache: Cache) -> Plane:
    """The projection of that name; `umap` and `pca` of features, which may be the codes. dims: of `dimensions`.

    Raises InputError for dimensions out of range."""
    width = codes.shape[1]
    if name == "umap":
        return Plane(cache.of("umap", lambda: umap(features)), None)
    if name == "pca":
        pca = PCA(2, svd_solver="randomized" if width > 500 else "auto", random_state=0).fit(features[:FITTED])
        frame = np.stack([pca.mean_, *pca.components_]).astype(np.float32)
        return Plane((features - frame[0]) @ frame[1:].T, frame if features is codes else None)
    if width == 1:  # one dimension: the second coordinate is random jitter
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
