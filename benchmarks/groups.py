"""Groups without labels, ours beside simple ones: accuracy under the best matching, and NMI, on the same images.

    python benchmarks/groups.py mnist=RUN cifar10=RUN [--data cifar10=FOLDER] [--part test] [--out results/groups.json]

Each set by the run of its name (`latently train simclr`), on its test images or on all of those under --data. The
number of classes is told to all but HDBSCAN; `found`, of UMAP, is the number by the rule of `latently cluster`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from latently.analysis.cluster import divide, likely_number, points_of
from latently.analysis.run_images import RunImages
from latently.data import unit
from latently.evaluation.codes import clustering_figures

COMPONENTS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="NAME=RUN")
    parser.add_argument("--data", nargs="*", default=[], help="NAME=FOLDER")
    parser.add_argument("--part", default="test")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--features", nargs="*", default=["pixels", "principal components", "codes"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "groups.json")
    flags = parser.parse_args()
    sources = dict(each.split("=", 1) for each in flags.data)
    rows: list[dict[str, Any]] = json.loads(flags.out.read_text()) if flags.out.exists() else []
    for name, run in (each.split("=", 1) for each in flags.runs):
        opened = RunImages(Path(run), sources.get(name), "auto")
        images = opened.part("all" if name in sources else flags.part).labelled()
        rows = [row for row in rows if row["set"] != name or row["features"] not in flags.features]
        pixels = unit(images.pixels).reshape(len(images), -1)
        features = {
            "pixels": lambda pixels=pixels: pixels,
            "principal components": lambda pixels=pixels: PCA(COMPONENTS, random_state=0).fit_transform(pixels),
            "codes": lambda opened=opened, images=images: opened.estimator.features(images.images),
        }
        for seed in range(flags.seeds):
            for what in flags.features:
                values = features[what]()
                for space in ("codes", "umap"):
                    if space == "umap" and "components" in what:
                        continue
                    for row in measured(values, images.labels, space, seed):
                        rows.append({"set": name, "n": len(images), "seed": seed, "features": what} | row)
                        print(json.dumps(rows[-1]), flush=True)
                        flags.out.write_text(json.dumps(rows, indent=1) + "\n")


def measured(features: np.ndarray, labels: np.ndarray, space: Any, seed: int) -> list[dict[str, Any]]:
    """A row per method."""
    started = time.process_time()
    points, n_classes = points_of(features, space, seed), int(labels.max()) + 1
    seconds = time.process_time() - started
    found = likely_number(points, seed) if space == "umap" else None
    rows = []
    for method in ("k-means", "mixture", "hdbscan") if space == "umap" else ("k-means",):
        started = time.process_time()
        group, _ = divide(points, method, n_classes, seed)
        told = clustering_figures(labels, np.where(group < 0, group.max() + 1, group))
        took = {"space_s": seconds, "method_s": time.process_time() - started}
        rows.append({"space": space, "method": method, "found": found} | told | took)
    return rows


if __name__ == "__main__":
    main()
