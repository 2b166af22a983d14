"""Accuracy against the number of labels, and what the next doubling of them would buy.

A budget of n labels is n labels in all. Every classifier trains for the same number of steps with settings that were
fixed beforehand, so that no label is set aside to choose by; those that judge are never among those that train.

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

HEAD = "dense(100)"  # study 1's classifier, of pixels and of codes
PASSES, LEAST_STEPS = 10, 1000  # over the largest budget; fewer cost accuracy there, and more gain little
STEPS_PER_EPOCH = 200
ENOUGH_TEST_LABELS = (
    500  # labelled test images; with fewer the interval of an accuracy is wider than what a doubling buys
)


@dataclass(frozen=True)
class Task:
    """Which labelled images may be drawn, and which judge.

    labels: (N,) ints of all images, -1 = unlabelled. pool, test: places among them; where they overlap, an image
    judges the classifiers that were not trained on it.
    """

    labels: np.ndarray
    pool: np.ndarray
    test: np.ndarray

    def drawn(self, n: int, seed: int) -> np.ndarray:
        """A budget of n labels, as places among all images; with one seed a smaller one is part of a larger one."""
        return self.pool[label_budget(self.labels[self.pool], n, seed)]

    def accuracy(self, predicted: np.ndarray, drawn: np.ndarray) -> float:
        """The share of right ones among `predicted`, the classes of all judges, without those that were trained on."""
        left = ~np.isin(self.test, drawn)
        return float((predicted == self.labels[self.test])[left].mean())

    @property
    def has_separate_test(self) -> bool:
        """Whether those that judge are never drawn."""
        return not np.isin(self.test, self.pool).any()

    @property
    def n_labels(self) -> int:
        """The largest budget: all labels, or four fifths of them where the others judge."""
        return len(self.pool) if self.has_separate_test else 4 * len(self.pool) // 5

    @property
    def n_test(self) -> int:
        """How many images judge the largest budget."""
        return len(self.test) - (0 if self.has_separate_test else self.n_labels)


def make_task(labels: np.ndarray, train: np.ndarray, validation: np.ndarray, test: np.ndarray) -> Task:
    """Training labels are drawn, test labels judge; where those are few, all labels are drawn from and judge in turn.

    Raises InputError unless two classes have labels enough to train and to judge.
    """
    known, classes = labels >= 0, np.unique(labels[labels >= 0])
    require(len(classes) >= 2, f"{len(classes)} class(es) carry labels; a label curve needs two or more")
    tests = test[known[test]]
    if len(tests) >= ENOUGH_TEST_LABELS and np.isin(classes, labels[train]).all():
        return Task(labels, train[known[train]], tests)
    everyone = np.sort(np.concatenate([part[known[part]] for part in (train, validation, test)]))
    in_turn = Task(labels, everyone, everyone)
    few = f"{len(everyone)} labels of {len(classes)} classes are too few for a curve, which begins with two per class"
    require(in_turn.n_labels >= 2 * len(classes), f"{few} and leaves a fifth to judge by")
    return in_turn


def budgets(largest: int, n_classes: int) -> list[int]:
    """By doubling from two labels per class, then the largest.

    >>> budgets(1000, 10)
    [20, 40, 80, 160, 320, 640, 1000]
    """
    doubled = [2 * n_classes * 2**k for k in range(60) if 2 * n_classes * 2**k < largest]
    return [*doubled, largest]


# One draw of every budget -------------------------------------------------------------------------


def training(largest: int) -> Training:
    """Of all classifiers of a curve, whatever their budget: as many steps as the largest one needs."""
    steps = max(LEAST_STEPS, PASSES * largest / Training().batch_size)
    return Training(epochs=round(steps / STEPS_PER_EPOCH), lr=2e-3)


def stacked_accuracies(
    X: Any, task: Task, budgets: Sequence[int], draw: int, settings: Training | None = None
) -> list[float]:
    """Accuracy by budget of classifiers that train at once; `draw` is the seed of their labels and of their weights.

    X: all images or codes, as `fit_together` takes them.
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
        epoch_images=STEPS_PER_EPOCH * settings.batch_size,
    )
    predicted = fitted.predict_proba(X[task.test]).argmax(2)  # (K, n)
    return [task.accuracy(each, members) for each, members in zip(predicted, drawn, strict=True)]


def plain_accuracies(X: np.ndarray, task: Task, budgets: Sequence[int], draw: int) -> list[float]:
    """Likewise, of our default classifier of images, one after another: what a user without codes would train."""
    accuracies = []
    for n in budgets:
        drawn = task.drawn(n, draw)
        classifier = Classifier(random_state=draw).fit(X[drawn], task.labels[drawn])
        accuracies.append(task.accuracy(classifier.predict(X[task.test]), drawn))
    return accuracies


def scaled(codes: np.ndarray, unlabelled: np.ndarray) -> np.ndarray:
    """Codes in units of their spread over the images of an encoder's training, one unit for all dimensions: a dimension
    that carries nothing is not blown up."""
    return (codes / (codes[unlabelled].std(0).max() or 1)).astype(np.float32)


# The curve ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """accuracies: (draws, budgets), judged by `n_test` images each."""

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
        """As it was known when there were n labels."""
        known = [i for i, budget in enumerate(self.budgets) if budget <= n]
        return Curve([self.budgets[i] for i in known], self.accuracies[:, known], self.n_test)

    def predicted(self, n: int) -> Estimate:
        """Accuracy with n labels if errors go on falling as they did over the last eightfold of labels: as a power of
        their number, a line through logarithms, one for each draw."""
        return estimate(self._predictions(n).tolist())

    def gain(self) -> Estimate:
        """What twice as many labels as the largest budget would add to its accuracy."""
        return estimate((self._predictions(2 * self.budgets[-1]) - (1 - self._errors()[:, -1])).tolist())

    def to_json(self) -> dict[str, Any]:
        """Shares, by budget and draw; and what is foreseen of twice the labels."""
        points = [{"labels": n, "accuracy": mean.to_json()} for n, mean in self.points()]
        ahead = {"labels": 2 * self.budgets[-1], "accuracy": self.predicted(2 * self.budgets[-1]).to_json()}
        return {"points": points, "twice_the_labels": ahead | {"gain": self.gain().to_json()}}

    def _errors(self) -> np.ndarray:
        """(draws, budgets); half an image at least, for no error at all has no logarithm."""
        return np.maximum(1 - self.accuracies, 0.5 / self.n_test)

    def _predictions(self, n: int) -> np.ndarray:
        budgets = np.array(self.budgets)
        recent = budgets >= budgets[-1] / 8
        errors = self._errors()[:, recent]
        if recent.sum() == 1:
            return 1 - errors[:, 0]
        slopes, levels = np.polyfit(np.log(budgets[recent] / n), np.log(errors).T, 1)  # (draws,) each
        return 1 - np.exp(np.where(slopes < 0, levels, np.log(errors).mean(1)))  # errors that rise do so by chance


# All curves of a user's own images ----------------------------------------------------------------


def trained_encoder(folder: Path, images: ImageSet, parts: Split, seed: int, device: str) -> Autoencoder:
    """A VAE by our defaults, of the training images without their labels; one that is finished in `folder` is taken."""
    about = {"label_curve": {"source": images.source, "images": images.pixel_hash, "seed": seed}}
    run = Run(folder, context=Context(about))
    if run.started:
        same = run.params.get("label_curve") == about["label_curve"]
        require(same, f"{folder} holds an encoder of other images; choose another --out")
    if run.finished:
        return Autoencoder.of_run(run, device)
    with Bar() as bar:
        vae = Autoencoder(random_state=seed, device=device)
        return vae.fit(images.images[parts.train], run=run, watchers=[bar])


def curves(
    images: ImageSet, parts: Split, encoder: Autoencoder, draws: int, plain_up_to: int, folder: Path,
    tell: Callable[[str], None] = lambda _: None, executor: Executor | None = None,
) -> tuple[Task, dict[str, Curve]]:  # fmt: skip
    """The curves of codes, of pixels and of the default classifier of images, each draw kept in `folder`.

    plain_up_to: the largest budget of the last one, which takes every other budget and three draws at most, for it is a
    convolutional net in most cases; 0: none. maker: of the draws; None: this process, in turn.
    """
    executor = executor or Sequential()
    what = make_task(images.labels, parts.train, parts.validation, parts.test)
    every = budgets(what.n_labels, len(np.unique(images.labels[what.pool])))
    few = [n for n in every if n <= plain_up_to][::-2][::-1]
    codes = scaled(encoder.transform(images.images), parts.train)
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
    """Lone marks: what is foreseen of twice the labels."""
    series = {name: (curve.budgets, 100 * curve.means()) for name, curve in curves.items()}
    spans = {name: 100 * curve.half_widths() for name, curve in curves.items()}
    ahead = {
        f"{name}, foreseen": ([2 * curve.budgets[-1]], [100 * curve.predicted(2 * curve.budgets[-1]).mean])
        for name, curve in curves.items()
    }
    lowest = min(y.min() for _, y in series.values())
    title = "What labels are worth: mean and 95 % interval over draws"
    y_range = (max(0.0, lowest - 10), 101.0)  # an interval of few draws may reach beyond
    return pictures.lines(series, "labels in all", "accuracy, %", title, ahead, spans, y_range, log_x=True)
