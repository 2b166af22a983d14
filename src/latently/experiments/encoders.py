"""Shared by the label studies: fully connected encoders, features for classifiers, and cached results.

Trials with the same name are the same in every study, so their folders can be copied between studies.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from scipy import sparse

from latently.analysis import label_curve
from latently.common.files import atomic_write
from latently.data.batches import scale, to_channels_first
from latently.data.noise import image_normal
from latently.estimator import Autoencoder
from latently.estimator.label_spreading import neighbours
from latently.experiments.trials import Bench, Trial
from latently.models import AE, VAE, Model, SimCLR
from latently.models.networks import Network
from latently.models.self_supervised import drawings_encoder
from latently.runs.cached_work import cached as cached_at
from latently.training.inference import tensor_shape
from latently.training.settings import Training, with_defaults

NETWORK = "dense(512)"
EPOCHS, SWEEP_EPOCHS = 20, 14  # for a single width; for many widths
FEATURES = 128  # of SimCLR
ENCODERS = (
    "Encoders: 784-512-code, mirrored decoder, ReLU, {} epochs of our training on all training images, no labels."
)
CODES = "Codes are divided by one number, the largest standard deviation of a dimension on the training images."

Feature = Literal["mean", "mean and log-variance", "sample"]


def encoder(bench: Bench, kind: str, latent_dim: int, seed: int, split: str = "auto", epochs: int = EPOCHS) -> Trial:
    """kind: ae; ae-leaky, with study 1's leaky ReLU on the code; vae; or vae-beta0.1 and the like."""
    name, _, beta = kind.partition("-beta")
    model: Model = VAE(latent_dim, Network(NETWORK), beta=float(beta or 1))
    if name != "vae":
        model = AE(latent_dim, Network(NETWORK), code_activation="leaky_relu" if name == "ae-leaky" else "linear")
    drawn = "" if split == "auto" else f"-{split}"
    training = Training(epochs=4 if bench.quick else epochs)
    return Trial(f"{kind}-z{latent_dim}{drawn}-epochs{training.epochs}-seed{seed}", model, training, seed, split)


def simclr(bench: Bench, seed: int = 0) -> Trial:
    """Features that `train few-label` learns of drawings, without the appearance, read out of the encoder's layers."""
    network = Network(drawings_encoder(tensor_shape(bench.images.image_shape), FEATURES), "dense(256) dense(out)")
    model = SimCLR(FEATURES, network, appearance=0.0, features_of="layers")
    training = Training(**SimCLR.suited_training, epochs=1 if bench.quick else 4)
    return Trial(f"simclr-seed{seed}" if seed else "simclr", model, training, seed)


def trial_settings(bench: Bench, trial: Trial) -> dict[str, Any]:
    return trial.to_json(bench.data_id, len(bench.split(trial.split).train))


def codes(bench: Bench, trial: Trial, feature: Feature = "mean") -> np.ndarray:
    """Features of every image of the bench, (N, values) float32, scaled."""
    values = encode(bench.fit(trial), bench.images.pixels, feature)
    return label_curve.scaled(values, bench.split(trial.split).train)


def cached_codes(bench: Bench, trial: Trial) -> np.ndarray:
    """Unscaled means of all images, (N, latent_dim); cached next to the encoder, because a convolutional one takes a
    minute."""
    path = bench.trained(trial).path / "codes.npy"

    def find() -> None:
        means = encode(bench.fit(trial), bench.images.pixels)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.save(file, means)

    if not path.exists():
        bench.executor.run(str(path), find)
    return np.load(path)


def cached_graph(bench: Bench, trial: Trial) -> sparse.csr_matrix:
    """Over which labels spread, (n, n) of the n training images: that of their `cached_codes`; cached next to these,
    because its neighbours take 20 s."""
    path = bench.trained(trial).path / "graph.npz"
    codes = cached_codes(bench, trial)

    def find() -> None:
        graph = neighbours(codes[bench.split(trial.split).train])
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            sparse.save_npz(file, graph)

    if not path.exists():
        bench.executor.run(str(path), find)
    return sparse.load_npz(path)


@torch.no_grad()
def encode(fit: Autoencoder, images: np.ndarray, feature: Feature = "mean") -> np.ndarray:
    """sample: one per image, with the image's own noise. A plain autoencoder has only means; of a self-supervised code
    they are its features."""
    if feature == "mean":
        return fit.features(images)

    def values(part: torch.Tensor) -> torch.Tensor:
        x = scale(part)
        q = fit.model_.encode(fit.net_, x)
        if feature == "sample":
            return q.rsample(image_normal(x, fit.model_.latent_dim))
        return torch.cat([q.mean, q.log_variance], 1)

    device = torch.device(fit.training_.device)
    return np.concatenate([values(part.to(device)).cpu().numpy() for part in to_channels_first(images).split(1000)])


def cached(
    bench: Bench, name: str, settings: dict[str, Any], compute: Callable[[], Any],
    first: Callable[[], Any] = lambda: None,
) -> Any:  # fmt: skip
    """The result of `compute`, cached as JSON next to the trials; `first` requests what it needs, such as an encoder.
    Raises InputError if the cached result has other settings."""
    about = settings | {"source": bench.data_id, "quick": bench.quick}
    path = bench.folder / "trials" / f"{name}.json"
    if not path.exists():
        first()
    return cached_at(path, about, compute, bench.executor, with_defaults)
