"""`panels`: the same test digits reconstructed through codes of 2, 5 and 20 dimensions, by an AE and a VAE."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latently import pictures
from latently.common.files import atomic_write
from latently.data import unit
from latently.estimator import Autoencoder
from latently.evaluation.intervals import estimate
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial
from latently.models import MODELS, Model
from latently.models.presets import PRESETS
from latently.training.settings import Training
from latently.training.state import State, Watcher

CODES = (2, 5, 20)
N_DIGITS = 8  # of study 1's picture
NOTES = [
    "reconstruction_nats: for a VAE at a sample of z, for an autoencoder at the code; mse: at the mean for both.",
    "The hundred digits by epoch are from study4-mlp with the study's settings, reconstructed without dropout.",
]


def run(bench: Bench) -> Result:
    """The network is that of --presets (one name); by default the fully connected one of study 5, with our training."""
    preset = (bench.presets or ["study5-mlp"])[0]
    test = bench.part("test")
    lines = [*product(("ae", "vae"), CODES)]
    rows = bench.map(lambda line: row(bench, preset, *line), lines)
    named = {"original": unit(test.images[:N_DIGITS])}
    fits: dict[str, Autoencoder] = {}
    for name, latent_dim in lines:
        key = f"{name.upper()}, {latent_dim}-D"
        fits[key] = bench.fit(trial(bench, preset, name, latent_dim, 0))
        named[key] = fits[key].reconstruct(test.images[:N_DIGITS])
    folder = bench.folder / "figures"
    title = "The first eight test digits through codes of 2, 5 and 20 dimensions"
    pictures.save(pictures.rows(named, title), folder / "codes-of-2-5-20.png")
    five = test.images[:5]
    pairs = pictures.reconstructions(unit(five), fits["VAE, 20-D"].reconstruct(five), columns=5)
    pictures.save(pairs, folder / "five-pairs.png")
    film(bench)
    return Result(rows, [f"Network of the preset {preset}, our training; pictures are of seed 0.", *NOTES])


def trial(bench: Bench, preset: str, name: str, latent_dim: int, seed: int) -> Trial:
    model = MODELS[name](latent_dim=latent_dim, network=PRESETS[preset].build(name).get_params()["network"])  # type: ignore[call-arg]
    return Trial(f"{preset}-{name}-z{latent_dim}-seed{seed}", model, Training(epochs=2 if bench.quick else 20), seed)


def row(bench: Bench, preset: str, name: str, latent_dim: int) -> Row:
    seeds = bench.seeds_for(PRESETS[preset].network)
    figures = bench.map(lambda seed: bench.figures(trial(bench, preset, name, latent_dim, seed)), seeds)
    return {
        "preset": preset,
        "model": name,
        "latent_dim": latent_dim,
        "seeds": len(figures),
        "reconstruction_nats": estimate([each["reconstruction_nats"] for each in figures]),
        "mse": estimate([each["mse"] for each in figures]),
    }


def film(bench: Bench) -> None:
    """A hundred test digits, and their reconstructions by study 4's VAE after each epoch."""
    hundred = unit(bench.part("test").images[:100])
    trial = film_trial(bench)
    camera = Camera(trial.model, hundred, bench.folder / "trials" / trial.name / "film")
    bench.fit(trial, [camera])
    named = {"the first hundred test digits": hundred}
    named |= {f"after epoch {epoch}": np.load(camera.shot(epoch)) for epoch in range(1, trial.training.n_epochs + 1)}
    title = "A hundred test digits, and their reconstructions from 2 dimensions by epoch"
    sheets = pictures.sheets(named, columns=10, across=3, title=title)
    pictures.save(sheets, bench.folder / "figures" / "hundred-by-epoch.png")


def film_trial(bench: Bench) -> Trial:
    preset = PRESETS["study4-mlp"]
    recipe = dict(preset.training) | ({"epochs": 2} if bench.quick else {})
    return Trial("study4-mlp-vae", preset.build("vae"), Training(**recipe))


@dataclass
class Camera(Watcher):
    """A watcher that saves reconstructions of images (N,H,W[,C]) after each epoch; a resumed trial continues."""

    model: Model
    images: np.ndarray
    folder: Path

    def shot(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch}.npy"

    @torch.no_grad()
    def epoch_ended(self, state: State, settings: Training) -> None:
        x = torch.from_numpy(self.images.reshape(*self.images.shape[:3], -1)).permute(0, 3, 1, 2)  # (N, C, H, W)
        x = x.to(state.losses.device)
        model: Any = self.model  # encode and decode
        state.net.eval()
        seen = model.decode(state.net, model.encode(state.net, x).mean).mean.permute(0, 2, 3, 1).cpu().numpy()
        state.net.train()
        with atomic_write(self.shot(state.epoch)) as temporary, open(temporary, "wb") as file:
            np.save(file, seen.reshape(self.images.shape))


STUDY = Study(
    name="panels",
    summary="The same test digits through codes of 2, 5 and 20 dimensions, by an autoencoder and a VAE.",
    cost="two cores: about 20 minutes with the fully connected network; one GPU: not measured",
    run=run,
    quick_columns=("preset", "model", "latent_dim", "seeds"),
    accepts=("presets",),
)
