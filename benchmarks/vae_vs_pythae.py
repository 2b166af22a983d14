"""Wall time and test ELBO of the 784-512-20-512-784 VAE on MNIST, ours beside pythae's, in turn on one machine.

    LATENTLY_DATA=... python benchmarks/vae_vs_pythae.py --peer PYTHON [--pairs 3] [--epochs 30]

PYTHON is an interpreter with pythae 0.1.2 installed (it wants an older NumPy than ours). Each side runs as a process of
its own: start-up, loading, compilation and writing count. Our first run compiles with an empty cache, the others find
it warm. Ours trains on the standard split, 55,000 images and 5,000 for validation; pythae on 60,000 without validation,
with batches of 128 and Adam at 1e-3, its defaults otherwise. Prints one JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PEER = """
import json, sys, time
import numpy as np, torch
from pythae.models import VAE, VAEConfig
from pythae.trainers import BaseTrainer, BaseTrainerConfig

folder, epochs = sys.argv[1], int(sys.argv[2])
arrays = np.load(folder + "/mnist.npz")
train, test = (torch.tensor(arrays[name]).float().div(255).unsqueeze(1) for name in ("train", "test"))
model = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce"))
config = BaseTrainerConfig(output_dir=folder + "/peer", num_epochs=epochs, learning_rate=1e-3,
                           per_device_train_batch_size=128, no_cuda=True)
from pythae.data.datasets import BaseDataset
BaseTrainer(model, BaseDataset(train, torch.zeros(len(train))), training_config=config).train()
model.eval()
torch.manual_seed(0)
with torch.no_grad():
    losses = [model({"data": part}).loss.item() * len(part) for part in test.split(1000)]
print(json.dumps({"minus_elbo_nats": sum(losses) / len(test)}))
"""


def timed(command: list[str]) -> tuple[float, str]:
    began = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.monotonic() - began, done.stdout.strip().splitlines()[-1]


def ours(folder: Path, epochs: int) -> tuple[float, float]:
    run = str(folder / "ours")
    latently = [sys.executable, "-m", "latently"]
    train = ["train", "vae", "--data", "mnist", "--latent-dim", "20", "--preset", "mlp-512", "--json", "--overwrite"]
    seconds, _ = timed([*latently, *train, "--epochs", str(epochs), "--out", run])
    _, figures = timed([*latently, "evaluate", run, "--json"])
    return seconds, -json.loads(figures)["elbo_nats"]


def peer(python: str, folder: Path, epochs: int) -> tuple[float, float]:
    seconds, figures = timed([python, "-c", PEER, str(folder), str(epochs)])
    return seconds, json.loads(figures)["minus_elbo_nats"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    from latently.data import load

    mnist = load("mnist")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "cache")
        np.savez(folder / "mnist.npz", train=mnist.images[:60_000], test=mnist.images[60_000:])
        rows = [
            (*ours(folder, options.epochs), *peer(options.peer, folder, options.epochs)) for _ in range(options.pairs)
        ]
    ours_seconds, ours_elbo, peer_seconds, peer_elbo = map(list, zip(*rows, strict=True))
    ratios = [theirs / mine for mine, theirs in zip(ours_seconds, peer_seconds, strict=True)]
    print(
        json.dumps(
            {
                "epochs": options.epochs,
                "pairs": options.pairs,
                "latently_seconds": ours_seconds,
                "pythae_seconds": peer_seconds,
                "times_faster_median": float(np.median(ratios)),
                "times_faster_range": [min(ratios), max(ratios)],
                "latently_minus_elbo_nats": ours_elbo,
                "pythae_minus_elbo_nats": peer_elbo,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
