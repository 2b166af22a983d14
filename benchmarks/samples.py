"""Samples by a learned prior (flow matching) beside a mixture and a conditional VAE, by one judge, on MNIST.

    python benchmarks/samples.py [--seeds 3] [--n 10000] [--out benchmarks/results/samples.json]

For each seed: an autoencoder of 24 dimensions, its prior, a mixture of its codes, a CVAE and a VAE; agreement of what
was asked for with what the judge sees, Frechet distance, precision and recall in its features, each beside those of as
many training images. The judge is our default classifier. Distances to the nearest training image tell copies.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from latently import AE, CVAE, VAE, Autoencoder, Classifier, data
from latently.evaluation.samples import judge_figures

GUIDANCES = (1.0, 1.5, 2.5)
N_COPIES = 1000  # images whose nearest training image is looked for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--judge-epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "samples.json")
    flags = parser.parse_args()
    mnist = data.load("mnist")
    train, labels = mnist.images[5000:60_000], mnist.labels[5000:60_000]
    test, classes = mnist.images[60_000:], mnist.labels[60_000:]
    judge = Classifier(epochs=flags.judge_epochs, random_state=0).fit(train, labels)
    about = {"judge": judge.score(test, classes), "n": flags.n}
    rows: list[dict[str, Any]] = []
    for seed in range(flags.seeds):
        asked = np.random.default_rng(seed).choice(classes, flags.n)
        ae = Autoencoder(AE(24), epochs=12, random_state=seed).fit(train)
        started = time.process_time()
        ae.fit_prior(train, labels)
        about[f"fitting_s_{seed}"] = time.process_time() - started
        ae.fit_mixture(train)
        cvae = Autoencoder(CVAE(), random_state=seed).fit(train, labels)
        vae = Autoencoder(VAE(), random_state=seed).fit(train)
        samplers = {
            f"flow matching, {guidance:g}": (ae, {"y": asked, "sampler": "flow-matching", "guidance": guidance})
            for guidance in GUIDANCES
        } | {
            "mixture of the same codes": (ae, {"sampler": "mixture"}),
            "cvae": (cvae, {"y": asked}),
            "vae, its prior": (vae, {}),
        }
        for name, (estimator, settings) in samplers.items():
            started = time.process_time()
            images = estimator.sample(flags.n, seed, **settings)
            row: dict[str, Any] = {"seed": seed, "sampler": name, "drawing_s": time.process_time() - started}
            if "y" in settings:
                row["agreement"] = float((judge.predict(images) == asked).mean())
            rows.append(row | judge_figures(judge, test, images, train))
            print(json.dumps(rows[-1]), flush=True)
        about[f"copies_{seed}"] = copies(train, test, ae.sample(N_COPIES, seed, asked[:N_COPIES], "flow-matching"))
        flags.out.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    print(json.dumps(about))


def copies(train: np.ndarray, test: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """Median distances to the nearest training image, of drawn images and of test images, pixels in 0..1."""
    index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(train.reshape(len(train), -1) / 255)
    near = {"drawn": drawn.reshape(len(drawn), -1), "test": test[: len(drawn)].reshape(len(drawn), -1) / 255}
    return {name: float(np.median(index.kneighbors(rows)[0])) for name, rows in near.items()}


if __name__ == "__main__":
    main()
