"""`bounds`: the bound on log p(x) of a VAE, an importance-weighted autoencoder (Burda et al. 2015) and a VampPrior
(Tomczak & Welling 2018) with the network 784-200-200-50, ReLU, on dynamically binarised MNIST; and of convolutional
nets with one layer of codes and with two."""

from dataclasses import dataclass, field, replace
from functools import partial

import torch

from latently.common.errors import require
from latently.evaluation.intervals import estimate
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial
from latently.models import VAE, HierarchicalVAE, Model, VampVAE
from latently.models.networks import Network
from latently.training.settings import Training

NETWORK = Network("dense(200) dense(200)")  # ReLU: with tanh, as in Burda et al., the VampPrior collapsed (docs/log.md)
SAMPLES, EVERY = 5000, 5  # on a CPU every fifth test image: all of them would take 8 to 11 minutes per fit
CONV_SAMPLES, CONV_EVERY = 500, 20  # a convolutional decoder takes fifty times as long
QUICK_SAMPLES, QUICK_EVERY, QUICK_EPOCHS = 200, 50, 2
WARMUP = 0.2  # of the KL, for all models: the VampPrior was worse without it in a short trial (docs/log.md)

CONV = "conv(32, 4, stride=2, norm=weight) conv(64, 4, stride=2, norm=weight) residual(64, 3, silu, norm=weight)"
DECONV = "residual(64, 3, silu, norm=weight) deconv(32, 4, stride=2) conv(32, 3) deconv(out, 4, stride=2)"
DEEP = "residual(64, 3, silu, norm=weight) residual(64, 3, silu, norm=weight) deconv(32, 4, stride=2)"
DEEP += " residual(32, 3, silu, norm=weight) deconv(out, 4, stride=2)"  # decoder of the long fit
SHORT, CONV_EPOCHS, LONG_EPOCHS = 12, 8, 55
NAMES = ("VAE", "VAE-short", "IWAE-50", "VampPrior", "VAE-conv", "hierarchy-conv")
EVERY_NAME = (*NAMES, "hierarchy-long")  # the last one only where asked for: it takes as long as all others


@dataclass(frozen=True)
class Fit:
    """A model and how it is trained and judged."""

    model: Model
    epochs: int
    training: Training = field(default_factory=lambda: Training(lr=2e-3))
    samples: int = SAMPLES
    every: int = EVERY


def fits(bench: Bench) -> dict[str, Fit]:
    """By cost: an epoch takes about 3, 37 and 6 processor seconds of the first ones, 35 of the convolutional ones and
    49 of the long one. Compare IWAE-50 with VAE-short, and the hierarchy with VAE-conv."""
    height, width = bench.images.image_shape[:2]
    fits_in = f"images are {width} x {height}; the convolutional networks need sides divisible by 4"
    require(height % 4 == width % 4 == 0, fits_in)
    places = f"dense({4 * height * width}) reshape(64, {height // 4}, {width // 4})"  # of a code without any
    of_row, of_grid, deep = (Network(CONV, d, activation="silu") for d in (f"{places} {DECONV}", DECONV, DEEP))
    conv = partial(Fit, training=Training(lr=3e-3, batch_size=200), samples=CONV_SAMPLES, every=CONV_EVERY)
    muon = Training(optimiser="muon", lr=3e-3, batch_size=200)
    # of MNIST 40 values, and 8 in each of 7 x 7 places
    two_layers = partial(HierarchicalVAE, 432, upper=0.1, grid=True, between=32, pseudo_inputs=100)
    every = (
        Fit(VAE(50, NETWORK, kl_warmup=WARMUP), 40),
        Fit(VAE(50, NETWORK, kl_warmup=WARMUP), SHORT),
        Fit(VAE(50, NETWORK, kl_warmup=WARMUP, importance_samples=50), SHORT),
        Fit(VampVAE(50, NETWORK, kl_warmup=WARMUP), 40),
        conv(VAE(50, of_row, kl_warmup=WARMUP), CONV_EPOCHS),
        conv(two_layers(of_grid, kl_warmup=WARMUP), CONV_EPOCHS),
        conv(two_layers(deep, kl_warmup=WARMUP / 2), LONG_EPOCHS, training=muon),
    )
    return dict(zip(EVERY_NAME, every, strict=True))


def run(bench: Bench) -> Result:
    for name in bench.presets:
        require(name in EVERY_NAME, f"the study bounds has no model {name!r}; there are {', '.join(EVERY_NAME)}")
    asked = [name for name in EVERY_NAME if name in (bench.presets or NAMES)]
    return Result([*bench.map(partial(row, bench), asked), *([] if bench.quick else PUBLISHED)], NOTES)


def row(bench: Bench, name: str) -> Row:
    fit = fits(bench)[name]
    training = replace(fit.training, epochs=QUICK_EPOCHS if bench.quick else fit.epochs)
    trials = [
        Trial(f"{name}-seed{seed}", fit.model, training, seed, binarise="dynamic")
        for seed in range(1 if bench.quick else bench.seeds)
    ]
    every = fit.every if not torch.cuda.is_available() else 1
    samples, every = (QUICK_SAMPLES, QUICK_EVERY) if bench.quick else (fit.samples, every)
    figures = bench.map(lambda trial: bench.figures(trial, samples, every), trials)
    histories = [bench.history(trial) for trial in trials]
    return {
        "model": name,
        "binarisation": "dynamic",
        "minus_iw_bound": estimate([-each["iw_bound_nats"] for each in figures]),
        "samples": samples,
        "standard_error": max(each["iw_bound_standard_error"] for each in figures),
        "minus_elbo": estimate([-each["elbo_nats"] for each in figures]),
        "kl": estimate([each["kl_nats"] for each in figures]),
        "test_images": figures[0]["n_images"],
        "epochs": training.epochs,
        "seeds": len(trials),
        "seconds_per_epoch": estimate([sum(r["seconds"] for r in h) / len(h) for h in histories]),
        "source": "ours",
    }


def published(model: str, binarisation: str, bound: float, samples: int, source: str) -> Row:
    about = {"model": model, "binarisation": binarisation, "minus_iw_bound": bound, "samples": samples}
    return about | {"source": source}


TOMCZAK, PYTHAE = "Tomczak & Welling 2018, a network of their own", "pythae's model card, a network of its own"
PUBLISHED = [
    published("VAE", "dynamic", 84.45, SAMPLES, TOMCZAK),
    published("VampPrior", "dynamic", 82.43, SAMPLES, TOMCZAK),
    published("CIWAE, beta 0.05", "dynamic", 84.57, SAMPLES, "Rainforth et al. 2018, by pythae's model card"),
    published("VAE", "static", 89.78, 200, PYTHAE),
    published("IWAE-50", "static", 86.82, SAMPLES, PYTHAE),
    published("VampPrior", "static", 85.79, SAMPLES, PYTHAE),
    published("VAE", "static", 89.9, 200, "Rezende & Mohamed 2015, by pythae's model card"),
    published("IWAE-50", "static", 87.1, SAMPLES, "Burda et al. 2015"),
    published("VampPrior", "static", 85.57, SAMPLES, "Tomczak & Welling 2018, by pythae's model card"),
]

NOTES = [
    "minus_iw_bound: minus the importance-weighted bound on log p(x), nats per test image; lower is better. "
    "standard_error: of that mean over redraws of z, not over images; the largest of the seeds.",
    "Ours: 55,000 training images, binarised anew at every use; test images binarised once, each with its own noise; "
    "on a CPU every fifth of them. 784-200-200-50 with ReLU; AdamW, one-cycle at 2e-3, batch 128, KL warm-up over the "
    "first fifth. The papers train for hundreds to thousands of epochs.",
    f"VAE-conv: encoder {CONV}, decoder {DECONV}, SiLU, a code of 50; hierarchy-conv: the same layers, z2 of 40 values "
    "and z1 of 8 in each of 7 x 7 places, 100 pseudo-inputs. Batch 200, 3e-3; 500 samples, every twentieth test image. "
    f"hierarchy-long: decoder {DEEP}, updates of convolutions by Muon, KL warm-up over the first tenth.",
    "Dynamic and static binarisation give different data: bounds are comparable only within one of them.",
]

STUDY = Study(
    name="bounds",
    summary="The importance-weighted bound of a VAE, an IWAE and a VampPrior, against published ones.",
    cost="one core: about 20 minutes for a seed, hierarchy-long, where asked for, 45 more; one GPU: not measured",
    run=run,
    accepts=("presets",),
    extra_presets=EVERY_NAME,
    quick_columns=("model", "binarisation", "samples", "test_images", "epochs", "seeds", "source"),
)
