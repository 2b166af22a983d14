"""The model card of a run (Mitchell et al. 2019): what it is, from which images, how good, and what it is not for.

    card.write("RUN")  # -> RUN/card.md

Markdown with the header that the Hugging Face hub reads. It names no folder of its author's machine: of the source of
the images only the last part of the path.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latently.report.content import collect, section
from latently.report.files import read_metrics, read_params
from latently.report.page import write_page

PRIVATE = ("data.source", "source", "command", "digest", "labels", "encoder")  # paths and hashes: of no use to others


def write(run_path: str | os.PathLike[str], out: Path | None = None) -> Path:
    """Write the card and return its path, RUN/card.md unless `out` is given. Raises InputError for a damaged run."""
    return write_page(render(run_path), out or Path(run_path) / "card.md")


def render(run_path: str | os.PathLike[str], address: str = "") -> str:
    """The card as Markdown. address: where others load the run from; empty: this folder. Raises InputError for a
    damaged run."""
    run = Path(run_path)
    content, params, metrics = collect(run), read_params(run), read_metrics(run) or {}
    parts = [
        "---\nlibrary_name: latently\ntags: [autoencoder, latently]\n---",
        f"# {plain(content['title'])}",
        " · ".join(map(plain, content["facts"])),
        "## Data",
        data_sentences(section(params, "data")),
        "## Figures",
        figures(content["metrics"], content["context"]),
        "## Limits",
        "\n".join(f"- {sentence}" for sentence in limits(params, metrics)),
        "## Use",
        f"```python\nimport latently\n\n{use(address)}\n```",
        "## Settings",
        *(settings(each["title"], each["rows"]) for each in content["settings"] if each["title"] != "Data"),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def use(address: str) -> str:
    if address:
        return f'model = latently.load("{address}")  # pip install "latently[hub]"; loading cannot execute code'
    return 'model = latently.load("RUN")  # this folder; loading cannot execute code'


def data_sentences(data: Mapping[str, Any]) -> str:
    if not data:
        return "Fitted in Python to arrays that the run does not name."
    counts = ", ".join(
        f"{data[f'n_{part}']:,} {word}"
        for part, word in (("train", "for training"), ("validation", "for validation"), ("test", "for testing"))
        if isinstance(data.get(f"n_{part}"), int)
    )
    source = plain(Path(str(data.get("source", "unknown"))).name)
    return f"{source}: {counts}; split {plain(data.get('split', 'unknown'))}, seed {plain(data.get('seed', 0))}."


def figures(metrics: Sequence[Mapping[str, str]], context: Sequence[Mapping[str, str]]) -> str:
    if not metrics:
        return "Not evaluated."
    rows = [["figure", "value", "unit", "meaning"], ["---"] * 4]
    rows += [[row["name"], f"{row['value']} {row['spread']}".strip(), row["unit"], row["meaning"]] for row in metrics]
    conditions = ", ".join(f"{plain(row['name'])}: {plain(row['value'])}" for row in context)
    return table(rows) + (f"\n\nMeasured with {conditions}." if conditions else "")


def limits(params: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """What follows from how the run was made and measured, and nothing else."""
    data, found = section(params, "data"), []
    if not metrics:
        found.append("No figure was measured, so nothing is known of its quality.")
    elif not any(key.endswith("_std") for key in metrics):
        found.append("One run with one seed: the figures have no interval.")
    if metrics.get("split") == "validation":
        found.append("Figures are of validation images, which may have chosen settings.")
    for part in ("validation", "test"):
        if copies := data.get(f"n_{part}_in_training"):
            found.append(f"{copies:,} {part} images have the same pixels as a training image: figures are too good.")
    if metrics.get("collapsed"):
        found.append("The posterior has collapsed: the code carries no information.")
    shape = params.get("image_shape")
    if shape:
        size = " x ".join(map(str, shape))
        found.append(f"It knows images of {size} pixels that look like those it learned from; others are made to fit.")
    found.append("It repeats what is in its images, their gaps and their prejudice, too.")
    return found


def settings(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    shown = [[row["name"], row["value"]] for row in rows if row["name"] not in PRIVATE]
    return f"**{title}**\n\n" + table([["setting", "value"], ["---"] * 2, *shown]) if shown else ""


def table(rows: Sequence[Sequence[str]]) -> str:
    first, rule, *others = rows
    lines = [first, rule, *([plain(cell) for cell in row] for row in others)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: Any) -> str:
    """On one line, and neither a cell, HTML, a link nor an emphasis: names may come from anyone."""
    escaped = " ".join(str(text).split())
    for mark in ("\\", "|", "<", "`", "[", "]", "*"):
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped
