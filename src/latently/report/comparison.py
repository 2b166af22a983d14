"""Several runs side by side: the settings in which they differ, their metrics, and a page with their pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latently import pictures, report
from latently.analysis import plots
from latently.analysis.run_images import RunImages
from latently.common.console import format_value, note
from latently.common.errors import require
from latently.common.files import read_json, require_writable
from latently.data import ImageSet
from latently.estimator import Autoencoder
from latently.models import MODELS
from latently.pictures import Figure
from latently.report.content import flattened, section
from latently.report.files import read_figures
from latently.report.words import METRICS, in_order, metric, number, value_text

PAGE = "comparison.html"
IMAGES = 10  # reconstructed by each run, one of each class if possible
SAMPLES = 25  # per run
DASH = "\N{EN DASH}"
BOUNDS = ["elbo_", "iw_bound_", "bits_", "reconstruction_"]
# If runs differ in the metric that is the key, their metrics with these prefixes cannot be compared.
COMPARABLE_WHERE_EQUAL = {
    "judge_frechet_floor": (
        ["judge_"],
        "The samples were evaluated with different judges or in different numbers, so these metrics cannot be "
        "compared: evaluate each run with the same --judge and --samples.",
    ),
    "likelihood": (
        BOUNDS,
        "The runs have different likelihoods or pixel preparations, so their bounds cannot be compared.",
    ),
    "importance_samples": (
        ["iw_bound_"],
        "The importance-weighted bounds use different numbers of samples, and rise with that number: evaluate each "
        "run with the same --importance-samples.",
    ),
    "noise": (
        ["denoised_", "noisy_"],
        "The noise differs in kind or level, so the denoising metrics cannot be compared.",
    ),
}
MOST_RUNS = len(pictures.TWENTY_COLOURS)


@dataclass(frozen=True)
class Comparison:
    """Runs by name; settings and metrics by key, one value per run (None if it has none); notes for the reader."""

    runs: dict[str, RunImages]
    data: str
    part: str
    settings: dict[str, list[Any]]
    figures: dict[str, list[Any]]
    notes: list[str]
    incomparable: tuple[str, ...] = ()
    """Key prefixes of the metrics that cannot be compared."""

    def to_json(self) -> dict[str, Any]:
        def of(values: Mapping[str, list[Any]], place: int) -> dict[str, Any]:
            return {key: row[place] for key, row in values.items() if row[place] is not None}

        runs = [
            {"run": str(opened.run.path), "settings": of(self.settings, place), "figures": of(self.figures, place)}
            for place, opened in enumerate(self.runs.values())
        ]
        return {"data": self.data, "split": self.part, "runs": runs, "notes": self.notes}

    def rows(self) -> list[list[str]]:
        """As text: a row per setting and metric, a column per run."""
        both = [*self.settings.items(), *self.figures.items()]
        return [[key, *("" if value is None else format_value(value) for value in row)] for key, row in both]


def compare(paths: Sequence[Path], source: str | None, part: str | None, device: str) -> Comparison:
    """Compare two or more runs. Raises InputError if they were trained on different images and `source` is None.

    Metrics come from metrics.json if they were measured on this part of the split; otherwise they are measured now.
    """
    require(len(paths) >= 2, "got one run; a comparison needs two or more: latently compare RUN RUN")
    require(len(paths) <= MOST_RUNS, f"got {len(paths)} runs; at most {MOST_RUNS} can be told apart in a picture")
    runs = {name: RunImages(path, source, device) for name, path in zip(names_of(paths), paths, strict=True)}
    if source is None:
        require_same_images(runs)
    first = next(iter(runs.values()))
    part = part or first.judged_part
    parts = [opened.part(part) for opened in runs.values()]
    notes = []
    figures = [figures_of(opened, part, source) for opened in runs.values()]
    if any(not np.array_equal(images.names, parts[0].names) for images in parts):
        notes.append(f"Each run is evaluated on its own {part} images, which differ: the splits have different seeds.")
    flattered = [name for name, opened in runs.items() if opened.is_own and part in ("all", "train")]
    if flattered:
        notes.append(
            f"These images include training images of {' and '.join(flattered)}, so its metrics are optimistic."
        )
    incomparable: list[str] = []  # prefixes of keys of metrics that are not comparable
    if len({opened.estimator.model_.needs_labels for opened in runs.values() if is_autoencoder(opened)}) == 2:
        incomparable += BOUNDS
        notes.append("The bound of a conditional model is on log p(x | y): it does not include the cost of the label.")
    for key, (beginnings, sentence) in COMPARABLE_WHERE_EQUAL.items():
        if len({each[key] for each in figures if key in each}) > 1:
            incomparable += beginnings
            notes.append(sentence)
    keys = in_order(dict.fromkeys(key for each in figures for key in each), METRICS)
    shown_elsewhere = ("split", "data", "per_class")
    rows = {key: [each.get(key) for each in figures] for key in keys if key not in shown_elsewhere}
    return Comparison(runs, first.images.source, part, differing(runs), rows, notes, tuple(incomparable))


def is_autoencoder(opened: RunImages) -> bool:
    return isinstance(opened.estimator, Autoencoder)


def names_of(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or the whole paths if the last parts are not unique."""
    require(len({path.resolve() for path in paths}) == len(paths), "the same run was given twice")
    last = [path.resolve().name for path in paths]
    return last if len(set(last)) == len(last) else [str(path) for path in paths]


def require_same_images(runs: Mapping[str, RunImages]) -> None:
    (name, first), *others = runs.items()
    for other, opened in others:
        same = None not in (first.record, opened.record) and opened.is_own and first.record.describes(opened.images)  # type: ignore[union-attr]
        what = [each.record.source if each.record else "arrays" for each in (first, opened)]
        require(same, f"{name} was trained on {what[0]} and {other} on {what[1]}, or the images were prepared "
                "differently; a comparison needs the same images: give --data with some that fit all runs")  # fmt: skip


def figures_of(opened: RunImages, part: str, source: str | None) -> dict[str, Any]:
    """Read from metrics.json if it is about this part; otherwise measured, and saved there."""
    kept = opened.run.path / "metrics.json"
    own = source is None and part == opened.judged_part
    if own and kept.exists():
        known = read_json(kept)
        if isinstance(known, dict) and known.get("split") == part:
            return known
    note(f"measuring {opened.run.path} ...")
    figures = opened.evaluate(part)
    if own:
        opened.run.add_metrics(figures)
    return figures


# Settings -------------------------------------------------------------------------------------------------------------


def differing(runs: Mapping[str, RunImages]) -> dict[str, list[Any]]:
    """The model of each run, and every setting that differs between runs. A setting that only some models have is
    included if it is not at its default."""
    all_settings = [settings_of(opened) for opened in runs.values()]
    usual = [defaults_of(opened.run.params["model"]["name"]) for opened in runs.values()]
    rows: dict[str, list[Any]] = {}
    for key in dict.fromkeys(key for each in all_settings for key in each):
        values = [each.get(key) for each in all_settings]
        having = [each[key] for each in all_settings if key in each]
        in_some = len(having) < len(values)
        unusual = any(
            key in each and each[key] != usually.get(key) for each, usually in zip(all_settings, usual, strict=True)
        )
        if key == "model" or any(value != having[0] for value in having) or (in_some and unusual):
            rows[key] = values
    return rows


def settings_of(opened: RunImages) -> dict[str, Any]:
    params = opened.run.params
    model = dict(params["model"])
    settings = {"model": params.get("train") or model.pop("name")} | {"preset": params.get("preset")}
    model.pop("name", None)
    settings |= flattened(model) | flattened(section(params, "training"))
    settings |= opened.run.options
    settings |= {key: params[key] for key in ("binarise", "sees", "spread", "seed", "n_parameters") if key in params}
    return settings | {key: section(params, "data").get(key) for key in ("split", "n_train")}


def defaults_of(name: str) -> dict[str, Any]:
    """Default settings of the model with that name."""
    return {"binarise": "none"} | flattened(MODELS[name]().to_json())


# The page -------------------------------------------------------------------------------------------------------------


def draw(comparison: Comparison) -> dict[str, Figure]:
    """Reconstructions of the same images, samples, and overlaid training curves, as far as the models support them."""
    drawn: dict[str, Figure] = {}
    autoencoders = {name: opened.estimator for name, opened in comparison.runs.items() if is_autoencoder(opened)}
    if autoencoders:
        images = shared_images(comparison)
        rows = {"original": next(iter(autoencoders.values())).seen(images.images)}
        rows |= {name: each.reconstruct(images.images, images.label_names) for name, each in autoencoders.items()}
        drawn["reconstructions"] = pictures.rows(rows, "The same images, reconstructed by each run")
    samplers = {name: each for name, each in autoencoders.items() if "samples" in plots.available_kinds(each)}
    if samplers:
        sheets = {
            f"{name}, {plots.usual_sampler(each)}": each.sample(SAMPLES, random_state=0)
            for name, each in samplers.items()
        }
        drawn["samples"] = pictures.sheets(sheets, 5, min(3, len(sheets)), "Samples from each run")
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for name, opened in comparison.runs.items():
        fitted = opened.estimator
        unit = f"{fitted.model_.loss_unit} per image"
        kind = "Autoencoders" if name in autoencoders else "Classifiers"
        history = {column: [row[column] for row in fitted.history_] for column in fitted.history_[0]}
        groups.setdefault((kind, unit), {})[name] = history
    for (kind, unit), histories in groups.items():
        title = f"{kind}, {unit}"
        units = dict.fromkeys(("loss", "reconstruction"), unit)
        drawn[f"curves-{kind}-{unit}".lower().replace(" ", "-")] = pictures.compared_curves(histories, title, units)
    return drawn


def shared_images(comparison: Comparison) -> ImageSet:
    """Images that all runs are evaluated on, the first of each class if labelled; otherwise images of the first run."""
    first, *others = (opened.part(comparison.part) for opened in comparison.runs.values())
    common = np.logical_and.reduce([np.isin(first.names, other.names) for other in others])
    images = first.take(np.flatnonzero(common)) if common.any() else first
    chosen = np.unique(images.labels[images.labels >= 0], return_index=True)[1]
    if (images.labels < 0).any():  # some models accept only labelled images
        chosen = chosen[:0]
    rest = np.setdiff1d(np.arange(len(images)), chosen)
    return images.take(np.concatenate([chosen, rest])[:IMAGES])


def write(comparison: Comparison, folder: Path, command: str) -> Path:
    """Write the pictures to folder/figures and the page to folder/comparison.html. Returns the path of the page."""
    drawn = draw(comparison)
    for name, figure in drawn.items():
        pictures.save(figure, folder / "figures" / f"{name}.png")
    found = read_figures(folder)
    shown = {name: found[name] for name in drawn}  # not those of an earlier comparison
    return report.write_page(report.render(content(comparison, shown, command), PAGE), folder / PAGE)


def require_free(folder: Path) -> None:
    """Raise InputError if the folder contains anything but an earlier comparison."""
    require_writable(folder / PAGE)
    free = not folder.exists() or (folder.is_dir() and {path.name for path in folder.iterdir()} <= {PAGE, "figures"})
    require(free, f"--out is {folder}, which contains other files than a comparison; give a new folder")


CAPTIONS = {
    "reconstructions": (
        "Reconstructions",
        "Good: the same object in the same pose. Blur shows detail that a code has lost.",
    ),
    "samples": (
        "Samples",
        "Decoder means of new codes, drawn as the title of each sheet says. Good: varied, and hard to tell from real "
        "images.",
    ),
    "curves": (
        "Training curves",
        "Solid: training, dashed: validation. The loss is the objective of each model.",
    ),
}


def content(comparison: Comparison, shown: Mapping[str, dict[str, Any]], command: str) -> dict[str, Any]:
    """The content of the page, as texts."""
    drawn = []
    for name, png in shown.items():
        title, caption = CAPTIONS[name.partition("-")[0]]
        drawn.append({"title": title, "caption": caption, **png})
    names = list(comparison.runs)
    settings = [
        {
            "name": key,
            "key": "",
            "cells": [{"text": DASH if value is None else value_text(value), "best": False} for value in row],
        }
        for key, row in comparison.settings.items()
    ]
    measured = {"title": "Metrics", "id": "figures", "subject": "Metric", "notes": comparison.notes}
    differ = {"title": "Differences", "id": "settings", "subject": "Setting", "notes": []}
    return {
        "title": " · ".join(names) if len(names) <= 3 else f"{len(names)} runs",
        "facts": [f"{comparison.part} images of {Path(comparison.data).name}", *names],
        "names": names,
        "tables": [measured | {"rows": figure_rows(comparison)}, differ | {"rows": settings}],
        "figures": drawn,
        "command": command,
        "version": "",
    }


def figure_rows(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for key, values in comparison.figures.items():
        reading = metric(key)
        best = None if key.startswith(comparison.incomparable) else best_of(values, reading.meaning)
        unit = f", {reading.unit}" if reading.unit else ""
        cells = [
            {"text": text_of(value, reading.factor), "best": value is not None and value == best} for value in values
        ]
        rows.append({"name": reading.name + unit, "key": key, "cells": cells})
    return rows


def best_of(values: Sequence[Any], meaning: str) -> Any:
    """The best value, if several runs have this metric and its meaning says which direction is better; else None."""
    known = [value for value in values if isinstance(value, float)]
    if len(known) < 2 or len(set(known)) == 1:
        return None
    return max(known) if "Higher is better" in meaning else min(known) if "Lower is better" in meaning else None


def text_of(value: Any, factor: float) -> str:
    if value is None:
        return DASH
    return number(value * factor, 1 if factor != 1 else None) if isinstance(value, float) else value_text(value)
