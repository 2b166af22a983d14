"""The scikit-learn estimators: each holds a model and fits it with the training loop."""

from pathlib import Path
from typing import Any

from torch import nn

from latently.common.errors import require
from latently.common.files import input_errors_for
from latently.estimator.anomaly_detector import AnomalyDetector
from latently.estimator.autoencoder import Autoencoder
from latently.estimator.base import ImageEstimator
from latently.estimator.classifier import Classifier, ClassPredictor
from latently.estimator.code_prior import CodePrior
from latently.estimator.few_label import FewLabelClassifier
from latently.runs import hub
from latently.runs.folder import Run

KINDS: dict[str, Any] = {kind.kind: kind for kind in (Autoencoder, Classifier, CodePrior, FewLabelClassifier)}


def load(
    path: str | Path, device: str = "auto", *, encoder: nn.Module | None = None, decoder: nn.Module | None = None
) -> Any:
    """The fitted estimator of a run folder, or of hf://owner/name on the Hugging Face hub. Raises InputError if it is
    missing, unfinished, damaged or foreign.

    encoder, decoder: modules like those that the model was given in Python, `Network(encoder=...)`: a run folder holds
    their weights, which are put into copies of these, but not their code.
    """
    run = Run(hub.fetched(str(path)) if str(path).startswith(hub.PREFIX) else path)
    kind = run.kind
    with input_errors_for(run.path / "params.json"):
        require(kind in KINDS, f"estimator is {kind!r}; expected {' or '.join(KINDS)}")
    parts = {"encoder": encoder, "decoder": decoder}
    return KINDS[kind].of_run(run, device, {name: part for name, part in parts.items() if part is not None})


__all__ = [
    "AnomalyDetector",
    "Autoencoder",
    "ClassPredictor",
    "Classifier",
    "CodePrior",
    "FewLabelClassifier",
    "ImageEstimator",
    "load",
]
