"""`probes`: linear probe, nearest neighbours and clusters on convolutional codes.

A linear probe with all training labels is the usual way to compare what autoencoders learn without labels. An untrained
encoder is the baseline: its accuracy is due to the architecture, not to learning.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from latently.common.errors import require
from latently.data import unit
from latently.data.batches import scale, to_channels_first
from latently.evaluation.codes import STRENGTHS, code_figures
from latently.evaluation.intervals import estimate, percent
from latently.experiments.encoders import cached, encode, simclr
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial
from latently.models import AE, DAE, VAE, model_to_json
from latently.models.networks import Network
from latently.training.hardware import seeded
from latently.training.settings import Training

# The code is a grid of cells, one per 4 x 4 pixels, 64 values each. The VAE's encoder ends in pooling without ReLU:
# half of its outputs are log variances, which must be able to become negative.
ENCODER = "conv(32, 5) pool(2) conv(64, 5) pool(2) code()"
ENCODER_OF_VAE = "conv(32, 5) pool(2) conv(128, 5, linear) pool(2) code()"
BETA = 0.001
EPOCHS, QUICK_EPOCHS = 4, 1
QUICK_PROBE = 500  # training images, and test images, of a quick probe
CODES = {
    "pixels": "pixels",
    "untrained": "an untrained encoder",
    "ae": "AE",
    "dae": "DAE",
    "vae": f"VAE, beta {BETA}",
    "simclr": "SimCLR",
}
PUBLISHED = {"ae": (98.1, 97.1), "dae": (98.0, 97.5), "vae": (98.7, 97.7)}  # linear probe, nearest neighbour


def run(bench: Bench) -> Result:
    for name in bench.presets:
        require(name in CODES, f"the study probes has no codes {name!r}; there are {', '.join(CODES)}")
    asked = [name for name in CODES if name in bench.presets or not bench.presets]
    return Result(bench.map(partial(row, bench), asked), notes(bench))


def models(bench: Bench) -> dict[str, AE | VAE]:
    height, width = bench.images.image_shape[:2]
    fits = height % 4 == width % 4 == 0
    require(fits, f"images are {width} x {height}; these networks need sides divisible by 4")
    cells = height // 4, width // 4
    decoder = "reshape(64, {}, {}) deconv(32, 4, stride=2) deconv(out, 4, stride=2)".format(*cells)
    latent_dim, network = 64 * math.prod(cells), Network(ENCODER, decoder)
    return {
        "ae": AE(latent_dim, network),
        "dae": DAE(latent_dim, network),
        "vae": VAE(latent_dim, Network(ENCODER_OF_VAE, decoder), beta=BETA),
    }


def row(bench: Bench, name: str) -> Row:
    seeds = bench.seeds_for({"encoder": "" if name == "pixels" else ENCODER})
    figures = bench.map(partial(figures_of, bench, name), seeds)

    def over(key: str) -> Any:
        return percent(estimate([each[key] for each in figures]))

    told: Row = {"codes": CODES[name], "seeds": len(figures), "dimensions": figures[0]["code_dimensions"]}
    told |= {"probe_percent": over("probe_accuracy"), "neighbours_percent": over("knn_accuracy")}
    told |= {"clustering_percent": over("clustering_accuracy"), "nmi": estimate([each["nmi"] for each in figures])}
    if name in PUBLISHED and not bench.quick:
        told["published_probe"], told["published_nearest_neighbour"] = PUBLISHED[name]
    return told


def figures_of(bench: Bench, name: str, seed: int) -> dict[str, Any]:
    """Cached. The seed is used for the encoder and the clustering."""
    known = models(bench)
    model = known.get(name, known["ae"])
    trial = Trial(f"{name}-seed{seed}", model, Training(epochs=QUICK_EPOCHS if bench.quick else EPOCHS), seed)
    trial = simclr(bench, seed) if name == "simclr" else trial
    settings = {
        "seed": seed,
        "model": model_to_json(trial.model),
        "epochs": trial.training.epochs,
        "penalties": STRENGTHS,
    }
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "pixels": lambda images: unit(images.reshape(len(images), -1)),
        "untrained": lambda images: untrained(model, images, seed),
    }

    def compute() -> dict[str, Any]:
        codes = ways[name] if name in ways else partial(encode, bench.fit(trial))
        train, test = bench.part("train"), bench.part("test")
        if bench.quick:
            train, test = (part.take(np.arange(len(part))[:QUICK_PROBE]) for part in (train, test))
        return code_figures(codes(train.pixels), train.labels, codes(test.pixels), test.labels, seed)

    first = (lambda: None) if name in ways else partial(bench.trained, trial)
    return cached(bench, f"{name}-probe-seed{seed}", settings, compute, first)


@torch.no_grad()
def untrained(model: AE | VAE, images: np.ndarray, seed: int) -> np.ndarray:
    """Codes (N, Z) of a network with its initial weights."""
    x = to_channels_first(images)
    with seeded(seed, x.device):
        net = model.build((x.shape[1], x.shape[2], x.shape[3])).eval()
    return np.concatenate([model.encode(net, scale(part)).mean.numpy() for part in x.split(1000)])


def notes(bench: Bench) -> list[str]:
    return [
        f"Encoder {ENCODER}; of the VAE {ENCODER_OF_VAE}, mean and log variance. Decoder "
        f"{models(bench)['ae'].network.decoder}. {EPOCHS} epochs of our training, no labels. The DAE removes Gaussian "
        "noise of 0.5. SimCLR compares warps of a digit, four epochs, and is read out of its layers. In %, on the test "
        "images.",
        "probe: multinomial logistic regression on standardised codes with all training labels; its penalty is "
        "chosen on a tenth of them. neighbours: vote of 10; the published value uses one. clustering: k-means with "
        "ten clusters on training codes, under the best matching.",
        "All codes but SimCLR's are four times as wide as the image: the probe measures what is linearly separable, "
        "not compression.",
    ]


STUDY = Study(
    name="probes",
    summary="Linear probe, neighbours and clusters on codes of convolutional autoencoders, and of an untrained one.",
    cost="two cores: about half an hour; one GPU: not measured",
    run=run,
    quick_columns=("codes", "seeds", "dimensions"),
    accepts=("presets",),
    extra_presets=tuple(CODES),
    needs_labels=True,
)
