"""Do unlabelled images ever do harm? `train few-label` beside `train classifier` on the same labels alone.

    python benchmarks/never_worse.py digits
    python benchmarks/never_worse.py mnist --draws 1
    python benchmarks/never_worse.py FOLDER/train --judge FOLDER/test --encoder RUN [--n-labels 50 200 1000] [--draws 3]

Both by their defaults, the labels drawn evenly from all classes; the encoder learns once from all training images, or
RUN has learned. A line of JSON for each draw: accuracy in % on images that no training saw, the processor seconds of
each, and whether the trial within the labels refused the unlabelled images.
"""

import argparse
import json
import time
from typing import Any

from latently import Autoencoder, Classifier, FewLabelClassifier, data, load
from latently.data import ImageSet, within_budget
from latently.estimator.default_encoder import default_encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="digits, mnist or a folder of training images")
    parser.add_argument("--judge", help="the folder of test images")
    parser.add_argument("--encoder", help="run folder of an autoencoder")
    parser.add_argument("--n-labels", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--draws", type=int, default=3)
    asked = parser.parse_args()
    train, test = images(asked.data, asked.judge)
    encoder: Autoencoder = load(asked.encoder) if asked.encoder else default_encoder(train.images.shape[1:])
    if not asked.encoder:
        encoder.set_params(random_state=0).fit(train.images)
    for n_labels in asked.n_labels:
        for draw in range(asked.draws):
            few, _ = within_budget(train, n_labels, draw, choosing=False)
            alone = judged(Classifier(random_state=draw), few.labelled(), test)
            helped = judged(FewLabelClassifier(encoder, random_state=draw), few, test)
            row = {"data": asked.data, "n_labels": n_labels, "draw": draw, "refused": helped["refused"]}
            row |= {"few_label": helped["accuracy"], "alone": alone["accuracy"]}
            row |= {"processor_seconds": [helped["seconds"], alone["seconds"]]}
            print(json.dumps(row), flush=True)


def images(name: str, judge: str | None) -> tuple[ImageSet, ImageSet]:
    whole = data.load(name)
    if judge is None:
        parts = data.split(whole)
        return whole.take(parts.train), whole.take(parts.test)
    return whole, data.load(judge)


def judged(classifier: Any, train: ImageSet, test: ImageSet) -> dict[str, Any]:
    started = time.process_time()
    classifier.fit(train.images, train.labels)
    seconds = round(time.process_time() - started)
    trial = getattr(classifier, "trial_", None)
    accuracy = round(100 * classifier.score(test.images, test.labels), 2)
    return {"accuracy": accuracy, "seconds": seconds, "refused": trial is not None and trial.is_harmful}


if __name__ == "__main__":
    main()
