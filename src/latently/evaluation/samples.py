"""Samples against real images, in the features of a judge: one of our classifiers.

The features are the judge's input to its softmax layer, so a distance depends on the judge, and two models can only be
compared with the same judge. Each metric comes with a reference: its value for real training images in place of
samples.
"""

from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from latently.common.errors import require
from latently.data.classes import as_labels, is_missing
from latently.estimator import Autoencoder, Classifier
from latently.estimator.autoencoder import Sampler
from latently.models import can

NEIGHBOURS = 3  # a ball around each real image reaches its third nearest neighbour


def judge_figures(judge: Classifier, real: Any, drawn: Any, train: Any) -> dict[str, float]:
    """Images real (N, ...), drawn (M, ...) and train, in the judge's input format; as many of train as of drawn.

    Returns `judge_frechet`, `judge_precision` and `judge_recall` of drawn against real, and `judge_frechet_floor`,
    `judge_precision_ceiling` and `judge_recall_ceiling` of train against real: what a perfect model would get.
    Raises InputError if one of them has three images or fewer.
    """
    fewest = min(map(len, (real, drawn, train)))
    require(fewest > NEIGHBOURS, f"got {fewest} image(s) to compare with others; expected at least {NEIGHBOURS + 1}")
    features = judge.features(real)
    own, theirs = (
        frechet_precision_recall(features, judge.features(images)) for images in (drawn, train[: len(drawn)])
    )
    return {
        "judge_frechet": own[0],
        "judge_frechet_floor": theirs[0],
        "judge_precision": own[1],
        "judge_precision_ceiling": theirs[1],
        "judge_recall": own[2],
        "judge_recall_ceiling": theirs[2],
    }


def frechet_precision_recall(real: np.ndarray, drawn: np.ndarray) -> tuple[float, float, float]:
    """Frechet distance, precision and recall of features (N, D) and (M, D)."""
    return frechet_distance(real, drawn), *precision_recall(real, drawn)


def judged_sampler(estimator: Autoencoder) -> Sampler | None:
    """The model's own prior; of a model without one, a prior that was learned afterwards; None: neither."""
    learned: Sampler | None = "flow-matching" if hasattr(estimator, "prior_") else None
    return "prior" if can(estimator.model_, "prior") else learned


def drawn_images(estimator: Autoencoder, n: int, y: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """n decoder means of codes from the `judged_sampler`; of a sampler that knows classes also their requested labels,
    drawn from those of y that are known.

    Raises InputError for a model without a prior.
    """
    sampler = judged_sampler(estimator) or "prior"
    learned = sampler == "flow-matching" and estimator.current_prior().knows_classes
    asked = None
    if estimator.model_.takes_labels or learned:
        labels = as_labels(y)
        asked = np.random.default_rng(0).choice(labels[~is_missing(labels)], n)
    return estimator.sample(n, random_state=0, y=asked, sampler=sampler), asked


def frechet_distance(real: np.ndarray, drawn: np.ndarray) -> float:
    """Between the normals fitted to features (N, D) and (M, D): |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).

    Dowson & Landau 1982; Heusel et al. 2017 compute it in the features of a network. It is a squared distance, at least
    0, and decreases with N and M: compare at equal numbers of images.

    >>> points = np.array([[-1.0], [1.0]])
    >>> round(frechet_distance(points, 3 * points + 5), 6)  # 5^2, and (3 - 1)^2 of the variance 2
    33.0
    """
    (mean_1, cov_1), (mean_2, cov_2) = map(mean_and_covariance, (real, drawn))
    values, vectors = np.linalg.eigh(cov_1)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T  # C1^(1/2)
    # C1^(1/2) C2 C1^(1/2) has the eigenvalues of C1 C2 and is symmetric: no complex numbers, and rank < D is fine
    shared = np.sqrt(np.linalg.eigvalsh(root @ cov_2 @ root).clip(0)).sum()
    distance = np.square(mean_1 - mean_2).sum() + np.trace(cov_1) + np.trace(cov_2) - 2 * shared
    return max(float(distance), 0.0)  # rounding


def mean_and_covariance(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) -> (D,) and (D, D), unbiased, float64."""
    return features.mean(0, dtype=np.float64), np.atleast_2d(np.cov(features, rowvar=False, dtype=np.float64))


def precision_recall(real: np.ndarray, drawn: np.ndarray, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """Precision and recall of samples (Kynkaanniemi et al. 2019, eq. 1 and 2).

    real (N, D) and drawn (M, D) are features of images. A ball around each real image reaches its third nearest
    neighbour; precision is the fraction of the drawn images inside any ball, recall the same with the roles swapped.

    >>> precision_recall(np.arange(8.0)[:, None], np.array([[0.0], [1.5], [3.2], [99.0]]), neighbours=1)
    (0.75, 1.0)
    """
    return fraction_covered(drawn, real, neighbours), fraction_covered(real, drawn, neighbours)


def fraction_covered(points: np.ndarray, by: np.ndarray, neighbours: int) -> float:
    """The fraction of points (M, D) inside the ball of any of the others (N, D)."""
    reach = (
        NearestNeighbors().fit(by).kneighbors(by, neighbours + 1)[0][:, -1]
    )  # the nearest neighbour of a point is itself
    inside, by = np.zeros(len(points), bool), by.astype(np.float64)
    lengths = np.square(by).sum(1)  # (N,)
    for start in range(0, len(points), 1000):
        part = points[start : start + 1000].astype(np.float64)
        squared = np.square(part).sum(1)[:, None] + lengths - 2 * part @ by.T
        inside[start : start + 1000] = (squared <= np.square(reach)).any(1)
    return float(inside.mean())
