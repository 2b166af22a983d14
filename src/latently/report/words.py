"""What the report says: names, units and meanings of the figures, captions of the pictures, numbers as text."""

import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

MINUS = "\N{MINUS SIGN}"


class Metric(NamedTuple):
    """How a key of metrics.json reads: its value times `factor` is in `unit`."""

    name: str
    unit: str
    meaning: str
    factor: float = 1.0


NATS = "nats per image"
# In the order in which they are shown; the first ones make the headlines.
METRICS = {
    "elbo_nats": Metric(
        "Evidence lower bound (ELBO)",
        NATS,
        "A lower bound on the log-probability that the model gives to an image. Higher is better; it is minus the sum "
        "of reconstruction and KL.",
    ),
    "iw_bound_nats": Metric(
        "Importance-weighted bound",
        NATS,
        "A tighter lower bound on the same log-probability, from many samples of each code. Higher is better.",
    ),
    "accuracy": Metric("Accuracy", "%", "The share of images whose class is predicted rightly. Higher is better.", 100),
    "nll_nats": Metric(
        "Negative log-likelihood",
        NATS,
        "Minus the log-probability that the classifier gives to the true class. Lower is better.",
    ),
    "calibration_error": Metric(
        "Calibration error",
        "%",
        "How far the classifier's confidence is from its accuracy, on average. 0: when it says 90 % sure, it is right "
        "nine times in ten. Lower is better.",
        100,
    ),
    "accuracy_codes": Metric(
        "Accuracy on the codes",
        "%",
        "The share of images that a simple classifier gets right when it sees the learned codes and few labels.",
        100,
    ),
    "accuracy_pixels": Metric(
        "Accuracy on the pixels",
        "%",
        "The same classifier with the same labels on the raw pixels: what the codes have to beat.",
        100,
    ),
    "denoised_psnr_db": Metric(
        "Signal-to-noise after denoising",
        "dB",
        "Of what is rebuilt from noisy images, against the clean ones. Higher is better.",
    ),
    "noisy_psnr_db": Metric(
        "Signal-to-noise before denoising", "dB", "Of the noisy images themselves: what the figure above has to beat."
    ),
    "reconstruction_nats": Metric(
        "Reconstruction",
        NATS,
        "What it costs to describe an image's pixels once its code is known. Lower is better.",
    ),
    "squared_error": Metric(
        "Squared error",
        "per image",
        "The squared differences between an image and its reconstruction, summed over pixels. Lower is better.",
    ),
    "kl_nats": Metric(
        "KL divergence",
        NATS,
        "What the code itself costs: how much it says about its image beyond the prior. Near 0, the code is ignored.",
    ),
    "iw_bound_standard_error": Metric(
        "Standard error of the importance-weighted bound",
        NATS,
        "How far that bound would move if its codes were drawn again.",
    ),
    "importance_samples": Metric("Codes drawn per image", "", "The more, the nearer that bound comes to log p(x)."),
    "bits_per_dim": Metric(
        "Bits per dimension",
        "bits",
        "The ELBO as the storage that one pixel value needs, to compare images of different sizes. Lower is better.",
    ),
    "mse": Metric(
        "Mean squared error",
        "per pixel",
        "Between images and their reconstructions, pixels from 0 to 1. Lower is better.",
    ),
    "psnr_db": Metric(
        "Peak signal-to-noise ratio",
        "dB",
        "The same error on a logarithmic scale: 10 dB more is a tenth of the squared error. Higher is better.",
    ),
    "ssim": Metric("Structural similarity", "", "How alike local patterns are; 1 is identical. Higher is better."),
    "denoised_mse": Metric(
        "Mean squared error after denoising",
        "per pixel",
        "Between clean images and what is rebuilt from noisy ones, pixels from 0 to 1. Lower is better.",
    ),
    "active_units": Metric(
        "Active units",
        "",
        "Dimensions of the code that differ from image to image (variance of the posterior mean above 0.01); others "
        "could be left out.",
    ),
    "active_dimensions": Metric(
        "Dimensions with KL",
        "",
        "Dimensions of the code whose mean KL is above 0.01 nats, as earlier versions counted the active ones.",
    ),
    "collapsed": Metric(
        "Collapsed", "", "Whether no dimension of the code depends on the image: the codes are then empty."
    ),
    "probe_accuracy": Metric(
        "Linear probe",
        "%",
        "The share of images that a linear classifier gets right when it sees the codes alone, taught by all labels of "
        "training images. Higher is better.",
        100,
    ),
    "knn_accuracy": Metric(
        "Nearest neighbours",
        "%",
        "The share of images that take the class of most of their nearest training images, by code. Higher is better.",
        100,
    ),
    "clustering_accuracy": Metric(
        "Clusters",
        "%",
        "The share of images that are right when k-means, without any label, divides the codes into as many clusters "
        "as classes, under the best matching. Higher is better.",
        100,
    ),
    "nmi": Metric(
        "Mutual information of clusters",
        "",
        "Between the same clusters and the classes, normalised; 1 is identical. Higher is better.",
    ),
    "ari": Metric(
        "Adjusted Rand index",
        "",
        "Of the same clusters: pairs of images that both put together or apart; 0 is chance. Higher is better.",
    ),
    "agreement": Metric(
        "Agreement",
        "%",
        "The share of samples that the judge takes for the class that was asked for. Higher is better.",
        100,
    ),
    "judge_frechet": Metric(
        "Frechet distance to real images",
        "",
        "Between samples and real images, in the features of the judge, a classifier of ours; no FID, and comparable "
        "for one judge and number of samples only. Lower is better.",
    ),
    "judge_frechet_floor": Metric(
        "Frechet distance, floor", "", "The same of real training images: what a perfect model would get."
    ),
    "judge_precision": Metric(
        "Precision of samples",
        "%",
        "The share of samples that lie among real images, in the judge's features. Higher is better, but blurred or "
        "equal samples can have it all: read it beside recall.",
        100,
    ),
    "judge_precision_ceiling": Metric("Precision, ceiling", "%", "The same of real training images.", 100),
    "judge_recall": Metric(
        "Recall of samples",
        "%",
        "The share of real images that lie among the samples, in the judge's features. Higher is better.",
        100,
    ),
    "judge_recall_ceiling": Metric("Recall, ceiling", "%", "The same of real training images.", 100),
    "judge_accuracy": Metric("Accuracy of the judge", "%", "On the images that this was measured on.", 100),
    "images_per_second": Metric("Speed", "images per second", "Images worked through in a second."),
    "seconds_per_epoch": Metric("Time per epoch", "s", "One pass over the training images."),
    "split": Metric("Measured on", "", ""),
    "n_images": Metric("Images", "", ""),
    "likelihood": Metric("Likelihood", "", ""),
    "noise": Metric("Noise", "", ""),
    "code_dimensions": Metric("Dimensions of the code", "", ""),
    "probe_labels": Metric("Labels of the probe", "", ""),
    "knn_neighbours": Metric("Neighbours that vote", "", ""),
    "n_samples": Metric("Samples", "", ""),
    "judge": Metric("Judge", "", ""),
    "n_labels": Metric("Labels used", "", ""),
    "n_draws": Metric("Draws of the labels", "", ""),
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
)  # not results, but what they were measured on
# Keys that are not listed above tell their unit by their ending.
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


PICTURES = {  # in the order in which they are shown
    "curves": Picture(
        "Training curves",
        "Each panel follows one part of the objective over the epochs. Good: the two lines level out close together. "
        "Validation that turns upwards while training still falls means overfitting.",
    ),
    "reconstructions": Picture(
        "Reconstructions",
        "Below each image stands what the model rebuilds from its code alone. Good: the same object in the same pose. "
        "Blur is what the code could not hold.",
    ),
    "scatter": Picture(
        "Codes",
        "Each point is the code of one image. Good: images of a class lie together, classes apart. Codes of more than "
        "two dimensions are seen from one side only, so that classes apart may seem to overlap.",
    ),
    "canvas": Picture(
        "The plane of codes, decoded",
        "The image that the decoder makes at each place of the two-dimensional code. Good: neighbours change smoothly "
        "into each other, and few places show something that is none of the classes.",
    ),
    "samples": Picture(
        "Samples",
        "New images: codes drawn from the prior, decoded. Good: varied, and hard to tell from real ones. Smudges come "
        "from places of the prior that no real image's code falls on.",
    ),
    "samples-mixture": Picture(
        "Samples from a mixture",
        "New images: codes drawn from a Gaussian mixture that was fitted to the codes of training images, decoded. "
        "Better than samples from the prior where codes do not fill it.",
    ),
    "traversals": Picture(
        "Traversals",
        "Along each row one latent dimension changes and the others stay. Good: a row changes one thing that has a "
        "name, such as slant or width. A row that stays the same is a dimension that the model does not use.",
    ),
    "denoising": Picture(
        "Denoising",
        "Images, the same with noise, what the model rebuilds from the noisy ones, and what that differs by. Good: the "
        "last row is an even grey.",
    ),
    "noisy": Picture("Noisy images", "What the model was trained to rebuild images from."),
    "residuals": Picture(
        "Residuals",
        "What the rebuilt images differ by from the originals, its mean, and its principal components. Good: no "
        "pattern that looks like the images.",
    ),
    "analogies": Picture(
        "Analogies",
        "Each row starts with an image; its code is decoded under every label. Good: the class changes, and slant, "
        "width and style stay.",
    ),
    "label-means": Picture(
        "Mean codes by label", "The mean code of each label's images, decoded under that label: its typical image."
    ),
    "mean-noise": Picture(
        "Mean codes with noise", "Each label's mean code, then with a little noise. Good: small changes of one thing."
    ),
    "confusion": Picture(
        "Confusion",
        "How many images of each class (row) were called what (column). Good: an empty picture but for its diagonal.",
    ),
    "mistakes": Picture(
        "Mistakes",
        "What the classifier got wrong while it was most sure. Expect odd or mislabelled images.",
    ),
    "worst": Picture(
        "Worst explained images",
        "The images to which the model gives the lowest score, the lowest first. Expect odd, damaged or mislabelled "
        "ones; if they look ordinary, the model has more to learn.",
    ),
}


def metric(key: str) -> Metric:
    """How a key reads; one that is not known is spelt out, with the unit that its ending tells."""
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
    """The keys in the order of those known, then the others as they come."""
    keys, order = list(keys), {key: place for place, key in enumerate(known)}
    return sorted(keys, key=lambda key: order.get(key, len(order)))


def as_title(key: str) -> str:
    """A key as a title: `val_accuracy` -> `Val accuracy`."""
    words = key.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:] or key


def number(value: float, decimals: int | None = None) -> str:
    """A number as a table shows it: two decimals from 1 on, three figures below, thousands apart, a true minus."""
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
    """A setting as text: 0.001, `yes`, `8 x 8`, `cat, dog`; long lists end in how many they hold."""
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
