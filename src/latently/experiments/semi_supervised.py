"""`m2`: classes from 100 to 3,000 labels by generative models. Kingma et al. 2014, table 1: M2 on pixels, and M1+M2.

M1+M2 is M2 on the codes of a model that saw no label. Beside each stands what the labels alone give: the same
classifier, trained on them without the other images.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from latently.analysis import label_curve
from latently.common.errors import require
from latently.data import label_budget
from latently.estimator import Autoencoder, Classifier
from latently.evaluation.intervals import estimate, percent
from latently.experiments.encoders import cached, cached_codes, trial_settings
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial
from latently.models import M2, VAE, FeedForward, SimCLR, model_to_json
from latently.models.augmentation import Augmentation
from latently.models.networks import Network, Trunk
from latently.models.simclr import drawings_encoder
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
FEATURES = 128  # of SimCLR
LINES = ("m2-the-papers", "m2-ours", "m1-m2-the-papers", "m1-m2-ours")  # as --presets names them
ALONE = Training(epochs=100, lr=3e-3, weight_decay=0.01)


@dataclass(frozen=True)
class Line:
    """One line of the table: a model, whose settings it has, and what it sees: pixels, or the codes of a trial."""

    name: str
    recipe: Literal["the paper's", "ours"]
    model: M2
    training: Training
    encoder: Trial | None = None

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
    simclr = Trial("simclr", features(), Training(**SimCLR.suited_training, epochs=epochs(4)))

    def m2(hidden: int, likelihood: Literal["bernoulli", "gaussian"], alpha: float = M2.alpha, code: int = 50) -> M2:
        return M2(code, Network(f"dense({hidden})", activation="softplus"), likelihood=likelihood, alpha=alpha)

    paper = Training(**PAPERS, epochs=epochs(30))
    ours = Training(epochs=epochs(8), batch_size=200, lr=3e-3)
    every = [
        Line("M2", "the paper's", m2(500, "bernoulli", PAPERS_ALPHA), paper),
        Line("M2", "ours", m2(500, "bernoulli"), ours),
        Line("M1+M2", "the paper's", m2(300, "gaussian", PAPERS_ALPHA), paper, m1),
        Line("M1+M2", "ours", m2(300, "gaussian", code=20), ours, simclr),
    ]
    return [line for line in every if not bench.presets or line.file_name in bench.presets]


def features() -> SimCLR:
    """What `train few-label` learns of drawings, without the appearance."""
    network = Network(drawings_encoder((1, 28, 28), FEATURES), "dense(256) dense(out)")
    return SimCLR(FEATURES, network, appearance=0.0, features_of="layers")


def run(bench: Bench) -> Result:
    budgets = QUICK_BUDGETS if bench.quick else BUDGETS
    asked = [(line, n) for line in lines(bench) for n in budgets]
    return Result(bench.map(lambda one: row(bench, *one), asked), NOTES)


def row(bench: Bench, line: Line, n_labels: int) -> Row:
    draws = bench.map(partial(errors_of, bench, line, n_labels), range(1 if bench.quick else bench.seeds))
    published, spread = PUBLISHED[line.name][n_labels]
    return {
        "model": line.name,
        "recipe": line.recipe,
        "sees": "pixels" if line.encoder is None else f"codes of {line.encoder.model.name}",
        "labels": n_labels,
        "draws": len(draws),
        "error_percent": percent(estimate([each["error"] for each in draws])),
        "labels_alone_percent": percent(estimate([each["alone"] for each in draws])),
        "published": published,
        "published_standard_error": spread,
        "best_public": PUBLIC[line.name].get(n_labels),
    }


def errors_of(bench: Bench, line: Line, n_labels: int, draw: int) -> dict[str, float]:
    """Test errors of the model, and of its classifier trained on the labels alone; draw d has the weights of seed d."""
    settings: dict[str, Any] = {"labels": n_labels, "draw": draw, "model": model_to_json(line.model)}
    settings |= {"training": line.training.to_json(), "alone": ALONE.to_json()}
    settings |= {"encoder": line.encoder and trial_settings(bench, line.encoder)}

    def find() -> dict[str, float]:
        train, test = bench.split("auto").train, bench.split("auto").test
        y = bench.images.labels
        encoder = line.encoder
        X = bench.images.images if encoder is None else label_curve.scaled(cached_codes(bench, encoder), train)
        known = np.full(len(train), -1)
        drawn = label_budget(y[train], n_labels, draw)
        known[drawn] = y[train][drawn]
        whole = Autoencoder(line.model, random_state=draw, **line.training.get_params()).fit(X[train], known)
        network = line.model.network
        trunk = FeedForward(Trunk(str(network.encoder), network.activation), Augmentation.none())
        alone = Classifier(trunk, random_state=draw, **ALONE.get_params()).fit(X[train][drawn], known[drawn])
        wrong = {"error": whole.predict(X[test]) != y[test], "alone": alone.predict(X[test]) != y[test]}
        return {name: float(each.mean()) for name, each in wrong.items()}

    name = f"{line.file_name}-{n_labels}-labels-draw{draw}"
    return cached(bench, name, settings, find, lambda: line.encoder and cached_codes(bench, line.encoder))


NOTES = (
    "Error in % on the 10,000 test images; labels are drawn evenly over the classes from the 55,000 training images, "
    "and no others choose anything. labels_alone_percent: a classifier with the layers of q(y|x), on the same pixels "
    "or codes, trained on the labels alone.",
    "The paper's: M1 784-600-600-50, M2 with one hidden layer of 500 softplus units (300 on codes, as its code has), "
    "codes of 50, Adam at 3e-4, alpha 0.1; M2 sees means of M1's codes here, samples there. It trains for 3,000 "
    "epochs, this for 30. Ours: one-cycle, 8 epochs, alpha 1; for M1+M2, features of SimCLR with warps as M1, a code "
    "of 20.",
    "Published: Kingma et al. 2014, table 1, its standard errors; the best that public code reports. The interval here "
    "is over draws of the labels, with one encoder.",
)


STUDY = Study(
    name="m2",
    summary="Kingma et al. 2014, M2 and M1+M2: classes from 100 to 3,000 labels, by the paper's recipe and ours.",
    cost="two cores: by estimate five hours, most of it M2 on pixels; one GPU: not measured",
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
