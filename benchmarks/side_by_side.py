"""A VAE's training, ours beside a peer's, in turn: images per second, seconds in all, and both test bounds.

    LATENTLY_DATA=... python benchmarks/side_by_side.py PEER --python PYTHON [--network mlp|conv] [--epochs 1]
        [--pairs 5] [--limit 60000] [--our-epochs N] [--cold] [--name NAME] [--flags "--compile on --lr 6e-3"]

PEER is a file of benchmarks/peers: pythae, example, lightning, keras; PYTHON an interpreter that has its packages. Same
network, batch 128, no more than --limit training images. Each side is a process: images per second are those of its
training loop, without validation and compilation; the seconds in all count start-up, loading, compilation and writing.
--our-epochs: ours stops sooner; what counts then is the time to the peer's bound. A throw-away run fills our
compilation cache. --cold: a second run of ours in each pair, after the cache was emptied, is kept as NAME-cold. The
peers train with Adam at 1e-3 or, as study 2 says, RMSprop at 1e-3; ours by our defaults, or the preset's, and --flags.

Ours keeps the standard split's 5,000 validation images apart and looks at them every epoch; the peers train on all
60,000, or on the first --limit of them.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from pairs import Figures, measured, take_pairs

PRESETS = {"mlp": "mlp-512", "conv": "study2-conv"}
LATENT = {"mlp": 20, "conv": 10}
TRAINING = 55_000  # images that validation leaves of the 60,000


def ours(folder: Path, network: str, epochs: int, limit: int, flags: str) -> Figures:
    run, latently = folder / "ours", [sys.executable, "-m", "latently"]
    words = ["train", "vae", "--data", "mnist", "--preset", PRESETS[network], "--latent-dim", str(LATENT[network])]
    words += [
        "--split",
        "standard",
        "--limit",
        str(min(limit, TRAINING)),
        "--batch-size",
        "128",
        "--epochs",
        str(epochs),
    ]
    figures = measured([*latently, *words, *shlex.split(flags), "--out", str(run), "--overwrite", "--json"])
    history = np.genfromtxt(run / "history.csv", delimiter=",", names=True)
    bound = measured([*latently, "evaluate", str(run), "--json"])
    return {
        "images_per_second": float(np.median(np.atleast_1d(history["images_per_second"]))),
        "seconds_in_all": figures["wall_s"],
        "processor_seconds_in_all": figures["processor_s"],
        "minus_elbo_nats": -bound["elbo_nats"],
    }


def peer(name: str, python: str, folder: Path, network: str, epochs: int) -> Figures:
    script = Path(__file__).parent / "peers" / f"with_{name}.py"
    figures = measured([python, str(script), str(folder), network, str(epochs)])
    return {
        "images_per_second": figures["images_per_second"],
        "seconds_in_all": figures["wall_s"] - figures["evaluation_s"],
        "processor_seconds_in_all": figures["processor_s"],
        "minus_elbo_nats": figures["minus_elbo_nats"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=["pythae", "example", "lightning", "keras"])
    parser.add_argument("--python", required=True)
    parser.add_argument("--network", choices=list(PRESETS), default="mlp")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--our-epochs", type=int)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--limit", type=int, default=60_000)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--flags", default="--compile on")
    parser.add_argument("--name")
    options = parser.parse_args()
    from latently.data import load

    mnist = load("mnist")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "cache"
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
        np.savez(folder / "mnist.npz", train=mnist.images[: min(options.limit, 60_000)], test=mnist.images[60_000:])

        def our_side() -> Figures:
            return ours(folder, options.network, options.our_epochs or options.epochs, options.limit, options.flags)

        def cold_side() -> Figures:
            shutil.rmtree(cache, ignore_errors=True)
            return our_side()

        def peer_side() -> Figures:
            return peer(options.peer, options.python, folder, options.network, options.epochs)

        if "--compile off" not in options.flags:
            ours(folder, options.network, 1, min(options.limit, 512), options.flags)
        about = json.loads(json.dumps(vars(options), default=str))
        about.pop("python")
        name = options.name or f"{options.peer}-{options.network}"
        ways = {name: our_side} | ({f"{name}-cold": cold_side} if options.cold else {})
        take_pairs(options.pairs, ways, peer_side, about)


if __name__ == "__main__":
    main()
