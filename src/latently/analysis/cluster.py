"""Groups of images: codes, or their UMAP, divided by a mixture of Gaussians, k-means or HDBSCAN.

UMAP, then a mixture, is N2D (McConville et al. 2021). The number of groups that is not told is that of the highest mean
silhouette (Rousseeuw 1987) of k-means. Each group has a stability (Hennig 2007): its likeness, as the Jaccard index, to
the closest group of a half of the points that is divided anew, averaged over halves. Groups below 0.75 are doubtful.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from latently import pictures
from latently.common.errors import require
from latently.data import ImageSet
from latently.evaluation.codes import N_STARTS, clustering_figures
from latently.pictures import Figure
from latently.runs import outputs

Method = Literal["mixture", "k-means", "hdbscan"]
Space = Literal["auto", "umap", "codes"]
NEIGHBOURS, EMBEDDED = 20, 10  # of UMAP: neighbours of a point, and dimensions
LEAST_IMAGES = 2 * NEIGHBOURS
MOST_GROUPS = 30  # of those that are tried
AT_MOST = 5000  # points on which the number of groups and the stability are found
HALVES = 10
LEAST_SHARE = 0.01  # of the points that a group of HDBSCAN holds
SHOWN = 6  # images of each kind in a row of the sheet


def resolved(space: Space) -> Space:
    """auto: UMAP where it is installed."""
    return space if space != "auto" else "umap" if find_spec("umap") else "codes"


def points_of(features: np.ndarray, space: Space, seed: int = 0) -> np.ndarray:
    """The features (N, D), or their UMAP (N, 10), float64, as mixtures want it."""
    require(len(features) >= LEAST_IMAGES, f"got {len(features)} images; groups need at least {LEAST_IMAGES}")
    require(bool((features != features[0]).any()), "all images have the same code: the posterior has collapsed")
    if resolved(space) == "codes":
        return features.astype(float)
    import umap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed allows one thread alone
        library: Any = umap.UMAP(NEIGHBOURS, min(EMBEDDED, features.shape[1]), min_dist=0.0, random_state=seed)
        return np.asarray(library.fit_transform(features), dtype=float)


def divide(points: np.ndarray, method: Method, n_groups: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The group of each point (N, D), from 0, -1 = none (of HDBSCAN), and how certain that is, 0..1: a mixture's
    p(group | point); of k-means 1 - (distance to the own centre) / (distance to the next); HDBSCAN's own strength.

    n_groups: HDBSCAN finds its own number.
    """
    if method == "hdbscan":
        least = max(5, round(LEAST_SHARE * len(points)))
        found = HDBSCAN(min_cluster_size=least, copy=True).fit(points)
        return found.labels_, found.probabilities_
    if method == "k-means":
        centres = k_means(points, n_groups, seed)
        near, second = np.sort(centres.transform(points), 1)[:, :2].T
        return centres.labels_, 1 - near / np.maximum(second, np.finfo(float).tiny)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred steps are enough for groups
        scale = float(points.var(0).mean())
        mixture = GaussianMixture(n_groups, n_init=N_STARTS, reg_covar=1e-4 * scale, random_state=seed).fit(points)
    p = mixture.predict_proba(points)
    return p.argmax(1), p.max(1)


def k_means(points: np.ndarray, n_groups: int, seed: int) -> KMeans:
    return KMeans(n_groups, n_init=N_STARTS, random_state=seed).fit(points)


def likely_number(points: np.ndarray, seed: int = 0) -> int:
    """The number of groups, 2 to 30, with the highest mean silhouette of k-means, on 5,000 of the points.

    >>> rng = np.random.default_rng(0)
    >>> likely_number(rng.normal(size=(90, 2)) + 20 * (np.arange(90) % 3)[:, None])
    3
    """
    some = drawn(points, min(len(points), AT_MOST), seed)
    numbers = range(2, min(MOST_GROUPS, len(some) // 2) + 1)
    return max(numbers, key=lambda n: float(silhouette_score(some, k_means(some, n, seed).labels_)))


def drawn(rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """n of the rows."""
    return rows[np.random.default_rng(seed).permutation(len(rows))[:n]]


def stability(points: np.ndarray, groups: np.ndarray, method: Method, n_groups: int, seed: int = 0) -> np.ndarray:
    """Of each group (G,), 0..1: the Jaccard index to the closest group of half of the points divided anew, averaged
    over ten halves of at most 5,000 points (Hennig 2007). Points of no group count as others."""
    n = groups.max() + 1
    likeness = np.zeros((HALVES, n))
    for half in range(HALVES):
        some = drawn(np.arange(len(points)), min(len(points) // 2, AT_MOST), seed + half)
        again, _ = divide(points[some], method, n_groups, seed + half)
        both = np.zeros((n + 1, again.max() + 2))  # the last row and column: of no group
        np.add.at(both, (groups[some], again), 1)
        either = both.sum(1, keepdims=True) + both.sum(0) - both
        index = both / np.maximum(either, 1)
        likeness[half] = index[:n, :-1].max(1, initial=0)
    return likeness.mean(0)


@dataclass(frozen=True)
class Groups:
    """Images in groups, the largest first. group: (N,) from 0, -1 = none; certainty: (N,) 0..1; points: (N, D) in which
    they were found; stability: (G,)."""

    images: ImageSet
    points: np.ndarray
    group: np.ndarray
    certainty: np.ndarray
    stability: np.ndarray

    @property
    def names(self) -> list[str]:
        """group 01, group 02 ..., which sort as they are numbered."""
        n = len(self.stability)
        return [f"group {place:0{len(str(n))}}" for place in range(1, n + 1)]

    @property
    def named(self) -> np.ndarray:
        """(N,) the name of each image's group; empty for none."""
        return np.array([*self.names, ""])[self.group]

    @cached_property
    def distance(self) -> np.ndarray:
        """(N,) to the mean of the own group: the least is the most typical. NaN for none."""
        means = np.stack([self.points[self.group == group].mean(0) for group in range(len(self.stability))])
        apart = np.linalg.norm(self.points - means[self.group], axis=1)
        return np.where(self.group >= 0, apart, np.nan)

    def columns(self) -> dict[str, np.ndarray]:
        """Of groups.csv, beside the name."""
        told = {"group": self.named, "certainty": self.certainty, "distance": self.distance}
        return told | ({"label": self.images.label_names} if self.images.classes else {})

    def rows(self) -> list[dict[str, Any]]:
        """Of the table, one per group; with the most frequent label, and its share, where there are labels."""
        return [self.row(group) for group in range(len(self.stability))]

    def row(self, group: int) -> dict[str, Any]:
        members = self.group == group
        told = {"group": self.names[group], "images": int(members.sum()), "stability": float(self.stability[group])}
        told |= {"certainty": float(self.certainty[members].mean())}
        labels = self.images.labels[members]
        labels = labels[labels >= 0]
        if len(labels):
            counts = np.bincount(labels)
            told |= {"label": self.images.classes[int(counts.argmax())], "share": float(counts.max() / len(labels))}
        return told

    def figures(self) -> dict[str, Any]:
        """n_images, n_groups, n_ungrouped, mean stability; with labels those of `clustering_figures`, in which images
        of no group are one more."""
        told: dict[str, Any] = {"n_images": len(self.group), "n_groups": len(self.stability)}
        told |= {"n_ungrouped": int((self.group < 0).sum()), "stability": float(self.stability.mean())}
        known = self.images.labels >= 0
        if not known.any():
            return told
        groups = np.where(self.group < 0, len(self.stability), self.group)
        return told | clustering_figures(self.images.labels[known], groups[known])

    def picture(self, seen: np.ndarray) -> Figure:
        """A row per group: its most typical images, then its most doubtful. seen: the images as they are drawn."""
        rows = []
        for group in range(len(self.stability)):
            members = np.flatnonzero(self.group == group)
            typical = members[np.argsort(self.distance[members], kind="stable")[:SHOWN]]
            doubtful = members[np.argsort(self.certainty[members], kind="stable")[:SHOWN]]
            rows.append([filled(seen[typical]), filled(seen[doubtful])])
        columns = ["typical", *[""] * (SHOWN - 1), "unsure", *[""] * (SHOWN - 1)]
        captions = [f"{row['group']} ({row['images']:,})" for row in self.rows()]
        block = np.stack([np.concatenate(row) for row in rows])
        return pictures.grid(block, captions, columns, "The most typical and the most doubtful images of each group")

    def write(self, folder: Path) -> None:
        """groups.csv, and labels.csv: the groups as labels, which `--labels` reads; images of no group have no line."""
        outputs.write_arrays(folder / "groups.csv", self.images.names, self.columns())
        known = self.group >= 0
        outputs.write_arrays(folder / "labels.csv", self.images.names[known], {"label": self.named[known]})


def filled(images: np.ndarray) -> np.ndarray:
    """(n, ...) -> (6, ...), white where there are fewer."""
    white = np.ones((SHOWN - len(images), *images.shape[1:]), images.dtype)
    return np.concatenate([images, white])


def find_groups(
    images: ImageSet, features: np.ndarray, method: Method, space: Space, n_groups: int | None, seed: int = 0
) -> Groups:
    """Divide images by their features (N, D). n_groups: None: `likely_number`.

    Raises InputError for fewer than 40 images, for more groups than half of them, and where HDBSCAN finds none.
    """
    points = points_of(features, space, seed)
    n = n_groups or (0 if method == "hdbscan" else likely_number(points, seed))
    most = len(points) // 2
    require(n <= most, f"--groups is {n}; {len(points):,} images have at most {most:,} groups worth the name")
    group, certainty = divide(points, method, n, seed)
    require(group.max() >= 0, "HDBSCAN finds no group that is denser than what is around it; give another --method")
    counts = np.bincount(group[group >= 0])
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]  # a component of a mixture may have no point of its own
    place_of = np.full(len(counts) + 1, -1)
    place_of[order] = np.arange(len(order))
    group = place_of[group]
    return Groups(images, points, group, certainty, stability(points, group, method, n, seed))
