"""`denoise`: study 4's denoising network with its settings and with ours, our own network, and classical filters.

Gaussian noise of level 0.1 to 1.0, clipped to 0..1; each test image has one draw, the same for all methods.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy import ndimage, signal
from sklearn.decomposition import PCA

from latently import pictures
from latently.analysis import plots
from latently.data import unit
from latently.estimator import Autoencoder
from latently.evaluation.figures import mean, per_image_mse, psnr_db, ssim
from latently.evaluation.intervals import Estimate, estimate
from latently.experiments.encoders import cached, trial_settings
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial
from latently.models import DAE
from latently.models.networks import Network
from latently.models.presets import PRESETS
from latently.training.settings import Training

LEVELS = tuple(round(0.1 * n, 1) for n in range(1, 11))
STUDY_LEVEL = 0.5
CPU_EPOCHS = 5  # without a GPU, of study 4's 25, which would take two hours
OUR_EPOCHS = 5
OURS = Network(
    "conv(32) conv(64, 4, stride=2) conv(128, 4, stride=2) conv(128) code()",
    "reshape(128, 7, 7) conv(128) deconv(64, 4, stride=2) deconv(32, 4, stride=2) conv(out)",
)
N_SLOW, N_TUNING = 1000, 100  # test images for the slow filters; validation images for choosing the strength
CLIPPED = 0.58  # standard deviation left of unit noise clipped at black: sqrt(1/2 - 1/(2 pi))
DARKEST = 1 / 512  # half a grey level: exactly black or white pixels would have an infinite cross-entropy

Filter = Callable[[np.ndarray, float, float], np.ndarray]  # noisy images (N, H, W), their level, a strength


# The nets -------------------------------------------------------------------------------------------------------------


def trials(bench: Bench) -> dict[str, list[Trial]]:
    preset = PRESETS["study4-conv"]
    epochs = preset.training["epochs"] if torch.cuda.is_available() else CPU_EPOCHS
    epochs, our_epochs = (1, 1) if bench.quick else (epochs, OUR_EPOCHS)
    recipe = Training(**{**preset.training, "epochs": epochs})
    range_of_levels = DAE(6272, OURS, level=1.0, lowest_level=0.0)
    ways = {
        "study 4, its recipe": ("faithful", preset.build("dae"), recipe),
        "study 4's network, our training": ("our-training", preset.build("dae"), Training(lr=1e-3, epochs=epochs)),
        "our network, levels 0 to 1": (
            "ours",
            range_of_levels,
            Training(lr=2e-3, epochs=our_epochs),
        ),
    }
    if bench.quick or not torch.cuda.is_available():
        del ways["study 4's network, our training"]  # half an hour of convolutions
    return {
        name: [Trial(f"{key}-epochs{training.epochs}-seed{seed}", model, training, seed) for seed in seeds(bench)]
        for name, (key, model, training) in ways.items()
    }


def seeds(bench: Bench) -> range:
    return range(1) if bench.quick else bench.seeds_for({"encoder": str(OURS.encoder)})


# The filters ----------------------------------------------------------------------------------------------------------


def identity(noisy: np.ndarray, level: float, strength: float) -> np.ndarray:
    return noisy


def median(noisy: np.ndarray, level: float, size: float) -> np.ndarray:
    return ndimage.median_filter(noisy, (1, int(size), int(size)))


def wiener(noisy: np.ndarray, level: float, size: float) -> np.ndarray:
    """Lim 1990: shrinks towards the local mean, more so in windows whose variance is close to that of the noise."""
    with np.errstate(divide="ignore", invalid="ignore"):  # constant windows
        return np.nan_to_num(signal.wiener(noisy, (1, int(size), int(size)), level**2))


def total_variation(noisy: np.ndarray, level: float, weight: float) -> np.ndarray:
    """Chambolle 2004."""
    from skimage.restoration import denoise_tv_chambolle

    return np.stack([denoise_tv_chambolle(image, weight=weight * level) for image in noisy])


def non_local_means(noisy: np.ndarray, level: float, strength: float) -> np.ndarray:
    """Buades et al. 2005."""
    from skimage.restoration import denoise_nl_means

    settings = {"patch_size": 5, "patch_distance": 6, "sigma": CLIPPED * level, "h": strength * level}
    return np.stack([denoise_nl_means(image, **settings) for image in noisy])


def principal_components(clean: np.ndarray) -> Filter:
    """Projection of the noisy images to the leading principal components of clean training images."""
    flat = clean.reshape(len(clean), -1)
    pca = PCA(min(160, *flat.shape), random_state=0).fit(flat)

    def project(noisy: np.ndarray, level: float, dimensions: float) -> np.ndarray:
        plane = pca.components_[: int(dimensions)]
        centred = noisy.reshape(len(noisy), -1) - pca.mean_
        return (centred @ plane.T @ plane + pca.mean_).reshape(noisy.shape)

    return project


STRENGTHS: dict[str, Sequence[float]] = {
    "identity": (0.0,),
    "median": (3, 5),
    "Wiener": (3, 5, 7),
    "PCA": (5, 10, 20, 40, 80, 160),
    "total variation": (0.1, 0.2, 0.3, 0.6, 1.0, 1.5),
    "non-local means": (0.1, 0.2, 0.4, 0.7, 1.0, 1.3),
}
SLOW = ("total variation", "non-local means")


def filters(bench: Bench) -> dict[str, Filter]:
    train = unit(bench.part("train").pixels)
    known = (identity, median, wiener, principal_components(train), total_variation, non_local_means)
    return dict(zip(STRENGTHS, known, strict=True))


# Figures --------------------------------------------------------------------------------------------------------------


def figures(clean: np.ndarray, rebuilt: np.ndarray) -> dict[str, float]:
    """Metrics against the clean images, pixels 0..1. `bce_nats`: cross-entropy per image, of pixels clipped to (0,
    1)."""
    p = rebuilt.astype(np.float64).clip(DARKEST, 1 - DARKEST)
    bce = -(clean * np.log(p) + (1 - clean) * np.log1p(-p)).reshape(len(clean), -1).sum(1)
    return {
        "bce_nats": mean(bce),
        "mse": mean(per_image_mse(clean, rebuilt)),
        "psnr_db": mean(psnr_db(clean, rebuilt)),
        "ssim": mean(ssim(clean, rebuilt)),
    }


def tuned(apply: Filter, strengths: Sequence[float], clean: np.ndarray, noisy: np.ndarray, level: float) -> float:
    """The strength with the smallest squared error on these images."""
    errors = [np.square(apply(noisy, level, each).clip(0, 1) - clean).mean() for each in strengths]
    return strengths[int(np.argmin(errors))]


def filter_figures(bench: Bench, name: str, apply: Filter, level: float, trial: Trial) -> dict[str, Any]:
    """Metrics of a filter at the best strength on validation images; every `trial` draws the same noise."""
    noise = bench.fit(trial)
    tuning = bench.part("validation").images[: 20 if bench.quick else N_TUNING]
    test = bench.part("test").images[: n_judged(bench, name in SLOW)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        strength = tuned(apply, STRENGTHS[name], noise.seen(tuning), noise.corrupt(tuning, level), level)
        rebuilt = apply(noise.corrupt(test, level), level, strength).clip(0, 1)
    return figures(noise.seen(test), rebuilt) | {"strength": strength, "n_images": len(test)}


def n_judged(bench: Bench, slow: bool) -> int:
    if bench.quick:
        return 50 if slow else 300
    return N_SLOW if slow else len(bench.part("test"))


def net_figures(bench: Bench, trial: Trial, level: float) -> dict[str, Any]:
    def compute() -> dict[str, Any]:
        fit = bench.fit(trial)
        test = bench.part("test").images[: n_judged(bench, slow=False)]
        return figures(fit.seen(test), fit.denoise(fit.corrupt(test, level))) | {"n_images": len(test)}

    return cached(bench, f"{trial.name}-{level}", {"trial": trial_settings(bench, trial), "level": level}, compute)


# The study ------------------------------------------------------------------------------------------------------------


def run(bench: Bench) -> Result:
    tried, known = trials(bench), filters(bench)
    bench.map(bench.trained, [trial for each in tried.values() for trial in each])
    some = next(iter(tried.values()))[0]
    levels = (0.1, STUDY_LEVEL, 1.0) if bench.quick else LEVELS

    def row(name: str, level: float) -> Row:
        if name in tried:
            return {"method": name, "level": level} | net_row(bench, tried[name], level)
        settings = {"filter": name, "strengths": list(STRENGTHS[name]), "level": level}
        compute = partial(filter_figures, bench, name, known[name], level, some)
        return {"method": name, "level": level} | cached(bench, f"{name}-{level}", settings, compute)

    rows = bench.map(lambda pair: row(*pair), product((*known, *tried), levels))
    draw(bench, rows, {name: bench.fit(each[0]) for name, each in tried.items()})
    return Result(rows, NOTES, [ours_beside_others(rows)])


def net_row(bench: Bench, trials: Sequence[Trial], level: float) -> Row:
    figures = bench.map(lambda trial: net_figures(bench, trial, level), trials)
    means = {key: estimate([each[key] for each in figures]) for key in ("bce_nats", "mse", "psnr_db", "ssim")}
    epochs = len(bench.history(trials[0]))
    return means | {"seeds": len(trials), "epochs": epochs, "n_images": figures[0]["n_images"]}


def psnr_of(rows: Sequence[Row]) -> dict[str, dict[float, float]]:
    """method -> level -> dB"""
    found: dict[str, dict[float, float]] = {}
    for row in rows:
        found.setdefault(row["method"], {})[row["level"]] = number(row["psnr_db"])
    return found


def number(value: float | Estimate) -> float:
    return value.mean if isinstance(value, Estimate) else value


NOTES = (
    "Noise is clipped to 0..1 and drawn once per test image. Each filter uses the strength (of those in `STRENGTHS`) "
    f"with the smallest squared error on {N_TUNING} validation images at that level; total variation and non-local "
    f"means are evaluated on the first {N_SLOW:,} test images. PSNR is averaged over images. For the cross-entropy, "
    "pixels are clipped half a grey level from black and white.",
    f"Study 4 trains 25 epochs and publishes no metrics; on a CPU, {CPU_EPOCHS} epochs are run here.",
)


def ours_beside_others(rows: Sequence[Row]) -> str:
    psnr = psnr_of(rows)
    faithful, *_, ours = (psnr[name] for name in psnr if name not in STRENGTHS)
    best = {level: max(psnr[name][level] for name in STRENGTHS) for level in ours}
    above = [level for level in ours if ours[level] > best[level]]
    smallest = min(ours[level] - best[level] for level in ours)
    return (
        f"Our network at level {STUDY_LEVEL}: {ours[STUDY_LEVEL] - faithful[STUDY_LEVEL]:+.2f} dB against study 4's "
        f"with its settings. Better than every filter at {len(above)} of {len(ours)} levels, by at least "
        f"{smallest:.2f} dB."
    )


def draw(bench: Bench, rows: Sequence[Row], nets: dict[str, Autoencoder]) -> None:
    for key, label in (("psnr_db", "PSNR, dB"), ("ssim", "SSIM")):
        series: dict[str, tuple[list[float], list[float]]] = {}
        for row in rows:
            x, y = series.setdefault(row["method"], ([], []))
            x.append(row["level"])
            y.append(number(row[key]))
        figure = pictures.lines(series, "level of the noise", label, "Denoising MNIST's test images")
        pictures.save(figure, bench.folder / "figures" / f"{key.partition('_')[0]}.png")
    test = bench.part("test")
    for place, fit in enumerate(nets.values()):
        drawing = plots.PlotOptions(noise=STUDY_LEVEL)
        for kind in ("denoising", "residuals"):
            figure = plots.draw(kind, fit, test, drawing)
            pictures.save(figure, bench.folder / "figures" / f"{kind}-{place + 1}.png")
    pictures.save(side_by_side(bench, rows, nets), bench.folder / "figures" / "methods.png")


def side_by_side(bench: Bench, rows: Sequence[Row], nets: dict[str, Autoencoder]) -> "pictures.Figure":
    """Ten test images, denoised by every method."""
    images, noise = bench.part("test").images[:10], next(iter(nets.values()))
    noisy = noise.corrupt(images, STUDY_LEVEL)
    strengths = {row["method"]: row["strength"] for row in rows if row["level"] == STUDY_LEVEL and "strength" in row}
    shown = {"original": noise.seen(images), "noisy": noisy}
    for name, apply in filters(bench).items():
        if name != "identity":
            shown[name] = apply(noisy, STUDY_LEVEL, strengths[name]).clip(0, 1)
    shown |= {name: fit.denoise(noisy) for name, fit in nets.items()}
    return pictures.rows(shown, f"Gaussian noise of {STUDY_LEVEL}, clipped")


STUDY = Study(
    name="denoise",
    summary="Denoising of MNIST test images by noise level: study 4's network, ours, and classical filters.",
    cost="two cores: about 40 minutes, 30 of them study 4's network; one GPU: not measured",
    run=run,
    quick_columns=("method", "level", "strength", "n_images", "seeds", "epochs"),
)
