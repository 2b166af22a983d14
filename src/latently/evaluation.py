"""A fitted estimator and images -> figures, each with its unit in its name."""

import math
from typing import Any

import numpy as np

from latently.densities import bits_per_dim
from latently.estimator import Autoencoder
from latently.models import can


def evaluate(estimator: Autoencoder, X: Any) -> dict[str, Any]:
    """Figures of images X as one flat dict, means over images.

    With a prior: `elbo_nats` (the bound itself, at weight 1, one sample of z an image), `reconstruction_nats` and
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


ACTIVE_NATS = 0.01  # mean KL above which a latent dimension is said to carry something


def mean_squared_error(estimator: Autoencoder, X: Any) -> float:
    """Per pixel, between what the model sees of X and its reconstruction from the posterior mean."""
    return float(np.square(estimator.reconstruct(X) - estimator.seen(X)).mean(dtype=np.float64))


def score_name(estimator: Autoencoder) -> str:
    """What `score_samples` of this estimator is, with its unit."""
    if can(estimator.model_, "prior"):
        return "elbo_nats"
    return "minus_reconstruction_nats" if estimator.model_.loss_unit == "nats" else "minus_squared_error"
