"""A fitted estimator and images -> figures, each with its unit in its name."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from latently.common.errors import require
from latently.data.classes import as_labels, is_missing
from latently.estimator import Autoencoder, ClassPredictor
from latently.models import can
from latently.models.densities import bits_per_dim

ACTIVE_VARIANCE = 0.01  # over images, of the posterior mean, above which a unit is active (Burda et al. 2015, 5.2)
CALIBRATION_BINS = 15
SSIM_WINDOW = 7
IMAGES_AT_ONCE = 2000  # that are rebuilt, and compared with what they were
VALUES_AT_ONCE = 2**20  # pixels that are compared in float64 in one go: 1,337 images of 28 x 28
COLLAPSE = (
    "the posterior has collapsed: no dimension of the code depends on the image, so the codes are empty; train longer, "
    "lower beta, or give kl_warmup, or free_bits where the model takes them"
)


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
    `kl_nats`, whose sum is minus it; `bits_per_dim`; `active_units` of the code, and whether it has `collapsed`, which
    is when there is none. Without one: the reconstruction alone, in nats (`reconstruction_nats`) or squared pixel units
    (`squared_error`). Always what `reconstruction_figures` gives, `n_images`, and `likelihood` with what it was
    measured on. Of a denoising model also what `denoising_figures` gives.
    """
    terms, codes = estimator.bound_terms(X, y), estimator.transform(X, y)
    reconstruction = float(terms["reconstruction"].mean(dtype=np.float64))
    model = estimator.model_
    figures: dict[str, Any] = {}
    if "kl" in terms:
        kl = terms["kl"].mean(0, dtype=np.float64)  # (Z,), or () where it is not taken by dimension
        elbo = -reconstruction - float(kl.sum())
        figures |= {"elbo_nats": elbo, "reconstruction_nats": reconstruction, "kl_nats": float(kl.sum())}
        figures |= {"bits_per_dim": bits_per_dim(elbo, math.prod(estimator.image_shape_))}
        figures |= {"active_units": active_units(codes), "collapsed": collapsed(codes)}
    else:
        name = "reconstruction_nats" if model.loss_unit == "nats" else "squared_error"
        figures |= {name: reconstruction}

    def rebuilt(some: slice) -> tuple[np.ndarray, np.ndarray]:
        return estimator.seen(X[some]), estimator.inverse_transform(codes[some], labels_of(y, some))

    figures |= reconstruction_figures(map(rebuilt, batch_slices(codes))) | {"n_images": len(codes)}
    if can(model, "denoise"):
        figures |= denoising_figures(estimator, X)
    data = "continuous" if estimator.binarise == "none" else estimator.binarise
    return figures | {"likelihood": f"{getattr(model, 'likelihood', 'none')}, {data}"}


def evaluate_classifier(estimator: ClassPredictor, X: Any, y: Any) -> dict[str, Any]:
    """`accuracy`; `nll_nats`, minus log p of the true class; `calibration_error`; `n_images`, those with a label; and
    `per_class`: precision, recall and number of images. A label of a class that was never trained on counts as wrong,
    and `nll_nats` leaves it out; a classifier without probabilities has neither that nor `calibration_error`. Raises
    InputError where no image carries a label of a class that was.
    """
    require(y is not None, "a classifier is judged by labels: give y")
    n_images, n_labels = len(X), len(y)
    require(n_images == n_labels, f"{n_labels:,} labels came for {n_images:,} images")
    y = as_labels(y)
    labelled = ~is_missing(y)
    require(bool(labelled.any()), "none of these images carries a label, so there is nothing to judge a classifier by")
    true = estimator.label_codes(y[labelled])
    none = f"none of these labels ({y[labelled].tolist()[0]!r}, for one) is of a class that was trained"
    require(bool((true >= 0).any()), f"{none}: {', '.join(map(repr, estimator.classes_.tolist()))}")
    figures: dict[str, Any] = {}
    if hasattr(estimator, "predict_proba"):
        p, known = estimator.predict_proba(X)[labelled], true >= 0
        predicted = p.argmax(1)
        figures["nll_nats"] = nll_nats(p[known], true[known])
        figures["calibration_error"] = calibration_error(p.max(1), predicted == true)
    else:
        predicted = estimator.label_codes(estimator.predict(X))[labelled]
    right = predicted == true
    per_class = {
        str(name): {
            "precision": mean(right[predicted == code]),
            "recall": mean(right[true == code]),
            "n_images": int((true == code).sum()),
        }
        for code, name in enumerate(estimator.classes_)
    }
    return {"accuracy": mean(right)} | figures | {"n_images": len(true), "per_class": per_class}


def mean(values: np.ndarray) -> float:
    """NaN where there is nothing."""
    return float(values.mean(dtype=np.float64)) if len(values) else math.nan


def nll_nats(p: np.ndarray, true: np.ndarray) -> float:
    """Minus log p of the true class, mean over images, of p (n, classes) and class numbers (n,); at most 87.5 each.

    >>> round(nll_nats(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([1, 0])), 4)
    0.3466
    """
    return -mean(np.log(p[np.arange(len(true)), true].clip(1e-38)))


def calibration_error(p: np.ndarray, right: np.ndarray) -> float:
    """Expected gap between confidence and accuracy over equal bins of confidence (Guo et al. 2017, eq. 3). (n,), (n,)

    >>> calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([True, True, True, False]))  # doctest: +ELLIPSIS
    0.05...
    """
    place = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(place, weights=right.astype(float) - p, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(p))


def active_units(codes: np.ndarray) -> int:
    """How many dimensions of posterior means (N, Z) differ from image to image, by a variance above 0.01: the units
    that the model uses (Burda et al. 2015, section 5.2).

    >>> active_units(np.array([[-1.0, 0.001], [1.0, 0.0]]))
    1
    """
    return int((codes.var(0, dtype=np.float64) > ACTIVE_VARIANCE).sum())


def collapsed(codes: np.ndarray) -> bool:
    """Whether posterior means (N, Z) are the same for all images. A single image cannot tell."""
    return len(codes) > 1 and active_units(codes) == 0


def batch_slices(images: np.ndarray) -> Iterator[slice]:
    """Some images at a time: floats of all of them may not fit into memory."""
    return (slice(start, start + IMAGES_AT_ONCE) for start in range(0, len(images), IMAGES_AT_ONCE))


def labels_of(y: Any, some: slice) -> Any:
    """The labels of some images; a single label is that of all."""
    return y if np.ndim(y) == 0 else y[some]


def reconstruction_figures(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Between what a model sees and what it rebuilds from the posterior mean, both (n, ...), some images after others:
    `mse` per pixel; where pixels are in 0..1 `psnr_db`; where these are images with sides of 7 pixels or more `ssim`.
    """
    by_image: dict[str, list[np.ndarray]] = defaultdict(list)
    within = True
    for seen, rebuilt in pairs:
        by_image["mse"].append(per_image_mse(seen, rebuilt))
        within = within and seen.min() >= 0 and seen.max() <= 1
        if within:
            by_image["psnr_db"].append(psnr_db(seen, rebuilt))
            if seen.ndim >= 3 and min(seen.shape[1:3]) >= SSIM_WINDOW:
                by_image["ssim"].append(ssim(seen, rebuilt))
    return {name: mean(np.concatenate(values)) for name, values in by_image.items() if within or name == "mse"}


def denoising_figures(estimator: Autoencoder, X: Any) -> dict[str, Any]:
    """Of images rebuilt from noisy ones, against the clean: `denoised_mse` per pixel; where pixels are in 0..1
    `denoised_psnr_db`, and beside it `noisy_psnr_db`, that of the noisy images as they are; `noise` says which. Each
    image has its own repeatable noise, of the model's own level.
    """
    model, by_image, within = estimator.model_, defaultdict(list), True
    for some in batch_slices(X):
        clean, noisy = estimator.seen(X[some]), estimator.corrupt(X[some])
        rebuilt = estimator.denoise(noisy)
        by_image["denoised_mse"].append(per_image_mse(clean, rebuilt))
        by_image["denoised_psnr_db"].append(psnr_db(clean, rebuilt))
        by_image["noisy_psnr_db"].append(psnr_db(clean, noisy))
        within = within and clean.min() >= 0 and clean.max() <= 1
    figures = {name: mean(np.concatenate(values)) for name, values in by_image.items() if within or "psnr" not in name}
    return figures | {"noise": f"{model.noise} {model.level:g}"}


def per_image_mse(clean: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(N, ...) twice -> (N,): the squared error per pixel."""

    def of_batch(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.square(b.astype(np.float64) - a).reshape(len(a), -1).mean(1)

    return in_batches(of_batch, clean, seen)


def in_batches(figure: Callable[..., np.ndarray], *images: np.ndarray) -> np.ndarray:
    """A figure of each image, computed of some images at a time: in float64 all of them may not fit."""
    at_once = max(1, VALUES_AT_ONCE // math.prod(images[0].shape[1:]))
    batches = [slice(start, start + at_once) for start in range(0, len(images[0]), at_once)]
    return np.concatenate([figure(*(each[part] for each in images)) for part in batches])


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

    def of_batch(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        pairs = zip(a.astype(np.float64), b.astype(np.float64), strict=True)
        return np.array([structural_similarity(*pair, data_range=1.0, channel_axis=channel) for pair in pairs])

    return in_batches(of_batch, clean, seen)


def score_name(estimator: Autoencoder) -> str:
    """What `score_samples` of this estimator is, with its unit."""
    if can(estimator.model_, "prior"):
        return "elbo_nats"
    return "minus_reconstruction_nats" if estimator.model_.loss_unit == "nats" else "minus_squared_error"
