"""How well `latently score` finds what is odd: one class is normal and learned from, images of all classes are judged.

    python benchmarks/odd_ones.py mnist [--classes 1 3] [--contaminated 0.05]
    python benchmarks/odd_ones.py PHOTOGRAPHS --classes automobile bird horse [--epochs 12]
    python benchmarks/odd_ones.py false-alarms mnist PHOTOGRAPHS ... [--once]

PHOTOGRAPHS is a folder with train/ and test/, in each a subfolder per class. Every way of a model (of MNIST a VAE, of
photographs SimCLR with rotations, trained on the class alone) and the default, beside what takes no model: the error of
principal components, the nearest images by pixels, an isolation forest; and PyOD's AutoEncoder and DeepSVDD with their
defaults, where PyOD is installed. AUROC on test images: a line of JSON per class, then the means. `false-alarms`: the
share of normal images that --false-alarms marks at 1, 5 and 10 %, over five draws of the images that are learned from,
held out and judged; `--once` draws those that are learned from once.
"""

import argparse
import json
import time
from collections import defaultdict
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from latently import VAE, Autoencoder, SimCLR, data
from latently.data import ImageSet
from latently.estimator.anomalies import WAYS, ByMaps, fitted_way, p_values, way_for
from latently.models.networks import Network

SEED = 0
# A third of SimCLR's own channels, for a class of a thousand photographs in a minute or two of one thread.
NARROW = " ".join(
    ["whiten(2)"]
    + [f"conv({n}, 3, linear, norm=weight) pool(2, gelu) conv({n}, 3, gelu, norm=weight)" for n in (32, 96, 192)]
    + ["mean() code()"]
)
RATES = (0.01, 0.05, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--classes", nargs="+", help="default: all")
    parser.add_argument("--contaminated", type=float, default=0.0, help="this share of what is learned is odd")
    parser.add_argument("--epochs", type=int, help="default: 12 of SimCLR, and of a VAE its own default")
    parser.add_argument("--judged", type=int, help="so many of the images to judge, drawn at random; default: all")
    parser.add_argument("--validation", action="store_true", help="judge validation images, to choose a way by")
    parser.add_argument("--once", action="store_true", help="of false-alarms: learn once")
    asked = parser.parse_args()
    if asked.data[0] == "false-alarms":
        for name in asked.data[1:]:
            print(json.dumps({"data": name} | false_alarms(name, asked.once)), flush=True)
        return
    train, judged = parts(asked.data[0], asked.validation)
    if asked.judged:
        judged = judged.take(np.random.default_rng(SEED).permutation(len(judged))[: asked.judged])
    found = defaultdict(list)
    for name in asked.classes or train.classes:
        began = time.process_time()
        figures = one_class(train, judged, name, asked.contaminated, asked.epochs)
        seconds = round(time.process_time() - began, 1)
        print(json.dumps({"class": name, "processor_seconds": seconds} | rounded(figures)), flush=True)
        for way, value in figures.items():
            found[way].append(value)
    means = {way: np.mean(values) for way, values in found.items()}
    print(json.dumps({"mean of": len(found["pixels"])} | rounded(means)))


def parts(source: str, validation: bool) -> tuple[ImageSet, ImageSet]:
    """Images to learn from and to judge: those for testing, or those for choosing."""
    images = data.load(source)
    split = data.split(images)
    return images.take(split.train), images.take(split.validation if validation else split.test)


def one_class(
    train: ImageSet, judged: ImageSet, name: str, contaminated: float, epochs: int | None
) -> dict[str, float]:
    """AUROC of every way; `default` is that of `latently score`."""
    normal = contaminate(train, name, contaminated)
    is_odd = judged.label_names != name
    model = encoder(normal, epochs).fit(normal)
    scores = simple(normal, judged.images)
    for by, way in WAYS.items():
        if normal.ndim == 4 or not issubclass(way, ByMaps):  # the VAE of digits has no maps
            scores[by] = fitted_way(by, model, normal).scores(judged.images)
    scores["default"] = scores[way_for(model).name]
    if find_spec("pyod"):
        scores |= by_pyod(normal, judged.images)
    return {way: float(roc_auc_score(is_odd, -values)) for way, values in scores.items()}


def encoder(images: np.ndarray, epochs: int | None, seed: int = SEED) -> Autoencoder:
    """Of photographs SimCLR, of others a VAE."""
    if images.ndim == 3:
        return Autoencoder(VAE(latent_dim=10), epochs=epochs or "auto", random_state=seed)
    simclr = SimCLR(latent_dim=288, rotations=True, network=Network(encoder=NARROW))
    return Autoencoder(simclr, **SimCLR.suited_training | {"batch_size": 32}, epochs=epochs or 12, random_state=seed)


def contaminate(train: ImageSet, name: str, share: float) -> np.ndarray:
    """The images of a class, a share of them replaced by others."""
    normal, others = (np.flatnonzero((train.label_names == name) == own) for own in (True, False))
    random = np.random.default_rng(SEED)
    n_odd = round(share * len(normal))
    chosen = np.concatenate([random.permutation(normal)[n_odd:], random.choice(others, n_odd, replace=False)])
    return np.asarray(train.images[random.permutation(chosen)])


def simple(normal: np.ndarray, judged: np.ndarray) -> dict[str, np.ndarray]:
    """Scores without a model, the lowest the oddest."""
    x, seen = flat(normal), flat(judged)
    pca = PCA(20, random_state=SEED).fit(x)
    nearest = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(x)
    return {
        "pca": -((seen - pca.inverse_transform(pca.transform(seen))) ** 2).sum(1),
        "pixels": -nearest.kneighbors(seen)[0].mean(1),
        "forest": IsolationForest(random_state=SEED).fit(x).score_samples(seen),
    }


def by_pyod(normal: np.ndarray, judged: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of PyOD's networks with their defaults, the lowest the oddest."""
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.deep_svdd import DeepSVDD

    x, seen = flat(normal), flat(judged)
    detectors = {
        "pyod AutoEncoder": AutoEncoder(random_state=SEED, verbose=0),
        "pyod DeepSVDD": DeepSVDD(n_features=x.shape[1], random_state=SEED, verbose=0),
    }
    return {name: -detector.fit(x).decision_function(seen) for name, detector in detectors.items()}


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255


def false_alarms(source: str, once: bool, draws: int = 5) -> dict[str, Any]:
    """The share of normal images with a p-value of at most 1, 5 and 10 %, by draw. Half of all images are learned from,
    at most 2,000, briefly: a good model has no fewer false alarms. Of the others half are held out and half judged.
    """
    prepared = data.Preparation() if source in data.NAMED else data.Preparation(image_size=(32, 32), fit="crop")
    images = data.load(source, prepared).images
    n_learned = min(len(images) // 2, 2000)
    n_judged = min((len(images) - n_learned) // 2, 5000)
    found = defaultdict(list)
    for draw in range(draws):
        random = np.random.default_rng(draw)
        if draw == 0 or not once:
            order = random.permutation(len(images))
            learned = images[np.sort(order[:n_learned])]
            way = fitted_way("auto", encoder(learned, 1, draw).fit(learned), learned)
            scores = way.scores(images[order[n_learned : n_learned + 2 * n_judged]])
        held_out, judged = np.split(random.permutation(scores) if once else scores, 2)
        p = p_values(judged, held_out)
        for rate in RATES:
            found[f"{rate:g}"].append(round(float((p <= rate).mean()), 4))
    return dict(found) | {"by": way.name, "learned": len(learned), "held_out": len(held_out), "judged": len(judged)}


def rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in figures.items()}


if __name__ == "__main__":
    main()
