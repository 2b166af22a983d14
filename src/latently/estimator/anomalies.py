"""How anomalous an image is beside normal ones: ways to score it. The lowest score is the most anomalous.

    elbo        the evidence lower bound on log p(x). It pays for ink more than for oddity (Nalisnick et al. 2019)
    error       -|x - decode(encode(x))|^2: what the code cannot rebuild (replicator networks, Hawkins et al. 2002)
    neighbours  minus the mean distance of its features to the k nearest normal ones (Ramaswamy et al. 2000; of learned
                features Bergman et al. 2020)
    patches     minus the largest distance of one of its patches to the k-th nearest normal patch at the same place: the
                score of PatchCore (Roth et al. 2022), with the places of PaDiM (Defard et al. 2021), on pixels

A normal image is no neighbour of itself, so images that were learned from are scored beside the others.
"""

import itertools
import math
from collections.abc import Iterator
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
from latently.models import can

By = Literal["auto", "elbo", "error", "neighbours", "patches"]
NEIGHBOURS = 2
PATCHES = 5  # k; among normal images may be some odd ones, and an odd patch must not find its like among them
MOST_NEIGHBOURS, MOST_PATCHED = 20_000, 2_000  # normal images that are compared with, drawn at random from more
LARGEST_SIDE = 32  # of images whose patches are compared; larger ones are averaged down to it
BLUR, MAP_BLUR = 0.7, 1.0  # standard deviation in pixels, of images and of maps
LEAST_SIDE = 8  # of an image that has patches worth comparing
SAME = 1e-6  # relative distance below which two images are the same, up to rounding


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


def has_patches(autoencoder: Autoencoder) -> bool:
    """Whether images are large enough for patches that are worth comparing."""
    return bool(min((*autoencoder.image_shape_, 1)[:2]) >= LEAST_SIDE)


def patches_of(autoencoder: Autoencoder, normal: Images) -> "Patches":
    seen = torch.from_numpy(autoencoder.map_images(normal, lambda x: x))
    return Patches(seen.to(autoencoder.trained_.device))


WAYS: dict[str, type[Way]] = {way.name: way for way in (ByBound, ByError, ByNeighbours, ByPatches)}


def sees_colours(image_shape: tuple[int, ...]) -> bool:
    """Whether images (h, w, c) have more than one channel."""
    return len(image_shape) == 3 and image_shape[2] > 1


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


class Patches:
    """The patches of normal images x (N, C, H, W), a third of an image's side wide, a quarter of that apart. Those at
    one place are compared with one another, blurred a little: strokes half a pixel apart are nearly the same."""

    def __init__(self, x: Tensor, k: int = PATCHES) -> None:
        self.k = k
        self.sides = [min(side, LARGEST_SIDE) for side in x.shape[2:]]
        self.widths = [max(1, round(side / 3)) for side in self.sides]
        self.steps = [max(1, round(width / 4)) for width in self.widths]
        self.normal = self.prepared(x)

    def prepared(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> blurred, and averaged down to at most `LARGEST_SIDE` pixels."""
        x = F.interpolate(x, self.sides, mode="area") if list(x.shape[2:]) != self.sides else x
        return blurred(x, BLUR)

    def places(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each patch."""
        edges = (
            [*range(0, side - width, step), side - width]
            for side, width, step in zip(self.sides, self.widths, self.steps, strict=True)
        )
        for top, left in itertools.product(*edges):
            yield slice(top, top + self.widths[0]), slice(left, left + self.widths[1])

    def distances(self, x: Tensor) -> Tensor:
        """Of each patch of x (B, C, H, W) to the k-th nearest normal one: root mean square, (B, patches)."""
        x = self.prepared(x)
        found = [
            nearest(self.normal[:, :, down, across].flatten(1), x[:, :, down, across].flatten(1), self.k)[0]
            for down, across in self.places()
        ]
        return torch.stack(found, 1) / math.sqrt(x.shape[1] * math.prod(self.widths))

    def maps(self, x: Tensor) -> Tensor:
        """The squared difference of each pixel from those normal patches, mean over the patches that hold it and over
        channels, (B, H, W)."""
        sides, x = x.shape[2:], self.prepared(x)
        total, count = x.new_zeros(len(x), *self.sides), x.new_zeros(self.sides)
        for down, across in self.places():
            normal, seen = self.normal[:, :, down, across], x[:, :, down, across]
            closest = normal[nearest(normal.flatten(1), seen.flatten(1), self.k)[1]]
            total[:, down, across] += (seen - closest).square().mean(1)
            count[down, across] += 1
        return F.interpolate((total / count)[:, None], sides, mode="bilinear")[:, 0]


def blurred(x: Tensor, deviation: float) -> Tensor:
    """(B, C, H, W) with each pixel the Gaussian mean about it, of this standard deviation in pixels."""
    reach = math.ceil(2.5 * deviation)
    steps = torch.arange(-reach, reach + 1, device=x.device)
    bell = torch.exp(-(steps**2) / (2 * deviation**2))
    square = (bell[:, None] * bell / bell.sum() ** 2).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(F.pad(x, (reach,) * 4, mode="replicate"), square, groups=x.shape[1])


def nearest(normal: Tensor, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Of each query (B, D): its distance to the k-th nearest normal row (N, D) that is not itself, or to the last there
    is, and that row's place: (B,) and (B,)."""
    centre = normal.mean(0)  # about which squares are small, and rounding with them
    normal, queries = normal - centre, queries - centre
    squares = queries.square().sum(1, keepdim=True)
    distances = squares + normal.square().sum(1) - 2 * queries @ normal.T
    found, at = distances.topk(min(k + 1, len(normal)), largest=False)
    itself = found[:, :1] <= 10 * SAME * squares
    last = torch.where(itself, k, k - 1).clamp(max=found.shape[1] - 1)  # (B, 1)
    return found.gather(1, last)[:, 0].clamp(min=0).sqrt(), at.gather(1, last)[:, 0]


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
