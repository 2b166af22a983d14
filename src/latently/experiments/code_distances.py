"""`code-distances`: are codes of the same class close together, and does clustering find the classes?

Study 4 drew 10 same-digit and 10 different-digit test pairs to compare their codes, but never ran the comparison; it
also suggested clustering the codes.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture

from latently import pictures
from latently.data import unit
from latently.evaluation.codes import clustering_figures
from latently.evaluation.intervals import estimate, percent
from latently.experiments.encoders import CODES, ENCODERS, EPOCHS, cached, codes, encoder, trial_settings
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial

LATENT_DIM = 20
SPACES = {"pixels": "pixels", "ae": "AE codes", "vae": "VAE codes"}
N_PAIRS = 10  # of each kind in study 4
SAMPLE = 2000  # test images, all pairs of which are compared
BINS = 60
Figures = dict[str, Any]


def run(bench: Bench) -> Result:
    seeds = range(bench.seeds)
    found = bench.map(lambda name: bench.map(partial(space, bench, name), seeds), SPACES)
    figures = dict(zip(SPACES, found, strict=True))
    draw(bench, figures)
    return Result([row(name, seeds) for name, seeds in figures.items()], notes(bench))


def space(bench: Bench, name: str, seed: int) -> Figures:
    """Metrics of one space; the seed is used for the encoder, the sample and the clustering."""
    trial: Trial | None = None if name == "pixels" else encoder(bench, name, (bench.codes or (LATENT_DIM,))[0], seed)
    settings = {"seed": seed, "sample": SAMPLE, "encoder": trial and trial_settings(bench, trial)}

    def compute() -> Figures:
        parts, labels = bench.split("auto"), bench.images.labels
        X = unit(bench.images.pixels.reshape(len(labels), -1)) if trial is None else codes(bench, trial)
        rng = np.random.default_rng(seed)
        sample = rng.permutation(parts.test)[:SAMPLE]
        return distances(X[sample].astype(float), labels[sample], rng) | clusters(
            X, labels, parts.train, parts.test, seed
        )

    return cached(bench, f"{name}-distances-seed{seed}", settings, compute, lambda: trial and bench.trained(trial))


def distances(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Figures:
    """All pairs of X (n, values), in units of the mean distance: means and histograms of both kinds, the probability
    that a same-digit pair is closer, study 4's few pairs, and how often the nearest neighbour has the same digit."""
    squares = np.square(X).sum(1)
    d = np.sqrt(np.maximum(squares[:, None] + squares - 2 * X @ X.T, 0))  # (n, n)
    i, j = np.triu_indices(len(X), 1)
    apart, same = d[i, j] / d[i, j].mean(), y[i] == y[j]
    few = [rng.choice(apart[kind], N_PAIRS, replace=False).round(3).tolist() for kind in (same, ~same)]
    edges = np.linspace(0, 2, BINS + 1)
    shares = [np.histogram(apart[kind], edges)[0] / kind.sum() for kind in (same, ~same)]
    np.fill_diagonal(d, np.inf)
    return {
        "same": apart[same].mean(),
        "different": apart[~same].mean(),
        "same_is_closer": roc_auc_score(~same, apart),
        "nearest_is_same": np.mean(y[d.argmin(1)] == y),
        "ten_same": few[0],
        "ten_different": few[1],
        "histogram_same": shares[0].tolist(),
        "histogram_different": shares[1].tolist(),
    }


def clusters(X: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int) -> Figures:
    """As many clusters as classes, fitted without labels on `train`, evaluated on `test`. A Gaussian mixture with full
    covariances is singular on pixels, so it is left out there."""
    k = len(np.unique(y[y >= 0]))
    found = {"k_means": KMeans(k, n_init=5, random_state=seed)}
    if X.shape[1] <= 100:
        found["mixture"] = GaussianMixture(k, n_init=2, reg_covar=1e-4, random_state=seed)
    figures_by_method: Figures = {}
    for name, method in found.items():
        groups = method.fit(X[train]).predict(X[test])
        figures = clustering_figures(y[test], groups)
        figures_by_method |= {f"{name}_{key.removeprefix('clustering_')}": value for key, value in figures.items()}
    return figures_by_method


# Results ------------------------------------------------------------------------------------------


def row(name: str, seeds: Sequence[Figures]) -> Row:
    def over(key: str) -> Any:
        return estimate([each[key] for each in seeds]) if key in seeds[0] else None

    def shares(key: str) -> Any:
        return percent(over(key)) if key in seeds[0] else None

    few = [sum(each["ten_same"]) / sum(each["ten_different"]) for each in seeds]
    return {
        "space": SPACES[name],
        "seeds": len(seeds),
        "same_to_different": estimate([each["same"] / each["different"] for each in seeds]),
        "ten_pairs_each": estimate(few),
        "same_pair_is_closer": shares("same_is_closer"),
        "nearest_is_same": shares("nearest_is_same"),
        "k_means_accuracy": shares("k_means_accuracy"),
        "k_means_nmi": over("k_means_nmi"),
        "k_means_ari": over("k_means_ari"),
        "mixture_accuracy": shares("mixture_accuracy"),
        "mixture_nmi": over("mixture_nmi"),
        "mixture_ari": over("mixture_ari"),
    }


def draw(bench: Bench, figures: dict[str, list[Figures]]) -> None:
    """Distances of both kinds of pairs, seed 0."""
    middles = (np.linspace(0, 2, BINS + 1)[1:] + np.linspace(0, 2, BINS + 1)[:-1]) / 2
    for name, seeds in figures.items():
        series = {
            "same digit": (middles, 100 * np.array(seeds[0]["histogram_same"])),
            "different digits": (middles, 100 * np.array(seeds[0]["histogram_different"])),
        }
        title = f"Distances between two test images in {SPACES[name]}"
        figure = pictures.lines(series, "distance, in units of the mean", "% of pairs", title)
        pictures.save(figure, bench.folder / "figures" / f"distances-{name}.png")


def notes(bench: Bench) -> list[str]:
    return [
        f"{ENCODERS.format(EPOCHS)} {CODES} Seeds apply to the encoder, the sample and the clustering; for pixels, "
        "to the latter two.",
        f"Distances: all pairs of {SAMPLE:,} test images. same_to_different: mean distance of same-digit pairs over "
        f"that of different-digit pairs; ten_pairs_each: the same for study 4's {N_PAIRS} + {N_PAIRS} pairs. "
        "same_pair_is_closer: how often, in %, a same-digit pair is closer than a different-digit pair (50: chance).",
        "Clusters: as many as digits, fitted on training images without labels, evaluated on test images: accuracy "
        "in % under the best matching of clusters to digits, normalised mutual information, adjusted Rand index.",
    ]


STUDY = Study(
    name="code-distances",
    summary="Same-digit against different-digit pairs, and clustering, in pixels, AE codes and VAE codes.",
    cost="two cores: about 10 minutes, most of it six encoders; one GPU: not measured",
    run=run,
    quick_columns=("space", "seeds"),
    needs_labels=True,
    accepts=("codes",),
)
