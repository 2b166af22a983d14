"""`elbo`: the bound of every preset with its study's settings and with our training, against the published one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from latently import pictures
from latently.common.errors import require
from latently.common.files import write_text
from latently.evaluation.intervals import Estimate, estimate
from latently.experiments.study import Result, Study
from latently.experiments.table import Row, to_csv
from latently.experiments.trials import Bench, Trial
from latently.models.presets import PRESETS, Preset, Published
from latently.models.vae import VAE
from latently.training.settings import Training

QUICK = "study5-mlp"
QUICK_EPOCHS = 3
CODES = (2, 5, 8, 10, 16, 20)
History = list[dict[str, float]]


@dataclass(frozen=True)
class Line:
    """One line of the table: a preset's network and code width, trained in one way, over seeds."""

    preset: str
    latent_dim: int
    variant: str
    known: Sequence[Published]
    trials: Sequence[Trial]
    histories: Sequence[History]

    def at(self, epoch: int, term: str) -> Estimate:
        return estimate([history[epoch - 1][term] for history in self.histories])

    def epochs_kept(self) -> list[int]:
        """The epoch whose weights were kept, per seed: with patience the best on validation images, else the last."""
        if self.trials[0].training.patience is None:
            return [len(history) for history in self.histories]
        return [1 + min(range(len(h)), key=lambda epoch: h[epoch]["val_loss"]) for h in self.histories]

    def kept(self, term: str) -> Estimate:
        pairs = zip(self.histories, self.epochs_kept(), strict=True)
        return estimate([history[epoch - 1][term] for history, epoch in pairs])

    def means(self) -> dict[str, list[float]]:
        """Means over seeds of every term, for the epochs that all seeds reached."""
        shared = range(1, min(map(len, self.histories)) + 1)
        terms = [name for name in self.histories[0][0] if name.startswith(("train_", "val_"))]
        return {term: [self.at(epoch, term).mean for epoch in shared] for term in terms}


def run(bench: Bench) -> Result:
    asked = [(name, code) for name, preset in chosen(bench).items() for code in codes(bench, preset)]
    pairs = bench.map(lambda one: compare(bench, *one), asked)
    lines = [line for pair in pairs for line in pair]
    rows = bench.map(partial(row, bench), lines)
    for pair in pairs:
        draw(bench, pair)
    write_text(bench.folder / "curves.csv", to_csv([row for line in lines for row in curve(line)]))
    judged = [row for line in lines for row in judgements(line)]
    if judged:
        write_text(bench.folder / "published.csv", to_csv(judged))
    return Result(rows, notes(lines))


def chosen(bench: Bench) -> dict[str, Preset]:
    """The requested presets; by default every study's VAE, or with --quick a single one."""
    recipes = {name: preset for name, preset in PRESETS.items() if preset.training and "vae" in preset.models}
    for name in bench.presets:
        require(
            name in recipes, f"{name} is not a preset with a study's training of a VAE; there are {', '.join(recipes)}"
        )
    names = bench.presets or ([QUICK] if bench.quick else recipes)
    return {name: recipes[name] for name in names}


def codes(bench: Bench, preset: Preset) -> Sequence[int]:
    if bench.codes:
        return bench.codes
    return sorted({figure.latent_dim for figure in preset.published} or {2}) if bench.quick else CODES


# The two ways to train ----------------------------------------------------------------------------


def compare(bench: Bench, name: str, latent_dim: int) -> list[Line]:
    """The study's settings and ours; a quick run trains too little to compare with published values."""
    preset = PRESETS[name]
    known = [] if bench.quick else [figure for figure in preset.published if figure.latent_dim == latent_dim]

    def trained(seed: int) -> list[tuple[Trial, History]]:
        theirs = faithful(bench, name, latent_dim, seed)
        history = bench.history(theirs)
        mine = ours(theirs, len(history))
        return [(theirs, history), (mine, bench.history(mine))]

    seeds = bench.map(trained, bench.seeds_for(preset.network))
    return [
        Line(name, latent_dim, variant, known, *zip(*ways, strict=True))
        for variant, ways in zip(("faithful", "ours"), zip(*seeds, strict=True), strict=True)
    ]


def faithful(bench: Bench, name: str, latent_dim: int, seed: int) -> Trial:
    """The study's settings, up to the last epoch with a published value for this width."""
    preset = PRESETS[name]
    recipe = dict(preset.training)
    published = [figure.epoch for figure in preset.published if figure.latent_dim == latent_dim]
    recipe["epochs"] = max(published, default=recipe["epochs"])
    if bench.quick:
        recipe["epochs"] = QUICK_EPOCHS
    model = preset.build("vae").set_params(latent_dim=latent_dim)
    return Trial(f"{name}-z{latent_dim}-faithful-seed{seed}", model, Training(**recipe), seed, preset.split)


def ours(theirs: Trial, epochs: int) -> Trial:
    """Our training and parametrisation of the posterior on the same network, for the same number of epochs."""
    assert isinstance(theirs.model, VAE)
    model = VAE(theirs.model.latent_dim, theirs.model.network)
    return Trial(theirs.name.replace("faithful", "ours"), model, Training(epochs=epochs), theirs.seed, theirs.split)


# Results ------------------------------------------------------------------------------------------


def row(bench: Bench, line: Line) -> Row:
    tests = bench.map(bench.figures, line.trials)
    train, judged = line.kept("train_loss"), judgements(line)
    return {
        "preset": line.preset,
        "latent_dim": line.latent_dim,
        "variant": line.variant,
        "seeds": len(line.trials),
        "epochs": per_seed([len(history) for history in line.histories]),
        "epoch_kept": per_seed(line.epochs_kept()),
        "train_minus_elbo": train,
        "published_train": judged[-1]["published"] if judged else None,
        "verdict": judged[-1]["verdict"] if judged else "",
        "published_points": met(judged, line.variant),
        "train_reconstruction": line.kept("train_reconstruction"),
        "train_kl": line.kept("train_kl"),
        "test_minus_elbo": estimate([-figures["elbo_nats"] for figures in tests]),
        "test_reconstruction": estimate([figures["reconstruction_nats"] for figures in tests]),
        "test_kl": estimate([figures["kl_nats"] for figures in tests]),
        "seconds_per_epoch": estimate([sum(r["seconds"] for r in h) / len(h) for h in line.histories]),
    }


def per_seed(numbers: Sequence[int]) -> int | str:
    """
    >>> per_seed([16, 16, 16]), per_seed([31, 28, 40])
    (16, '31, 28, 40')
    """
    return numbers[0] if len(set(numbers)) == 1 else ", ".join(map(str, numbers))


def judgements(line: Line) -> list[Row]:
    """A row per published value."""
    rows: list[Row] = []
    for figure in line.known:
        train = line.at(figure.epoch, "train_loss")
        about = {"preset": line.preset, "latent_dim": line.latent_dim, "variant": line.variant, "epoch": figure.epoch}
        verdict = judge(train, figure.minus_elbo_nats, line.variant)
        rows.append(about | {"train_minus_elbo": train, "published": figure.minus_elbo_nats, "verdict": verdict})
    return rows


INSIDE = "inside the interval"


def judge(ours: Estimate, published: float, variant: str) -> str:
    """
    >>> judge(Estimate(102.0, 0.5, 3), 102.3, "faithful"), judge(Estimate(101.0, None, 1), 102.3, "ours")
    ('inside the interval', '1.30 below, one seed')
    """
    if variant == "faithful" and ours.contains(published):
        return INSIDE
    gap = published - ours.mean
    return f"{abs(gap):.2f} {'below' if gap >= 0 else 'above'}{', one seed' if ours.n == 1 else ''}"


def met(judged: Sequence[Row], variant: str) -> str:
    """Number of published points that were met, over all epochs; empty for a single seed, which has no interval."""
    if variant == "ours":
        met, words = [row for row in judged if row["train_minus_elbo"].mean <= row["published"]], "at or below"
    else:
        met, words = [row for row in judged if row["verdict"] == INSIDE], "inside"
    judgeable = variant == "ours" or any(row["train_minus_elbo"].n > 1 for row in judged)
    return f"{len(met)} of {len(judged)} {words}" if judged and judgeable else ""


def curve(line: Line) -> list[Row]:
    """A row per seed and epoch: each term on training and validation images, in nats per image."""
    rows = []
    for trial, history in zip(line.trials, line.histories, strict=True):
        about = {"preset": line.preset, "latent_dim": line.latent_dim, "variant": line.variant, "seed": trial.seed}
        for epoch in history:
            terms = {name: round(nats, 4) for name, nats in epoch.items() if name.startswith(("train_", "val_"))}
            rows.append(about | {"epoch": int(epoch["epoch"])} | terms)
    return rows


def draw(bench: Bench, pair: Sequence[Line]) -> None:
    """-ELBO on training images by epoch, with its interval and the published values; and every term, also on
    validation images."""
    series, spans = {}, {}
    for line in pair:
        means = line.means()["train_loss"]
        epochs = range(1, len(means) + 1)
        series[line.variant] = list(epochs), means
        spans[line.variant] = [line.at(epoch, "train_loss").half_width or 0.0 for epoch in epochs]
    first = pair[0]
    points = [(figure.epoch, figure.minus_elbo_nats) for figure in first.known]
    lowest = min(min(values) for _, values in series.values())
    title = f"{first.preset}, {first.latent_dim} dimensions"
    bound = pictures.lines(
        series,
        "epoch",
        "-ELBO on training images, nats per image",
        title,
        {"published": tuple(zip(*points, strict=True))} if points else {},  # type: ignore[dict-item]
        spans,
        y_range=(lowest - 1, lowest + 20),
    )
    terms = pictures.compared_curves({line.variant: line.means() for line in pair}, title)
    for name, figure in (("", bound), ("-terms", terms)):
        pictures.save(figure, bench.folder / "figures" / f"{first.preset}-z{first.latent_dim}{name}.png")


# Notes to the table --------------------------------------------------------------------------


def notes(lines: Sequence[Line]) -> list[str]:
    names = list(dict.fromkeys(line.preset for line in lines))
    single = [name for name in names if any(len(line.trials) == 1 for line in lines if line.preset == name)]
    patient = [name for name in names if "patience" in PRESETS[name].training]
    dropping = [name for name in names if "dropout" in PRESETS[name].network["encoder"]]
    return [
        "Continuous Bernoulli likelihood, nats per image. Training values are means over the batches of the epoch "
        "while the weights change, as the studies print them; test values use one sample of z per image and the "
        "weights that were kept. Ours trains the same network for as many epochs as faithful with the same seed.",
        *some(single, "one seed, so no interval"),
        *some(
            patient,
            "faithful runs stopped early; all their values are those of the best epoch on validation images, whose "
            "weights were kept. If the number of epochs differs between seeds, each is given",
        ),
        *some(dropping, "training values are with dropout, validation and test values without"),
        *(f"{name}: {PRESETS[name].note}" for name in names if PRESETS[name].note),
        *(by_epoch(line) for line in lines if line.known and line.variant == "faithful"),
    ]


def some(names: Sequence[str], what: str) -> list[str]:
    return [f"{', '.join(names)}: {what}."] if names else []


def by_epoch(line: Line) -> str:
    """Every published value of a line, and ours."""
    told = [f"{row['train_minus_elbo']} ({row['published']:g}) at epoch {row['epoch']}" for row in judgements(line)]
    return f"{line.preset}, {line.latent_dim} dimensions, faithful (published): {'; '.join(told)}."


STUDY = Study(
    name="elbo",
    summary="The bound of every preset: the study's settings, our training of the same network, published values.",
    cost="two cores: an hour for the fully connected presets at codes 2 and 20, days for all; one GPU: not measured",
    run=run,
    quick_columns=("preset", "latent_dim", "variant", "seeds", "epochs"),
    accepts=("presets", "codes"),
)
