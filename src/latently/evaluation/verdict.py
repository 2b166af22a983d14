"""What codes are worth, in one sentence: beside each of their figures, what pixels and principal components give."""

import re
from collections.abc import Mapping
from typing import Any

HEADS = {"probe": "linear probe", "knn": "neighbours"}
ROWS = {"codes": "codes", "pixels": "pixels", "pca": "principal components"}


def verdict(figures: Mapping[str, Any]) -> str:
    """From the figures of `evaluate --codes` or of the demo; empty where codes stand beside nothing.

    >>> heads = {"probe_accuracy": 0.704, "pixels_probe_accuracy": 0.36, "pca_probe_accuracy": 0.476}
    >>> verdict(heads | {"knn_accuracy": 0.25, "pixels_knn_accuracy": 0.28, "pca_knn_accuracy": 0.3})
    'linear probe: codes 70.4 %, pixels 36.0 %, principal components 47.6 %; neighbours: codes 25.0 %, pixels 28.0 %, \
principal components 30.0 %: these codes lose by neighbours'
    >>> few = {"accuracy_codes_50_labels": 0.936, "accuracy_pixels_50_labels": 0.849}
    >>> verdict(few | {"accuracy_pca_50_labels": 0.848})
    '50 labels: codes 93.6 %, pixels 84.9 %, principal components 84.8 %'
    """
    compared = {name: accuracies for name, accuracies in heads(figures).items() if len(accuracies) == len(ROWS)}
    sentences = [
        f"{name}: " + ", ".join(f"{ROWS[row]} {100 * accuracy:.1f} %" for row, accuracy in accuracies.items())
        for name, accuracies in compared.items()
    ]
    losers = [name for name, accuracies in compared.items() if accuracies["codes"] < max(accuracies.values())]
    return "; ".join(sentences) + (f": these codes lose by {' and by '.join(losers)}" if losers else "")


def heads(figures: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What was learned on codes, on pixels and on principal components, by the name of what learned."""
    keys = {name: {row: row_key(row, head) for row in ROWS} for head, name in HEADS.items()}
    for key in figures:
        if budget := re.fullmatch(r"accuracy_codes_(\d+)_labels", key):
            keys[f"{budget[1]} labels"] = {row: key.replace("codes", row) for row in ROWS}
    return {
        name: {row: float(figures[key]) for row, key in own.items() if isinstance(figures.get(key), int | float)}
        for name, own in keys.items()
    }


def row_key(row: str, head: str) -> str:
    return f"{head}_accuracy" if row == "codes" else f"{row}_{head}_accuracy"
