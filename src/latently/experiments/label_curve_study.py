"""`label-curve`: study 1's question, accuracy against the number of labels, on pixels and on codes, over several draws.

Two protocols. Ours: n labels in total, all for training, with a fixed number of steps. Study 1's: n labels for training
and 5,000 more for early stopping.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from latently import pictures
from latently.analysis import label_curve
from latently.analysis.label_curve import HEAD, Curve, Task
from latently.estimator.stacked import fit_together
from latently.evaluation.intervals import percent
from latently.experiments.encoders import CODES, ENCODERS, EPOCHS, cached, codes, encoder, trial_settings
from latently.experiments.study import Result, Study
from latently.experiments.table import Row, compared_to_published
from latently.experiments.trials import Bench, Trial
from latently.models.presets import CLASSIFIERS
from latently.training.settings import Training

PUBLISHED = {
    50: 0.596, 100: 0.724, 250: 0.815, 500: 0.854, 750: 0.867, 1000: 0.879, 1500: 0.892, 2000: 0.898, 3000: 0.912,
    5000: 0.935, 10000: 0.953, 20000: 0.971, 30000: 0.972, 40000: 0.976, 50000: 0.978, 55000: 0.975,
}  # fmt: skip
DRAWS = 5
LATENT_DIM = 20
CODE_LABELS = {False: 2000, True: 250}  # at which the study used codes; for a quick run
PUBLISHED_ON_CODES = 0.935  # for both AE and VAE
NAMES = {"pixels": "pixels", "ae": "AE codes", "vae": "VAE codes"}
Curves = dict[str, Curve]


def run(bench: Bench) -> Result:
    parts = bench.split("auto")
    task = Task(bench.images.labels, parts.train, parts.test)
    budgets = [n for n in ((50, 250, 1000) if bench.quick else PUBLISHED) if n <= len(parts.train)]
    asked = [partial(ours, bench, task, budgets, name) for name in NAMES]
    asked += [partial(study_1, bench, task, budgets, "pixels")]
    asked += [partial(study_1, bench, task, [CODE_LABELS[bench.quick]], name) for name in ("ae", "vae")]
    pixels, ae, vae, theirs, theirs_on_ae, theirs_on_vae = bench.map(lambda curve: curve(), asked)
    mine, on_codes = {"pixels": pixels, "ae": ae, "vae": vae}, {"ae": theirs_on_ae, "vae": theirs_on_vae}
    draw(bench, mine, theirs)
    return Result([row(bench, n, mine, theirs) for n in budgets], notes(bench, mine), findings(bench, mine, on_codes))


# The two protocols --------------------------------------------------------------------------------


def ours(bench: Bench, task: Task, budgets: Sequence[int], name: str) -> Curve:
    """All budgets of a draw together. Draw d also uses seed d for the weights, and the encoders in turn."""
    training = Training(epochs=1) if bench.quick else label_curve.training(budgets[-1])

    def one_draw(draw: int) -> list[float]:
        trial = None if name == "pixels" else encoder(bench, name, LATENT_DIM, draw % bench.seeds)
        fit = lambda: label_curve.stacked_accuracies(seen(bench, trial), task, budgets, draw, settings=training)  # noqa: E731
        settings = about(bench, training, trial) | {"budgets": list(budgets), "draw": draw}
        return timed(bench, f"ours-{name}-draw{draw}", settings, fit, trial)

    return Curve(budgets, np.array(bench.map(one_draw, draws(bench))), task.n_test)


def study_1(bench: Bench, task: Task, budgets: Sequence[int], name: str) -> Curve:
    """All draws of a budget together, each with early stopping after three epochs without improvement; one encoder. The
    study used 5,000 validation images for pixels, and 1,000 for codes."""
    preset, validation = CLASSIFIERS["study1-fc"], bench.split("auto").validation[: 5000 if name == "pixels" else 1000]
    training = Training(**dict(preset.training) | ({"epochs": 3} if bench.quick else {}))
    trial = None if name == "pixels" else encoder(bench, name, LATENT_DIM, 0)

    def one_budget(n: int) -> list[float]:
        def fit() -> list[float]:
            X, drawn = seen(bench, trial), [task.drawn(n, draw) for draw in draws(bench)]
            choosing = [validation] * len(drawn)
            fitted = fit_together(preset.build(), X, task.labels, drawn, validation=choosing, training=training)
            return fitted.accuracies(X[task.test], task.labels[task.test]).tolist()

        settings = about(bench, training, trial) | {"budget": n, "draws": len(draws(bench))}
        settings |= {"validation": len(validation)}
        return timed(bench, f"study1-{name}-{n}", settings, fit, trial)

    return Curve(budgets, np.array(bench.map(one_budget, budgets)).T, task.n_test)


def draws(bench: Bench) -> range:
    return range(2 if bench.quick else DRAWS)


def seen(bench: Bench, trial: Trial | None) -> np.ndarray:
    """The classifier's input for all images."""
    return bench.images.pixels if trial is None else codes(bench, trial)


def about(bench: Bench, training: Training, trial: Trial | None) -> dict[str, Any]:
    return {"head": HEAD, "training": training.to_json(), "encoder": trial and trial_settings(bench, trial)}


def timed(
    bench: Bench, name: str, settings: dict[str, Any], fit: Callable[[], list[float]], trial: Trial | None
) -> list[float]:
    def compute() -> dict[str, Any]:
        began = time.perf_counter()
        return {"accuracies": fit(), "seconds": time.perf_counter() - began}

    return cached(bench, name, settings, compute, lambda: trial and bench.trained(trial))["accuracies"]


# Results ------------------------------------------------------------------------------------------


def row(bench: Bench, n: int, mine: Curves, theirs: Curve) -> Row:
    """In percent; a quick run trains too little to compare with published values."""
    figures: Row = {"labels": n} | {column(name): percent(curve.at(n)) for name, curve in mine.items()}
    pixels = percent(theirs.at(n))
    figures |= {"pixels_5000_more": pixels}
    return figures if bench.quick else figures | compared_to_published(100 * PUBLISHED[n], pixels)


def column(name: str) -> str:
    return NAMES[name].lower().replace(" ", "_")


def draw(bench: Bench, mine: Curves, theirs: Curve) -> None:
    """With a logarithmic axis; and with a linear one, as in study 1's picture."""
    published = {"published, pixels": (list(PUBLISHED), [100 * accuracy for accuracy in PUBLISHED.values()])}
    curves = {NAMES[name]: curve for name, curve in mine.items()}
    alone = {"pixels, study 1's recipe": theirs}
    title = "Accuracy against the number of labels, mean and 95 % interval over draws"
    for file, those, dots, x_label, log in (
        ("ours", curves, {}, "labels in total", True),
        ("study-1", alone, published, "labels, plus 5,000 for early stopping", True),
        ("study-1-straight", curves | alone, published, "labels", False),
    ):
        series = {name: (curve.budgets, 100 * curve.means()) for name, curve in those.items()}
        spans = {name: 100 * curve.half_widths() for name, curve in those.items()}
        figure = pictures.lines(series, x_label, "test accuracy, %", title, dots, spans, log_x=log)
        pictures.save(figure, bench.folder / "figures" / f"{file}.png")


def notes(bench: Bench, mine: Curves) -> list[str]:
    steps = label_curve.training(mine["pixels"].budgets[-1]).epochs * label_curve.STEPS_PER_EPOCH
    return [
        f"Accuracy in % on the test images. Classifier: {HEAD} and a softmax, for pixels and codes. Ours: {steps:,} "
        "steps of 128 for every budget, all labels for training, no model selection. pixels_5000_more: study 1's "
        "settings (study1-fc), with early stopping on 5,000 labelled validation images in addition to the budget.",
        f"{ENCODERS.format(EPOCHS)} {CODES} {DRAWS} draws of the labels, each with its own initial weights; they use "
        f"the encoders' {bench.seeds} seeds in turn. With all labels, draws differ only in these.",
        "Published: one run, read off a chart, the first n images; compared with the interval of study 1's settings.",
    ]


def findings(bench: Bench, mine: Curves, on_codes: Curves) -> list[str]:
    told = [f"{NAMES[name]} {percent(mean)}" for name, curve in on_codes.items() for _, mean in curve.points()]
    return [
        f"Study 1's settings on codes, {CODE_LABELS[bench.quick]:,} labels and 1,000 more for early stopping, one "
        f"encoder: {', '.join(told)}; published about {100 * PUBLISHED_ON_CODES:g} for both.",
        *(worth(name, mine) for name in ("ae", "vae")),
        *(foresight(NAMES[name], curve) for name, curve in mine.items()),
    ]


def worth(name: str, curves: Curves) -> str:
    """Number of labels that pixels need to match codes with 2,000 labels."""
    pixels, n = curves["pixels"], 2000
    if n not in pixels.budgets:
        return f"{NAMES[name]}: no budget of {n:,} labels here."
    codes, best, most = curves[name].at(n).mean, pixels.means().max(), max(pixels.budgets)
    same = np.exp(np.interp(codes, np.maximum.accumulate(pixels.means()), np.log(pixels.budgets)))
    many = f"more than {most:,}" if codes > best else f"about {same:,.0f}"
    return f"{NAMES[name]} with {n:,} labels match pixels with {many}."


def foresight(name: str, curve: Curve) -> str:
    """Extrapolation (`Curve.predicted`) from each half of a budget against its measured accuracy, and the next gain."""
    pairs = [n for n in curve.budgets if n >= 4 * curve.budgets[0] and 2 * n in curve.budgets]
    told = [f"{percent(curve.until(n).predicted(2 * n))} ({percent(curve.at(2 * n))}) at {2 * n:,}" for n in pairs]
    last = curve.budgets[-1]
    seen = f"extrapolated from half the labels (measured): {'; '.join(told)}. " if told else ""
    return f"{name}: {seen}Twice as many labels as {last:,} would add {percent(curve.gain())} points."


STUDY = Study(
    name="label-curve",
    summary="Accuracy against the number of labels: pixels, AE codes and VAE codes, 16 budgets, 5 draws.",
    cost="two cores: about 25 minutes, 5 of them for our protocol with encoders given; one GPU: not measured",
    run=run,
    quick_columns=("labels",),
    needs_labels=True,
)
