"""Accuracy against the number of labels, and an estimate of the gain from doubling them.

A budget of n labels is n labels in total. Every classifier trains for the same number of steps with fixed settings, so
no labels are needed for model selection; an image is never used to test a classifier that was trained on it.

>>> from sklearn.datasets import load_digits
>>> from latently.training.settings import Training
>>> X, y = load_digits(return_X_y=True)
>>> task = Task(y, pool=np.arange(1000), test=np.arange(1000, 1797))
>>> accuracies = stacked_accuracies(X / 16, task, budgets(160, 10), draw=0, settings=Training(epochs=2))
>>> curve = Curve(budgets(160, 10), np.array([accuracies]), task.n_test)
>>> [n for n, _ in curve.points()]
[20, 40, 80, 160]
>>> 0.8 < curve.at(160).mean < curve.predicted(320).mean < 1
True
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from latently import pictures
from latently.common.errors import require
from latently.data import ImageSet, Split, label_budget
from latently.data.imageset import pixel_hash
from latently.estimator import Autoencoder, Classifier
from latently.estimator.default_encoder import default_encoder
from latently.estimator.stacked import fit_together
from latently.evaluation.intervals import Estimate, estimate
from latently.models import FeedForward
from latently.models.augmentation import Augmentation
from latently.models.networks import Trunk
from latently.pictures import Figure
from latently.runs.cached_work import Executor, Sequential, cached
from latently.runs.folder import Context, Run
from latently.runs.record import weights_hash
from latently.training.settings import Training, with_defaults
from latently.training.watchers import Bar

HEAD = "dense(100)"  # study 1's classifier, for pixels and for codes
PASSES, LEAST_STEPS = 10, 1000  # over the largest budget; fewer lose accuracy there, more gain little
STEPS_PER_EPOCH = 200
ENOUGH_TEST_LABELS = (
    500  # labelled test images; with fewer, the interval of an accuracy is wider than the gain from a doubling
)


@dataclass(frozen=True)
class Task:
    """Which labelled images may be drawn for training, and which are test images.

    labels: (N,) ints of all images, -1 = unlabelled. pool, test: indices of images; where they overlap, an image tests
    only the classifiers that were not trained on it.
    """

    labels: np.ndarray
    pool: np.ndarray
    test: np.ndarray

    def drawn(self, n: int, seed: int) -> np.ndarray:
        """A budget of n labels, as image indices; with the same seed, a smaller budget is a subset of a larger one."""
        return self.pool[label_budget(self.labels[self.pool], n, seed)]

    def accuracy(self, predicted: np.ndarray, drawn: np.ndarray) -> float:
        """Accuracy of `predicted`, the classes of all test images, without the images that were trained on."""
        left = ~np.isin(self.test, drawn)
        return float((predicted == self.labels[self.test])[left].mean())

    @property
    def has_separate_test(self) -> bool:
        """Whether no test image can be drawn for training."""
        return not np.isin(self.test, self.pool).any()

    @property
    def n_labels(self) -> int:
        """The largest budget: all labels, or four fifths of them if the rest are the test images."""
        return len(self.pool) if self.has_separate_test else 4 * len(self.pool) // 5

    @property
    def n_test(self) -> int:
        """Number of test images at the largest budget."""
        return len(self.test) - (0 if self.has_separate_test else self.n_labels)


def make_task(labels: np.ndarray, train: np.ndarray, validation: np.ndarray, test: np.ndarray) -> Task:
    """Draws from training labels and tests on test labels; if these are few, all labels serve for both in turn.

    Raises InputError unless two classes have enough labels for training and testing.
    """
    known, classes = labels >= 0, np.unique(labels[labels >= 0])
    require(len(classes) >= 2, f"{len(classes)} class(es) have labels; a label curve needs at least two")
    tests = test[known[test]]
    if len(tests) >= ENOUGH_TEST_LABELS and np.isin(classes, labels[train]).all():
        return Task(labels, train[known[train]], tests)
    everyone = np.sort(np.concatenate([part[known[part]] for part in (train, validation, test)]))
    in_turn = Task(labels, everyone, everyone)
    few = f"{len(everyone)} labels of {len(classes)} classes are too few for a curve, which starts at two per class"
    require(in_turn.n_labels >= 2 * len(classes), f"{few} and keeps a fifth as test images")
    return in_turn


def budgets(largest: int, n_classes: int) -> list[int]:
    """Doubling from two labels per class, then the largest.

    >>> budgets(1000, 10)
    [20, 40, 80, 160, 320, 640, 1000]
    """
    doubled = [2 * n_classes * 2**k for k in range(60) if 2 * n_classes * 2**k < largest]
    return [*doubled, largest]


# One draw of every budget -------------------------------------------------------------------------


def training(largest: int) -> Training:
    """Settings of all classifiers of a curve, whatever their budget: as many steps as the largest budget needs."""
    steps = max(LEAST_STEPS, PASSES * largest / Training().images_per_step)
    return Training(epochs=round(steps / STEPS_PER_EPOCH), lr=2e-3)


def stacked_accuracies(
    X: Any, task: Task, budgets: Sequence[int], draw: int, settings: Training | None = None
) -> list[float]:
    """Accuracy by budget of classifiers that are trained as a stack; `draw` is the seed of their labels and weights.

    X: all images or codes, in the format of `fit_together`.
    """
    settings = settings or training(max(budgets))
    drawn = [task.drawn(n, draw) for n in budgets]
    fitted = fit_together(
        FeedForward(Trunk(HEAD), Augmentation.none()),
        X,
        task.labels,
        drawn,
        seeds=[draw] * len(drawn),
        training=settings,
        epoch_images=STEPS_PER_EPOCH * settings.images_per_step,
    )
    predicted = fitted.predict_proba(X[task.test]).argmax(2)  # (K, n)
    return [task.accuracy(each, members) for each, members in zip(predicted, drawn, strict=True)]


def plain_accuracies(X: np.ndarray, task: Task, budgets: Sequence[int], draw: int) -> list[float]:
    """The same for our default image classifier, one fit after another: what a user without codes would train."""
    accuracies = []
    for n in budgets:
        drawn = task.drawn(n, draw)
        classifier = Classifier(random_state=draw).fit(X[drawn], task.labels[drawn])
        accuracies.append(task.accuracy(classifier.predict(X[task.test]), drawn))
    return accuracies


def scaled(codes: np.ndarray, unlabelled: np.ndarray) -> np.ndarray:
    """Codes divided by the largest standard deviation of a dimension over the encoder's training images; one factor for
    all dimensions, so that dimensions without information are not amplified."""
    return (codes / (codes[unlabelled].std(0).max() or 1)).astype(np.float32)


# The curve ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """accuracies: (draws, budgets), on `n_test` test images each."""

    budgets: Sequence[int]
    accuracies: np.ndarray
    n_test: int

    def points(self) -> Iterator[tuple[int, Estimate]]:
        """Each budget with the mean accuracy over draws."""
        return zip(self.budgets, (estimate(column.tolist()) for column in self.accuracies.T), strict=True)

    def at(self, n: int) -> Estimate:
        return dict(self.points())[n]

    def means(self) -> np.ndarray:
        """(budgets,)"""
        return self.accuracies.mean(0)

    def half_widths(self) -> np.ndarray:
        """(budgets,); 0 for a single draw."""
        return np.array([each.half_width or 0.0 for _, each in self.points()])

    def until(self, n: int) -> "Curve":
        """The part of the curve up to n labels."""
        known = [i for i, budget in enumerate(self.budgets) if budget <= n]
        return Curve([self.budgets[i] for i in known], self.accuracies[:, known], self.n_test)

    def predicted(self, n: int) -> Estimate:
        """Extrapolated accuracy with n labels: the error as a power of the number of labels, a line in log-log space
        fitted to the last factor of eight, for each draw."""
        return estimate(self._predictions(n).tolist())

    def gain(self) -> Estimate:
        """Extrapolated gain in accuracy from doubling the largest budget."""
        return estimate((self._predictions(2 * self.budgets[-1]) - (1 - self._errors()[:, -1])).tolist())

    def to_json(self) -> dict[str, Any]:
        """Accuracies by budget; and the extrapolation to twice the labels."""
        points = [{"labels": n, "accuracy": mean.to_json()} for n, mean in self.points()]
        ahead = {"labels": 2 * self.budgets[-1], "accuracy": self.predicted(2 * self.budgets[-1]).to_json()}
        return {"points": points, "twice_the_labels": ahead | {"gain": self.gain().to_json()}}

    def _errors(self) -> np.ndarray:
        """(draws, budgets); at least half an image, because 0 has no logarithm."""
        return np.maximum(1 - self.accuracies, 0.5 / self.n_test)

    def _predictions(self, n: int) -> np.ndarray:
        budgets = np.array(self.budgets)
        recent = budgets >= budgets[-1] / 8
        errors = self._errors()[:, recent]
        if recent.sum() == 1:
            return 1 - errors[:, 0]
        slopes, levels = np.polyfit(np.log(budgets[recent] / n), np.log(errors).T, 1)  # (draws,) each
        return 1 - np.exp(np.where(slopes < 0, levels, np.log(errors).mean(1)))  # errors rise only by chance


# The curves of a user's own images ----------------------------------------------------------------


def trained_encoder(folder: Path, images: ImageSet, parts: Split, seed: int, device: str) -> Autoencoder:
    """The default encoder of such images, learned from the training ones without labels; loaded from `folder` if it is
    finished there."""
    about = {"label_curve": {"source": images.source, "images": images.pixel_hash, "seed": seed}}
    run = Run(folder, context=Context(about))
    if run.started:
        same = run.params.get("label_curve") == about["label_curve"]
        require(same, f"{folder} contains an encoder of other images; choose another --out")
    if run.finished:
        return Autoencoder.of_run(run, device)
    with Bar() as bar:
        encoder = default_encoder(images.image_shape).set_params(random_state=seed, device=device)
        return encoder.fit(images.images[parts.train], run=run, watchers=[bar])


def curves(
    images: ImageSet, parts: Split, encoder: Autoencoder, draws: int, plain_up_to: int, folder: Path,
    tell: Callable[[str], None] = lambda _: None, executor: Executor | None = None,
) -> tuple[Task, dict[str, Curve]]:  # fmt: skip
    """The curves for codes, for pixels and for the default image classifier; each draw is cached in `folder`.

    plain_up_to: the largest budget of the image classifier, 0: none; it gets every other budget and at most three
    draws, since it is usually a convolutional net. executor: runs the draws; None: this process, one after another.
    """
    executor = executor or Sequential()
    what = make_task(images.labels, parts.train, parts.validation, parts.test)
    every = budgets(what.n_labels, len(np.unique(images.labels[what.pool])))
    few = [n for n in every if n <= plain_up_to][::-2][::-1]
    codes = scaled(encoder.features(images.images), parts.train)
    ways: dict[str, tuple[list[int], int, Callable[[int], list[float]]]] = {
        "codes": (every, draws, lambda draw: stacked_accuracies(codes, what, every, draw)),
        "pixels": (every, draws, lambda draw: stacked_accuracies(images.pixels, what, every, draw)),
    }
    if few:
        ways["plain net"] = (
            few,
            min(draws, 3),
            lambda draw: plain_accuracies(images.pixels, what, few, draw),
        )
    for name, (own, n_draws, _) in ways.items():
        tell(f"{name}: {len(own)} budgets from {own[0]:,} to {own[-1]:,} labels, {n_draws} draws ...")
    about = {"source": images.source, "labels_per_class": np.bincount(images.labels[what.pool]).tolist()}
    about |= {"images": images.pixel_hash, "labels": pixel_hash(images.labels), "encoder": weights_hash(encoder.net_)}

    def one_draw(name: str, draw: int) -> list[float]:
        own, _, fit = ways[name]
        settings = about | {"budgets": own, "training": training(own[-1]).to_json(), "draw": draw}
        return cached(
            folder / f"{name.replace(' ', '-')}-draw{draw}.json", settings, partial(fit, draw), executor, with_defaults
        )

    def curve(name: str) -> Curve:
        own, n_draws, _ = ways[name]
        return Curve(own, np.array(executor.map(partial(one_draw, name), range(n_draws))), what.n_test)

    return what, dict(zip(ways, executor.map(curve, ways), strict=True))


def picture(curves: Mapping[str, Curve]) -> Figure:
    """Single markers are extrapolations to twice the labels."""
    series = {name: (curve.budgets, 100 * curve.means()) for name, curve in curves.items()}
    spans = {name: 100 * curve.half_widths() for name, curve in curves.items()}
    ahead = {
        f"{name}, extrapolated": ([2 * curve.budgets[-1]], [100 * curve.predicted(2 * curve.budgets[-1]).mean])
        for name, curve in curves.items()
    }
    lowest = min(y.min() for _, y in series.values())
    title = "Accuracy against number of labels: mean and 95 % interval over draws"
    y_range = (max(0.0, lowest - 10), 101.0)  # an interval of few draws may exceed 100
    return pictures.lines(series, "labels in total", "accuracy, %", title, ahead, spans, y_range, log_x=True)
