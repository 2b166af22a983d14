"""A fitted estimator and images -> figures, each with its unit in its name."""

import math
from typing import Any

import numpy as np

from latently.densities import bits_per_dim
from latently.errors import require
from latently.estimator import Autoencoder, Classifier, ImageEstimator, is_missing
from latently.models import can

ACTIVE_NATS = 0.01  # mean KL above which a latent dimension is said to carry something
CALIBRATION_BINS = 15


def evaluate(estimator: ImageEstimator, X: Any, y: Any = None) -> dict[str, Any]:
    """Figures of images X, and for a classifier of their labels y, as one dict; means over images."""
    if isinstance(estimator, Classifier):
        return evaluate_classifier(estimator, X, y)
    assert isinstance(estimator, Autoencoder)
    return evaluate_autoencoder(estimator, X)


def evaluate_autoencoder(estimator: Autoencoder, X: Any) -> dict[str, Any]:
    """With a prior: `elbo_nats` (the bound itself, at weight 1, one sample of z an image), `reconstruction_nats` and
    `kl_nats`, whose sum is minus it; `bits_per_dim`; `active_dimensions`. Without one: the reconstruction alone, in
    nats (`reconstruction_nats`) or squared pixel units (`squared_error`). Always: `mse` per pixel of the
    reconstruction from the posterior mean, `n_images`, and `likelihood` with what it was measured on.
    """
    terms = estimator.bound_terms(X)
    reconstruction = float(terms["reconstruction"].mean(dtype=np.float64))
    model = estimator.model_
    figures: dict[str, Any] = {}
    if "kl" in terms:
        kl = terms["kl"].mean(0, dtype=np.float64)  # (Z,)
        elbo = -reconstruction - float(kl.sum())
        figures |= {"elbo_nats": elbo, "reconstruction_nats": reconstruction, "kl_nats": float(kl.sum())}
        figures |= {"bits_per_dim": bits_per_dim(elbo, math.prod(estimator.image_shape_))}
        figures |= {"active_dimensions": int((kl > ACTIVE_NATS).sum())}
    else:
        name = "reconstruction_nats" if model.loss_unit == "nats" else "squared_error"
        figures |= {name: reconstruction}
    figures |= {"mse": mean_squared_error(estimator, X), "n_images": len(X)}
    data = "continuous" if estimator.binarise == "none" else estimator.binarise
    return figures | {"likelihood": f"{getattr(model, 'likelihood', 'none')}, {data}"}


def evaluate_classifier(estimator: Classifier, X: Any, y: Any) -> dict[str, Any]:
    """`accuracy`; `nll_nats`, minus log p of the true class; `calibration_error`; `n_images`, those with a label; and
    `per_class`: precision, recall and number of images. A label of a class that was never trained on counts as wrong,
    and `nll_nats` leaves it out. Raises InputError where no image carries a label.
    """
    labelled = ~is_missing(np.asarray(y))
    require(bool(labelled.any()), "none of these images carries a label, so there is nothing to judge a classifier by")
    true = estimator.label_codes(np.asarray(y)[labelled])
    log_p = estimator.predict_log_proba(X)[labelled]
    p, predicted, known = np.exp(log_p).max(1), log_p.argmax(1), true >= 0
    right = predicted == true
    per_class = {
        str(name): {
            "precision": share(right[predicted == code]),
            "recall": share(right[true == code]),
            "n_images": int((true == code).sum()),
        }
        for code, name in enumerate(estimator.classes_)
    }
    return {
        "accuracy": share(right),
        "nll_nats": -float(log_p[known, true[known]].mean(dtype=np.float64)),
        "calibration_error": calibration_error(p, right),
        "n_images": len(true),
        "per_class": per_class,
    }


def share(right: np.ndarray) -> float:
    """NaN where there is nothing to be right about."""
    return float(right.mean()) if len(right) else math.nan


def calibration_error(p: np.ndarray, right: np.ndarray) -> float:
    """Expected gap between confidence and accuracy over equal bins of confidence (Guo et al. 2017, eq. 3). (n,), (n,)

    >>> calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([True, True, True, False]))  # doctest: +ELLIPSIS
    0.05...
    """
    place = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(place, weights=right.astype(float) - p, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(p))


def mean_squared_error(estimator: Autoencoder, X: Any) -> float:
    """Per pixel, between what the model sees of X and its reconstruction from the posterior mean."""
    return float(np.square(estimator.reconstruct(X) - estimator.seen(X)).mean(dtype=np.float64))


def score_name(estimator: Autoencoder) -> str:
    """What `score_samples` of this estimator is, with its unit."""
    if can(estimator.model_, "prior"):
        return "elbo_nats"
    return "minus_reconstruction_nats" if estimator.model_.loss_unit == "nats" else "minus_squared_error"
