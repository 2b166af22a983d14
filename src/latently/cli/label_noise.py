"""The command that looks for wrong labels."""

from pathlib import Path
from typing import Annotated

import tyro

from latently.cli.arguments import Device, JsonFlag, PartOfImages, RunData, default_shown
from latently.cli.shared import open_run, require_autoencoder
from latently.common.console import format_value, note, print_json, print_rows
from latently.common.errors import require

MOST_ROWS = 20  # of suspects to print


def label_noise(
    run: tyro.conf.Positional[Path],
    labels: Annotated[Path | None, default_shown("those of the images, or that the run was trained with")] = None,
    data: RunData = None,
    part: PartOfImages = "all",
    out: Annotated[Path | None, default_shown("no file")] = None,
    seed: int = 0,
    device: Device = "auto",
    json: JsonFlag = False,
) -> None:
    """Find images whose label is likely wrong, the least probable label first.

    Labels are judged by a linear probe of the codes that learned from other images (five folds), and suspects chosen by
    confident learning (Northcutt et al. 2021). What the probe gets wrong counts as noise, too: the less often it gives
    the label (probe_accuracy of --json), the more of the suspects, and of noise_rate, are its own errors.

    Args:
        run: Run folder of an autoencoder.
        labels: CSV file of labels to judge.
        data: Images with labels, a name or a path.
        out: File to write: .csv or .npz (name, label, likely, probability of the label, and of the likely class; a row
            per suspect, in this order), .png (the first 60, each with its label and the likely one).
        seed: Seed of the folds.
    """
    from latently import data as data_room
    from latently import pictures
    from latently.analysis.wrong_labels import wrong_labels
    from latently.runs import outputs

    require(seed >= 0, f"--seed is {seed}; expected at least 0")
    if out:
        outputs.check_out(out, (".csv", ".npz", ".png"))
    opened = open_run(run, data, device)
    autoencoder = require_autoencoder(opened.estimator, run)
    require(
        not autoencoder.model_.takes_labels,
        f"the codes of {run} depend on the label that is to be judged; train a model that is not conditional",
    )
    images = opened.part(part, as_in_source=True)
    if labels is not None:
        images = data_room.read_labels(labels, images)
    images = images.labelled()
    require(len(images) > 0, f"{images.source} has no labels; give --labels with a CSV file of image, label")
    if out:
        opened.require_apart(out, adds_images=out.suffix.lower() == ".png")
        require(labels is None or out.resolve() != labels.resolve(), f"--out is {out}, the label file; choose another")
    found = wrong_labels(autoencoder, images, seed)
    columns = found.columns()
    if out and out.suffix.lower() == ".png":
        pictures.save(found.picture(autoencoder), out)
    elif out:
        outputs.write_arrays(out, columns["name"], {name: columns[name] for name in columns if name != "name"})
    rows = list(zip(*(values.tolist() for values in columns.values()), strict=True))
    if json:
        print_json(found.figures() | {"suspects": [dict(zip(columns, row, strict=True)) for row in rows]})
        return
    title = f"{len(rows):,} of {len(images):,} labels of {images.source} are suspect"
    print_rows(title, list(columns), [list(map(format_value, row)) for row in rows[:MOST_ROWS]])
    if len(rows) > MOST_ROWS:
        print(f"... and {len(rows) - MOST_ROWS:,} more; --out suspects.csv writes all of them")
    note(found.sentence())
    if out:
        print(out)
