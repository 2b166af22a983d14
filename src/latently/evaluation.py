"""A fitted estimator and images -> figures, each with its unit in its name."""

import math
from typing import Any

import numpy as np

from latently.densities import bits_per_dim
from latently.errors import require
from latently.estimator import Autoencoder, ClassPredictor, is_missing
from latently.models import can

ACTIVE_NATS = 0.01  # mean KL above which a latent dimension is said to carry something
CALIBRATION_BINS = 15


def evaluate(estimator: Any, X: Any, y: Any = None, importance_samples: int | None = None) -> dict[str, Any]:
    """Figures of images X as one dict, means over images. y: labels, for a classifier and for a conditional model.

    importance_samples: of a model with a prior, how many codes of each image a tighter bound is to take; none: no such.
    """
    if isinstance(estimator, ClassPredictor):
        require(importance_samples is None, "importance samples are for the bound of a vae; a classifier has none")
        return evaluate_classifier(estimator, X, y)
    assert isinstance(estimator, Autoencoder)
    tighter = {} if importance_samples is None else importance_figures(estimator, X, y, importance_samples)
    return evaluate_autoencoder(estimator, X, y) | tighter


def importance_figures(estimator: Autoencoder, X: Any, y: Any, samples: int) -> dict[str, Any]:
    """`iw_bound_nats`, the importance-weighted bound on log p(x), mean over images (Burda et al. 2015, eq. 8);
    `iw_bound_standard_error`, of that mean over other draws of z for the same images; `importance_samples`, K.
    """
    bound, error = estimator.importance_bound(X, samples, y)
    standard_error = float(np.sqrt(np.square(error, dtype=np.float64).sum())) / len(error)
    return {"iw_bound_nats": mean(bound), "iw_bound_standard_error": standard_error, "importance_samples": samples}


def evaluate_autoencoder(estimator: Autoencoder, X: Any, y: Any = None) -> dict[str, Any]:
    """With a prior: `elbo_nats` (the bound itself, at weight 1, one sample of z an image), `reconstruction_nats` and
    `kl_nats`, whose sum is minus it; `bits_per_dim`; `active_dimensions`, where the KL is taken by dimension. Without
    one: the reconstruction alone, in nats (`reconstruction_nats`) or squared pixel units (`squared_error`). Always:
    `mse` per pixel of the reconstruction from the posterior mean, `n_images`, and `likelihood` with what it was
    measured on. Of a denoising model also what `denoising_figures` gives.
    """
    terms = estimator.bound_terms(X, y)
    reconstruction = float(terms["reconstruction"].mean(dtype=np.float64))
    model = estimator.model_
    figures: dict[str, Any] = {}
    if "kl" in terms:
        kl = terms["kl"].mean(0, dtype=np.float64)  # (Z,), or () where it is not taken by dimension
        elbo = -reconstruction - float(kl.sum())
        figures |= {"elbo_nats": elbo, "reconstruction_nats": reconstruction, "kl_nats": float(kl.sum())}
        figures |= {"bits_per_dim": bits_per_dim(elbo, math.prod(estimator.image_shape_))}
        figures |= {"active_dimensions": int((kl > ACTIVE_NATS).sum())} if kl.ndim else {}
    else:
        name = "reconstruction_nats" if model.loss_unit == "nats" else "squared_error"
        figures |= {name: reconstruction}
    figures |= {"mse": mean_squared_error(estimator, X, y), "n_images": len(X)}
    if can(model, "denoise"):
        figures |= denoising_figures(estimator, X)
    data = "continuous" if estimator.binarise == "none" else estimator.binarise
    return figures | {"likelihood": f"{getattr(model, 'likelihood', 'none')}, {data}"}


def evaluate_classifier(estimator: ClassPredictor, X: Any, y: Any) -> dict[str, Any]:
    """`accuracy`; `nll_nats`, minus log p of the true class; `calibration_error`; `n_images`, those with a label; and
    `per_class`: precision, recall and number of images. A label of a class that was never trained on counts as wrong,
    and `nll_nats` leaves it out. Raises InputError where no image carries a label.
    """
    labelled = ~is_missing(np.asarray(y))
    require(bool(labelled.any()), "none of these images carries a label, so there is nothing to judge a classifier by")
    true = estimator.label_codes(np.asarray(y)[labelled])
    p = estimator.predict_proba(X)[labelled]
    predicted, known = p.argmax(1), true >= 0
    right = predicted == true
    per_class = {
        str(name): {
            "precision": mean(right[predicted == code]),
            "recall": mean(right[true == code]),
            "n_images": int((true == code).sum()),
        }
        for code, name in enumerate(estimator.classes_)
    }
    return {
        "accuracy": mean(right),
        "nll_nats": -mean(np.log(p[known, true[known]].clip(1e-38))),
        "calibration_error": calibration_error(p.max(1), right),
        "n_images": len(true),
        "per_class": per_class,
    }


def mean(values: np.ndarray) -> float:
    """NaN where there is nothing."""
    return float(values.mean(dtype=np.float64)) if len(values) else math.nan


def calibration_error(p: np.ndarray, right: np.ndarray) -> float:
    """Expected gap between confidence and accuracy over equal bins of confidence (Guo et al. 2017, eq. 3). (n,), (n,)

    >>> calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([True, True, True, False]))  # doctest: +ELLIPSIS
    0.05...
    """
    place = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(place, weights=right.astype(float) - p, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(p))


def mean_squared_error(estimator: Autoencoder, X: Any, y: Any = None) -> float:
    """Per pixel, between what the model sees of X and its reconstruction from the posterior mean."""
    return float(np.square(estimator.reconstruct(X, y) - estimator.seen(X)).mean(dtype=np.float64))


def denoising_figures(estimator: Autoencoder, X: Any, level: float | None = None) -> dict[str, Any]:
    """Of images rebuilt from noisy ones, against the clean: `denoised_mse` per pixel, `denoised_psnr_db`, and beside
    it `noisy_psnr_db`, that of the noisy images as they are; `noise` says which. Each image has its own repeatable
    noise, of the model's own level where none is given.
    """
    model, clean, noisy = estimator.model_, estimator.seen(X), estimator.corrupt(X, level)
    rebuilt = estimator.denoise(noisy)
    return {
        "denoised_mse": mean(per_image_mse(clean, rebuilt)),
        "denoised_psnr_db": mean(psnr_db(clean, rebuilt)),
        "noisy_psnr_db": mean(psnr_db(clean, noisy)),
        "noise": f"{model.noise} {model.level if level is None else level:g}",
    }


def per_image_mse(clean: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(N, ...) twice -> (N,): the squared error per pixel."""
    return np.square(seen.astype(np.float64) - clean).reshape(len(clean), -1).mean(1)


def psnr_db(clean: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each image, (N,), in dB, of pixels from 0 to 1; at most 100, where both are alike.

    >>> psnr_db(np.zeros((1, 4, 4)), np.full((1, 4, 4), 0.1)).round(6).tolist()
    [20.0]
    """
    return -10 * np.log10(per_image_mse(clean, seen).clip(1e-10))


def ssim(clean: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Structural similarity (Wang et al. 2004) of each image, (N,), of pixels from 0 to 1: 1 where both are alike.

    (N, H, W[, C]) twice, sides of 7 pixels or more; over windows of 7 x 7, as scikit-image has it.
    """
    from skimage.metrics import structural_similarity

    channel = -1 if clean.ndim == 4 else None
    pairs = zip(clean.astype(np.float64), seen.astype(np.float64), strict=True)
    return np.array([structural_similarity(a, b, data_range=1.0, channel_axis=channel) for a, b in pairs])


def precision_recall(real: np.ndarray, drawn: np.ndarray, neighbours: int = 3) -> tuple[float, float]:
    """How many drawn images look real, and how much of what is real is drawn (Kynkaanniemi et al. 2019, eq. 1 and 2).

    real (N, D) and drawn (M, D) are features of images. Around each real one lies a ball that reaches its third nearest
    other: precision is the share of the drawn inside any; recall is the same with the roles changed.

    >>> precision_recall(np.arange(8.0)[:, None], np.array([[0.0], [1.5], [3.2], [99.0]]), neighbours=1)
    (0.75, 1.0)
    """
    return covered(drawn, real, neighbours), covered(real, drawn, neighbours)


def covered(points: np.ndarray, by: np.ndarray, neighbours: int) -> float:
    """The share of points (M, D) inside the ball of any of the others (N, D)."""
    from sklearn.neighbors import NearestNeighbors

    reach = NearestNeighbors().fit(by).kneighbors(by, neighbours + 1)[0][:, -1]  # the nearest of all is a point itself
    inside = np.zeros(len(points), bool)
    for start in range(0, len(points), 1000):
        part = points[start : start + 1000].astype(np.float64)
        squared = np.square(part).sum(1)[:, None] + np.square(by).sum(1) - 2 * part @ by.T.astype(np.float64)
        inside[start : start + 1000] = (squared <= np.square(reach)).any(1)
    return float(inside.mean())


def score_name(estimator: Autoencoder) -> str:
    """What `score_samples` of this estimator is, with its unit."""
    if can(estimator.model_, "prior"):
        return "elbo_nats"
    return "minus_reconstruction_nats" if estimator.model_.loss_unit == "nats" else "minus_squared_error"
