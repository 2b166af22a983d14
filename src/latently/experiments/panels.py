"""`panels`: the same test digits reconstructed through codes of 2, 5 and 20 dimensions, by an AE and a VAE."""

from latently import pictures
from latently.estimator import Autoencoder
from latently.experiments.study import Result, Study
from latently.experiments.table import Row, estimate
from latently.experiments.trials import Bench, Trial
from latently.models import MODELS
from latently.presets import PRESETS
from latently.training import Training

CODES = (2, 5, 20)
N_DIGITS = 8  # of study 1's picture


def run(bench: Bench) -> Result:
    """The network is that of --presets (one name); by default the fully connected one of study 5, by our training."""
    preset = (bench.presets or ["study5-mlp"])[0]
    test = bench.part("test")
    originals = test.images[:N_DIGITS] / 255
    named, rows = {"original": originals}, []
    fits: dict[str, Autoencoder] = {}
    for name in ("ae", "vae"):
        for latent_dim in CODES:
            trials = [trial(bench, preset, name, latent_dim, seed) for seed in bench.seeds_for(PRESETS[preset].network)]
            figures = [bench.figures(each) for each in trials]
            key = f"{name.upper()}, {latent_dim}-D"
            fits[key] = bench.fit(trials[0])
            named[key] = fits[key].reconstruct(test.images[:N_DIGITS])
            rows.append(row(preset, name, latent_dim, figures))
    folder = bench.folder / "figures"
    title = "The first eight test digits through codes of 2, 5 and 20 dimensions"
    pictures.save(pictures.rows(named, title), folder / "codes-of-2-5-20.png")
    five = test.images[:5]
    pairs = pictures.reconstructions(five / 255, fits["VAE, 20-D"].reconstruct(five), columns=5)
    pictures.save(pairs, folder / "five-pairs.png")
    film(bench)
    return Result(rows, [f"Network of the preset {preset}, our training; pictures show seed 0."])


def trial(bench: Bench, preset: str, name: str, latent_dim: int, seed: int) -> Trial:
    model = MODELS[name](latent_dim=latent_dim, network=PRESETS[preset].build(name).get_params()["network"])  # type: ignore[call-arg]
    return Trial(f"{preset}-{name}-z{latent_dim}-seed{seed}", model, Training(epochs=2 if bench.quick else 20), seed)


def row(preset: str, name: str, latent_dim: int, figures: list[dict]) -> Row:
    return {
        "preset": preset,
        "model": name,
        "latent_dim": latent_dim,
        "seeds": len(figures),
        "reconstruction_nats": estimate([each["reconstruction_nats"] for each in figures]),
        "mse": estimate([each["mse"] for each in figures]),
    }


def film(bench: Bench) -> None:
    """A hundred test digits and their reconstructions after each of study 4's five epochs.

    Its learning rate is constant, so a run of two epochs is the beginning of one of three.
    """
    preset, hundred = PRESETS["study4-mlp"], bench.part("test").images[:100]
    folder = bench.folder / "figures"
    pictures.save(pictures.samples(hundred, columns=10), folder / "hundred-input.png")
    for epochs in range(1, 3 if bench.quick else 6):
        training = Training(**dict(preset.training) | {"epochs": epochs})
        fit = bench.fit(Trial(f"study4-mlp-vae-epochs{epochs}", preset.build("vae"), training))
        sheet = pictures.sheet(fit.reconstruct(hundred), title=f"After epoch {epochs}", columns=10)
        pictures.save(sheet, folder / f"hundred-epoch-{epochs}.png")


STUDY = Study(
    name="panels",
    summary="The same test digits through codes of 2, 5 and 20 dimensions, by an autoencoder and a VAE.",
    cost="two cores: about 20 minutes with the fully connected network; one GPU: not measured",
    run=run,
    takes=("presets",),
)
