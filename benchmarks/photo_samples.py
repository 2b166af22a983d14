"""New photographs beside those of the default VAE and of a mixture, by one judge; are they sharp, or copies?

    python benchmarks/photo_samples.py TRAIN TEST [--side 64] [--runs DIR] [--out benchmarks/results/photo-samples.json]

TRAIN and TEST are folders of photographs with a subfolder for each class. On those of TRAIN, at --side pixels: an
autoencoder with an adversary (`latently train ae-gan`), its prior (`latently train prior`), a mixture of its codes, and
a VAE. Frechet distance, precision and recall in the features of a judge, our default classifier, beside those of as
many training images; the variance of a Laplacian, as a fraction of that of TEST's photographs (1: as sharp); the
distance to the nearest training image. --runs keeps what was trained, so that an interrupted measurement goes on.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from samples import against, as_floats, nearest, trained
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from latently import AEGAN, VAE, Autoencoder, Classifier, data, pictures
from latently.estimator.code_prior import CodePrior
from latently.estimator.mixture import CodeMixture

SHEET = 64  # samples
EPOCHS = ("ae", "prior", "vae")  # --ae-epochs and so on
PERFECT = "training photographs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--side", type=int, default=64, help="pixels to which photographs are cropped")
    parser.add_argument("--n", type=int, help="samples of each; default: as many as photographs in TEST")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--judge-epochs", type=int, default=20)
    for name in EPOCHS:
        parser.add_argument(f"--{name}-epochs", type=int, help="default: as many as it takes by itself")
    parser.add_argument("--runs", type=Path, default=Path("runs/photo-samples"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "photo-samples.json")
    flags = parser.parse_args()
    prepared = data.Preparation(image_size=(flags.side, flags.side), fit="crop")
    train, test = (data.load(folder, prepared) for folder in (flags.train, flags.test))
    n = flags.n or len(test)
    epochs = {name: {"epochs": getattr(flags, f"{name}_epochs") or "auto"} for name in EPOCHS}
    prior = CodePrior(random_state=flags.seed, **epochs["prior"])
    made: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    judge, _ = trained(flags.runs / "judge", lambda: fit(Classifier(epochs=flags.judge_epochs), train, flags.seed))
    for name, new in {
        "ae": lambda: fit(Autoencoder(AEGAN(), **AEGAN.suited_training, **epochs["ae"]), train, flags.seed),
        "prior": lambda: made["ae"].fit_prior(train.images, train.label_names, prior),
        "vae": lambda: fit(Autoencoder(VAE(), **epochs["vae"]), train, flags.seed),
    }.items():
        made[name], seconds[name] = trained(flags.runs / name, new)
    ae, vae = made["prior"], made["vae"]
    ae.mixture_ = CodeMixture.fit(ae.transform(train.images), 10, flags.seed)
    about = {"n": n, "judge": judge.score(test.images, test.label_names), "seconds": seconds}
    about["epochs"] = {"ae": len(ae.history_), "prior": len(ae.prior_.history_), "vae": len(vae.history_)}
    about["rebuilt"] = rebuilt(ae, vae, test.images)
    about["nearest of test photographs"] = nearest(as_floats(train.images), as_floats(test.images))
    found: dict[str, Any] = {"about": about, "rows": []}
    print(json.dumps(about), flush=True)
    asked = np.random.default_rng(flags.seed).choice(train.label_names, n)
    samplers: dict[str, Callable[[], np.ndarray]] = {
        PERFECT: lambda: as_floats(train.images[train.spread(n)]),
        "test photographs, rebuilt": lambda: ae.reconstruct(test.images),
        "flow matching, guidance 1": lambda: ae.sample(n, flags.seed, asked, guidance=1.0),
        "flow matching, guidance 1.5": lambda: ae.sample(n, flags.seed, asked),
        "mixture of 10": lambda: ae.sample(n, flags.seed, sampler="mixture"),
        "vae, its prior": lambda: vae.sample(n, flags.seed),
    }
    real, sharp = judge.features(test.images), sharpness(as_floats(test.images))
    for name, draw in samplers.items():
        started = time.process_time()
        images = draw().clip(0, 1)
        row = {"sampler": name, "drawing_s": time.process_time() - started}
        row |= dict(zip(("frechet", "precision", "recall"), against(real, judge, images), strict=True))
        if name.startswith("flow"):
            row["agreement"] = float((judge.predict(images) == asked).mean())
        if name != PERFECT:
            row["nearest"] = nearest(as_floats(train.images), images)
        row["sharpness"] = sharpness(images) / sharp
        found["rows"].append(row)
        print(json.dumps(found["rows"][-1]), flush=True)
    flags.out.write_text(json.dumps(found, indent=1) + "\n")
    sheet(flags.runs / "samples.png", ae.sample(SHEET, flags.seed), "by flow matching, guidance 1.5")
    sheet(flags.runs / "samples-vae.png", vae.sample(SHEET, flags.seed), "by a VAE's prior")


def fit(estimator: Any, images: data.ImageSet, seed: int) -> Any:
    return estimator.set_params(random_state=seed).fit(images.images, images.label_names)


def rebuilt(ae: Autoencoder, vae: Autoencoder, images: Any) -> dict[str, dict[str, float]]:
    """PSNR, SSIM and sharpness of reconstructions of both, means over images."""
    originals, rows = as_floats(images), {}
    for name, model in (("ae", ae), ("vae", vae)):
        found = model.reconstruct(images).clip(0, 1)
        pairs = list(zip(originals, found, strict=True))
        rows[name] = {
            "psnr_db": float(np.mean([peak_signal_noise_ratio(a, b, data_range=1) for a, b in pairs])),
            "ssim": float(np.mean([structural_similarity(a, b, data_range=1, channel_axis=2) for a, b in pairs])),
            "sharpness": sharpness(found) / sharpness(originals),
        }
    return rows


def sharpness(images: np.ndarray) -> float:
    """The mean over images (n, h, w, 3) of the variance of the Laplacian of their grey."""
    return float(np.mean([ndimage.laplace(grey)[1:-1, 1:-1].var() for grey in images.mean(3)]))


def sheet(path: Path, images: np.ndarray, drawn_by: str) -> None:
    pictures.save(pictures.samples(images.clip(0, 1), columns=8, drawn_by=drawn_by), path)


if __name__ == "__main__":
    main()
