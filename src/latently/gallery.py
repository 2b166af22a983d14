"""A fitted estimator and images -> the picture of a name. Asks what the model can do, never which model it is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from latently import pictures
from latently.data import ImageSet
from latently.errors import require
from latently.estimator import Autoencoder
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


def draw(kind: str, estimator: Autoencoder, data: ImageSet | None, drawing: Drawing = Drawing()) -> Figure:
    """The picture `kind` (one of `KINDS`) of a fitted estimator on these images; those `WITHOUT_IMAGES` need none.

    Raises InputError where the estimator cannot give it.
    """
    require(kind in KINDS, f"there is no picture {kind!r}; there are {', '.join(KINDS)}")
    return KINDS[kind](estimator, data, drawing)


def possible(estimator: Autoencoder) -> list[str]:
    """The pictures that this estimator can give."""
    kinds = ["curves", "reconstructions", "scatter", "worst"]
    if can(estimator.model_, "prior"):
        kinds += ["samples", "traversals"]
    if estimator.model_.latent_dim == 2:
        kinds += ["canvas"]
    return [kind for kind in KINDS if kind in kinds]


def draw_curves(estimator: Autoencoder, data: ImageSet, drawing: Drawing) -> Figure:
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
}
WITHOUT_IMAGES = ("curves", "samples")
