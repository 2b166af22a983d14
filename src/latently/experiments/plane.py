"""`plane`: two-dimensional codes by digit, and images decoded over their plane; AE and VAE side by side."""

from functools import partial

import numpy as np

from latently import pictures
from latently.analysis import plots
from latently.data import ImageSet
from latently.estimator import Autoencoder
from latently.evaluation.intervals import estimate
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial
from latently.models import AE, VAE, Model
from latently.models.networks import Network
from latently.training.settings import Training

NETWORK = Network("dense(512) dense(512)")
MODELS: dict[str, Model] = {"ae": AE(2, NETWORK), "vae": VAE(2, NETWORK)}
CANVASES = ((18, 3.0), (20, 2.0), (20, 3.0))  # of studies 3, 4 and 5


def run(bench: Bench) -> Result:
    rows = bench.map(partial(row, bench), MODELS)
    draw(bench, {name: bench.fit(trials(bench, name)[0]) for name in MODELS})
    return Result(rows, ["Pictures are of seed 0. The network is 784-512-512-2-512-512-784 with our training."])


def trials(bench: Bench, name: str) -> list[Trial]:
    training = Training(epochs=5 if bench.quick else 40)
    return [Trial(f"{name}-seed{seed}", MODELS[name], training, seed) for seed in range(bench.seeds)]


def row(bench: Bench, name: str) -> Row:
    fits = trials(bench, name)
    about = {"model": name, "seeds": len(fits), "epochs": fits[0].training.epochs}
    return about | means(bench.map(bench.figures, fits))


def means(figures: list[dict]) -> Row:
    names = ("elbo_nats", "reconstruction_nats", "kl_nats", "mse")
    return {name: estimate([each[name] for each in figures]) for name in names if name in figures[0]}


def draw(bench: Bench, fits: dict[str, Autoencoder]) -> None:
    test, train = bench.part("test"), bench.part("train")
    some = np.random.default_rng(0).permutation(len(test))[:5000]
    points = {
        "test-5000": test.take(np.sort(some)),
        "test": test,
        "train-10000": train.take(np.arange(min(10_000, len(train)))),
    }
    for name, images in points.items():
        save(bench, f"scatter-{name}", side_by_side(fits, images, name))
    for name, fit in fits.items():
        save(bench, f"curves-{name}", plots.draw("curves", fit, test))
    for grid, span in CANVASES:
        drawing = plots.PlotOptions(grid=grid, range=span)
        save(bench, f"canvas-vae-{grid}-in-{span:g}", plots.draw("canvas", fits["vae"], test, drawing))
    save(bench, "canvas-vae-quantiles", plots.draw("canvas", fits["vae"], test))
    save(bench, "canvas-ae-own-range", plots.draw("canvas", fits["ae"], test))


def side_by_side(fits: dict[str, Autoencoder], images: ImageSet, name: str) -> "pictures.Figure":
    titles = {"ae": "Autoencoder", "vae": "Variational autoencoder"}
    which = name.partition("-")[0]
    panels = {
        f"{titles[key]}, {len(images):,} {which} images": fit.transform(images.images) for key, fit in fits.items()
    }
    return pictures.scatters(panels, images.labels, images.classes)


def save(bench: Bench, name: str, figure: "pictures.Figure") -> None:
    pictures.save(figure, bench.folder / "figures" / f"{name}.png")


STUDY = Study(
    name="plane",
    summary="Two-dimensional codes of MNIST by digit, and images decoded over the plane; autoencoder and VAE.",
    cost="two cores: about 15 minutes; one GPU: not measured",
    run=run,
    quick_columns=("model", "seeds", "epochs"),
)
