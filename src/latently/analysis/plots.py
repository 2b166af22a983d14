"""A fitted estimator and images -> the picture of a given kind. Depends on what the model can do, not on its class."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from latently import pictures
from latently.analysis.odd_ones import OddOnes, own_images, way_of
from latently.analysis.run_images import RunImages
from latently.common.errors import require
from latently.data import Images, ImageSet, taken
from latently.estimator import Autoencoder, ClassPredictor
from latently.estimator.anomalies import Way, fitted_way
from latently.estimator.code_prior import GUIDANCE
from latently.models import can
from latently.pictures import Figure

SCATTER_POINTS = 10_000  # more would hide each other
MOST_CLASSES = 20  # rows in pictures with a row per class
STEPS = np.linspace(-3, 3, 11)  # of a traversal, in standard deviations of the prior
MOST_DIMENSIONS = 12  # rows of a traversal


@dataclass(frozen=True)
class PlotOptions:
    """Options of pictures. grid: tiles per side of a canvas. range: a canvas covers +-range; None: quantiles of the
    prior, or for a plain autoencoder the range of its codes. n: number of images. seed: of samples and noise. noise:
    noise level of the images, None: the model's own; or the standard deviation around a mean code, None: 0.1.
    label: class of a conditional model's canvas, None: the first. way: how the worst are scored, None: by the error of
    the reconstruction."""

    grid: int = 20
    range: float | None = None
    n: int = 0
    seed: int = 0
    noise: float | None = None
    label: str | None = None
    way: Way | None = None


def options_for(kind: str, opened: RunImages, drawing: PlotOptions = PlotOptions()) -> PlotOptions:
    """The options with what a picture needs of a run: the worst are scored as `latently score` does."""
    if kind != "worst" or not isinstance(opened.estimator, Autoencoder):
        return drawing
    return replace(drawing, way=way_of(opened.run.path, opened.estimator, own_images(opened)))


def draw(kind: str, estimator: Any, data: ImageSet | None, drawing: PlotOptions = PlotOptions()) -> Figure:
    """The picture `kind` (one of `KINDS`) of a fitted estimator on these images; kinds `WITHOUT_IMAGES` need none.

    Raises InputError if the estimator does not support it.
    """
    require(kind in KINDS, f"there is no picture {kind!r}; there are {', '.join(KINDS)}")
    kinds = available_kinds(estimator)
    missing = kind in (*DENOISING_KINDS, *CONDITIONAL_KINDS) and kind not in kinds
    require(
        not missing, f"{kind!r} needs {'a dae' if kind in DENOISING_KINDS else 'a cvae'}; there are {', '.join(kinds)}"
    )
    of_classes, of_codes = kind in CLASSIFIER_KINDS, kind not in (*CLASSIFIER_KINDS, "curves")
    fits = not (of_classes and isinstance(estimator, Autoencoder)) and not (
        of_codes and isinstance(estimator, ClassPredictor)
    )
    require(fits, f"a run of kind {estimator.kind} has no picture {kind!r}; there are {', '.join(kinds)}")
    return KINDS[kind](estimator, data, drawing)


def available_kinds(estimator: Any) -> list[str]:
    """The kinds of pictures that this estimator supports."""
    if isinstance(estimator, ClassPredictor):
        return ["curves", *CLASSIFIER_KINDS]
    kinds = ["curves", "reconstructions", "scatter", "worst"]
    if can(estimator.model_, "prior") or hasattr(estimator, "prior_"):
        kinds += ["samples"]
    if can(estimator.model_, "prior"):
        kinds += ["traversals"]
    if estimator.model_.latent_dim == 2:
        kinds += ["canvas"]
    if can(estimator.model_, "corrupt", "denoise"):
        kinds += ["denoising", "noisy", "residuals"]
    if estimator.model_.takes_labels:
        kinds += ["analogies", "label-means", "mean-noise"]
    return [kind for kind in KINDS if kind in kinds]


def draw_curves(estimator: Any, data: ImageSet, drawing: PlotOptions) -> Figure:
    rows = estimator.history_
    history = {name: [row[name] for row in rows] for name in rows[0]}
    unit = f"{estimator.model_.loss_unit} per image"
    return pictures.training_curves(history, dict.fromkeys(("loss", "reconstruction"), unit))


def draw_reconstructions(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    some = data.spread(drawing.n or 20)
    images, labels = data.images[some], data.label_names[some]
    return pictures.reconstructions(estimator.seen(images), estimator.reconstruct(images, labels))


def draw_scatter(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    some = data.spread(drawing.n or SCATTER_POINTS)
    features = estimator.features(data.images[some], data.label_names[some])
    return pictures.scatter(features, data.labels[some], data.classes)


def draw_canvas(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    width = estimator.model_.latent_dim
    require(width == 2, f"a canvas needs a code of 2 dimensions; this model's has {width}: try traversals")
    if drawing.range is not None:
        codes = pictures.canvas_codes(drawing.grid, -drawing.range, drawing.range)
    elif can(estimator.model_, "prior"):
        mean, stddev = estimator.prior_moments()
        codes = mean + stddev * pictures.quantile_codes(drawing.grid)
    else:
        own = estimator.transform(data.images[data.spread(SCATTER_POINTS)])
        codes = pictures.canvas_codes(drawing.grid, *np.quantile(own, [0.01, 0.99], axis=0))
    label, title = drawing.label, None
    if estimator.model_.takes_labels:
        label = str(estimator.classes_[0]) if label is None else label
        title = f"Images decoded over the plane of codes, class {label}"
    return pictures.canvas(estimator.inverse_transform(codes, label), codes[:, 0], codes[:, 1], title)


def draw_samples(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    """A sheet of samples; where the model or its learned prior knows classes, a row per class."""
    classes, drawn_by = known_classes(estimator), usual_sampler(estimator)
    if classes is not None:
        classes = classes[:MOST_CLASSES]
        each = -(-drawing.n // len(classes)) or 10
        images = estimator.sample(len(classes) * each, drawing.seed, np.repeat(classes, each))
        return per_class(images, classes, [""] * each, f"Samples {drawn_by}, by requested label")
    return pictures.samples(estimator.sample(drawing.n or 64, random_state=drawing.seed), drawn_by=drawn_by)


def known_classes(estimator: Autoencoder) -> np.ndarray | None:
    """The classes that `sample` can be asked for."""
    if estimator.model_.takes_labels:
        return estimator.classes_
    prior = getattr(estimator, "prior_", None)
    return prior.classes_ if prior is not None and prior.knows_classes else None


def usual_sampler(estimator: Autoencoder) -> str:
    """How `sample` draws unless told otherwise, in words."""
    if not hasattr(estimator, "prior_"):
        return "by its prior"
    return f"by flow matching{f', guidance {GUIDANCE:g}' * estimator.prior_.knows_classes}"


def draw_traversals(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    """Variations of the first image's code in one latent dimension at a time, most active dimensions first."""
    require(can(estimator.model_, "prior"), "traversals need a prior, which sets the scale of the codes; train a vae")
    labels = data.label_names
    some = data.spread(SCATTER_POINTS)
    kl = estimator.bound_terms(data.images[some], labels[some])["kl"]  # (N, Z), or (N,) if not computed per dimension
    nats = kl.mean(0) if kl.ndim == 2 else None
    activity = estimator.transform(data.images[some], labels[some]).var(0) if nats is None else nats  # (Z,)
    dims = np.argsort(-activity)[:MOST_DIMENSIONS]
    mean, stddev = estimator.prior_moments()
    start = estimator.transform(data.images[:1], labels[:1])[0]
    codes = np.tile(start, (len(dims), len(STEPS), 1))  # (D, S, Z)
    for row, dim in enumerate(dims):
        codes[row, :, dim] = mean[dim] + stddev[dim] * STEPS
    images = estimator.inverse_transform(codes.reshape(-1, len(start)), labels[0])
    blocks = images.reshape(len(dims), len(STEPS), *images.shape[1:])
    return pictures.traversals(blocks, STEPS, [int(dim) for dim in dims], None if nats is None else nats[dims])


def draw_worst(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    way = drawing.way or fitted_way("error", estimator, None)
    return OddOnes(data, way, way.scores(data.images, data.label_names), None, None).picture(drawing.n or 30)


# Denoising ------------------------------------------------------------------------------------------------------------


def draw_denoising(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    """Four rows: originals, noisy images, their reconstructions, and the residuals."""
    originals, noisy, rebuilt = denoised(estimator, data.images[data.spread(drawing.n or 10)], drawing)
    title = f"Denoising: {noise_in_words(estimator, drawing)}"
    rows = {
        "original": originals,
        "noisy": noisy,
        "reconstruction": rebuilt,
        "residual, 0 is grey": about_grey(rebuilt - originals),
    }
    return pictures.rows(rows, title)


def draw_noisy(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    images = data.images[data.spread(drawing.n or 25)]
    noisy = estimator.corrupt(images, drawing.noise, drawing.seed)
    return pictures.sheet(noisy, None, noise_in_words(estimator, drawing), columns=5)


def draw_residuals(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    """Reconstructions of noisy images minus the originals: examples, mean, and first principal components."""
    some = data.spread(SCATTER_POINTS)
    originals, _, rebuilt = denoised(estimator, data.images[some], drawing)
    residuals = rebuilt - originals
    flat = residuals.reshape(len(residuals), -1)
    from sklearn.decomposition import PCA

    pca = PCA(min(5, *flat.shape)).fit(flat)
    shown = residuals[: drawing.n or 12]
    patterns = np.stack([pca.mean_, *pca.components_]).reshape(-1, *residuals.shape[1:])
    scaled = [
        pattern / max(np.abs(pattern).max(), 1e-12) for pattern in patterns
    ]  # the scale of a component is arbitrary
    captions = [f"image {name}" for name in data.names[some[: len(shown)]]] + ["mean, scaled"]
    captions += [f"PC {place}, {share:.0%}" for place, share in enumerate(pca.explained_variance_ratio_, 1)]
    title = f"Residuals: denoised minus original, grey is 0. {noise_in_words(estimator, drawing)}"
    return pictures.sheet(about_grey(np.concatenate([shown, scaled])), captions, title, columns=6)


def denoised(
    estimator: Autoencoder, images: np.ndarray, drawing: PlotOptions
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Originals, noisy images, and their reconstructions."""
    noisy = estimator.corrupt(images, drawing.noise, drawing.seed)
    return estimator.seen(images), noisy, estimator.denoise(noisy)


def noise_in_words(estimator: Autoencoder, drawing: PlotOptions) -> str:
    model = estimator.model_
    kind = model.noise.replace("-", " ").capitalize()
    return f"{kind} noise of {model.level if drawing.noise is None else drawing.noise:g}"


def about_grey(differences: np.ndarray) -> np.ndarray:
    """-1..1 to black..white."""
    return 0.5 + 0.5 * differences


# Conditional models ---------------------------------------------------------------------------------------------------


def draw_analogies(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    """An image of each class (or the first n images), then its code decoded with every label."""
    first = np.array([np.flatnonzero(data.labels == label)[0] for label in np.unique(data.labels[data.labels >= 0])])
    some = data.spread(drawing.n) if drawing.n else first[:MOST_CLASSES]
    require(len(some) > 0, "none of these images has a label, and analogies start from labelled images")
    chosen = data.take(some)
    under = estimator.analogies(chosen.images, chosen.label_names)[:, :MOST_CLASSES]  # (n, classes, ...)
    block = np.concatenate([estimator.seen(chosen.images)[:, None], under], axis=1)
    columns = ["image", *map(str, estimator.classes_[:MOST_CLASSES])]
    title = "Analogies: the code of an image, decoded with every label"
    return pictures.grid(block, list(chosen.label_names), columns, title)


def draw_label_means(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    classes, codes = label_means(estimator, data)
    title = "The mean code of each label's images, decoded with that label"
    return pictures.sheet(estimator.inverse_transform(codes, classes), list(classes), title, columns=5)


def draw_mean_noise(estimator: Autoencoder, data: ImageSet, drawing: PlotOptions) -> Figure:
    spread, each = 0.1 if drawing.noise is None else drawing.noise, drawing.n or 9
    classes, means = label_means(estimator, data)
    draws = np.random.default_rng(drawing.seed).normal(size=(len(classes), each, means.shape[1]))
    codes = np.concatenate([means[:, None], means[:, None] + spread * draws], axis=1)  # (classes, 1 + each, Z)
    images = estimator.inverse_transform(codes.reshape(-1, means.shape[1]), np.repeat(classes, 1 + each))
    title = f"The mean code of each label, then with noise of standard deviation {spread:g}"
    return per_class(images, classes, ["mean", *[""] * each], title)


def label_means(estimator: Autoencoder, data: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """The labels of these images, and the mean code of each: (classes,), (classes, Z)."""
    known = np.flatnonzero(data.labels >= 0)
    require(len(known) > 0, "none of these images has a label, so there are no mean codes")
    labelled = data.take(known)
    codes = estimator.transform(labelled.images, labelled.label_names)
    present = np.unique(labelled.labels)[:MOST_CLASSES]
    return np.array(data.classes)[present], np.stack([codes[labelled.labels == label].mean(0) for label in present])


def per_class(images: np.ndarray, classes: np.ndarray, columns: list[str], title: str) -> Figure:
    """Images (classes * columns, ...) in a row per class."""
    block = images.reshape(len(classes), len(columns), *images.shape[1:])
    return pictures.grid(block, list(map(str, classes)), columns, title)


# Classes --------------------------------------------------------------------------------------------------------------


def draw_confusion(estimator: Any, data: ImageSet, drawing: PlotOptions) -> Figure:
    _, true, predicted = labelled_predictions(estimator, data)
    return pictures.confusion(true, predicted, [str(name) for name in estimator.classes_])


def draw_mistakes(estimator: Any, data: ImageSet, drawing: PlotOptions) -> Figure:
    """The mistakes with the highest confidence; if there are none, the images with the lowest confidence."""
    images, true, predicted = labelled_predictions(estimator, data)
    p = estimator.predict_proba(images).max(1)
    wrong = true != predicted
    worst = np.lexsort((np.where(wrong, -p, p), ~wrong))[: min(drawing.n or 30, max(wrong.sum(), 10))]
    names = [str(name) for name in estimator.classes_]
    said = [names[true[i]] + (f", not {names[predicted[i]]}" if wrong[i] else "") for i in worst]
    captions = [f"{text}\n{p[i]:.1%} confident" for text, i in zip(said, worst, strict=True)]
    title = "Most confident mistakes: true class, and predicted class"
    if not wrong[worst].all():
        title = "All mistakes, then the least confident" if wrong.any() else "No mistakes; the least confident"
    return pictures.sheet(estimator.seen(images[worst]), captions, title)


def labelled_predictions(estimator: Any, data: ImageSet) -> tuple[Images, np.ndarray, np.ndarray]:
    """The images with a known label; their true and predicted labels as indices into the classes."""
    true = estimator.label_codes(data.label_names)
    require(bool((true >= 0).any()), "none of these images has a label of a class that the classifier knows")
    images = taken(data.images, true >= 0)
    return images, true[true >= 0], estimator.predict_proba(images).argmax(1)


KINDS: dict[str, Callable[..., Figure]] = {
    "curves": draw_curves,
    "reconstructions": draw_reconstructions,
    "scatter": draw_scatter,
    "canvas": draw_canvas,
    "samples": draw_samples,
    "traversals": draw_traversals,
    "worst": draw_worst,
    "denoising": draw_denoising,
    "noisy": draw_noisy,
    "residuals": draw_residuals,
    "analogies": draw_analogies,
    "label-means": draw_label_means,
    "mean-noise": draw_mean_noise,
    "confusion": draw_confusion,
    "mistakes": draw_mistakes,
}
CLASSIFIER_KINDS = ("confusion", "mistakes")
DENOISING_KINDS = ("denoising", "noisy", "residuals")
CONDITIONAL_KINDS = ("analogies", "label-means", "mean-noise")
WITHOUT_IMAGES = ("curves", "samples")
