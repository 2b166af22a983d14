"""The scikit-learn face: an estimator holds a model and fits it with the loop."""

from pathlib import Path

from latently.errors import require
from latently.estimator.autoencoder import Autoencoder
from latently.estimator.base import ImageEstimator
from latently.estimator.classifier import Classifier
from latently.runs import Run, understanding

KINDS: dict[str, type[ImageEstimator]] = {kind.kind: kind for kind in (Autoencoder, Classifier)}


def load(path: str | Path, device: str = "auto") -> ImageEstimator:
    """The fitted estimator of a run folder. Raises InputError where it is missing, unfinished, damaged or foreign."""
    run = Run(path)
    params = run.params
    with understanding(run.path / "params.json"):
        kind = params["estimator"]
        require(kind in KINDS, f"estimator is {kind!r}; expected {' or '.join(KINDS)}")
        estimator = KINDS[kind].from_description(params)
    return estimator.set_params(device=device).restore(run)


__all__ = ["Autoencoder", "Classifier", "ImageEstimator", "load"]
