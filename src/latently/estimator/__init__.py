"""The scikit-learn estimators: each holds a model and fits it with the training loop."""

from pathlib import Path
from typing import Any

from latently.common.errors import require
from latently.common.files import input_errors_for
from latently.estimator.autoencoder import Autoencoder
from latently.estimator.base import ImageEstimator
from latently.estimator.classifier import Classifier, ClassPredictor
from latently.estimator.few_label import FewLabelClassifier
from latently.runs.folder import Run

KINDS: dict[str, Any] = {kind.kind: kind for kind in (Autoencoder, Classifier, FewLabelClassifier)}


def load(path: str | Path, device: str = "auto") -> Any:
    """The fitted estimator of a run folder. Raises InputError if it is missing, unfinished, damaged or foreign."""
    run = Run(path)
    kind = run.kind
    with input_errors_for(run.path / "params.json"):
        require(kind in KINDS, f"estimator is {kind!r}; expected {' or '.join(KINDS)}")
    return KINDS[kind].of_run(run, device)


__all__ = [
    "Autoencoder",
    "ClassPredictor",
    "Classifier",
    "FewLabelClassifier",
    "ImageEstimator",
    "load",
]
