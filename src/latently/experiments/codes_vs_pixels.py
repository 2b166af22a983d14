"""`codes-vs-pixels`: with 2,000 labels, which codes are best for a classifier, and is the VAE better than the AE?

Varies the code width, the kind of encoder, the features taken from q(z|x), the weight of the KL, and study 1's leaky
ReLU on the code; baselines are the same labels on pixels, with the same classifiers and with an augmented CNN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from latently import pictures
from latently.analysis import label_curve
from latently.analysis.label_curve import Task
from latently.data import unit
from latently.estimator import Classifier
from latently.evaluation.intervals import Estimate, estimate, percent
from latently.experiments.encoders import (  # fmt: skip
    CODES,
    EPOCHS,
    SWEEP_EPOCHS,
    Feature,
    cached,
    codes,
    encoder,
    trial_settings,
)
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial
from latently.models import FeedForward
from latently.models.networks import Trunk
from latently.training.settings import Training

N_LABELS, QUICK_LABELS = 2000, 200
DRAWS = 5
WIDTHS, SWEPT = (2, 5, 20, 50), 20
HEADS: dict[str, Callable[[], Any]] = {
    "svm": lambda: SVC(C=10.0),
    "neighbours": lambda: KNeighborsClassifier(5, weights="distance"),
    "logistic": lambda: LogisticRegression(max_iter=2000, tol=1e-3),
}
CONVOLUTIONAL = "conv(16, 5) pool(2) conv(32, 5) pool(2) dense(128, dropout=0.3)"
WARPED_IMAGES = 132_000  # training examples of the convolutional net, whatever the number of labels
NAMES = {"ae": "AE", "ae-leaky": "AE, leaky ReLU on the code", "vae": "VAE"}


@dataclass(frozen=True)
class Given:
    """Input of a classifier: a feature of an encoder's output; kind None: the pixels."""

    kind: str | None
    latent_dim: int = 0
    feature: Feature = "mean"

    def trial(self, bench: Bench, seed: int) -> Trial | None:
        if self.kind is None:
            return None
        epochs = EPOCHS if self.latent_dim == SWEPT else SWEEP_EPOCHS
        return encoder(bench, self.kind, self.latent_dim, seed, epochs=epochs)

    def __str__(self) -> str:
        return "pixels" if self.kind is None else f"{self.kind}-z{self.latent_dim}-{self.feature.replace(' ', '-')}"


def run(bench: Bench) -> Result:
    widths = bench.codes or WIDTHS
    lines = [Given(None)]
    for width in widths:
        lines += [Given(kind, width) for kind in ("ae", "ae-leaky", "vae")]
        lines += [Given("vae", width, feature) for feature in ("mean and log-variance", "sample")]
    if SWEPT in widths:
        lines += [Given(f"vae-beta{beta}", SWEPT) for beta in ("0", "0.5", "4")]
    asked = [*(partial(row, bench, given) for given in lines), partial(convolutional_row, bench)]
    rows = bench.map(lambda line: line(), asked)
    draw(bench, rows)
    return Result(rows, notes(bench))


# Classifiers --------------------------------------------------------------------------------------


def row(bench: Bench, given: Given) -> Row:
    """Draw d of the labels uses seed d for the weights, and the encoders' seeds in turn."""
    draws = bench.map(partial(one_draw, bench, given), range(2 if bench.quick else DRAWS))
    trial = given.trial(bench, 0)
    figures = {name: percent(estimate([each[name] for each in draws])) for name in draws[0]}
    about: Row = {"input": "pixels" if trial is None else words(given.kind), "width": given.latent_dim or None}
    about |= {"feature": None if trial is None else given.feature, "encoder_epochs": trial and trial.training.epochs}
    return about | figures


def words(kind: str | None) -> str:
    """
    >>> words("vae-beta0.5"), words("ae")
    ('VAE, beta 0.5', 'AE')
    """
    name, _, beta = str(kind).partition("-beta")
    return NAMES[name] + (f", beta {beta}" if beta else "")


def one_draw(bench: Bench, given: Given, draw: int) -> dict[str, float]:
    """Test accuracy of each head."""
    trial = given.trial(bench, draw % bench.seeds)
    n = QUICK_LABELS if bench.quick else N_LABELS
    training = Training(epochs=1) if bench.quick else label_curve.training(n)
    settings: dict[str, Any] = {"draw": draw, "labels": n, "head": label_curve.HEAD, "training": training.to_json()}
    settings |= {"heads": list(HEADS), "feature": given.feature, "encoder": trial and trial_settings(bench, trial)}

    def fit() -> dict[str, float]:
        X, task = seen(bench, trial, given.feature), task_of(bench)
        drawn = task.drawn(n, draw)
        dense = label_curve.stacked_accuracies(X, task, [n], draw, settings=training)[0]
        rows = unit(X.reshape(len(X), -1))
        fitted = {name: make().fit(rows[drawn], task.labels[drawn]) for name, make in HEADS.items()}
        return {"dense_100": dense} | {
            name: float(head.score(rows[task.test], task.labels[task.test])) for name, head in fitted.items()
        }

    return cached(bench, f"{given}-{n}-labels-draw{draw}", settings, fit, lambda: trial and bench.trained(trial))


def seen(bench: Bench, trial: Trial | None, feature: Feature) -> np.ndarray:
    return bench.images.pixels if trial is None else codes(bench, trial, feature)


def task_of(bench: Bench) -> Task:
    parts = bench.split("auto")
    return Task(bench.images.labels, parts.train, parts.test)


def convolutional_row(bench: Bench) -> Row:
    """The same labels, without codes: a convolutional net with randomly shifted, rotated and warped digits."""
    n, task = QUICK_LABELS if bench.quick else N_LABELS, task_of(bench)
    epochs = 2 if bench.quick else round(WARPED_IMAGES / n)
    model = FeedForward(Trunk(CONVOLUTIONAL))

    def one_draw(draw: int) -> float:
        def fit() -> float:
            classifier = Classifier(model, epochs=epochs, random_state=draw)
            drawn = task.drawn(n, draw)
            classifier.fit(bench.images.images[drawn], task.labels[drawn])
            return classifier.score(bench.images.images[task.test], task.labels[task.test])

        settings = {"draw": draw, "labels": n, "epochs": epochs, "model": model.to_json()}
        return cached(bench, f"convolutional-{n}-labels-draw{draw}", settings, fit)

    draws = range(2 if bench.quick else DRAWS)
    return {
        "input": "pixels, convolutional net on warped images",
        "convolutional": percent(estimate(bench.map(one_draw, draws))),
    }


# Pictures and notes ----------------------------------------------------------------------------------------------


def draw(bench: Bench, rows: Sequence[Row]) -> None:
    """Accuracy by code width, for the study's classifier and for an SVM."""
    for head, title in (("dense_100", "100 hidden units"), ("svm", "an SVM")):
        series, spans = {}, {}
        for name in NAMES.values():
            own = [row for row in rows if row["input"] == name and row["feature"] == "mean"]
            series[name] = [row["width"] for row in own], [row[head].mean for row in own]
            spans[name] = [row[head].half_width or 0.0 for row in own]
        pixels: Estimate = rows[0][head]
        widths = [row["width"] for row in rows if row.get("width")]
        series["pixels"] = [min(widths), max(widths)], [pixels.mean] * 2
        spans["pixels"] = [pixels.half_width or 0.0] * 2
        n = QUICK_LABELS if bench.quick else N_LABELS
        heading = f"{n:,} labels and {title}, on codes and on pixels"
        figure = pictures.lines(series, "dimensions of the code", "test accuracy, %", heading, {}, spans, log_x=True)
        pictures.save(figure, bench.folder / "figures" / f"width-{head.replace('_', '-')}.png")


def notes(bench: Bench) -> list[str]:
    n = QUICK_LABELS if bench.quick else N_LABELS
    return [
        f"Test accuracy in %. {n:,} labels in total, all for training; no model selection. dense_100: 100 hidden "
        f"units, {label_curve.LEAST_STEPS:,} steps of our training. svm: RBF, C = 10. neighbours: 5, weighted by "
        "distance.",
        f"Encoders: 784-512-code, mirrored decoder, our training, no labels; {bench.seeds} seeds. {CODES} {DRAWS} "
        "draws of the labels, each with its own initial weights; they use the encoders in turn.",
    ]


STUDY = Study(
    name="codes-vs-pixels",
    summary="2,000 labels on codes of an AE and a VAE, by width and feature, against the same labels on pixels.",
    cost="two cores: about an hour, most of it 33 encoders; one GPU: not measured",
    run=run,
    quick_columns=("input", "width", "feature", "encoder_epochs"),
    needs_labels=True,
    accepts=("codes",),
)
