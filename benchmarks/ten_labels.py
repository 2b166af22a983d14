"""How labels spread over a graph of codes, from a handful on: label spreading, Poisson learning, Poisson MBO.

    python benchmarks/ten_labels.py RUN --n-labels 10 20 50 100 --draws 5 [--data mnist]

RUN: an autoencoder's run folder. The graph holds the features of all images; labels are drawn evenly over the classes
from the training images. A line of JSON for each draw: accuracy on all images without a label and on the test images,
whose labels nothing sees, and processor seconds. Poisson MBO is told that classes are equally frequent; the others are
not.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from latently import data, load
from latently.data import label_budget
from latently.estimator import label_spreading, poisson_learning


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--n-labels", type=int, nargs="+", default=[10, 20, 50, 100])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--data", default="mnist")
    asked = parser.parse_args()
    images = data.load(asked.data)
    parts, y, n_classes = data.split(images), images.labels, len(images.classes)
    codes = load(asked.run).features(images.images)
    graph, normalised = label_spreading.similarities(codes), label_spreading.neighbours(codes)
    ways = {
        "label spreading": lambda known: label_spreading.spread_over(normalised, known, n_classes),
        "Poisson learning": lambda known: poisson_learning.poisson(graph, known, n_classes),
        "Poisson MBO": lambda known: poisson_learning.poisson_mbo(graph, known, np.full(n_classes, 1 / n_classes)),
    }
    for n_labels in asked.n_labels:
        for draw in range(asked.draws):
            known = np.full(len(y), -1)
            drawn = parts.train[label_budget(y[parts.train], n_labels, draw)]
            known[drawn] = y[drawn]
            for name, way in ways.items():
                started = time.process_time()
                right = way(known).argmax(1) == y
                row = {"way": name, "n_labels": n_labels, "draw": draw}
                row |= {"unlabelled": round(right[known < 0].mean(), 4), "test": round(right[parts.test].mean(), 4)}
                print(json.dumps(row | {"processor_seconds": round(time.process_time() - started, 1)}), flush=True)


if __name__ == "__main__":
    main()
