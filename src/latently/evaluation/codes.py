"""Codes and labels -> metrics of a linear probe, of nearest neighbours and of k-means clusters.

All three are fitted on training codes and evaluated on codes of other images. The probe gets standardised codes, so
that the scale of a dimension does not matter; neighbours and clusters get the codes as they are, so that a dimension
with little variance counts little.
"""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from latently.common.console import good_enough
from latently.data.classes import class_indices, encode_labels
from latently.data.reading import require_memory

N_NEIGHBOURS = 10
N_STARTS = 5  # of k-means; the run with the lowest inertia is kept
MOST_STEPS = 1000  # of the probe's solver; MNIST takes 20 to 100
STRENGTHS = (0.01, 0.1, 1.0)  # inverse penalty of the probe, chosen on a tenth of the training codes
LEAST_TO_CHOOSE = 20  # labels of the rarest class; with fewer, the inverse penalty is 1


def code_figures(train: np.ndarray, y_train: Any, judged: np.ndarray, y_judged: Any, seed: int = 0) -> dict[str, Any]:
    """Codes (N, Z) and (M, Z) float32 with labels (N,) and (M,) of any type; -1, NaN, None and "" = unlabelled.

    Returns `code_dimensions`; `probe_accuracy` of multinomial logistic regression, whose penalty is chosen on a tenth
    of the training codes; `knn_accuracy` by the `knn_neighbours` nearest training codes (Euclidean distance); and for
    k-means with as many clusters as classes, `clustering_accuracy` under the best matching, `nmi` and `ari`. Clusters
    are fitted on all training codes, the others on the labelled ones (`probe_labels` of them). A test image of a class
    that is not in the training labels counts as wrong. Raises InputError unless both have labels of at least two
    classes.

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(200) % 2
    >>> codes = (rng.normal(size=(200, 3)) + 9 * y[:, None]).astype(np.float32)
    >>> figures = code_figures(codes[:100], y[:100], codes[100:], y[100:])
    >>> figures["probe_accuracy"], figures["knn_accuracy"], figures["clustering_accuracy"], figures["nmi"]
    (1.0, 1.0, 1.0, 1.0)
    """
    require_memory(3 * train.nbytes, f"evaluating {len(train):,} codes of {train.shape[1]:,} dimensions")
    classes, y = encode_labels(y_train)
    true = class_indices(y_judged, classes)
    _, groups = encode_labels(y_judged)  # for clusters, a class that only the test images have counts, too
    known = groups >= 0
    judged, true, groups = judged[known], true[known], groups[known]
    labelled = y >= 0
    k_means = KMeans(len(classes), n_init=N_STARTS, random_state=seed).fit(train)
    if not labelled.all():
        train, y = train[labelled], y[labelled]
    return {
        "code_dimensions": train.shape[1],
        "probe_accuracy": probe_accuracy(train, y, judged, true, seed),
        "probe_labels": len(train),
        "knn_accuracy": knn_accuracy(train, y, judged, true),
        "knn_neighbours": min(N_NEIGHBOURS, len(train)),
        **clustering_figures(groups, k_means.predict(judged)),
    }


def baseline_figures(
    train: np.ndarray, y_train: Any, judged: np.ndarray, y_judged: Any, n_components: int, seed: int = 0
) -> dict[str, float]:
    """What codes must beat: probe and neighbours as in `code_figures`, of the pixels (N, D) and (M, D) float32 as they
    are, and of their first `n_components` principal components (or as many as there are).

    Returns `pixels_probe_accuracy`, `pixels_knn_accuracy`, `pca_probe_accuracy` and `pca_knn_accuracy`.
    """
    classes, y = encode_labels(y_train)
    true = class_indices(y_judged, classes)
    known = encode_labels(y_judged)[1] >= 0
    judged, true = judged[known], true[known]
    pca = PCA(min(n_components, *train.shape), random_state=seed).fit(train)
    train, y = train[y >= 0], y[y >= 0]
    seen = {"pixels": (train, judged), "pca": (pca.transform(train), pca.transform(judged))}
    return {
        f"{name}_{head.__name__}": head(features, y, others, true, *own)
        for head, own in ((probe_accuracy, (seed,)), (knn_accuracy, ()))
        for name, (features, others) in seen.items()
    }


def probe_accuracy(train: np.ndarray, y: np.ndarray, judged: np.ndarray, true: np.ndarray, seed: int) -> float:
    """Of a linear probe on standardised features (N, Z) with classes y (N,), on others."""
    scaler = StandardScaler().fit(train)
    probe = linear_probe(scaler.transform(train), y, seed)
    return float((probe.predict(scaler.transform(judged)) == true).mean())


def knn_accuracy(train: np.ndarray, y: np.ndarray, judged: np.ndarray, true: np.ndarray) -> float:
    """Of the nearest neighbours among features (N, Z) with classes y (N,)."""
    neighbours = KNeighborsClassifier(min(N_NEIGHBOURS, len(train)), algorithm="brute").fit(train, y)
    return float((neighbours.predict(judged) == true).mean())


@good_enough()
def linear_probe(features: np.ndarray, y: np.ndarray, seed: int) -> LogisticRegression:
    """Fitted on features (N, Z) with classes y (N,). Without a penalty it overfits codes of thousands of dimensions; a
    tenth of the images chooses the penalty. Each fit starts from the one before: a quarter fewer steps on MNIST."""
    probe = LogisticRegression(max_iter=MOST_STEPS, warm_start=True)
    if np.unique(y, return_counts=True)[1].min() < LEAST_TO_CHOOSE:
        return probe.fit(features, y)
    learned, held_out = next(StratifiedShuffleSplit(1, test_size=0.1, random_state=seed).split(features, y))
    x, x_held_out = features[learned], features[held_out]
    scores, weights = [], []
    for strength in STRENGTHS:
        probe.set_params(C=strength).fit(x, y[learned])
        scores.append(probe.score(x_held_out, y[held_out]))
        weights.append((probe.coef_, probe.intercept_))
    best = int(np.argmax(scores))
    probe.coef_, probe.intercept_ = weights[best]
    return probe.set_params(C=STRENGTHS[best]).fit(features, y)


def clustering_figures(y: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Clusters against classes, both (N,) ints from 0: `clustering_accuracy` under the best matching, `nmi` (mutual
    information over the mean of both entropies) and `ari` (adjusted Rand index)."""
    return {
        "clustering_accuracy": matched_accuracy(y, groups),
        "nmi": float(normalized_mutual_info_score(y, groups)),
        "ari": float(adjusted_rand_score(y, groups)),
    }


def matched_accuracy(y: np.ndarray, groups: np.ndarray) -> float:
    """Accuracy under the best one-to-one matching of clusters to classes (Kuhn 1955).

    >>> matched_accuracy(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1]))
    0.75
    """
    table = np.zeros((y.max() + 1, groups.max() + 1))
    np.add.at(table, (y, groups), 1)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(y))
