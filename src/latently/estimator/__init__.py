"""The scikit-learn face: an estimator holds a model and fits it with the loop."""

from pathlib import Path
from typing import Any

from latently.errors import require
from latently.estimator.autoencoder import Autoencoder
from latently.estimator.base import ImageEstimator
from latently.estimator.classifier import Classifier, is_missing
from latently.runs import Run, understanding

KINDS: dict[str, type[ImageEstimator]] = {kind.kind: kind for kind in (Autoencoder, Classifier)}


def kind_of(params: dict[str, Any]) -> type[ImageEstimator]:
    """The estimator that params.json describes. Raises InputError, KeyError or TypeError where it is none of ours."""
    kind = params["estimator"]
    require(kind in KINDS, f"estimator is {kind!r}; expected {' or '.join(KINDS)}")
    return KINDS[kind]


def load(path: str | Path, device: str = "auto") -> ImageEstimator:
    """The fitted estimator of a run folder. Raises InputError where it is missing, unfinished, damaged or foreign."""
    run = Run(path)
    params = run.params
    with understanding(run.path / "params.json"):
        estimator = kind_of(params).from_description(params)
    return estimator.set_params(device=device).restore(run)


__all__ = ["Autoencoder", "Classifier", "ImageEstimator", "is_missing", "kind_of", "load"]
