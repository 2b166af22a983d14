"""How anomalous an image is beside normal ones: ways to score it. The lowest score is the most anomalous.

    elbo        the evidence lower bound on log p(x). It pays for ink more than for oddity (Nalisnick et al. 2019)
    error       -|x - decode(encode(x))|^2: what the code cannot rebuild (replicator networks, Hawkins et al. 2002)
    neighbours  minus the mean distance of its features to the k nearest normal ones (Ramaswamy et al. 2000; of learned
                features Bergman et al. 2020)
    patches     minus the largest distance of one of its patches to the k-th nearest normal patch at the same place
    patchcore   the same of patches of the encoder's maps, to the nearest normal one anywhere (Roth et al. 2022)
    padim       minus the largest Mahalanobis distance of such a patch from the normal ones at its place (Defard et al.
                2021)

The formulas of the last three stand in patches.py. A normal image is no neighbour of itself, so images that were
learned from are scored beside the others.
"""

from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latently.common.errors import require
from latently.common.settings import require_setting
from latently.data import Images, taken
from latently.estimator.autoencoder import Autoencoder
from latently.estimator.patches import MAP_BLUR, SAME, PaDiM, PatchCore, Patches, blurred, joined_maps
from latently.models import can
from latently.models.readout import maps_of
from latently.models.views import is_photograph
from latently.training.inference import tensor_shape

By = Literal["auto", "elbo", "error", "neighbours", "patches", "patchcore", "padim"]
NEIGHBOURS = 2
MOST_NEIGHBOURS, MOST_PATCHED = 20_000, 2_000  # normal images that are compared with, drawn at random from more
AT_ONCE = 256  # images whose maps are in memory
LEAST_SIDE = 8  # of an image that has patches worth comparing


class Way:
    """A way to score, ready to be used: an autoencoder, and what it keeps of normal images."""

    name: ClassVar[str]
    column: ClassVar[str]
    """Name of the scores, with their unit if they have one."""
    compares: ClassVar[bool] = False
    """Whether it needs normal images."""

    def __init__(self, autoencoder: Autoencoder, normal: Images | None = None, y: Any = None) -> None:
        self.autoencoder = autoencoder
        if self.compares:
            assert normal is not None
            require(len(normal) >= 2, f"{self.name} compares with normal images, at least 2, and got {len(normal)}")
            self.learn(normal, y)

    def learn(self, normal: Images, y: Any) -> None:
        """Keep what scores need of normal images, and their labels for a conditional model."""

    def scores(self, X: Any, y: Any = None) -> np.ndarray:
        """(n,) float32, the lowest the most anomalous; independent of order and batch."""
        raise NotImplementedError

    def maps(self, X: Any, y: Any = None) -> np.ndarray:
        """Where images are anomalous: (n, height, width), the highest the most. By default the squared error."""
        maps: np.ndarray = self.squared_error(X, y).mean(3)
        return maps

    def maps_beside(self, patches: "Patches", X: Any, y: Any) -> np.ndarray:
        """The same beside normal patches: their squared difference; of colours the geometric mean of it and the squared
        error, both smoothed (docs/log.md)."""
        maps = self.autoencoder.map_images(X, patches.maps)
        if len(self.autoencoder.image_shape_) < 3:
            return maps
        both = (torch.from_numpy(each)[:, None] for each in (maps, Way.maps(self, X, y)))
        first, second = (blurred(each, MAP_BLUR)[:, 0] for each in both)
        return (first * second).sqrt().numpy()

    def squared_error(self, X: Any, y: Any) -> np.ndarray:
        """Of the reconstruction: (n, height, width, channels), rows of features as images one pixel wide."""
        error: np.ndarray = (self.autoencoder.seen(X) - self.autoencoder.reconstruct(X, y)) ** 2
        return error.reshape(len(error), *(*self.autoencoder.image_shape_, 1, 1)[:3])


class ByBound(Way):
    """The evidence lower bound, as `Autoencoder.score_samples`; without a prior minus the reconstruction loss."""

    name = "elbo"

    @property
    def column(self) -> str:  # type: ignore[override]
        return score_name(self.autoencoder)

    def scores(self, X: Any, y: Any = None) -> np.ndarray:
        return self.autoencoder.score_samples(X, y)


class ByError(Way):
    """Minus the squared error of the reconstruction, summed over pixels."""

    name, column = "error", "minus_squared_error"

    def scores(self, X: Any, y: Any = None) -> np.ndarray:
        scores: np.ndarray = -self.squared_error(X, y).sum((1, 2, 3))
        return scores


class ByNeighbours(Way):
    """Minus the mean Euclidean distance to the nearest normal codes. Codes that were learned by comparing cosines are
    vectors of length 1, not centred, and distances are summed over an image's instances (`SimCLR.rotations`)."""

    name, column, compares = "neighbours", "minus_neighbour_distance", True

    def learn(self, normal: Images, y: Any) -> None:
        some = drawn(len(normal), MOST_NEIGHBOURS)
        self.some = taken(normal, drawn(len(normal), MOST_PATCHED))
        self.normal = self.compared(taken(normal, some), None if y is None else np.asarray(y)[some])

    def scores(self, X: Any, y: Any = None) -> np.ndarray:
        pairs = zip(self.normal, self.compared(X, y), strict=True)
        scores: np.ndarray = -np.sum([neighbour_distance(normal, seen) for normal, seen in pairs], axis=0)
        return scores

    def maps(self, X: Any, y: Any = None) -> np.ndarray:
        """Beside normal patches, where images have any."""
        if not has_patches(self.autoencoder):
            return super().maps(X, y)
        return self.maps_beside(self.patches, X, y)

    @cached_property
    def patches(self) -> "Patches":
        return patches_of(self.autoencoder, self.some)

    def compared(self, X: Any, y: Any) -> np.ndarray:
        """What is compared of each instance, (I, n, width)."""
        model, net = self.autoencoder.model_, self.autoencoder.net_
        if not can(model, "compared", "instances"):
            return self.autoencoder.features(X, y)[None]

        def features(x: Tensor) -> Tensor:
            return torch.stack([F.normalize(model.compared(net, each), dim=1) for each in model.instances(x)], 1)

        return self.autoencoder.map_images(X, features).swapaxes(0, 1)


class ByPatches(Way):
    """Minus the largest distance of a patch to the k-th nearest normal one: root mean square of pixels in 0..1."""

    name, column, compares = "patches", "minus_patch_distance", True

    def learn(self, normal: Images, y: Any) -> None:
        height, width = (*self.autoencoder.image_shape_, 1)[:2]
        enough = f"patches need images of {LEAST_SIDE} x {LEAST_SIDE} pixels or more, and these are {height} x {width}"
        require(has_patches(self.autoencoder), enough)
        self.patches = patches_of(self.autoencoder, taken(normal, drawn(len(normal), MOST_PATCHED)))

    def scores(self, X: Any, y: Any = None) -> np.ndarray:
        return -self.autoencoder.map_images(X, lambda x: self.patches.distances(x).amax(1))

    def maps(self, X: Any, y: Any = None) -> np.ndarray:
        return self.maps_beside(self.patches, X, y)


class ByMaps(Way):
    """Minus the largest distance of a place of the encoder's maps from normal places."""

    compares = True
    kind: ClassVar[type[PaDiM | PatchCore]]

    def learn(self, normal: Images, y: Any) -> None:
        some = drawn(len(normal), MOST_PATCHED)
        parts = np.array_split(some, -(-len(some) // AT_ONCE))
        maps = (torch.from_numpy(self.autoencoder.map_images(taken(normal, part), self.joined)) for part in parts)
        self.normal = self.kind(maps, self.autoencoder.trained_.device)

    def joined(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) -> a feature of each place, (B, D, h, w)."""
        encoder = getattr(self.autoencoder.net_, "encoder", None)
        maps = [] if encoder is None else maps_of(encoder, x)
        none = f"{self.name} compares places of an encoder's maps, and this encoder has none; take one of convolutions"
        require(len(maps) > 0, none)
        return joined_maps(maps, self.kind.around)

    def distances(self, x: Tensor) -> Tensor:
        """Of each place from normal ones, (B, h, w)."""
        return self.normal.distances(self.joined(x))

    def scores(self, X: Any, y: Any = None) -> np.ndarray:
        return -self.autoencoder.map_images(X, lambda x: self.distances(x).flatten(1).amax(1))

    def maps(self, X: Any, y: Any = None) -> np.ndarray:
        """Squared distances, enlarged and smoothed."""

        def enlarged(x: Tensor) -> Tensor:
            distances = F.interpolate(self.distances(x)[:, None], x.shape[2:], mode="bilinear")
            return blurred(distances, MAP_BLUR)[:, 0].square()

        return self.autoencoder.map_images(X, enlarged)


class ByPatchCore(ByMaps):
    name, column, kind = "patchcore", "minus_feature_distance", PatchCore


class ByPaDiM(ByMaps):
    name, column, kind = "padim", "minus_mahalanobis_distance", PaDiM


def has_patches(autoencoder: Autoencoder) -> bool:
    """Whether images are large enough for patches that are worth comparing."""
    return bool(min((*autoencoder.image_shape_, 1)[:2]) >= LEAST_SIDE)


def patches_of(autoencoder: Autoencoder, normal: Images) -> "Patches":
    seen = torch.from_numpy(autoencoder.map_images(normal, lambda x: x))
    return Patches(seen.to(autoencoder.trained_.device))


WAYS: dict[str, type[Way]] = {
    way.name: way for way in (ByBound, ByError, ByNeighbours, ByPatches, ByPatchCore, ByPaDiM)
}


def sees_colours(image_shape: tuple[int, ...]) -> bool:
    """Whether images (h, w, c) count as photographs."""
    return is_photograph("auto", tensor_shape(image_shape)[0])


def way_for(autoencoder: Autoencoder) -> type[Way]:
    """The way `auto`: of colours, neighbours by what comparison learned; else patches of images, and the error of rows.
    Chosen on held-out training images (docs/log.md)."""
    if can(autoencoder.model_, "compared", "instances") and sees_colours(autoencoder.image_shape_):
        return ByNeighbours
    return ByPatches if has_patches(autoencoder) else ByError


# Of codes and images --------------------------------------------------------------------------------------------------


def neighbour_distance(normal: np.ndarray, queries: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """Mean distance of each query (Q, Z) to the k nearest normal codes (N, Z), or as many as there are: (Q,). A normal
    code at distance 0 is the query itself, and does not count, once.

    >>> neighbour_distance(np.array([[0.0], [1.0], [4.0]]), np.array([[0.0], [2.0]])).tolist()
    [2.5, 1.5]
    """
    from sklearn.neighbors import NearestNeighbors  # not at the top: it slows loading a run

    n = min(k + 1, len(normal))
    distances, _ = NearestNeighbors(n_neighbors=n, algorithm="brute").fit(normal).kneighbors(queries)
    itself = distances[:, 0] <= SAME * np.abs(normal).max()
    mean: np.ndarray = np.where(itself, distances[:, 1:].mean(1), distances[:, : min(k, n)].mean(1))
    return mean


def p_values(scores: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Conformal p-values of scores (n,), by scores of normal images that were not learned from (m,): the probability
    that a normal image scores as low. (1 + #{held out <= score}) / (m + 1) (Bates et al. 2023).

    A normal image has p <= a with probability a at most, for any a.

    >>> p_values(np.array([-9.0, 0.0]), np.array([-1.0, -2.0, -3.0])).tolist()
    [0.25, 1.0]
    """
    as_low: np.ndarray = 1 + np.searchsorted(np.sort(held_out), scores, side="right")
    return as_low / (len(held_out) + 1)


def drawn(n: int, most: int) -> np.ndarray:
    """At most so many of n, the same at every call, ascending."""
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def score_name(autoencoder: Autoencoder) -> str:
    """Name, with unit, of what `score_samples` returns."""
    if can(autoencoder.model_, "prior"):
        return "elbo_nats"
    unit = autoencoder.model_.loss_unit
    return "minus_reconstruction_nats" if unit == "nats" else f"minus_{unit.replace(' ', '_')}"


def fitted_way(by: str, autoencoder: Autoencoder, normal: Images | None, y: Any = None) -> Way:
    """The way called `by`, with what it needs of normal images. Raises InputError where the model has none."""
    require_setting("by", by, By)
    return (way_for(autoencoder) if by == "auto" else WAYS[by])(autoencoder, normal, y)
