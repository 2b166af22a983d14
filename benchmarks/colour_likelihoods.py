"""What a VAE of few photographs holds of others, by its likelihood.

    python benchmarks/colour_likelihoods.py FOLDER [--n 640] [--judged 400] [--epochs 240] [--seeds 0 1]
        [--likelihoods bernoulli gaussian discretised-logistic]

n photographs of FOLDER are learned from, with all other settings as by default, and others of it judged: `psnr_db` of
the images rebuilt from the means of their codes, beside that of as many principal components and of the mean image;
`kl_nats`, `active_units`, and the same PSNR of photographs that were learned. A line of JSON for each.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from latently import VAE, Autoencoder, data
from latently.evaluation.figures import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=640)
    parser.add_argument("--judged", type=int, default=400)
    parser.add_argument("--epochs", type=int, help="default: as usual for so many images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--likelihoods", nargs="+", default=["bernoulli", "gaussian", "discretised-logistic"])
    asked = parser.parse_args()
    images = data.load(asked.folder).images
    order = np.random.default_rng(0).permutation(len(images))
    learned, judged = (images[np.sort(part)] for part in (order[: asked.n], order[-asked.judged :]))
    rows, others = (part.reshape(len(part), -1) / 255 for part in (learned, judged))
    pca = PCA(VAE().latent_dim, random_state=0).fit(rows)
    simple = {"components": pca.inverse_transform(pca.transform(others)), "mean image": rows.mean(0)}
    print(json.dumps({name: psnr_db(others, rebuilt) for name, rebuilt in simple.items()}), flush=True)
    for likelihood in asked.likelihoods:
        for seed in asked.seeds:
            estimator = Autoencoder(VAE(likelihood=likelihood), epochs=asked.epochs or "auto", random_state=seed)
            began = time.process_time()
            estimator.fit(learned)
            row = {"likelihood": likelihood, "seed": seed, "epochs": estimator.training_.epochs}
            row["processor_seconds"] = round(time.process_time() - began)
            figures = evaluate(estimator, judged)
            row |= {name: round(figures[name], 2) for name in ("psnr_db", "kl_nats", "active_units")}
            row["learned_psnr_db"] = round(evaluate(estimator, learned[: asked.judged])["psnr_db"], 2)
            print(json.dumps(row), flush=True)


def psnr_db(images: np.ndarray, rebuilt: np.ndarray) -> float:
    """Of rows of pixels in 0..1, averaged over images."""
    return float(-10 * np.log10(np.square(images - rebuilt).mean(1)).mean())


if __name__ == "__main__":
    main()
