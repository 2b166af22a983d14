"""Does a classifier with 100 labels gain from images that are drawn for it? On MNIST, over draws of the labels.

    python benchmarks/drawn_for_labels.py [--runs DIR] [--draws 0 1 2] [--out benchmarks/results/drawn-for-labels.json]

An autoencoder learns the 55,000 training images without labels; for each draw, a prior learns its codes and is told the
100 labels alone. The default classifier then learns from the labels alone, with variations of them (`sample --like`),
or with images drawn by class: as many drawn images as labelled ones in an epoch, and as many images shown in all.
Accuracy on the 10,000 test images. The judge, trained on all labels, only says how many of the drawn images are what
they are called. Nothing was chosen by these figures.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from samples import as_floats, trained

from latently import AE, Autoencoder, Classifier, data
from latently.data import within_budget
from latently.estimator.code_prior import CodePrior

EPOCHS = 4  # of the classifiers: as many images each as make up those shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n", type=int, default=1000, help="images drawn")
    parser.add_argument("--shown", type=int, default=100_000, help="images shown to each classifier, with repetitions")
    parser.add_argument("--prior-epochs", type=int, default=20)
    parser.add_argument("--runs", type=Path, default=Path("runs/drawn-for-labels"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "drawn-for-labels.json")
    flags = parser.parse_args()
    mnist = data.load("mnist")
    parts = data.split(mnist)
    train, test = mnist.take(parts.train), mnist.take(parts.test)
    judge, _ = trained(flags.runs / "judge", lambda: Classifier(random_state=0).fit(train.images, train.labels))
    ae, _ = trained(flags.runs / "ae", lambda: Autoencoder(AE(24), epochs=12, random_state=0).fit(train.images))
    rows = []
    for draw in flags.draws:
        few, _ = within_budget(train, flags.labels, draw, choosing=False)
        labelled, started = few.labelled(), time.process_time()
        prior = CodePrior(epochs=flags.prior_epochs, random_state=draw)
        ae.fit_prior(few.images, few.labels, prior)
        fitting_s = time.process_time() - started
        known, each = labelled.labels, -(-flags.n // len(labelled))
        asked = np.resize(ae.prior_.classes_, flags.n)
        like = ae.variations(labelled.images, each, draw, known)
        drawn = {
            "the labels alone": (np.zeros((0, *train.image_shape), np.float32), known[:0]),
            "with variations of them": (like.reshape(-1, *train.image_shape), known.repeat(each)),
            "with images drawn by class": (ae.sample(flags.n, draw, asked), asked),
        }
        for name, (images, classes) in drawn.items():
            row: dict[str, Any] = {"draw": draw, "learned_from": name, "prior_s": fitting_s if len(images) else None}
            if len(images):
                row["right_by_the_judge"] = float((judge.predict(images) == classes).mean())
            started = time.process_time()
            classifier = learn(as_floats(labelled.images), known, images, classes, draw, flags.shown)
            row |= {"classifier_s": time.process_time() - started}
            rows.append(row | {"accuracy": classifier.score(as_floats(test.images), test.labels)})
            print(json.dumps(rows[-1]), flush=True)
    flags.out.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


def learn(
    real: np.ndarray, known: np.ndarray, drawn: np.ndarray, classes: np.ndarray, seed: int, shown: int
) -> Classifier:
    """Labelled images, and as many of those drawn in an epoch, if there are any."""
    each = shown // EPOCHS // (2 if len(drawn) else 1)
    repeats = [np.full(len(part), each // len(part)) for part in (real, drawn) if len(part)]
    X, y = np.concatenate([real, drawn]), np.concatenate([known, classes])
    return Classifier(epochs=EPOCHS, random_state=seed).fit(X, y, repeats=np.concatenate(repeats))


if __name__ == "__main__":
    main()
