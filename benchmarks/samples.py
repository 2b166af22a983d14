"""Samples by a learned prior (flow matching) beside mixtures, a conditional VAE and a VAE, by one judge, on MNIST.

    python benchmarks/samples.py [--seeds 0 1 2] [--n 10000] [--runs DIR] [--out benchmarks/results/samples.json]

For each seed: a plain autoencoder of 24 dimensions, its prior and mixtures of its codes, a CVAE and a VAE; then
`ae-gan`, whose decoder an adversary keeps sharp (--autoencoders tells which). Agreement of what was asked for with what
the judge, our default classifier, sees; Frechet distance, precision and recall in its features beside those of as many
training images, and of these rebuilt by the autoencoder, which no sampler of its codes can be expected to surpass.
Distances to the nearest training image tell copies. Images half-way between two of test, by the flow and on a straight
line between their codes. --runs keeps what was trained, so that an interrupted measurement goes on.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from latently import AE, AEGAN, CVAE, VAE, Autoencoder, Classifier, data, load
from latently.estimator.mixture import CodeMixture
from latently.evaluation.samples import frechet_precision_recall

GUIDANCES = (0.0, 1.0, 1.5, 2.5)  # 0: no class is asked for
N_COPIES = 1000  # images whose nearest training image is looked for
N_PAIRS = 2000  # of test images, with a way between
SURE = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--autoencoders", nargs="+", default=list(AUTOENCODERS), choices=AUTOENCODERS)
    parser.add_argument("--judge-epochs", type=int, default=15)
    parser.add_argument("--runs", type=Path, default=Path("runs/samples"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "samples.json")
    flags = parser.parse_args()
    mnist = data.load("mnist")
    train, labels = mnist.images[5000:60_000], mnist.labels[5000:60_000]
    test, classes = mnist.images[60_000:], mnist.labels[60_000:]
    judge, _ = trained(
        flags.runs / "judge", lambda: Classifier(epochs=flags.judge_epochs, random_state=0).fit(train, labels)
    )
    real = judge.features(test)
    found = json.loads(flags.out.read_text()) if flags.out.exists() else {"rows": [], "copies": {}, "halfway": {}}
    perfect = zip(("floor", "precision_ceiling", "recall_ceiling"), against(real, judge, train[: flags.n]), strict=True)
    found["about"] = {"judge": judge.score(test, classes), "n": flags.n} | dict(perfect)
    print(json.dumps(found["about"]), flush=True)
    for seed, kind in itertools.product(flags.seeds, flags.autoencoders):
        asked = np.random.default_rng(seed).choice(classes, flags.n)
        ae, samplers = fitted(flags.runs / str(seed), kind, train, labels, seed, asked)
        found["rows"] = [row for row in found["rows"] if (row["seed"], row.get("autoencoder", "ae")) != (seed, kind)]
        for name, (fitting_s, is_asked, draw) in samplers.items():
            started = time.process_time()
            images = draw()
            row = {"seed": seed, "autoencoder": kind, "sampler": name}
            row |= {"fitting_s": fitting_s, "drawing_s": time.process_time() - started}
            if is_asked:
                row["agreement"] = float((judge.predict(images) == asked).mean())
            figures = zip(("frechet", "precision", "recall"), against(real, judge, images), strict=True)
            found["rows"].append(row | dict(figures))
            print(json.dumps(found["rows"][-1]), flush=True)
        of = str(seed) if kind == "ae" else f"{kind}, {seed}"
        found["copies"][of] = {
            f"guidance {w:g}": copies(ae, train, test[:N_COPIES], ae.prior_.sample(N_COPIES, seed, guidance=w))
            for w in (1.0, 1.5)
        }
        found["halfway"][of] = halfway(ae, judge, test)
        print(json.dumps(found["copies"][of] | found["halfway"][of]), flush=True)
        flags.out.write_text(json.dumps(found, indent=1) + "\n")


Samplers = dict[str, tuple[float, bool, Callable[[], np.ndarray]]]
"""Of each: seconds to fit (without the autoencoder's own, for what is fitted to its codes), whether it is asked for
classes, and what draws."""


AUTOENCODERS: dict[str, Callable[[int], Autoencoder]] = {
    "ae": lambda seed: Autoencoder(AE(24), epochs=12, random_state=seed),
    "ae-gan": lambda seed: Autoencoder(AEGAN(), random_state=seed, **AEGAN.suited_training),
}


def fitted(
    folder: Path, kind: str, train: np.ndarray, labels: np.ndarray, seed: int, asked: np.ndarray
) -> tuple[Any, Samplers]:
    """The autoencoder with its prior, and every sampler; with the plain one, models that are drawn from, too."""
    n = len(asked)
    ae, ae_s = trained(folder / kind, lambda: AUTOENCODERS[kind](seed).fit(train))
    ae, prior_s = trained(folder / ("prior" if kind == "ae" else f"{kind}-prior"), lambda: ae.fit_prior(train, labels))
    codes, started = ae.transform(train), time.process_time()
    ae.mixture_ = CodeMixture.fit(codes, 10, seed)
    mixture_s, started = time.process_time() - started, time.process_time()
    mixtures = [CodeMixture.fit(codes[labels == label], 10, seed) for label in range(10)]
    mixtures_s = time.process_time() - started
    print(json.dumps({"seed": seed, "autoencoder": kind, "autoencoder_s": ae_s}), flush=True)

    def by_class() -> np.ndarray:
        drawn = np.stack([mixture.sample(n, seed) for mixture in mixtures])  # (10, n, Z)
        return np.asarray(ae.inverse_transform(drawn[asked, np.arange(n)]))

    def flow(guidance: float) -> Callable[[], np.ndarray]:
        return lambda: ae.sample(n, seed, asked, guidance=guidance)

    samplers: Samplers = {f"flow matching, guidance {w:g}": (prior_s, w > 0, flow(w)) for w in GUIDANCES}
    samplers |= {
        "mixture of 10": (mixture_s, False, lambda: ae.sample(n, seed, sampler="mixture")),
        "mixture of 10 for each class": (mixtures_s, True, by_class),
        "training images, rebuilt by the autoencoder": (0.0, False, lambda: ae.reconstruct(train[:n])),
    }
    if kind != "ae":
        return ae, samplers
    cvae, cvae_s = trained(folder / "cvae", lambda: Autoencoder(CVAE(), random_state=seed).fit(train, labels))
    vae, vae_s = trained(folder / "vae", lambda: Autoencoder(VAE(), random_state=seed).fit(train))
    return ae, samplers | {
        "cvae": (cvae_s, True, lambda: cvae.sample(n, seed, asked)),
        "vae, its prior": (vae_s, False, lambda: vae.sample(n, seed)),
    }


def trained(folder: Path, fit: Callable[[], Any]) -> tuple[Any, float]:
    """A fitted estimator and the processor seconds of its fit; kept in the folder, and read from it the next time."""
    seconds = folder / "seconds.txt"
    if seconds.exists():
        return load(folder), float(seconds.read_text())
    started = time.process_time()
    estimator = fit()
    spent = time.process_time() - started
    estimator.save(folder, overwrite=True)
    seconds.write_text(f"{spent}\n")
    return estimator, spent


def against(real: np.ndarray, judge: Classifier, images: np.ndarray) -> tuple[float, float, float]:
    """Frechet distance, precision and recall of images, in the judge's features, against those of real images."""
    return frechet_precision_recall(real, judge.features(images))


def halfway(ae: Autoencoder, judge: Classifier, test: np.ndarray) -> dict[str, dict[str, float]]:
    """Of images half-way between two test images: the Frechet distance from others of test, and how many the judge is
    sure of; beside test images themselves."""
    parts = np.array_split(test[np.random.default_rng(0).permutation(len(test))[: 4 * N_PAIRS]], 4)
    starts, ends, others, real = parts
    shown = {"straight": ae.interpolate(starts, ends, 3, straight=True)[:, 1]}
    shown |= {"by the flow": ae.interpolate(starts, ends, 3)[:, 1], "test images": as_floats(real)}
    against_others = judge.features(as_floats(others))
    return {
        name: {
            "frechet": frechet_precision_recall(against_others, judge.features(images))[0],
            "sure": float((judge.predict_proba(images).max(1) > SURE).mean()),
        }
        for name, images in shown.items()
    }


def as_floats(images: Any) -> np.ndarray:
    return np.asarray(images, np.float32) / 255


def copies(ae: Autoencoder, train: np.ndarray, test: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """Median distances to the nearest training image, pixels in 0..1: of images decoded from drawn codes, of test
    images, and of test images rebuilt by the autoencoder, which smooths all that it decodes. Those of codes: no decoder
    between."""
    codes = ae.transform(train)
    pixels = as_floats(train.reshape(len(train), -1))
    return {
        "drawn": nearest(pixels, ae.inverse_transform(drawn)),
        "test": nearest(pixels, as_floats(test)),
        "test, rebuilt": nearest(pixels, ae.reconstruct(test)),
        "code, drawn": nearest(codes, drawn),
        "code, test": nearest(codes, ae.transform(test)),
    }


def nearest(points: np.ndarray, of: np.ndarray) -> float:
    """The median distance from each of the rows to the nearest of the points."""
    index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(points.reshape(len(points), -1))
    return float(np.median(index.kneighbors(of.reshape(len(of), -1))[0]))


if __name__ == "__main__":
    main()
