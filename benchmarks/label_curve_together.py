"""Time of many small classifiers at once, as a stack, beside the same one after another, and beside scikit-learn's.

    LATENTLY_DATA=... python benchmarks/label_curve_together.py [--nets 80] [--width 784] [--rounds 2] [--steps 100]

Nets width-100-10, batch 128, each with a draw of MNIST's training images and a seed of its own: together
(`fit_together`), one after another (`Classifier`, the same loop), and as scikit-learn's `MLPClassifier` with Adam. In
turn in one process, A B C A B C, with all the cores that torch and BLAS take. Width 20 are the images' first principal
components, as narrow as codes. Prints one JSON object. Processor time, of all threads, is the fairer measure where
others are at work (OMP_NUM_THREADS=1); on a quiet machine it is the wall that counts.
"""

import argparse
import json
import time
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from latently import Classifier, FeedForward, Trunk
from latently.data import load
from latently.estimator.stacked import fit_together
from latently.training.settings import Training

BATCH = 128
MODEL = FeedForward(Trunk("dense(100)"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=int, default=80)
    parser.add_argument("--width", type=int, default=784)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    mnist = load("mnist")
    X, y = mnist.images[5000:60000].reshape(55000, -1), mnist.labels[5000:60000]
    if options.width != 784:
        X = PCA(options.width, random_state=0).fit_transform(X / np.float32(255)).astype(np.float32)
    random = np.random.default_rng(0)
    draws = [random.choice(len(X), options.steps * BATCH, replace=False) for _ in range(options.nets)]

    def together(draws: list[np.ndarray]) -> None:
        fit_together(MODEL, X, y, draws, training=Training(epochs=1))

    def one_after_another(draws: list[np.ndarray]) -> None:
        for seed, draw in enumerate(draws):
            Classifier(model=MODEL, epochs=1, random_state=seed).fit(X[draw], y[draw])

    def scikit_learn(draws: list[np.ndarray]) -> None:
        numbers = X / np.float32(255) if X.dtype == np.uint8 else X
        for seed, draw in enumerate(draws):
            peer = MLPClassifier((100,), solver="adam", batch_size=BATCH, max_iter=1, random_state=seed)
            peer.fit(numbers[draw], y[draw])

    sides = (together, one_after_another, scikit_learn)
    warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch is all that is asked for
    report: dict[str, Any] = vars(options) | {"threads": torch.get_num_threads()}
    wall: dict[str, list[float]] = {side.__name__: [] for side in sides}
    processor: dict[str, list[float]] = {side.__name__: [] for side in sides}
    for side in sides:
        side(draws[:1])  # imports and first calls are not what is compared
    for _ in range(options.rounds):
        for side in sides:
            began = time.monotonic(), time.process_time()
            side(draws)
            wall[side.__name__].append(time.monotonic() - began[0])
            processor[side.__name__].append(time.process_time() - began[1])
    for clock, seconds in (("wall", wall), ("processor", processor)):
        report[clock] = {
            "milliseconds_per_step_of_all_nets": {
                name: [round(1e3 * each / options.steps, 2) for each in values] for name, values in seconds.items()
            },
            "times_faster_than_one_after_another": ratios(seconds["one_after_another"], seconds["together"]),
            "times_faster_than_scikit_learn": ratios(seconds["scikit_learn"], seconds["together"]),
        }
    print(json.dumps(report, indent=2))


def ratios(theirs: list[float], ours: list[float]) -> list[float]:
    return [round(their / our, 2) for their, our in zip(theirs, ours, strict=True)]


if __name__ == "__main__":
    main()
