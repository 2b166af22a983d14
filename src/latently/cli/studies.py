"""Commands for studies: presets, reproduce, label-curve."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from latently.common.console import (
    note,
    print_json,
    print_rows,
)
from latently.common.errors import require

if TYPE_CHECKING:
    pass

from latently.cli.arguments import Device, Fit, JsonFlag, RayAddress, Scale, default_shown
from latently.cli.shared import executor_for, largest_side_for, open_run, require_autoencoder


def presets(json: JsonFlag = False) -> None:
    """List the settings for `train --preset`, with their sources and published results."""
    from latently.models.presets import CLASSIFIERS, PRESETS

    if json:
        print_json({
            "autoencoders": {name: asdict(preset) for name, preset in PRESETS.items()},
            "classifiers": {name: asdict(preset) for name, preset in CLASSIFIERS.items()},
        })  # fmt: skip
        return
    rows = [[name, ", ".join(preset.models), preset.source, preset.figures()] for name, preset in PRESETS.items()]
    rows += [[name, "classifier", preset.source, preset.figures()] for name, preset in CLASSIFIERS.items()]
    print_rows("latently train MODEL --preset NAME", ["name", "models", "source", "published (-ELBO: training)"], rows)


def reproduce(
    study: Annotated[str | None, tyro.conf.Positional, default_shown("list the studies")] = None,
    out: Annotated[Path | None, default_shown("runs/reproduce/STUDY")] = None,
    quick: bool = False,
    seeds: int = 3,
    presets: Annotated[tuple[str, ...], default_shown("those of the study", metavar="NAME ...")] = (),
    codes: Annotated[tuple[int, ...], default_shown("those of the study", metavar="INT ...")] = (),
    data: str = "mnist",
    ray: RayAddress = None,
    json: JsonFlag = False,
) -> None:
    """Reproduce a study and compare with its published results; without a name, list the studies.

    Args:
        study: elbo, panels, plane, kl, label-curve, codes-vs-pixels, latent-table, classifiers, code-distances,
            probes, denoise, conditional, bounds or m2.
        out: Folder for tables, pictures and trials; an interrupted study there continues.
        quick: A small version in under two minutes, to check that it runs; figures that would mean nothing are blank.
        seeds: Number of seeds; convolutional networks on a CPU use one.
        presets: Use only these presets.
        codes: Use only these code widths.
        data: Images to use instead of MNIST, a name or a path.
        ray: Run trials in parallel with Ray: auto (the cluster that runs here, otherwise this machine's cores), or the
            cluster's host:port.
    """
    from latently import experiments

    if study is None:
        if json:
            listed = {name: {"summary": each.summary, "cost": each.cost} for name, each in experiments.STUDIES.items()}
            print_json({"studies": listed})
            return
        rows = [[name, each.summary, each.cost] for name, each in experiments.STUDIES.items()]
        print_rows("latently reproduce STUDY", ["study", "what", "cost"], rows)
        return
    chosen = experiments.find(study)
    require(seeds >= 1, f"--seeds is {seeds}; expected at least 1")
    require(all(code >= 1 for code in codes), f"--codes is {codes}; expected whole numbers of at least 1")
    folder = out or Path("runs/reproduce") / (f"{study}-quick" if quick else study)
    with executor_for(ray) as executor:
        bench = experiments.Bench(folder.absolute(), data, quick, seeds, presets, codes, executor)
        result = chosen.reproduce(bench)
    if json:
        print(bench.table.read_text())
    else:
        columns, cells = result.as_text()
        print_rows(f"{study}: {chosen.summary}", columns, cells)
        print(f"Tables and pictures: {folder}")


def label_curve(
    data: str,
    out: Path = Path("runs/label-curve"),
    encoder: Annotated[Path | None, default_shown("that suits, trained on the training images first")] = None,
    labels: Annotated[Path | None, default_shown("the source's own")] = None,
    image_size: Annotated[tuple[int, int] | None, default_shown("as they are")] = None,
    fit: Fit = "auto",
    channels: Annotated[int | None, default_shown("as they are")] = None,
    scale: Scale = None,
    draws: int = 5,
    plain_up_to: int = 1000,
    seed: int = 0,
    device: Device = "auto",
    ray: RayAddress = None,
    json: JsonFlag = False,
) -> None:
    """Measure accuracy against the number of labels, on codes and on pixels, and estimate the gain from more labels.

    Budgets double from two labels per class up to all labels. Accuracy is measured on the test images; if fewer than
    500 of them are labelled, on the labelled images that were not drawn.

    Args:
        data: Images, some or all of them labelled, a name or a path.
        out: Folder for the curve; an interrupted one there continues.
        encoder: Run folder of an autoencoder to compute codes with.
        labels: A CSV file of labels that replaces those of the source: image (file name or number from 0), label.
        image_size: Height and width in pixels to resize every image to; not with --encoder, which has its own.
        fit: How images are fitted to that size: cropped at the centre, padded with black, or stretched; none refuses
            images of different sizes. auto: crop if sizes differ.
        channels: 1 converts every image to grey, 3 to colour.
        draws: Number of random draws of the labels of each budget.
        plain_up_to: The largest budget for the default image classifier, at most three draws; 0 leaves it out.
        seed: Seed of the split and of the encoder that is trained first.
        ray: Run draws in parallel with Ray: auto (the cluster that runs here, otherwise this machine's cores), or the
            cluster's host:port.
    """
    from latently import data as data_room
    from latently import pictures
    from latently.analysis import label_curve as curve_room
    from latently.common.files import write_json
    from latently.evaluation.intervals import percent
    from latently.runs import outputs

    require(draws >= 1, f"--draws is {draws}; expected at least 1")
    require(plain_up_to >= 0, f"--plain-up-to is {plain_up_to}; expected at least 0")
    require(0 <= seed < 2**31, f"--seed is {seed}; expected a whole number from 0 to 2147483647")
    prepared_already = encoder is not None and (image_size, channels, fit, scale) != (*(None, None, "auto", None),)
    require(
        not prepared_already,
        "--image-size, --fit, --channels and --scale cannot be combined with --encoder, which has its own",
    )
    if encoder:
        opened = open_run(encoder, data, device)
        fitted, images, parts = require_autoencoder(opened.estimator, encoder), opened.images, opened.split
    else:
        prepared = data_room.Preparation(image_size, channels, fit, scale=scale)
        images = data_room.load(data, prepared, sys.stderr.isatty(), largest_side_for(data, device))
        parts = data_room.split(images, seed=seed)
    outputs.check_folder(out, ("encoder", "draws", "label-curve.json", "label-curve.png"))
    outputs.require_apart(out, images.source, adds_images=True)
    if labels:
        images = data_room.read_labels(labels, images)
    curve_room.make_task(images.labels, parts.train, parts.validation, parts.test)  # fails before a long training run
    if not encoder:
        fitted = curve_room.trained_encoder(out / "encoder", images, parts, seed, device)
    with executor_for(ray) as executor:
        folder = out.absolute() / "draws"
        task, curves = curve_room.curves(images, parts, fitted, draws, plain_up_to, folder, note, executor)
    test = f"{task.n_test:,} test images"
    if not task.has_separate_test:
        test = f"the labelled images that were not drawn, {task.n_test:,} at the largest budget"
    figures = {"data": images.source, "judged_by": test, "draws": draws}
    figures |= {name.replace(" ", "_"): curve.to_json() for name, curve in curves.items()}
    write_json(out / "label-curve.json", figures)
    pictures.save(curve_room.picture(curves), out / "label-curve.png")
    if json:
        print_json(figures)
        return
    budgets = sorted({n for curve in curves.values() for n in curve.budgets})
    cells = [{n: str(percent(mean)) for n, mean in curve.points()} for curve in curves.values()]
    rows = [[f"{n:,}", *(column.get(n, "") for column in cells)] for n in budgets]
    print_rows(f"{data}: accuracy in %, mean and 95 % interval over draws, on {test}", ["labels", *curves], rows)
    for name, curve in curves.items():
        ahead = f"twice as many labels as {curve.budgets[-1]:,} would add {percent(curve.gain())} points"
        print(f"{name}: {ahead}, by extrapolation of the curve")
    print(f"Picture: {out / 'label-curve.png'}")
