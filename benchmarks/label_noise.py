"""Labels altered at random, and how many are found: ours beside cleanlab on the same probabilities.

    python benchmarks/label_noise.py mnist=RUN cifar10=RUN [--data cifar10=FOLDER] [--cleanlab SITE-PACKAGES]

Of up to --limit training images of each set a twentieth gets another class, drawn evenly. `precision` is that of the
list's first images, as many as were altered, filled up by the same order; beside it the same for pixels in place of
codes. cleanlab (a folder with it, for it is no dependency): `find_label_issues` by its defaults, ranked by itself.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from latently.analysis.run_images import RunImages
from latently.data import unit
from latently.evaluation.label_noise import held_out_probabilities, label_noise

ALTERED = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="NAME=RUN")
    parser.add_argument("--data", nargs="*", default=[], help="NAME=FOLDER")
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--pixels", action="store_true", help="pixels in place of codes, too")
    parser.add_argument("--cleanlab", help="folder of site-packages that holds cleanlab")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "label-noise.json")
    flags = parser.parse_args()
    sources = dict(each.split("=", 1) for each in flags.data)
    rows: list[dict[str, Any]] = json.loads(flags.out.read_text()) if flags.out.exists() else []
    for name, run in (each.split("=", 1) for each in flags.runs):
        rows = [row for row in rows if row["set"] != name]
        opened = RunImages(Path(run), sources.get(name), "auto")
        images = opened.part("all" if name in sources else "train").labelled()
        images = images.take(np.random.default_rng(0).permutation(len(images))[: flags.limit])
        features = {"codes": opened.estimator.features(images.images)}
        if flags.pixels:
            features["pixels"] = unit(images.pixels).reshape(len(images), -1)
        for draw in range(flags.draws):
            labels, altered = with_noise(images.labels, draw)
            for what, values in features.items():
                started = time.process_time()
                p = held_out_probabilities(values, labels)
                seconds = time.process_time() - started
                about = {"set": name, "n": len(images), "draw": draw, "features": what, "seconds": seconds}
                for tool, found in told(p, labels, flags.cleanlab).items():
                    rows.append(about | {"tool": tool} | judged(*found, altered))
                    print(json.dumps(rows[-1]), flush=True)
        flags.out.write_text(json.dumps(rows, indent=1) + "\n")


def with_noise(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) of which a twentieth are another class, and which: (N,) bool."""
    rng, n_classes = np.random.default_rng(seed), int(labels.max()) + 1
    some = rng.permutation(len(labels))[: round(ALTERED * len(labels))]
    noisy, altered = labels.copy(), np.zeros(len(labels), bool)
    noisy[some] = (labels[some] + rng.integers(1, n_classes, len(some))) % n_classes
    altered[some] = True
    return noisy, altered


def told(p: np.ndarray, labels: np.ndarray, cleanlab: str | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each tool the suspects, in order, and the order of all images."""
    ours = label_noise(p, labels)
    found = {"latently": (ours.suspects, np.argsort(ours.of_label, kind="stable"))}
    if cleanlab:
        sys.path.append(cleanlab)
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores

        for ranking in ("self_confidence", "normalized_margin"):
            issues = find_label_issues(labels, p, return_indices_ranked_by=ranking, n_jobs=1)
            quality = get_label_quality_scores(labels, p, method=ranking)
            found[f"cleanlab, {ranking}"] = (np.asarray(issues), np.argsort(quality, kind="stable"))
    return found


def judged(suspects: np.ndarray, order: np.ndarray, altered: np.ndarray) -> dict[str, float]:
    n = int(altered.sum())
    first = np.concatenate([suspects, order[~np.isin(order, suspects)]])[:n]
    return {
        "precision": float(altered[first].mean()),
        "n_suspects": len(suspects),
        "list_precision": float(altered[suspects].mean()) if len(suspects) else 0.0,
        "list_recall": float(altered[suspects].sum() / n),
    }


if __name__ == "__main__":
    main()
