"""`elbo`: every preset's bound, by its study's recipe and by our training of the same network, beside the published."""

from collections.abc import Sequence

from latently import pictures
from latently.errors import require
from latently.experiments.study import Result, Study
from latently.experiments.table import Estimate, Row, estimate
from latently.experiments.trials import Bench, Trial
from latently.models.vae import VAE
from latently.presets import PRESETS, Preset, Published
from latently.training import Training

QUICK = "study5-mlp"
CODES = (2, 5, 8, 10, 16, 20)
WITHOUT_PUBLICATION = 30  # epochs of ours where a study gives no figure to meet


def run(bench: Bench) -> Result:
    rows: list[Row] = []
    for name, preset in chosen(bench).items():
        for latent_dim in codes(bench, preset):
            known = [figure for figure in preset.published if figure.latent_dim == latent_dim]
            pair = {}
            for variant in ("faithful", "ours"):
                trials = [
                    trial(bench, name, latent_dim, variant, known, seed) for seed in bench.seeds_for(preset.network)
                ]
                pair[variant] = curves = [bench.fit(each).history_ for each in trials]
                rows.append(row(bench, name, latent_dim, variant, known, trials, curves))
            draw(bench, name, latent_dim, known, pair)
    return Result(rows, notes(rows))


def chosen(bench: Bench) -> dict[str, Preset]:
    """The presets asked for; else all, and with --quick a single one."""
    for name in bench.presets:
        require(bool(PRESETS[name].training), f"{name} is no study's recipe, so there is nothing to be faithful to")
    names = bench.presets or [
        name for name, preset in PRESETS.items() if preset.training and not (bench.quick and name != QUICK)
    ]
    return {name: PRESETS[name] for name in names}


def codes(bench: Bench, preset: Preset) -> Sequence[int]:
    if bench.codes:
        return bench.codes
    return sorted({figure.latent_dim for figure in preset.published} or {2}) if bench.quick else CODES


def trial(bench: Bench, name: str, latent_dim: int, variant: str, known: Sequence[Published], seed: int) -> Trial:
    """The study's recipe for as many epochs as it publishes; ours on the same network, for no more epochs."""
    preset = PRESETS[name]
    model = preset.build("vae").set_params(latent_dim=latent_dim)
    assert isinstance(model, VAE)
    recipe = dict(preset.training)
    epochs = max((figure.epoch for figure in known), default=recipe.get("epochs", WITHOUT_PUBLICATION))
    if variant == "ours":
        model.set_params(posterior="log-variance")
        recipe = {}
        epochs = min(epochs, WITHOUT_PUBLICATION) if not known else epochs
    if bench.quick:
        epochs = min(epochs, 3)
    training = Training(**recipe | {"epochs": epochs})
    return Trial(f"{name}-z{latent_dim}-{variant}-seed{seed}", model, training, seed, preset.split)


History = list[dict[str, float]]


def row(
    bench: Bench,
    name: str,
    latent_dim: int,
    variant: str,
    known: Sequence[Published],
    trials: Sequence[Trial],
    curves: Sequence[History],
) -> Row:
    tests = [bench.figures(each) for each in trials]
    train = estimate([curve[-1]["train_loss"] for curve in curves])
    last = known[-1] if known and not bench.quick else None
    return {
        "preset": name,
        "latent_dim": latent_dim,
        "variant": variant,
        "seeds": len(trials),
        "epochs": max(len(curve) for curve in curves),
        "train_minus_elbo": train,
        "published_train": last.minus_elbo_nats if last else None,
        "verdict": verdict(train, last.minus_elbo_nats, variant) if last else "",
        "test_minus_elbo": estimate([-figures["elbo_nats"] for figures in tests]),
        "test_reconstruction": estimate([figures["reconstruction_nats"] for figures in tests]),
        "test_kl": estimate([figures["kl_nats"] for figures in tests]),
        "seconds_per_epoch": estimate([sum(r["seconds"] for r in curve) / len(curve) for curve in curves]).mean,
    }


def verdict(ours: Estimate, published: float, variant: str) -> str:
    """
    >>> verdict(Estimate(102.0, 0.5, 3), 102.3, "faithful"), verdict(Estimate(101.0, 0.1, 3), 102.3, "ours")
    ('inside the interval', '1.30 below')
    """
    if variant == "faithful" and ours.contains(published):
        return "inside the interval"
    gap = published - ours.mean
    return f"{abs(gap):.2f} {'below' if gap >= 0 else 'above'}"


def draw(bench: Bench, name: str, latent_dim: int, known: Sequence[Published], pair: dict[str, list[History]]) -> None:
    """-ELBO on training images by epoch: both variants with their spread, and the published figures."""
    series, spans = {}, {}
    for variant, curves in pair.items():
        epochs = min(len(curve) for curve in curves)
        means = [estimate([curve[epoch]["train_loss"] for curve in curves]) for epoch in range(epochs)]
        series[variant] = [point + 1 for point in range(epochs)], [each.mean for each in means]
        spans[variant] = [each.half_width or 0.0 for each in means]
    points = {"published": ([each.epoch for each in known], [each.minus_elbo_nats for each in known])} if known else {}
    lowest = min(min(values) for _, values in series.values())
    figure = pictures.lines(
        series,
        "epoch",
        "-ELBO on training images, nats per image",
        f"{name}, {latent_dim} dimensions",
        points,
        spans,
        y_range=(lowest - 1, lowest + 20),
    )
    pictures.save(figure, bench.folder / "figures" / f"{name}-z{latent_dim}.png")


def notes(rows: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(row["preset"] for row in rows))
    single = sorted({row["preset"] for row in rows if row["seeds"] == 1})
    return [
        "Continuous Bernoulli likelihood. The training figure is the mean over the epoch's batches while the weights "
        "move, as the studies print it; the test figure is one sample of z per image after the last epoch.",
        *([f"One seed, so no interval: {', '.join(single)}. Three wait for a GPU."] if single else []),
        *(f"{name}: {PRESETS[name].note}" for name in names if PRESETS[name].note),
    ]


STUDY = Study(
    name="elbo",
    summary="Every preset's bound: the study's recipe, and ours on the same network, beside the published figures.",
    cost="two cores: half an hour for study 5 at codes 2 and 20, a day or more for all; one GPU: not measured",
    run=run,
    takes=("presets", "codes"),
)
