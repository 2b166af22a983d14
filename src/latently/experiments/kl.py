"""`kl`: the effect of the KL term at weights 0, 0.5, 1 and 4: generalisation gap, samples, active units, and the
rate-distortion curve (Alemi et al. 2018), where the KL is the rate and the reconstruction the distortion."""

from functools import partial

import numpy as np

from latently import pictures
from latently.analysis import plots
from latently.evaluation.intervals import estimate
from latently.experiments.study import Result, Study
from latently.experiments.table import Row
from latently.experiments.trials import Bench, Trial
from latently.models import VAE
from latently.models.densities import nats_to_bits
from latently.models.networks import Network
from latently.training.settings import Training

BETAS = (0.0, 0.5, 1.0, 4.0)


def run(bench: Bench) -> Result:
    rows = bench.map(partial(row, bench), BETAS)
    for beta in BETAS:
        samples = plots.draw("samples", bench.fit(trials(bench, beta)[0]), bench.part("test"), plots.PlotOptions(n=64))
        pictures.save(samples, bench.folder / "figures" / f"samples-beta-{beta:g}.png")
    draw(bench, rows)
    return Result(rows, NOTES)


def trials(bench: Bench, beta: float) -> list[Trial]:
    latent_dim = (bench.codes or (20,))[0]
    model = VAE(latent_dim, Network("dense(512)"), beta=beta)
    training = Training(epochs=4 if bench.quick else 20)
    return [Trial(f"beta{beta:g}-z{latent_dim}-seed{seed}", model, training, seed) for seed in range(bench.seeds)]


def row(bench: Bench, beta: float) -> Row:
    fits = trials(bench, beta)
    figures = bench.map(bench.figures, fits)
    train = bench.part("train").take(np.arange(min(10_000, len(bench.part("train")))))
    train_elbos = [bench.fit(trial).score(train.images) for trial in fits]
    rates = [each["kl_nats"] for each in figures]
    distortions = [each["reconstruction_nats"] for each in figures]
    return {
        "beta": beta,
        "seeds": len(fits),
        "test_minus_elbo": estimate([-each["elbo_nats"] for each in figures]),
        "train_to_test_gap": estimate([a - b["elbo_nats"] for a, b in zip(train_elbos, figures, strict=True)]),
        "rate_nats": estimate(rates),
        "rate_bits": estimate(list(map(nats_to_bits, rates))),
        "distortion_nats": estimate(distortions),
        "distortion_bits": estimate(list(map(nats_to_bits, distortions))),
        "active_units": estimate([each["active_units"] for each in figures]),
        "mse": estimate([each["mse"] for each in figures]),
    }


def draw(bench: Bench, rows: list[Row]) -> None:
    """Distortion against rate: the ELBO is constant on lines of slope -1."""
    weighted = [row for row in rows if row["beta"] > 0]  # at weight 0 the rate is unbounded
    ordered = sorted(weighted, key=lambda row: row["rate_nats"].mean)
    rates = [row["rate_nats"].mean for row in ordered]
    points = {f"beta {row['beta']:g}": ([row["rate_nats"].mean], [row["distortion_nats"].mean]) for row in ordered}
    figure = pictures.lines(
        {"VAE": (rates, [row["distortion_nats"].mean for row in ordered])},
        "rate: KL of the code, nats per image",
        "distortion: reconstruction, nats per image",
        "Rate and distortion",
        points,
    )
    pictures.save(figure, bench.folder / "figures" / "rate-distortion.png")


NOTES = [
    "Rate and distortion on test images; their sum is minus the ELBO, whatever beta was used in training. At beta 0 "
    "nothing limits the rate, so its value is only a measure of how far apart the codes have drifted.",
    "The gap is the mean ELBO on 10,000 training images minus that on the test images.",
]

STUDY = Study(
    name="kl",
    summary="Effect of the KL term: generalisation gap, samples, active units and the rate-distortion curve.",
    cost="two cores: about 10 minutes; one GPU: not measured",
    run=run,
    quick_columns=("beta", "seeds"),
    accepts=("codes",),
)
