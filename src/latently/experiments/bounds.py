"""`bounds`: the bound on log p(x) of a VAE, an importance-weighted autoencoder (Burda et al. 2015) and a VampPrior
(Tomczak & Welling 2018) with the network 784-200-200-50, ReLU, on dynamically binarised MNIST."""

from functools import partial

import torch

from latently.evaluation.intervals import estimate
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial
from latently.models import VAE, Model, VampVAE
from latently.models.networks import Network
from latently.training.settings import Training

NETWORK = Network("dense(200) dense(200)")  # ReLU: with tanh, as in Burda et al., the VampPrior collapsed (docs/log.md)
SAMPLES = 5000
EVERY = 5  # on a CPU every fifth test image: all of them would take 8 to 11 minutes per fit
QUICK_SAMPLES, QUICK_EVERY, QUICK_EPOCHS = 200, 50, 2
WARMUP = 0.2  # of the KL, for all models: the VampPrior was worse without it in a short trial (docs/log.md)

# Models with their epochs, by cost: an epoch takes about 3, 37 and 6 processor seconds. Compare IWAE-50 with VAE-short.
SHORT = 12
MODELS: dict[str, tuple[Model, int]] = {
    "VAE": (VAE(50, NETWORK, kl_warmup=WARMUP), 40),
    "VAE-short": (VAE(50, NETWORK, kl_warmup=WARMUP), SHORT),
    "IWAE-50": (VAE(50, NETWORK, kl_warmup=WARMUP, importance_samples=50), SHORT),
    "VampPrior": (VampVAE(50, NETWORK, kl_warmup=WARMUP), 40),
}


def run(bench: Bench) -> Result:
    return Result([*bench.map(partial(row, bench), MODELS), *PUBLISHED], NOTES)


def row(bench: Bench, name: str) -> Row:
    model, epochs = MODELS[name]
    training = Training(epochs=QUICK_EPOCHS if bench.quick else epochs, lr=2e-3)
    trials = [
        Trial(f"{name}-seed{seed}", model, training, seed, binarise="dynamic")
        for seed in range(1 if bench.quick else bench.seeds)
    ]
    every = EVERY if not torch.cuda.is_available() else 1
    samples, every = (QUICK_SAMPLES, QUICK_EVERY) if bench.quick else (SAMPLES, every)
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
    "Dynamic and static binarisation give different data: bounds are comparable only within one of them.",
]

STUDY = Study(
    name="bounds",
    summary="The importance-weighted bound of a VAE, an IWAE and a VampPrior, against published ones.",
    cost="one core: about 20 minutes for a seed; one GPU: not measured",
    run=run,
    quick_columns=("model", "binarisation", "samples", "test_images", "epochs", "seeds", "source"),
)
