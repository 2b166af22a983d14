"""A run folder as the dict that the template renders: texts only, no HTML."""

import math
import shlex
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from latently.evaluation.verdict import verdict
from latently.models import PAGES  # which imports no model
from latently.report import words
from latently.report.files import read_figures, read_history, read_metrics, read_params

Row = dict[str, str]


def collect(run_path: str | PathLike[str]) -> dict[str, Any]:
    """The content of a run's report, as plain texts, lists and dicts.

    Keys: `title`, `facts` (a one-line summary of the run), `metrics` (rows of key, name, value, spread, unit, meaning;
    empty before `latently evaluate`), the first of them as `headlines`, `verdict` (codes beside pixels and principal
    components, one sentence or empty), `context` (the conditions of the measurement),
    `classes` (rows of name, precision, recall, n_images), `figures` (name, title, caption, png in base64, width,
    height), `training` (rows of name, value), `terms` (rows of name, unit, train, validation), `settings` (tables of
    title and rows), `command` (None if the run was made in Python), `evaluate` and `plot` (commands that produce what
    is missing), `version`. Raises `InputError` if a file is missing or damaged.
    """
    run = Path(run_path)
    params, history, metrics = read_params(run), read_history(run), read_metrics(run) or {}
    classes = section(metrics, "per_class")
    rows = metric_rows({key: value for key, value in metrics.items() if key != "per_class"})
    results = [row for row in rows if not is_context(row, metrics)]
    return {
        "title": title(params),
        "facts": facts(params, history),
        "metrics": results,
        "headlines": [row for row in results if row["key"] in HEADLINES][:4],
        "verdict": verdict(metrics),
        "classes": class_rows(classes),
        "context": [row for row in rows if is_context(row, metrics)],
        "figures": figures(run),
        "training": training_rows(history, params.get("estimator") == "few-label"),
        "terms": term_rows(history, params),
        "settings": settings(params),
        "command": params.get("command"),
        "evaluate": f"latently evaluate {shlex.quote(str(run))}",
        "plot": f"latently plot {shlex.quote(str(run))} curves",
        "version": str(params.get("latently") or section(params, "versions").get("latently", "")),
    }


# Shown large, above the table; counts and conditions are in the table only.
HEADLINES = list(words.METRICS)[: list(words.METRICS).index("ssim") + 1]


def title(params: Mapping[str, Any]) -> str:
    """`VAE on digits`: the model and the last part of the source of its images."""
    model = params["model"]
    name = str(params.get("train") or model.get("name", "model"))
    source = str(section(params, "data").get("source", ""))
    own = PAGES[name][1] if name in PAGES else ""
    name = own if own.lower() == name else name.upper() if len(name) <= 4 else name[:1].upper() + name[1:]
    if model.get("importance_samples", 1) > 1:
        name = f"importance-weighted {name}"
    if model.get("flow_steps", 0):
        name += " with a flow"
    return f"{name} on {Path(source).name or source}" if source else name


def facts(params: Mapping[str, Any], history: Mapping[str, Sequence[float]]) -> list[str]:
    resolved = {**params, **section(params, "resolved")}
    known = {
        "{} images": words.value_text(params.get("image_shape")),
        "{}-dimensional code": words.value_text(params["model"].get("latent_dim")),
        "{} parameters": words.value_text(params.get("n_parameters")),
        "{} epochs": words.number(len(next(iter(history.values())))),
        "{}": words.duration(total(history.get("seconds", []))),
        "seed {}": words.value_text(params.get("seed")),
        "on {}": words.value_text(resolved.get("device")),
    }
    return [text.format(value) for text, value in known.items() if value != "none"]


def metric_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """A row per metric; if there is also a `KEY_std`, it is shown as value ± standard deviation."""
    flat = flattened(metrics)
    keys = [key for key in flat if not (key.endswith("_std") and key.removesuffix("_std") in flat)]
    rows = []
    for key in words.in_order(keys, words.METRICS):
        reading = words.metric(key)
        value, spread = figure_texts(flat[key], flat.get(f"{key}_std"), reading.factor)
        row = {"key": key, "name": reading.name, "value": value, "spread": spread}
        rows.append(row | {"unit": reading.unit, "meaning": reading.meaning})
    return rows


def class_rows(classes: Mapping[str, Any]) -> list[Row]:
    """Precision and recall of each class, in percent."""

    def percent(value: Any) -> str:
        return words.number(100 * value, 1) if is_number(value) else ""

    rows = [(name, figures) for name, figures in classes.items() if isinstance(figures, dict)]
    return [
        {"name": name, "n_images": words.value_text(figures.get("n_images"))}
        | {key: percent(figures.get(key)) for key in ("precision", "recall")}
        for name, figures in rows
    ]


def figure_texts(value: Any, spread: Any, factor: float) -> tuple[str, str]:
    """A value and its standard deviation with the same number of decimals; no deviation gives an empty text."""
    if not is_number(value):
        return words.value_text(value), ""
    scaled = value if factor == 1 else float(value) * factor
    decimals = words.fitting_decimals(scaled) if factor == 1 else 1  # a tenth of a percent is precise enough
    text = words.number(scaled, decimals)
    return text, f"± {words.number(float(spread) * factor, decimals)}" if is_number(spread) else ""


def is_context(row: Row, metrics: Mapping[str, Any]) -> bool:
    """Whether a row is a condition of the measurement rather than a result."""
    return row["key"] in words.CONTEXT or isinstance(metrics.get(row["key"]), str)


def figures(run: Path) -> list[dict[str, Any]]:
    found = read_figures(run)
    shown = []
    for name in words.in_order(found, words.PICTURES):
        reading = words.picture(name)
        shown.append({"name": name, "title": reading.title, "caption": reading.caption, **found[name]})
    return shown


def training_rows(history: Mapping[str, Sequence[float]], in_parts: bool) -> list[Row]:
    """in_parts: whether an encoder was trained first, with a history of its own."""
    seconds, speeds = history.get("seconds", []), history.get("images_per_second", [])
    rows = {"Epochs": words.number(len(next(iter(history.values()))))}
    if seconds:
        what = f"{words.duration(total(seconds))}{' for the classifier' if in_parts else ''}"
        rows["Training time"] = f"{what}, without validation and checkpoints"
        rows["Time per epoch"] = f"{words.duration(median(seconds))} (median)"
    if speeds:
        speed = median(speeds)
        rows["Speed"] = f"{words.number(speed, 0 if speed >= 100 else 1)} images per second (median)"
    if "learning_rate" in history:
        rows["Last learning rate"] = f"{history['learning_rate'][-1]:g}"
    losses = [(loss, epoch) for epoch, loss in enumerate(history.get("val_loss", []), 1) if math.isfinite(loss)]
    if losses:
        loss, epoch = min(losses)
        rows["Best validation loss"] = f"{words.number(loss)} after epoch {epoch}"
    return [{"name": name, "value": value} for name, value in rows.items()]


def term_rows(history: Mapping[str, Sequence[float]], params: Mapping[str, Any]) -> list[Row]:
    """The terms of the objective in the last epoch."""
    error = {"squared-error", "absolute-error"} & {params["model"].get("likelihood")}
    nats = {"loss": words.NATS, "reconstruction": words.NATS, "kl": words.NATS}
    units = nats | {
        term: f"{each.replace('-', ' ')} per image" for each in error for term in ("loss", "reconstruction")
    }
    names = dict.fromkeys(key.partition("_")[2] for key in history if key.startswith(("train_", "val_")))
    return [
        {
            "name": "KL divergence" if term == "kl" else words.as_title(term),
            "unit": units.get(term, ""),
            "train": last(history.get(f"train_{term}")),
            "validation": last(history.get(f"val_{term}")),
        }
        for term in words.in_order(names, nats)
    ]


def settings(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every entry of params.json, one table per section; entries outside the sections go to `run`."""
    titles = {"model": "Model", "training": "Training", "data": "Data", "run": "Run", "versions": "Versions"}
    sections = {name: section(params, name) for name in titles}
    shown_elsewhere = {"format", "command", *titles}
    sections["run"] = {key: value for key, value in params.items() if key not in shown_elsewhere}
    return [
        {
            "title": titles[name],
            "rows": [{"name": key, "value": words.value_text(value)} for key, value in flattened(values).items()],
        }
        for name, values in sections.items()
        if values
    ]


def section(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = params.get(name)
    return found if isinstance(found, dict) else {}


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"network": {"encoder": "dense(512)"}}` -> `{"network.encoder": "dense(512)"}`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def total(values: Sequence[float]) -> float:
    return math.fsum(value for value in values if math.isfinite(value))


def median(values: Sequence[float]) -> float:
    finite = sorted(value for value in values if math.isfinite(value))
    return finite[len(finite) // 2] if finite else math.nan


def last(values: Sequence[float] | None) -> str:
    return "" if not values else words.number(values[-1])
