"""A fitted estimator and images -> metrics, each with its unit in its name."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from latently.common.errors import require
from latently.data import Images
from latently.data.classes import as_labels, class_indices, is_missing
from latently.data.ranges import unusual_range
from latently.estimator import Autoencoder, ClassPredictor
from latently.models import can
from latently.models.densities import bits_per_dim

ACTIVE_VARIANCE = (
    0.01  # variance of the posterior mean over images above which a unit is active (Burda et al. 2015, 5.2)
)
CALIBRATION_BINS = 15
SSIM_WINDOW = 7
IMAGES_AT_ONCE = 2000  # reconstructed and compared with their originals
VALUES_AT_ONCE = 2**20  # pixels compared in float64 at a time: 1,337 images of 28 x 28
COLLAPSE = (
    "the posterior has collapsed: no dimension of the code depends on the image; {}train longer, lower beta, or set "
    "kl_warmup, or free_bits if the model has it"
)


def evaluate(estimator: Any, X: Any, y: Any = None, importance_samples: int | None = None) -> dict[str, Any]:
    """Metrics on images X as one dict, averaged over images. y: labels, for classifiers and conditional models.

    importance_samples: samples of z per image for the importance-weighted bound; None: no such bound. Needs a prior.
    """
    if isinstance(estimator, ClassPredictor):
        require(importance_samples is None, "importance samples are for the bound of a vae; a classifier has no bound")
        return evaluate_classifier(estimator, X, y)
    assert isinstance(estimator, Autoencoder)
    tighter = {} if importance_samples is None else importance_figures(estimator, X, y, importance_samples)
    predicts = can(estimator.model_, "classify") and y is not None and not is_missing(as_labels(y)).all()
    classes = evaluate_classifier(estimator, X, y) if predicts else {}
    return classes | evaluate_autoencoder(estimator, X, y) | tighter


def importance_figures(estimator: Autoencoder, X: Any, y: Any, samples: int) -> dict[str, Any]:
    """`iw_bound_nats`, the importance-weighted bound on log p(x), averaged over images (Burda et al. 2015, eq. 8);
    `iw_bound_standard_error` of that mean, over redraws of z for the same images; `importance_samples`, K.
    """
    bound, error = estimator.importance_bound(X, samples, y)
    standard_error = float(np.sqrt(np.square(error, dtype=np.float64).sum())) / len(error)
    return {"iw_bound_nats": mean(bound), "iw_bound_standard_error": standard_error, "importance_samples": samples}


def evaluate_autoencoder(estimator: Autoencoder, X: Any, y: Any = None) -> dict[str, Any]:
    """With a prior: `elbo_nats` (at KL weight 1, one sample of z per image); `reconstruction_nats` and `kl_nats`, whose
    sum is minus the ELBO; `bits_per_dim`; `active_units` of the code, and whether it has `collapsed` (no active unit).
    Without a prior: only the reconstruction, in nats (`reconstruction_nats`) or in the pixels' unit (`squared_error`,
    `absolute_error`).
    Always: the metrics of `reconstruction_figures`, `n_images`, and `likelihood` with the kind of data it was taken on.
    For a denoising model also those of `denoising_figures`. Of a model that infers classes the bound is on log p(x),
    whether there are labels or not.
    """
    y = y if estimator.model_.needs_labels else None
    terms, codes = estimator.bound_terms(X, y), estimator.transform(X, y)
    y = estimator.completed(X, y)
    reconstruction = float(terms["reconstruction"].mean(dtype=np.float64))
    model = estimator.model_
    figures: dict[str, Any] = {}
    if "kl" in terms:
        elbo = -sum(float(term.mean(0, dtype=np.float64).sum()) for term in terms.values())
        figures |= {"elbo_nats": elbo, "reconstruction_nats": reconstruction, "kl_nats": -elbo - reconstruction}
        figures |= {"bits_per_dim": bits_per_dim(elbo, math.prod(estimator.image_shape_))}
        figures |= {"active_units": active_units(codes), "collapsed": collapsed(codes)}
    else:
        name = "reconstruction_nats" if model.loss_unit == "nats" else model.loss_unit.replace(" ", "_")
        figures |= {name: reconstruction}

    def rebuilt(some: slice) -> tuple[np.ndarray, np.ndarray]:
        return estimator.seen(X[some]), estimator.inverse_transform(codes[some], labels_of(y, some))

    figures |= reconstruction_figures(map(rebuilt, batch_slices(codes))) | {"n_images": len(codes)}
    if can(model, "denoise"):
        figures |= denoising_figures(estimator, X)
    data = "continuous" if estimator.binarise == "none" else estimator.binarise
    return figures | {"likelihood": f"{getattr(model, 'likelihood', 'none')}, {data}"}


def evaluate_classifier(estimator: Any, X: Any, y: Any) -> dict[str, Any]:
    """`accuracy`; `nll_nats`, minus log p of the true class; `calibration_error`; `n_images`, the labelled ones; and
    `per_class`: precision, recall and number of images. A label of a class that was not trained counts as wrong and is
    left out of `nll_nats`; a classifier without probabilities has neither `nll_nats` nor `calibration_error`. Raises
    InputError if no image has a label of a trained class.
    """
    require(y is not None, "evaluating a classifier needs labels: give y")
    n_images, n_labels = len(X), len(y)
    require(n_images == n_labels, f"got {n_labels:,} labels for {n_images:,} images")
    y = as_labels(y)
    labelled = ~is_missing(y)
    require(bool(labelled.any()), "none of these images has a label, so the classifier cannot be evaluated")
    true = class_indices(y[labelled], estimator.classes_)
    none = f"none of these labels (for example {y[labelled].tolist()[0]!r}) is a class of the training labels"
    require(bool((true >= 0).any()), f"{none}: {', '.join(map(repr, estimator.classes_.tolist()))}")
    figures: dict[str, Any] = {}
    if hasattr(estimator, "predict_proba"):
        p, known = estimator.predict_proba(X)[labelled], true >= 0
        predicted = p.argmax(1)
        figures["nll_nats"] = nll_nats(p[known], true[known])
        figures["calibration_error"] = calibration_error(p.max(1), predicted == true)
    else:
        predicted = class_indices(estimator.predict(X), estimator.classes_)[labelled]
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
    """NaN for an empty array."""
    return float(values.mean(dtype=np.float64)) if len(values) else math.nan


def nll_nats(p: np.ndarray, true: np.ndarray) -> float:
    """Minus log p of the true class, averaged over images; p (n, classes), class indices (n,); at most 87.5 each.

    >>> round(nll_nats(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([1, 0])), 4)
    0.3466
    """
    return -mean(np.log(p[np.arange(len(true)), true].clip(1e-38)))


def calibration_error(p: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over equal bins of confidence (Guo et al. 2017, eq. 3). (n,), (n,)

    >>> calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([True, True, True, False]))  # doctest: +ELLIPSIS
    0.05...
    """
    place = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(place, weights=right.astype(float) - p, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(p))


def active_units(codes: np.ndarray) -> int:
    """Number of dimensions of the posterior means (N, Z) whose variance over images is above 0.01: the units that the
    model uses (Burda et al. 2015, section 5.2).

    >>> active_units(np.array([[-1.0, 0.001], [1.0, 0.0]]))
    1
    """
    return int((codes.var(0, dtype=np.float64) > ACTIVE_VARIANCE).sum())


def collapse_sentence(images: Images) -> str:
    """What a collapse on these images may be due to: their range if it is unusual."""
    reach = unusual_range(images)
    return COLLAPSE.format(f"the likely cause is that {reach}: train with --scale auto; else " if reach else "")


def collapsed(codes: np.ndarray) -> bool:
    """Whether posterior means (N, Z) are the same for all images. False for a single image."""
    return len(codes) > 1 and active_units(codes) == 0


def batch_slices(images: np.ndarray) -> Iterator[slice]:
    """Slices of a few images each: floats of all images may not fit into memory."""
    return (slice(start, start + IMAGES_AT_ONCE) for start in range(0, len(images), IMAGES_AT_ONCE))


def labels_of(y: Any, some: slice) -> Any:
    """The labels of a slice of images; a single label applies to all."""
    return y if np.ndim(y) == 0 else y[some]


def reconstruction_figures(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """From pairs of inputs and their reconstructions from the posterior mean, both (n, ...): `mse` per pixel; `psnr_db`
    if pixels are in 0..1; and then also `ssim` if both sides of the images have at least 7 pixels.
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
    """Denoised images against the clean ones: `denoised_mse` per pixel; if pixels are in 0..1 also `denoised_psnr_db`,
    and `noisy_psnr_db` of the noisy images themselves; `noise` is its kind and level. Each image has its own repeatable
    noise, at the model's level.
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
    """Two arrays (N, ...) -> (N,): the mean squared error over pixels."""

    def of_batch(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.square(b.astype(np.float64) - a).reshape(len(a), -1).mean(1)

    return in_batches(of_batch, clean, seen)


def in_batches(figure: Callable[..., np.ndarray], *images: np.ndarray) -> np.ndarray:
    """A metric of each image, computed in batches: all images in float64 may not fit into memory."""
    at_once = max(1, VALUES_AT_ONCE // math.prod(images[0].shape[1:]))
    batches = [slice(start, start + at_once) for start in range(0, len(images[0]), at_once)]
    return np.concatenate([figure(*(each[part] for each in images)) for part in batches])


def psnr_db(clean: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each image, (N,), in dB, for pixels in 0..1; at most 100, for identical images.

    >>> psnr_db(np.zeros((1, 4, 4)), np.full((1, 4, 4), 0.1)).round(6).tolist()
    [20.0]
    """
    return -10 * np.log10(per_image_mse(clean, seen).clip(1e-10))


def ssim(clean: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Structural similarity (Wang et al. 2004) of each image, (N,), for pixels in 0..1: 1 for identical images.

    Two arrays (N, H, W[, C]) with sides of at least 7 pixels; windows of 7 x 7, as in scikit-image.
    """
    from skimage.metrics import structural_similarity

    channel = -1 if clean.ndim == 4 else None

    def of_batch(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        pairs = zip(a.astype(np.float64), b.astype(np.float64), strict=True)
        return np.array([structural_similarity(*pair, data_range=1.0, channel_axis=channel) for pair in pairs])

    return in_batches(of_batch, clean, seen)
