"""What `train few-label` reaches on MNIST: test accuracy by number of labels, over draws of them.

    python benchmarks/few_label.py --n-labels 100 2000 --draws 5 [--alone]
    python benchmarks/few_label.py --n-labels 100 --encoder RUN --class-shares equal --spread 0.9 --epochs 3 [--vote]

The default encoder learns codes from the 55,000 training images, or RUN has learned them; for each draw of labels,
`FewLabelClassifier` by its defaults, or with the settings given. With --alone: the same convolutional classifier, with
as many images shown, on the labelled images alone. With --vote, its probabilities are added to a vote of the five
nearest training images, which have the labels that spread to them. A line of JSON for each draw; accuracy on the
10,000 test images, processor seconds of the classifier's part.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from latently import Autoencoder, Classifier, FewLabelClassifier, data, load
from latently.data import ImageSet, within_budget
from latently.estimator.default_encoder import default_encoder

VOTERS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-labels", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--alone", action="store_true", help="on the labelled images alone")
    parser.add_argument("--encoder", help="run folder of an autoencoder")
    parser.add_argument("--class-shares", choices=["unknown", "equal"], default="unknown")
    parser.add_argument("--spread", type=float, help="as in FewLabelClassifier")
    parser.add_argument("--vote", action="store_true", help="of nearest images, added to the classifier")
    parser.add_argument("--epochs", type=int, default=4, help="of the classifier")
    asked = parser.parse_args()
    mnist = data.load("mnist")
    parts = data.split(mnist)
    train, test = mnist.take(parts.train), mnist.take(parts.test)
    encoder = None if asked.alone else load(asked.encoder) if asked.encoder else default_encoder((28, 28))
    if encoder is not None and not asked.encoder:
        encoder.set_params(random_state=0).fit(train.images)
    settings = {"class_shares": asked.class_shares, "spread": "auto" if asked.spread is None else asked.spread}
    for n_labels in asked.n_labels:
        for draw in range(asked.draws):
            few, _ = within_budget(train, n_labels, draw, choosing=False)
            started = time.process_time()
            fitted = alone(few, draw) if asked.alone else spread(encoder, few, draw, asked.epochs, settings)
            row = {"n_labels": n_labels, "draw": draw, "alone": asked.alone}
            row |= {"processor_seconds": round(time.process_time() - started, 1)}
            row |= {"accuracy": fitted.score(test.images, test.labels)}
            if asked.vote:
                row |= with_vote(fitted, encoder, few, test, asked.class_shares)
            print(json.dumps(row), flush=True)


def spread(
    encoder: Autoencoder | None, few: ImageSet, draw: int, epochs: int, settings: dict[str, Any]
) -> FewLabelClassifier:
    classifier = Classifier(epochs=epochs)
    return FewLabelClassifier(encoder, classifier, random_state=draw, **settings).fit(few.images, few.labels)


def with_vote(
    fitted: FewLabelClassifier, encoder: Autoencoder | None, few: ImageSet, test: ImageSet, class_shares: Any
) -> dict[str, float]:
    """Accuracies of the vote alone, and of its shares added to the classifier's probabilities."""
    nearest = KNeighborsClassifier(VOTERS)
    vote = FewLabelClassifier(encoder, nearest, sees="codes", spread=1.0, class_shares=class_shares, random_state=0)
    p = vote.fit(few.images, few.labels).predict_proba(test.images)
    both = p + fitted.predict_proba(test.images)
    return {
        name: float((fitted.classes_[each.argmax(1)] == test.labels).mean())
        for name, each in (("accuracy_of_vote", p), ("accuracy_with_vote", both))
    }


def alone(few: ImageSet, draw: int, images_shown: int = 336_000) -> Classifier:
    """Every labelled image as often as it takes for four epochs of as many images as the other way shows."""
    labelled = few.labelled()
    repeats = np.full(len(labelled), images_shown // 4 // len(labelled))
    return Classifier(epochs=4, random_state=draw).fit(labelled.images, labelled.labels, repeats=repeats)


if __name__ == "__main__":
    main()
