"""A fitted estimator and images -> the picture of a name. Asks what the model can do, never which model it is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from latently import pictures
from latently.data import ImageSet
from latently.errors import require
from latently.estimator import Autoencoder, Classifier, ImageEstimator
from latently.evaluation import score_name
from latently.models import can

SCATTER_POINTS = 10_000  # more hide each other
STEPS = np.linspace(-3, 3, 11)  # of a traversal, in standard deviations of the prior
MOST_DIMENSIONS = 12  # rows of a traversal


@dataclass(frozen=True)
class Drawing:
    """How a picture is to look. grid: tiles a side of a canvas. range: its ends, +-range; None: prior quantiles, or
    for an autoencoder the range of its own codes. n: images shown. seed: of samples."""

    grid: int = 20
    range: float | None = None
    n: int = 0
    seed: int = 0


def draw(kind: str, estimator: ImageEstimator, data: ImageSet | None, drawing: Drawing = Drawing()) -> Figure:
    """The picture `kind` (one of `KINDS`) of a fitted estimator on these images; those `WITHOUT_IMAGES` need none.

    Raises InputError where the estimator cannot give it.
    """
    require(kind in KINDS, f"there is no picture {kind!r}; there are {', '.join(KINDS)}")
    kinds = possible(estimator)
    of_classes, of_codes = kind in OF_CLASSES, kind not in (*OF_CLASSES, "curves")
    fits = not (of_classes and isinstance(estimator, Autoencoder)) and not (
        of_codes and isinstance(estimator, Classifier)
    )
    require(fits, f"the picture {kind!r} is none of a {estimator.kind}'s; there are {', '.join(kinds)}")
    return KINDS[kind](estimator, data, drawing)


def possible(estimator: ImageEstimator) -> list[str]:
    """The pictures that this estimator can give."""
    if isinstance(estimator, Classifier):
        return ["curves", *OF_CLASSES]
    kinds = ["curves", "reconstructions", "scatter", "worst"]
    if can(estimator.model_, "prior"):
        kinds += ["samples", "traversals"]
    if estimator.model_.latent_dim == 2:
        kinds += ["canvas"]
    return [kind for kind in KINDS if kind in kinds]


def draw_curves(estimator: ImageEstimator, data: ImageSet, drawing: Drawing) -> Figure:
    rows = estimator.history_
    history = {name: [row[name] for row in rows] for name in rows[0]}
    unit = f"{estimator.model_.loss_unit} per image"
    return pictures.training_curves(history, dict.fromkeys(("loss", "reconstruction"), unit))


def draw_reconstructions(estimator: Autoencoder, data: ImageSet, drawing: Drawing) -> Figure:
    images = data.images[: drawing.n or 20]
    return pictures.reconstructions(as_drawn(estimator.seen(images)), as_drawn(estimator.reconstruct(images)))


def draw_scatter(estimator: Autoencoder, data: ImageSet, drawing: Drawing) -> Figure:
    some = slice(drawing.n or SCATTER_POINTS)
    return pictures.scatter(estimator.transform(data.images[some]), data.labels[some], data.classes)


def draw_canvas(estimator: Autoencoder, data: ImageSet, drawing: Drawing) -> Figure:
    width = estimator.model_.latent_dim
    require(width == 2, f"a canvas needs a code of 2 dimensions; this model's has {width}: try traversals")
    if drawing.range is not None:
        codes = pictures.canvas_codes(drawing.grid, -drawing.range, drawing.range)
    elif can(estimator.model_, "prior"):
        codes = pictures.quantile_codes(drawing.grid)
    else:
        own = estimator.transform(data.images[:SCATTER_POINTS])
        codes = pictures.canvas_codes(drawing.grid, *np.quantile(own, [0.01, 0.99], axis=0))
    return pictures.canvas(as_drawn(estimator.inverse_transform(codes)), codes[:, 0], codes[:, 1])


def draw_samples(estimator: Autoencoder, data: ImageSet, drawing: Drawing) -> Figure:
    return pictures.samples(as_drawn(estimator.sample(drawing.n or 64, random_state=drawing.seed)))


def draw_traversals(estimator: Autoencoder, data: ImageSet, drawing: Drawing) -> Figure:
    """One latent dimension at a time away from the first image's code, the most active dimensions first."""
    require(can(estimator.model_, "prior"), "traversals need a prior, which gives the codes their scale; train a vae")
    activity = estimator.bound_terms(data.images[:SCATTER_POINTS])["kl"].mean(0)  # (Z,)
    dims = np.argsort(-activity)[:MOST_DIMENSIONS]
    start = estimator.transform(data.images[:1])[0]
    codes = np.tile(start, (len(dims), len(STEPS), 1))  # (D, S, Z)
    for row, dim in enumerate(dims):
        codes[row, :, dim] = STEPS
    images = estimator.inverse_transform(codes.reshape(-1, len(start)))
    blocks = as_drawn(images).reshape(len(dims), len(STEPS), *images.shape[1:])
    return pictures.traversals(blocks, STEPS, [int(dim) for dim in dims], activity[dims])


def draw_worst(estimator: Autoencoder, data: ImageSet, drawing: Drawing) -> Figure:
    scores = estimator.score_samples(data.images)
    worst = np.argsort(scores)[: drawing.n or 30]
    captions = [f"{name}\n{score:.1f}" for name, score in zip(data.names[worst], scores[worst], strict=True)]
    title = f"The images that the model explains worst ({score_name(estimator)})"
    return pictures.sheet(as_drawn(estimator.seen(data.images[worst])), captions, title)


def draw_confusion(estimator: Classifier, data: ImageSet, drawing: Drawing) -> Figure:
    _, true, predicted = judged(estimator, data)
    return pictures.confusion(true, predicted, [str(name) for name in estimator.classes_])


def draw_mistakes(estimator: Classifier, data: ImageSet, drawing: Drawing) -> Figure:
    """The surest mistakes; where there is none, the images that came nearest to one."""
    images, true, predicted = judged(estimator, data)
    p = estimator.predict_proba(images).max(1)
    wrong = true != predicted
    worst = np.lexsort((np.where(wrong, -p, p), ~wrong))[: min(drawing.n or 30, max(wrong.sum(), 10))]
    names = [str(name) for name in estimator.classes_]
    said = [names[true[i]] + (f", not {names[predicted[i]]}" if wrong[i] else "") for i in worst]
    captions = [f"{text}\n{p[i]:.1%} sure" for text, i in zip(said, worst, strict=True)]
    title = "The surest mistakes: true class, and what was predicted"
    if not wrong[worst].all():
        title = "All mistakes, then the least sure" if wrong.any() else "No mistake; the least sure"
    return pictures.sheet(as_drawn(estimator.seen(images[worst])), captions, title)


def judged(estimator: Classifier, data: ImageSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images with a known label; it, and the predicted one, as indices into the classes."""
    true = estimator.label_codes(data.label_names)
    require(bool((true >= 0).any()), "none of these images carries a label of a class that the classifier knows")
    images = data.images[true >= 0]
    return images, true[true >= 0], estimator.predict_log_proba(images).argmax(1)


def as_drawn(images: np.ndarray) -> np.ndarray:
    """(N, ...) -> images in 0..1: what reaches beyond (a gaussian likelihood's) is clipped, not rescaled."""
    return np.clip(images, 0, 1)


KINDS: dict[str, Callable[..., Figure]] = {
    "curves": draw_curves,
    "reconstructions": draw_reconstructions,
    "scatter": draw_scatter,
    "canvas": draw_canvas,
    "samples": draw_samples,
    "traversals": draw_traversals,
    "worst": draw_worst,
    "confusion": draw_confusion,
    "mistakes": draw_mistakes,
}
OF_CLASSES = ("confusion", "mistakes")
WITHOUT_IMAGES = ("curves", "samples")
