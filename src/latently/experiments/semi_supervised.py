"""`m2`: classes from 100 to 3,000 labels by generative models. Kingma et al. 2014, table 1: M2 on pixels, and M1+M2.

M1+M2 is M2 on the codes of a model that saw no label. Beside each stands what the labels alone give: the same
classifier, trained on them without the other images. Ours of M1+M2 spreads the labels over a graph of the codes first,
and beside it stands that classifier trained on the spread labels, without M2.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from scipy import sparse

from latently.analysis import label_curve
from latently.common.errors import require
from latently.data import label_budget
from latently.estimator import Autoencoder, Classifier
from latently.estimator.label_spreading import spread_over
from latently.estimator.lesson import propagated
from latently.evaluation.intervals import estimate, percent
from latently.experiments.encoders import cached, cached_codes, cached_graph, simclr, trial_settings
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial
from latently.models import M2, VAE, FeedForward, model_to_json
from latently.models.augmentation import Augmentation
from latently.models.networks import Network, Trunk
from latently.training.settings import Training

BUDGETS, QUICK_BUDGETS = (100, 600, 1000, 3000), (100,)
# Error in % and its standard error, by the number of labels; and the lowest that public code reports.
PUBLISHED = {
    "M2": {100: (11.97, 1.71), 600: (4.94, 0.13), 1000: (3.60, 0.56), 3000: (3.92, 0.63)},
    "M1+M2": {100: (3.33, 0.14), 600: (2.59, 0.05), 1000: (2.40, 0.02), 3000: (2.18, 0.04)},
}
PUBLIC = {"M2": {100: 7.15}, "M1+M2": {100: 2.80}}
# Adam of the paper, and batches that hold one of a hundred labels each; it trains for 3,000 epochs.
PAPERS: dict[str, Any] = {"optimiser": "adam", "lr": 3e-4, "schedule": "constant", "batch_size": 500}
PAPERS_ALPHA = 0.1
LINES = ("m2-the-papers", "m2-ours", "m1-m2-the-papers", "m1-m2-ours")  # as --presets names them
ALONE = Training(epochs=100, lr=3e-3, weight_decay=0.01)
# Ours of M1+M2: the fraction of images whose labels spread, weight of the classifier among so many, and its training
# alone. With alpha 1 the few without a label, by their nats, outweigh it: 1.90 % for 1.50 (draw 10, docs/log.md).
SPREAD, OF_SPREAD_ALPHA, OF_SPREAD = 0.95, 20.0, Training(epochs=8, lr=3e-3, weight_decay=0.01)


@dataclass(frozen=True)
class Line:
    """One line of the table: a model, whose settings it has, and what it sees: pixels, or the codes of a trial."""

    name: str
    recipe: Literal["the paper's", "ours"]
    model: M2
    training: Training
    encoder: Trial | None = None
    spread: float = 0.0
    """Fraction of the unlabelled images of each class, the surest, that get a label through the graph of codes."""

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.recipe}".lower().replace("'", "").replace(" ", "-").replace("+", "-")


def lines(bench: Bench) -> list[Line]:
    def epochs(n: int) -> int:
        return 1 if bench.quick else n

    for name in bench.presets:
        require(name in LINES, f"the study m2 has no line {name!r}; there are {', '.join(LINES)}")
    vae = VAE(50, Network("dense(600) dense(600)", activation="softplus"))
    m1 = Trial("m1", vae, Training(epochs=epochs(30)))

    def m2(hidden: int, likelihood: Literal["bernoulli", "gaussian"], alpha: float = M2.alpha, code: int = 50) -> M2:
        return M2(code, Network(f"dense({hidden})", activation="softplus"), likelihood=likelihood, alpha=alpha)

    paper = Training(**PAPERS, epochs=epochs(30))
    ours = Training(epochs=epochs(8), batch_size=200, lr=3e-3)
    of_spread = replace(ours, epochs=epochs(4))  # almost every image has a label then
    every = [
        Line("M2", "the paper's", m2(500, "bernoulli", PAPERS_ALPHA), paper),
        Line("M2", "ours", m2(500, "bernoulli"), ours),
        Line("M1+M2", "the paper's", m2(300, "gaussian", PAPERS_ALPHA), paper, m1),
        Line("M1+M2", "ours", m2(300, "gaussian", OF_SPREAD_ALPHA, 20), of_spread, simclr(bench), SPREAD),
    ]
    return [line for line in every if not bench.presets or line.file_name in bench.presets]


def run(bench: Bench) -> Result:
    budgets = QUICK_BUDGETS if bench.quick else BUDGETS
    asked = [(line, n) for line in lines(bench) for n in budgets]
    return Result(bench.map(lambda one: row(bench, *one), asked), NOTES)


def row(bench: Bench, line: Line, n_labels: int) -> Row:
    draws = bench.map(partial(errors_of, bench, line, n_labels), range(1 if bench.quick else bench.seeds))
    published, spread = PUBLISHED[line.name][n_labels]

    def percents(name: str) -> Any:
        return percent(estimate([each[name] for each in draws])) if name in draws[0] else None

    return {
        "model": line.name,
        "recipe": line.recipe,
        "sees": "pixels" if line.encoder is None else f"codes of {line.encoder.model.name}",
        "labels": n_labels,
        "draws": len(draws),
        "error_percent": percents("error"),
        "labels_alone_percent": percents("alone"),
        "spread_labels_alone_percent": percents("spread alone"),
        "published": published,
        "published_standard_error": spread,
        "best_public": PUBLIC[line.name].get(n_labels),
    }


def errors_of(bench: Bench, line: Line, n_labels: int, draw: int) -> dict[str, float]:
    """Test errors of the model, and of its classifier trained without it; draw d has the weights of seed d. Cached, so
    that a study that was killed loses one draw at most, and every budget and draw shares one encoder and one graph."""
    settings: dict[str, Any] = {"labels": n_labels, "draw": draw, "model": model_to_json(line.model)}
    settings |= {"training": line.training.to_json(), "alone": ALONE.to_json()}
    settings |= {"encoder": line.encoder and trial_settings(bench, line.encoder)}
    settings |= {"spread": line.spread, "of_spread": OF_SPREAD.to_json()} if line.spread else {}

    def first() -> None:
        if line.encoder is not None:
            cached_codes(bench, line.encoder)
            if line.spread:
                cached_graph(bench, line.encoder)

    name = f"{line.file_name}-{n_labels}-labels-draw{draw}"
    return cached(bench, name, settings, lambda: measured(bench, line, n_labels, draw, "test"), first)


def measured(bench: Bench, line: Line, n_labels: int, draw: int, part: str) -> dict[str, float]:
    """Errors on a part of the images: `test`, or `validation`, by which settings are chosen, on draws from 10 on."""
    train, judged = bench.split("auto").train, getattr(bench.split("auto"), part)
    y, encoder = bench.images.labels, line.encoder
    X = bench.images.images if encoder is None else label_curve.scaled(cached_codes(bench, encoder), train)
    known = np.full(len(train), -1)
    drawn = label_budget(y[train], n_labels, draw)
    known[drawn] = y[train][drawn]

    def wrong(estimator: Any) -> float:
        return float((estimator.predict(X[judged]) != y[judged]).mean())

    def classifier(training: Training) -> Classifier:
        network = line.model.network
        trunk = FeedForward(Trunk(str(network.encoder), network.activation), Augmentation.none())
        return Classifier(trunk, random_state=draw, **training.get_params())

    errors = {"alone": wrong(classifier(ALONE).fit(X[train][drawn], known[drawn]))}
    if line.spread:
        assert encoder is not None
        known = spread_labels(known, cached_graph(bench, encoder), line.spread)
        errors["spread alone"] = wrong(classifier(OF_SPREAD).fit(X[train][known >= 0], known[known >= 0]))
    whole = Autoencoder(line.model, random_state=draw, **line.training.get_params()).fit(X[train], known)
    return {"error": wrong(whole)} | errors


def spread_labels(known: np.ndarray, graph: sparse.csr_matrix, fraction: float) -> np.ndarray:
    """known (n,), -1 = unlabelled, with classes for that fraction of the unlabelled images of each, the surest."""
    beliefs = spread_over(graph, known, known.max() + 1)
    lesson = propagated(known, beliefs.argmax(1), fraction, None, beliefs.max(1))
    spread = np.full_like(known, -1)
    spread[lesson.images] = lesson.classes
    return spread


NOTES = (
    "Error in % on the 10,000 test images; labels are drawn evenly over the classes from the 55,000 training images, "
    "and no others choose anything. labels_alone_percent: a classifier with the layers of q(y|x), on the same pixels "
    "or codes, trained on the labels alone.",
    "The paper's: M1 784-600-600-50, M2 with one hidden layer of 500 softplus units (300 on codes, as its code has), "
    "codes of 50, Adam at 3e-4, alpha 0.1; M2 sees means of M1's codes here, samples there. It trains for 3,000 "
    "epochs, this for 30. Ours: one-cycle, 8 epochs, alpha 1; for M1+M2, features of SimCLR with warps as M1, labels "
    "spread over their graph to the surest 95 % of each class first, then 4 epochs, alpha 20, a code of 20. "
    "spread_labels_alone_percent: the classifier trained on given and spread labels, without M2.",
    "Published: Kingma et al. 2014, table 1, its standard errors; the best that public code reports. The interval here "
    "is over draws of the labels, with one encoder.",
)


STUDY = Study(
    name="m2",
    summary="Kingma et al. 2014, M2 and M1+M2: classes from 100 to 3,000 labels, by the paper's recipe and ours.",
    cost="one core: 15 minutes for M1+M2 by ours with five draws, by estimate three hours for the others; one GPU: not "
    "measured",
    run=run,
    quick_columns=(
        "model",
        "recipe",
        "sees",
        "labels",
        "draws",
        "published",
        "published_standard_error",
        "best_public",
    ),
    accepts=("presets",),
    extra_presets=LINES,
    needs_labels=True,
)
