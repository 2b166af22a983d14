"""The texts of the report: names, units and meanings of the metrics, captions of the pictures, numbers as text."""

import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

MINUS = "\N{MINUS SIGN}"


class Metric(NamedTuple):
    """How a key of metrics.json is shown: its value times `factor`, in `unit`."""

    name: str
    unit: str
    meaning: str
    factor: float = 1.0


NATS = "nats per image"
# In display order; the first ones are the headlines.
METRICS = {
    "elbo_nats": Metric(
        "Evidence lower bound (ELBO)",
        NATS,
        "A lower bound on the log-likelihood of an image under the model. Higher is better; it equals minus the sum of "
        "reconstruction and KL.",
    ),
    "iw_bound_nats": Metric(
        "Importance-weighted bound",
        NATS,
        "A tighter lower bound on the same log-likelihood, from many samples of z per image. Higher is better.",
    ),
    "accuracy": Metric(
        "Accuracy", "%", "Fraction of images whose class is predicted correctly. Higher is better.", 100
    ),
    "nll_nats": Metric(
        "Negative log-likelihood",
        NATS,
        "Minus the log-probability that the classifier assigns to the true class. Lower is better.",
    ),
    "calibration_error": Metric(
        "Calibration error",
        "%",
        "Average gap between the classifier's confidence and its accuracy. At 0, predictions made with 90 % confidence "
        "are correct nine times in ten. Lower is better.",
        100,
    ),
    "accuracy_codes": Metric(
        "Accuracy on the codes",
        "%",
        "Fraction of images that a simple classifier, trained on the codes of a few labelled images, gets right.",
        100,
    ),
    "accuracy_pixels": Metric(
        "Accuracy on the pixels",
        "%",
        "The same classifier, trained on the raw pixels of the same images: the baseline for the codes.",
        100,
    ),
    "accuracy_pca": Metric(
        "Accuracy on principal components",
        "%",
        "The same classifier, trained on as many principal components of all images as features have dimensions.",
        100,
    ),
    "denoised_psnr_db": Metric(
        "PSNR after denoising",
        "dB",
        "Peak signal-to-noise ratio of the denoised images against the clean ones. Higher is better.",
    ),
    "noisy_psnr_db": Metric(
        "PSNR before denoising", "dB", "The same of the noisy images: the baseline for the metric above."
    ),
    "reconstruction_nats": Metric(
        "Reconstruction",
        NATS,
        "Negative log-likelihood of the pixels given the code. Lower is better.",
    ),
    "squared_error": Metric(
        "Squared error",
        "per image",
        "Squared error between an image and its reconstruction, summed over pixels. Lower is better.",
    ),
    "absolute_error": Metric(
        "Absolute error",
        "per image",
        "Absolute error between an image and its reconstruction, summed over pixels. Lower is better.",
    ),
    "kl_nats": Metric(
        "KL divergence",
        NATS,
        "How much information the code carries about its image. Near 0, the decoder ignores the code.",
    ),
    "iw_bound_standard_error": Metric(
        "Standard error of the importance-weighted bound",
        NATS,
        "How much that bound varies when the samples of z are redrawn.",
    ),
    "importance_samples": Metric("Samples of z per image", "", "The bound approaches log p(x) as this number grows."),
    "bits_per_dim": Metric(
        "Bits per dimension",
        "bits",
        "Minus the ELBO per pixel value, in bits: comparable across image sizes. Lower is better.",
    ),
    "mse": Metric(
        "Mean squared error",
        "per pixel",
        "Between images and their reconstructions, pixels from 0 to 1. Lower is better.",
    ),
    "psnr_db": Metric(
        "Peak signal-to-noise ratio",
        "dB",
        "The same error on a logarithmic scale: 10 dB more means a tenth of the squared error. Higher is better.",
    ),
    "ssim": Metric("Structural similarity", "", "Similarity of local patterns; 1 means identical. Higher is better."),
    "denoised_mse": Metric(
        "Mean squared error after denoising",
        "per pixel",
        "Between clean images and denoised ones, pixels from 0 to 1. Lower is better.",
    ),
    "active_units": Metric(
        "Active units",
        "",
        "Dimensions of the code that vary across images (variance of the posterior mean above 0.01); the others carry "
        "no information.",
    ),
    "active_dimensions": Metric(
        "Dimensions with KL",
        "",
        "Dimensions of the code whose mean KL is above 0.01 nats: how earlier versions counted active dimensions.",
    ),
    "collapsed": Metric(
        "Collapsed", "", "Whether the posterior has collapsed: no dimension of the code depends on the image."
    ),
    "probe_accuracy": Metric(
        "Linear probe",
        "%",
        "Accuracy of a linear classifier on the codes, trained with all labels of the training images. Higher is "
        "better.",
        100,
    ),
    "knn_accuracy": Metric(
        "Nearest neighbours",
        "%",
        "Accuracy of k-nearest-neighbour classification in the space of codes. Higher is better.",
        100,
    ),
    "pixels_probe_accuracy": Metric("Linear probe of pixels", "%", "The same classifier on the pixels.", 100),
    "pca_probe_accuracy": Metric("Linear probe of PCA", "%", "The same on as many principal components.", 100),
    "pixels_knn_accuracy": Metric("Neighbours by pixels", "%", "The same in the space of pixels.", 100),
    "pca_knn_accuracy": Metric("Neighbours by PCA", "%", "The same in the space of principal components.", 100),
    "clustering_accuracy": Metric(
        "Clustering accuracy",
        "%",
        "k-means on the codes, with as many clusters as classes and no labels; accuracy under the best matching of "
        "clusters to classes. Higher is better.",
        100,
    ),
    "nmi": Metric(
        "Normalised mutual information",
        "",
        "Between the same clusters and the classes; 1 means identical. Higher is better.",
    ),
    "ari": Metric(
        "Adjusted Rand index",
        "",
        "Agreement of the same clusters with the classes, over pairs of images; 0 is chance. Higher is better.",
    ),
    "agreement": Metric(
        "Agreement",
        "%",
        "Fraction of samples that the judge classifies as the requested class. Higher is better.",
        100,
    ),
    "judge_frechet": Metric(
        "Frechet distance to real images",
        "",
        "Between samples and real images, in the features of the judge, a classifier. Not an FID: comparable only for "
        "the same judge and number of samples. Lower is better.",
    ),
    "judge_frechet_floor": Metric(
        "Frechet distance, floor", "", "The same for real training images: what a perfect model would get."
    ),
    "judge_precision": Metric(
        "Precision of samples",
        "%",
        "Fraction of samples that lie within the real images, in the judge's features. Higher is better, but blurred "
        "or identical samples can score high: read it together with recall.",
        100,
    ),
    "judge_precision_ceiling": Metric("Precision, ceiling", "%", "The same for real training images.", 100),
    "judge_recall": Metric(
        "Recall of samples",
        "%",
        "Fraction of real images that lie within the samples, in the judge's features. Higher is better.",
        100,
    ),
    "judge_recall_ceiling": Metric("Recall, ceiling", "%", "The same for real training images.", 100),
    "judge_accuracy": Metric("Accuracy of the judge", "%", "On the images that the samples are compared with.", 100),
    "images_per_second": Metric("Speed", "images per second", "Images processed per second."),
    "seconds_per_epoch": Metric("Time per epoch", "s", "One pass over the training images."),
    "split": Metric("Measured on", "", ""),
    "n_images": Metric("Images", "", ""),
    "likelihood": Metric("Likelihood", "", ""),
    "noise": Metric("Noise", "", ""),
    "code_dimensions": Metric("Code dimensions", "", ""),
    "probe_labels": Metric("Labels used by the probe", "", ""),
    "knn_neighbours": Metric("Nearest neighbours, k", "", ""),
    "n_samples": Metric("Samples", "", ""),
    "sampler": Metric("Sampler", "", ""),
    "judge": Metric("Judge", "", ""),
    "n_labels": Metric("Labels used", "", ""),
    "n_draws": Metric("Label draws", "", ""),
}
CONTEXT = (
    "split",
    "n_images",
    "likelihood",
    "n_labels",
    "n_draws",
    "importance_samples",
    "code_dimensions",
    "probe_labels",
    "knn_neighbours",
    "n_samples",
    "judge",
)  # not results: the conditions of the measurement
# Units of keys that are not listed above, by suffix.
UNITS = {
    "_nats": NATS,
    "_db": "dB",
    "_seconds": "s",
    "_per_second": "per second",
    "seconds_per_epoch": "s",
    "bits_per_dim": "bits",
}


class Picture(NamedTuple):
    title: str
    caption: str


PICTURES = {  # in display order
    "curves": Picture(
        "Training curves",
        "One panel per term of the objective, by epoch. Good: both curves level off close together. A validation curve "
        "that rises while the training curve still falls indicates overfitting.",
    ),
    "reconstructions": Picture(
        "Reconstructions",
        "Each image above its reconstruction, decoded from its code. Good: the same object in the same pose. Blur "
        "shows detail that the code has lost.",
    ),
    "scatter": Picture(
        "Codes",
        "Each point is the code of one image. Good: images of a class are close together, and classes are separate. "
        "Codes with more than two dimensions are projected, so that separate classes may appear to overlap.",
    ),
    "canvas": Picture(
        "The plane of codes, decoded",
        "The decoder's output at each point of the two-dimensional code. Good: neighbouring images change smoothly, "
        "and few of them belong to no class.",
    ),
    "samples": Picture(
        "Samples",
        "New images, decoded from new codes; the title says how these were drawn. Good: varied, and hard to tell from "
        "real ones. Smudges come from regions of the model's prior that contain no codes of real images.",
    ),
    "samples-flow-matching": Picture(
        "Samples by flow matching", "New images, decoded from codes drawn from the prior that was learned afterwards."
    ),
    "samples-like": Picture("More like these", "In each row an image, and new ones like it."),
    "samples-nearest": Picture(
        "Samples and the nearest training images", "Each sample above the training image with the nearest pixels."
    ),
    "samples-mixture": Picture(
        "Samples from a mixture",
        "New images, decoded from codes drawn from a Gaussian mixture fitted to the codes of the training images. "
        "Better than samples from the prior if the codes do not match the prior.",
    ),
    "traversals": Picture(
        "Traversals",
        "Each row varies one latent dimension and holds the others fixed. Good: a row changes one attribute, such as "
        "slant or width. A row that does not change is a dimension that the model does not use.",
    ),
    "denoising": Picture(
        "Denoising",
        "Original images, noisy images, the reconstructions of the noisy images, and the residuals (reconstruction "
        "minus original). Good: the last row is uniformly grey.",
    ),
    "noisy": Picture("Noisy images", "Inputs that the model was trained to denoise."),
    "residuals": Picture(
        "Residuals",
        "Denoised images minus originals, with their mean and principal components. Good: no pattern that resembles "
        "the images.",
    ),
    "analogies": Picture(
        "Analogies",
        "Each row starts with an image, followed by its code decoded with each label. Good: the class changes; slant, "
        "width and style do not.",
    ),
    "label-means": Picture(
        "Mean codes by label", "The mean code of the images of each label, decoded with that label: a typical image."
    ),
    "mean-noise": Picture(
        "Mean codes with noise", "The mean code of each label, then with a little noise added. Good: small variations."
    ),
    "confusion": Picture(
        "Confusion",
        "Number of images by true class (row) and predicted class (column). Good: all counts on the diagonal.",
    ),
    "mistakes": Picture(
        "Mistakes",
        "The wrong predictions made with the highest confidence. Expect unusual or mislabelled images.",
    ),
    "worst": Picture(
        "Oddest images",
        "The images that `latently score` puts first, and below each where it is odd. Expect unusual, damaged or "
        "mislabelled images.",
    ),
}


def metric(key: str) -> Metric:
    """How a key is shown; an unknown key becomes a title, with the unit that its suffix implies."""
    if key in METRICS:
        return METRICS[key]
    budget = re.fullmatch(r"(accuracy_\w+)_(\d+)_labels", key)
    if budget and budget[1] in METRICS:
        known = METRICS[budget[1]]
        return known._replace(name=f"{known.name}, {budget[2]} labels")
    ending = next((ending for ending in UNITS if key.endswith(ending)), "")
    name = key.removesuffix(ending) if ending and key != ending else key
    return Metric(as_title(name), UNITS.get(ending, ""), "")


def picture(name: str) -> Picture:
    return PICTURES.get(name, Picture(as_title(name), ""))


def in_order(keys: Iterable[str], known: Iterable[str]) -> list[str]:
    """The known keys in their given order, then the others as they come."""
    keys, order = list(keys), {key: place for place, key in enumerate(known)}
    return sorted(keys, key=lambda key: order.get(key, len(order)))


def as_title(key: str) -> str:
    """A key as a title: `val_accuracy` -> `Val accuracy`."""
    words = key.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:] or key


def number(value: float, decimals: int | None = None) -> str:
    """Two decimals from 1 on, three significant digits below, thousands separators, a real minus sign."""
    if isinstance(value, int):
        text = f"{value:,}"
    elif not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    elif 0 < abs(value) < 1e-4:
        text = f"{value:.2e}"
    else:
        text = f"{value:,.{fitting_decimals(value) if decimals is None else decimals}f}"
    return text.replace("-", MINUS)


def fitting_decimals(value: float) -> int:
    if value == 0 or abs(value) >= 10_000 or not math.isfinite(value):
        return 0
    return 2 if abs(value) >= 1 else 2 - math.floor(math.log10(abs(value)))


def duration(seconds: float) -> str:
    """124.3 -> `2 min 4 s`."""
    if not math.isfinite(seconds):
        return number(seconds)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def value_text(value: Any) -> str:
    """A setting as text: 0.001, `yes`, `8 x 8`, `cat, dog`; long lists are cut and end in their length."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return f"{value:g}".replace("-", MINUS)
    if isinstance(value, list):
        if value and all(isinstance(item, int) for item in value) and len(value) <= 4:
            return " \N{MULTIPLICATION SIGN} ".join(map(str, value))
        few = ", ".join(map(str, value[:20]))
        return few if len(value) <= 20 else f"{few}, … ({len(value):,} in all)"
    return str(value)
