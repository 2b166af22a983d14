"""Where images are odd: AUROC per pixel of maps of oddness, ours beside the plain squared error, on pasted defects.

    python benchmarks/odd_pixels.py mnist [--validation] [--judged 300]
    python benchmarks/odd_pixels.py RUN FOLDER [--judged 300] [--by patchcore padim]

Into each image to judge one thing is pasted: a square of one grey level or colour, a line, or a part of another image.
Of MNIST a VAE learns (10,000 images, five epochs); of a FOLDER RUN has learned. `error` is the squared error of its
reconstruction, `pca` that of as many principal components as a code has dimensions, at most 100; `default` is the map
of `latently score --out odd.png`. A line of JSON per defect: of pixels, and of images, with the defect and without it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from latently import VAE, Autoencoder, data
from latently.analysis.run_images import RunImages
from latently.estimator.anomalies import Way, fitted_way

SEED = 0
DEFECTS = ("square", "line", "patch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="mnist, or RUN FOLDER")
    parser.add_argument("--judged", type=int, default=300)
    parser.add_argument("--normal", type=int, help="so many of the images that were learned; default: all")
    parser.add_argument("--validation", action="store_true", help="judge images of the training set, to choose by")
    parser.add_argument("--by", nargs="*", default=[], help="further ways, of runs whose encoder has maps")
    flags = parser.parse_args()
    if len(flags.data) == 1:
        images = data.load(flags.data[0])
        split = data.split(images)
        normal = images.images[split.train[:10000]]
        judged = images.images[split.validation if flags.validation else split.test]
        model = Autoencoder(VAE(latent_dim=20), epochs=5, random_state=SEED).fit(normal)
    else:
        opened = RunImages(Path(flags.data[0]), None, "cpu")
        normal, model = opened.images.images, opened.estimator
        if not flags.validation:
            judged = RunImages(Path(flags.data[0]), flags.data[1], "cpu").images.images
        else:
            order = np.random.default_rng(SEED).permutation(len(normal))
            normal, judged = normal[np.sort(order[flags.judged :])], normal[order[: flags.judged]]
    rng = np.random.default_rng(SEED)
    if flags.normal:
        normal = normal[np.sort(np.random.default_rng(SEED).permutation(len(normal))[: flags.normal])]
    judged = judged[rng.permutation(len(judged))[: flags.judged]]
    pca = PCA(min(100, model.transform(normal[:2]).shape[1]), random_state=SEED).fit(flat(normal))
    ways = {by: fitted_way(by, model, normal) for by in ("error", "auto", *flags.by)}
    before = scored(judged, pca, ways)
    for defect in DEFECTS:
        pasted, where = with_defect(judged, defect, rng)
        maps = {"pca": pca_error(pasted, pca).reshape(*where.shape, -1).mean(3)}
        maps |= {"default" if by == "auto" else by: way.maps(pasted) for by, way in ways.items()}
        figures = {name: float(roc_auc_score(where.ravel(), each.ravel())) for name, each in maps.items()}
        is_pasted, after = np.repeat([True, False], len(judged)), scored(pasted, pca, ways)
        for name, scores in after.items():
            figures[f"image {name}"] = float(roc_auc_score(is_pasted, -np.concatenate([scores, before[name]])))
        print(
            json.dumps({"data": flags.data[-1], "defect": defect} | {k: round(v, 4) for k, v in figures.items()}),
            flush=True,
        )


def scored(images: np.ndarray, pca: PCA, ways: dict[str, Way]) -> dict[str, np.ndarray]:
    """Of images by each way, the lowest the oddest."""
    found = {"pca": -pca_error(images, pca).sum(1)}
    return found | {"default" if by == "auto" else by: way.scores(images) for by, way in ways.items()}


def pca_error(images: np.ndarray, pca: PCA) -> np.ndarray:
    """The squared error of each value, (N, H W C)."""
    rows = flat(images)
    error: np.ndarray = (rows - pca.inverse_transform(pca.transform(rows))) ** 2
    return error


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255


def with_defect(images: np.ndarray, defect: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Copies of images (N, H, W[, C]) uint8 with something pasted in, and which pixels that changed (N, H, W)."""
    before, images, (n, height, width) = images, images.copy(), images.shape[:3]
    where = np.zeros((n, height, width), bool)
    down, across = np.indices((height, width))
    for place in range(n):
        size = int(rng.integers(height // 8, height // 4 + 1))
        top, left = rng.integers(height - size), rng.integers(width - size)
        inside = (slice(top, top + size), slice(left, left + size))
        if defect == "line":  # from the square's place, a third of the image long, a sixteenth wide
            angle, x, y = rng.uniform(0, np.pi), across - left - size / 2, down - top - size / 2
            along, beside = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
            where[place] = (abs(along) <= height / 6) & (abs(beside) <= max(0.75, height / 32))
        else:
            where[place][inside] = True
        if defect == "patch":  # of another image, at another place
            other = images[(place + 1 + rng.integers(n - 1)) % n]
            y, x = rng.integers(height - size), rng.integers(width - size)
            images[place][inside] = other[y : y + size, x : x + size]
        else:
            images[place][where[place]] = rng.integers(0, 256, images.shape[3:])
    changed = (images != before).reshape(n, height, width, -1).any(3)
    return images, where & changed


if __name__ == "__main__":
    main()
