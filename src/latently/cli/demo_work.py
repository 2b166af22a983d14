"""The demo on the embedded digits: learn codes without labels, then classify with few labels.

SimCLR's codes, since those that a VAE keeps to rebuild small digits are worth less than their pixels (docs/log.md).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from latently import pictures
from latently.analysis import plots
from latently.data import ImageSet, label_budget, load, split, unit
from latently.estimator import Autoencoder
from latently.estimator.anomalies import fitted_way
from latently.evaluation.figures import evaluate
from latently.models import SimCLR
from latently.runs.folder import Context, Run
from latently.runs.record import DataRecord
from latently.training.state import Watcher

BUDGETS = (20, 50, 200)  # labels in total
N_DRAWS = 20  # of the labels, per budget
MODEL, EPOCHS = SimCLR(latent_dim=40, n_views=2), 30  # chosen on half of the images, by other draws (docs/log.md)


def demo(run: Run, watchers: Sequence[Watcher] = (), seed: int = 0) -> dict[str, Any]:
    """Train SimCLR on all 1,797 digits, evaluate, compare, draw into `run`. -> the metrics, as saved in metrics.json.

    It trains on all images without labels; the classifier trains on a few labels and is tested on all other
    images.
    """
    digits = load("digits")
    estimator = Autoencoder(MODEL, optimiser="muon", epochs=EPOCHS, random_state=seed)
    record = DataRecord.of(digits, split(digits, "all"))
    about = {"data": record.to_json(), "classes": list(digits.classes), "command": "latently demo"}
    run = Run(run.path, run.overwrite, Context(about))
    estimator.fit(digits.images, run=run, watchers=watchers)
    figures = {"split": "the training images"} | evaluate(estimator, digits.images)
    figures |= few_labels(estimator.features(digits.images), digits, seed)
    run.write_metrics(figures)
    drawing = plots.PlotOptions(way=fitted_way("auto", estimator, digits.images))
    for kind in plots.available_kinds(estimator):
        pictures.save(plots.draw(kind, estimator, digits, drawing), run.figure(kind))
    return figures


def few_labels(codes: np.ndarray, digits: ImageSet, seed: int) -> dict[str, float]:
    """Accuracy of one classifier on codes (N, Z), on pixels and on as many principal components, for each budget: mean
    and standard deviation over draws."""
    pixels = unit(digits.pixels.reshape(len(digits), -1))
    components = PCA(codes.shape[1], random_state=seed).fit_transform(pixels)
    figures: dict[str, float] = {}
    for n_labels in BUDGETS:
        for name, features in (("codes", codes), ("pixels", pixels), ("pca", components)):
            draws = [accuracy(features, digits.labels, n_labels, seed + draw) for draw in range(N_DRAWS)]
            figures[f"accuracy_{name}_{n_labels}_labels"] = float(np.mean(draws))
            figures[f"accuracy_{name}_{n_labels}_labels_std"] = float(np.std(draws, ddof=1))
    return figures


def accuracy(features: np.ndarray, labels: np.ndarray, n_labels: int, seed: int) -> float:
    """Of logistic regression trained on `n_labels` drawn images, tested on all others."""
    chosen = label_budget(labels, n_labels, seed)
    others = np.setdiff1d(np.arange(len(labels)), chosen)
    classifier = LogisticRegression(C=10, max_iter=3000).fit(features[chosen], labels[chosen])
    return float(classifier.score(features[others], labels[others]))
