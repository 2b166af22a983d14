"""`classifiers`: the studies' supervised nets with their settings and with our training, against published accuracies.

Also study 5's question, which stride and depth of a convolutional net is best: a small search on validation images.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from latently import pictures
from latently.common.errors import require
from latently.common.files import read_json, write_text
from latently.estimator import Classifier
from latently.estimator import load as load_estimator
from latently.estimator.stacked import fit_together
from latently.evaluation.figures import evaluate, mean, nll_nats
from latently.evaluation.intervals import estimate, percent
from latently.experiments.encoders import cached
from latently.experiments.study import Result, Study
from latently.experiments.table import Row, compared_to_published, to_csv
from latently.experiments.trials import Bench
from latently.models import FeedForward
from latently.models.augmentation import Augmentation
from latently.models.networks import Trunk
from latently.models.presets import CLASSIFIERS
from latently.training.settings import Training

SEEDS = 5
DEAR = "study1-conv-faithful"  # batches of 32 and early stopping: one seed on a CPU
DEFAULT = "default"  # our own network, which is not a preset
QUICK_EPOCHS = 2
# Ours: the study's network on warped digits. Small dense nets tolerate less warping than convolutional ones.
GENTLY, STRONGLY = Augmentation(0.035, 7.0, 0.07, 0.018), Augmentation()
OUR_EPOCHS = {DEFAULT: Classifier.usual_epochs, "study1-conv": 10}  # 30 for the others

# Study 5's question: how to downsample, and how often.
WAYS = {
    "pool": lambda width: f"conv({width}, 4) pool(2)",
    "stride 2": lambda width: f"conv({width}, 4, stride=2)",
    "stride 3": lambda width: f"conv({width}, 4, stride=3)",
}
DEPTHS = (1, 2, 3, 4)
FIRST_WIDTH, SEARCH_IMAGES, SEARCH_EPOCHS, SEARCH_SEEDS = 16, 10_000, 5, 5


def run(bench: Bench) -> Result:
    rows = [row for rows in bench.map(partial(rows_of, bench), chosen(bench)) for row in rows]
    found = search(bench) if "study5-cnn" in chosen(bench) else []
    if found:
        write_text(bench.folder / "search.csv", to_csv(found))
        draw(bench, found)
    return Result(rows, NOTES, the_best(found))


def chosen(bench: Bench) -> Sequence[str]:
    nets = (
        name for name in CLASSIFIERS if name != "study1-wide-deep"
    )  # which needs codes, and has no published result
    known = [DEFAULT, *nets]
    for name in bench.presets:
        require(name in known, f"{name} is not a supervised net of a study; there are {', '.join(known)}")
    return bench.presets or (("study1-fc", "study5-cnn") if bench.quick else known)


# The studies' nets --------------------------------------------------------------------------------


def rows_of(bench: Bench, name: str) -> list[Row]:
    ways = {} if name == DEFAULT else {"faithful": faithful}
    rows = []
    ways |= {"ours": ours}
    for variant, figures in zip(ways, bench.map(lambda way: way(bench, name), ways.values()), strict=True):
        accuracy = percent(estimate([each["accuracy"] for each in figures]))
        row: Row = {"preset": name, "variant": variant, "seeds": len(figures), "epochs": epochs(figures)}
        row |= {"accuracy": accuracy, "nll_nats": estimate([each["nll_nats"] for each in figures])}
        published = CLASSIFIERS[name].accuracy if name in CLASSIFIERS else None
        rows.append(
            row if bench.quick or published is None else row | compared_to_published(100 * published, accuracy, 2)
        )
    return rows


def epochs(figures: Sequence[dict[str, Any]]) -> str:
    return ", ".join(str(each["epochs"]) for each in figures)


def faithful(bench: Bench, name: str) -> list[dict[str, Any]]:
    preset = CLASSIFIERS[name]
    recipe = dict(preset.training) | ({"epochs": QUICK_EPOCHS} if bench.quick else {})
    return fits(bench, f"{name}-faithful", preset.build(), Training(**recipe), preset.split)


def ours(bench: Bench, name: str) -> list[dict[str, Any]]:
    training, model, split = Classifier().training(), FeedForward(), "auto"
    training.epochs = QUICK_EPOCHS if bench.quick else OUR_EPOCHS.get(name, 30)
    if name != DEFAULT:
        preset = CLASSIFIERS[name]
        split, trunk = preset.split, replace(preset.build().trunk, init="torch")
        model = FeedForward(trunk, STRONGLY if convolutional(trunk) else GENTLY)
    return fits(bench, f"{name}-ours", model, training, split)


def convolutional(trunk: Trunk) -> bool:
    return "conv" in trunk.layers


def fits(bench: Bench, name: str, model: FeedForward, training: Training, split: str) -> list[dict[str, Any]]:
    """Test metrics by seed, at the last weights or the best on validation images; never the best on test images."""
    trunk = model.trunk
    seeds = range(2 if bench.quick else SEEDS)
    if convolutional(trunk) and (bench.quick or name == DEAR):
        seeds = bench.seeds_for({"encoder": trunk.layers})
    if not convolutional(trunk) and model.augmentation == Augmentation.none():
        return at_once(bench, name, model, training, split, seeds)
    return bench.map(lambda seed: fit(bench, f"{name}-seed{seed}", model, training, split, seed), seeds)


def at_once(
    bench: Bench, name: str, model: FeedForward, training: Training, split: str, seeds: range
) -> list[dict[str, Any]]:
    """Nets that differ only in their seed, trained as one. `epochs` are those of the longest."""

    def fit() -> list[dict[str, Any]]:
        parts, images, labels = bench.split(split), bench.images.pixels, bench.images.labels
        drawn, held_out = [[part] * len(seeds) for part in (parts.train, parts.validation)]
        fitted = fit_together(model, images, labels, drawn, validation=held_out, seeds=seeds, training=training)
        p = fitted.predict_proba(images[parts.test])  # (seeds, n, classes)
        y = labels[parts.test]
        return [
            {"accuracy": mean(each.argmax(1) == y), "nll_nats": nll_nats(each, y), "epochs": len(fitted.history)}
            for each in p
        ]

    settings = {"model": model.to_json(), "training": training.to_json(), "seeds": len(seeds), "split": split}
    return cached(bench, name, settings, fit)


def fit(bench: Bench, name: str, model: FeedForward, training: Training, split: str, seed: int) -> dict[str, Any]:
    """Stored in its own run folder, and resumed if it was interrupted."""
    about = {"model": model.to_json(), "training": training.to_json(), "seed": seed, "split": split}
    about |= {"source": bench.data_id, "n_train": len(bench.split(split).train)}
    run = bench.trial_run(name, model, about)

    def train_and_judge() -> None:
        if not run.finished:
            classifier: Any = Classifier(model, random_state=seed, **training.get_params())
            bench.train(classifier, run, split, labels_of=lambda images: images.labels)
        classifier, test = load_estimator(run.path), bench.part("test", split)
        run.write_metrics(evaluate(classifier, test.images, test.labels) | {"epochs": len(classifier.history_)})

    if not (run.finished and (run.path / "metrics.json").exists()):
        bench.executor.run(str(run.path), train_and_judge)
    return read_json(run.path / "metrics.json")


# Study 5's question -------------------------------------------------------------------------------


def search(bench: Bench) -> list[Row]:
    """Validation accuracy after a short training on some images; for the best one, also test accuracy."""
    pairs = [pair for pair in product(WAYS, DEPTHS) if pair != ("stride 3", 4)]
    rows = bench.map(lambda pair: candidate(bench, *pair), pairs)
    best = max(rows, key=lambda row: row["validation_accuracy"].mean)
    return [row | {"best": "yes" if row is best else ""} for row in rows]


def candidate(bench: Bench, way: str, depth: int) -> Row:
    layers = " ".join(WAYS[way](FIRST_WIDTH * 2**level) for level in range(depth))
    parts, labels = bench.split("auto"), bench.images.labels
    train = parts.train[: 500 if bench.quick else SEARCH_IMAGES]
    training = Training(epochs=1 if bench.quick else SEARCH_EPOCHS, lr=3e-3)
    model = FeedForward(Trunk(layers), Augmentation.none())

    def one(seed: int) -> dict[str, float]:
        def fit() -> dict[str, float]:
            fitted = Classifier(model, random_state=seed, **training.get_params())
            fitted.fit(bench.images.images[train], labels[train])
            held_out = {"validation": parts.validation, "test": parts.test}
            return {name: fitted.score(bench.images.images[part], labels[part]) for name, part in held_out.items()} | {
                "weights": sum(weight.numel() for weight in fitted.net_.parameters()),
                "seconds_per_epoch": sum(row["seconds"] for row in fitted.history_) / len(fitted.history_),
            }

        settings = {"model": model.to_json(), "training": training.to_json(), "seed": seed, "images": len(train)}
        return cached(bench, f"search-{way.replace(' ', '')}-depth{depth}-seed{seed}", settings, fit)

    seeds = bench.map(one, range(2 if bench.quick else SEARCH_SEEDS))
    over = {name: estimate([each[name] for each in seeds]) for name in seeds[0]}
    return {
        "halved_by": way,
        "depth": depth,
        "layers": layers,
        "weights": int(seeds[0]["weights"]),
        "validation_accuracy": percent(over["validation"]),
        "test_accuracy": percent(over["test"]),
        "seconds_per_epoch": over["seconds_per_epoch"].mean,
    }


def draw(bench: Bench, found: Sequence[Row]) -> None:
    series, spans = {}, {}
    for way in WAYS:
        own = [row for row in found if row["halved_by"] == way]
        series[way] = [row["depth"] for row in own], [row["validation_accuracy"].mean for row in own]
        spans[way] = [row["validation_accuracy"].half_width or 0.0 for row in own]
    title = "Downsampling method and number of layers"
    figure = pictures.lines(series, "convolutional layers", "validation accuracy, %", title, {}, spans)
    pictures.save(figure, bench.folder / "figures" / "stride-and-depth.png")


NOTES = (
    "Accuracy in % on test images, with the last weights, or with the best on validation images if the study stops "
    f"early. {SEEDS} seeds; for study1-conv with the study's settings, one seed on a CPU.",
    "Ours: the study's network, AdamW, one-cycle up to 3e-3, weight decay 0.01, with digits randomly shifted, rotated, "
    "zoomed and warped in every batch, less so for dense nets; chosen on validation images.",
    *(f"{name}: {preset.note}" for name, preset in CLASSIFIERS.items() if preset.note and "wide" not in name),
)


def the_best(found: Sequence[Row]) -> list[str]:
    """Of the search, in a sentence."""
    return [
        f"Stride and depth: 4 x 4 convolutions with {FIRST_WIDTH} channels, doubled in each further layer, "
        f"{SEARCH_EPOCHS} epochs of {SEARCH_IMAGES:,} images, {SEARCH_SEEDS} seeds (search.csv). The best on "
        f"validation images is {row['halved_by']}, {row['depth']} layers: {row['validation_accuracy']} %, and "
        f"{row['test_accuracy']} % on test images."
        for row in found
        if row["best"]
    ]


STUDY = Study(
    name="classifiers",
    summary="The studies' supervised nets with their settings and with ours; and which stride and depth is best.",
    cost="two cores: half an hour for the nets without convolutions, hours for all; one GPU: not measured",
    run=run,
    quick_columns=("preset", "variant", "seeds", "epochs"),
    needs_labels=True,
    accepts=("presets",),
    extra_presets=(DEFAULT,),
)
