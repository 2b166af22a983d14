"""Commands that inspect runs: metrics, pictures, reports, neighbours, the explorer, ONNX."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from latently.cli import flags
from latently.common.console import (
    errors_as_notes,
    format_value,
    print_figures,
    print_json,
    print_rows,
)
from latently.common.errors import require, require_extra

if TYPE_CHECKING:
    pass

from latently.cli.arguments import (
    RUNS_AND_KIND,
    CountFlag,
    Device,
    EvaluatedPart,
    JsonFlag,
    Part,
    RunData,
    default_shown,
)
from latently.cli.shared import open_run, require_autoencoder

MOST_ROWS = 20  # of near-duplicates to print


def evaluate(
    run: tyro.conf.Positional[Path],
    data: RunData = None,
    part: EvaluatedPart = None,
    codes: bool = False,
    samples: Annotated[int | None, default_shown("samples are not evaluated")] = None,
    judge: Annotated[Path | None, default_shown("RUN/judge, which is trained if it is missing")] = None,
    all: bool = False,
    importance_samples: Annotated[int | None, default_shown("no such bound")] = None,
    device: Device = "auto",
    json: JsonFlag = False,
) -> None:
    """Print metrics on the test split; for the run's own images, also save them to RUN/metrics.json.

    Bounds, reconstruction error or accuracy are always computed; expensive metrics have a flag.

    Args:
        run: Run folder.
        data: Images to evaluate on, a name or a path.
        codes: Evaluate the codes by labels: linear probe, nearest neighbours, clusters; all fitted on training images.
        samples: Draw this many samples and evaluate them with a classifier: Frechet distance, precision and recall.
        judge: Run folder of the classifier that evaluates the samples, trained on images of the same kind and size.
        all: All metrics that the model supports; with as many samples as there are images, at most 10,000.
        importance_samples: Samples of z per image for the importance-weighted bound on log p(x), such as 500 or 5,000.
    """
    from latently.analysis.measure import OptionalFigures, measure

    requested = OptionalFigures(codes, samples, judge, importance_samples, all)
    requested.check()
    opened = open_run(run, data, device)
    which = part or opened.judged_part
    opened.note_copies(which)
    figures = measure(opened, which, requested)
    if opened.is_own and which == opened.judged_part:
        opened.run.add_metrics(figures)
    if json:
        print_json(figures)
        return
    per_class = figures.pop("per_class", {})
    print_figures(f"{run}, {which} images of {opened.images.source}", figures)
    if per_class:
        columns = ["class", *next(iter(per_class.values()))]
        print_rows("", columns, [[name, *map(format_value, row.values())] for name, row in per_class.items()])


def similar(
    run: tyro.conf.Positional[Path],
    query: Annotated[tuple[str, ...], default_shown("none", metavar="IMAGE ...")] = (),
    duplicates: bool = False,
    data: RunData = None,
    part: Part = "all",
    n: CountFlag = 10,
    by: Literal["auto", "pixels", "codes"] = "auto",
    threshold: Annotated[float | None, default_shown("a fraction of the usual distance between neighbours")] = None,
    out: Annotated[Path | None, default_shown("no file")] = None,
    device: Device = "auto",
    json: JsonFlag = False,
) -> None:
    """Find the images with the codes nearest to a query, or all near-duplicates in a set.

    Args:
        run: Run folder of an autoencoder.
        query: Images to search for: files, or numbers (from 0) or names of images of the data.
        duplicates: Find pairs of images that are nearly the same: copies, also if recompressed, scaled, brightened,
            mirrored, captioned, or cropped by up to a fifth.
        data: Images to search, a name or a path.
        part: Which part of the split to search.
        n: Number of neighbours of each query.
        by: How near-duplicates are told: by pixels, under the best crop and mirror, of images whose codes or thumbnails
            are near (distance: 1 - correlation of details), or by codes alone; auto: pixels of pictures, codes of rows.
        threshold: Largest distance between near-duplicates.
        out: File to write: .png (each query and its nearest, or the pairs), .csv or .npz (a row per neighbour or
            pair). Rows are in the order of the queries, and of distances: nearest first.
    """
    from latently import pictures
    from latently.analysis import duplicates as duplicates_room
    from latently.analysis import similar as similar_room
    from latently.runs import outputs

    require(bool(query) != duplicates, "expected either --query IMAGE or --duplicates")
    require(n >= 1, f"-n is {n}; expected at least 1")
    require(threshold is None or threshold >= 0, f"--threshold is {threshold}; expected a number of at least 0")
    require(threshold is None or duplicates, "--threshold is for --duplicates; leave it out, or give -n")
    require(by == "auto" or duplicates, "--by is for --duplicates; leave it out")
    if out:
        outputs.check_out(out, (".csv", ".npz", ".png"))
    opened = open_run(run, data, device)
    autoencoder = require_autoencoder(opened.estimator, run)
    images = opened.part(part)
    if out:
        opened.require_apart(out, adds_images=out.suffix.lower() == ".png")
    found: Any
    if duplicates:
        found = duplicates_room.duplicates(autoencoder, images, threshold, by)
        about: dict[str, Any] = {"by": found.by, "threshold": found.threshold, "n_pairs": len(found.first)}
        near = f"a distance by {found.by} of at most {found.threshold:.4g}"
        title = f"{len(found.first):,} pairs of {len(images):,} images have {near}"
    else:
        queries = similar_room.read_queries(query, opened.images, opened.preparation_for)
        found, about = similar_room.neighbours(autoencoder, images, queries, n), {}
        title = f"Nearest of {len(images):,} images, by the codes of {run}"
    columns = found.columns(images)
    if out and out.suffix.lower() == ".png":
        pictures.save(found.picture(autoencoder, images), out)
    elif out:
        first, *others = columns
        outputs.write_arrays(out, columns[first], {name: columns[name] for name in others})
    rows = list(zip(*(values.tolist() for values in columns.values()), strict=True))
    if json:
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        print_json({"n_images": len(images)} | about | {"pairs" if duplicates else "neighbours": named})
        return
    shown = rows[:MOST_ROWS] if duplicates else rows
    print_rows(title, list(columns), [list(map(format_value, row)) for row in shown])
    if len(shown) < len(rows):
        print(f"... and {len(rows) - len(shown):,} more; --out pairs.csv writes all of them")
    if out:
        print(out)


def plot(
    runs: Annotated[tuple[str, ...], tyro.conf.Positional, RUNS_AND_KIND],
    out: Annotated[Path | None, default_shown("RUN/figures/KIND.png")] = None,
    data: RunData = None,
    part: EvaluatedPart = None,
    grid: int = 20,
    range: Annotated[
        float | None, default_shown("quantiles of the prior, or the range of an autoencoder's codes")
    ] = None,
    n: Annotated[int | None, default_shown("depends on the kind", aliases=["-n"])] = None,
    noise: Annotated[float | None, default_shown("the model's own level; for mean-noise 0.1")] = None,
    label: Annotated[str | None, default_shown("the first class")] = None,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Draw pictures of runs.

    Args:
        runs: Run folders, then the kind of picture: curves, reconstructions, scatter, canvas, samples, traversals,
            worst; for a dae denoising, noisy, residuals; for a cvae analogies, label-means, mean-noise; for a
            classifier confusion, mistakes; or all: every kind that the model supports.
        out: File to write: .png, .pdf or .svg.
        data: Images to draw with, a name or a path.
        grid: Tiles per side of a canvas.
        range: A canvas covers codes from minus to plus this value.
        n: Number of images or points to show.
        noise: Noise level of denoising pictures; for mean-noise, standard deviation around the mean code.
        label: Class with which the canvas of a cvae is decoded.
        seed: Seed of samples and noise.
    """
    from latently import pictures
    from latently.analysis import plots
    from latently.runs import outputs

    require(len(runs) >= 2, "expected one or more run folders, then a kind of picture: latently plot RUN curves")
    *folders, kind = runs
    kinds = (*plots.KINDS, "all")
    require(kind in kinds, f"{flags.unknown('picture', kind, list(kinds))}; the last word is its kind")
    one_file = out is None or (len(folders) == 1 and kind != "all")
    require(
        one_file, "--out names one file, but there are several pictures; leave it out to write each to its run folder"
    )
    require(grid >= 1, f"--grid is {grid}; expected at least 1")
    require(range is None or range > 0, f"--range is {range}; expected a number above 0")
    require(n is None or n >= 1, f"-n is {n}; expected at least 1")
    if out:
        outputs.check_out(out, (".png", ".pdf", ".svg"))
    require(noise is None or noise >= 0, f"--noise is {noise}; expected a number of at least 0")
    drawing = plots.PlotOptions(grid=grid, range=range, n=n or 0, seed=seed, noise=noise, label=label)
    for folder in folders:
        opened = open_run(Path(folder).expanduser(), data, device)
        for each in plots.available_kinds(opened.estimator) if kind == "all" else [kind]:
            place = out or opened.run.figure(each)
            images = None if each in plots.WITHOUT_IMAGES else opened.part(part or opened.judged_part)
            if images:
                opened.require_apart(place, adds_images=True)
            with errors_as_notes(among_all=kind == "all"):
                options = plots.options_for(each, opened, drawing)
                pictures.save(plots.draw(each, opened.estimator, images, options), place)
                print(place)


def report(run: tyro.conf.Positional[Path], data: RunData = None, device: Device = "auto") -> None:
    """Write RUN/report.html, one file that opens offline; adds missing metrics and pictures.

    Args:
        run: Run folder.
        data: Path of the run's own images, if they have moved.
    """
    from latently import pictures
    from latently import report as report_room
    from latently.analysis import plots

    opened = open_run(run, data, device)
    if not (run / "metrics.json").exists():
        require(
            opened.is_own, f"{opened.images.source} does not have the images of {run}; a report needs the run's own"
        )
        with errors_as_notes(among_all=True):
            opened.run.write_metrics(opened.evaluate(opened.judged_part))
    if opened.record:
        opened.record.note_copies(["test" if opened.record.n_test else "validation"])
    for kind in plots.available_kinds(opened.estimator):
        place = opened.run.figure(kind)
        learned = run / "prior" / "model.safetensors"  # by which samples are drawn from then on
        stale = kind == "samples" and learned.exists() and place.exists() and is_newer(learned, place)
        if stale or not place.exists():
            images = None if kind in plots.WITHOUT_IMAGES else opened.part(opened.judged_part)
            with errors_as_notes(among_all=True):
                options = plots.options_for(kind, opened)
                pictures.save(plots.draw(kind, opened.estimator, images, options), place)
    print(report_room.write(run))


def is_newer(file: Path, than: Path) -> bool:
    return file.stat().st_mtime_ns > than.stat().st_mtime_ns


def card(run: tyro.conf.Positional[Path], out: Annotated[Path | None, default_shown("RUN/card.md")] = None) -> None:
    """Write a model card: images, figures, limits and settings, as Markdown without a path of this machine.

    Figures are those that latently evaluate saved.

    Args:
        run: Run folder.
        out: File to write, .md.
    """
    from latently.report import card as card_room
    from latently.runs import outputs

    if out:
        outputs.check_out(out, (".md",))
    print(card_room.write(run, out))


def compare(
    runs: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN RUN ...", help_behavior_hint="(required)")
    ],
    data: RunData = None,
    part: EvaluatedPart = None,
    out: Path = Path("compare"),
    device: Device = "auto",
    json: JsonFlag = False,
) -> None:
    """Compare runs in one table and on one page: metrics, differences in settings, pictures, curves.

    Metrics are those that latently evaluate saved in each run, including expensive ones; runs without metrics are
    evaluated first.

    Args:
        runs: Run folders, two or more, trained on the same images.
        data: Images to compare on instead of the runs' own, a name or a path.
        out: Folder of comparison.html, which opens offline, and of its pictures; an earlier comparison is replaced.
    """
    from latently.report import comparison

    comparison.require_free(out)
    compared = comparison.compare(runs, data, part, device)
    page = comparison.write(compared, out, "latently compare " + shlex.join(map(str, runs)))
    if json:
        print_json(compared.to_json())
        return
    columns = ["", *compared.runs]
    print_rows(f"{compared.part} images of {compared.data}", columns, compared.rows())
    for line in compared.notes:
        print(line)
    print(f"Page: {page}")


def explore(
    run: tyro.conf.Positional[Path],
    data: RunData = None,
    labels: Annotated[Path | None, default_shown("RUN/labels.csv")] = None,
    points: int = 100_000,
    host: str = "127.0.0.1",
    port: Annotated[int, default_shown("0, a free one")] = 0,
    no_open: bool = False,
    static: Annotated[Path | None, default_shown("serve the page instead")] = None,
    device: Device = "auto",
) -> None:
    """Open a run in the browser: a map of the codes that decodes at the pointer; also for labelling.

    Args:
        run: Run folder of an autoencoder, or of few-label.
        data: Images to show, a name or a path.
        labels: CSV file for the labels given on the page, as `latently train --labels` reads it. The default file
            starts with the labels that the run was trained on.
        points: Show at most this many images.
        host: Address to listen on; if other machines can reach it, the printed address contains a token.
        port: Port to listen on.
        no_open: Print the address without opening a browser.
        static: Write the page to this folder, new or empty, with up to 5,000 points; any static web host can serve it,
            and it decodes in the browser.
    """
    require(points >= 2, f"--points is {points}; expected at least 2")
    if static is not None:
        from latently.explorer.scene import Scene
        from latently.explorer.static import MOST_POINTS, write_static
        from latently.runs.outputs import check_folder

        check_folder(static)  # before the images are read
        print(write_static(Scene(open_run(run, data, device), min(points, MOST_POINTS)), static))
        return
    require_extra("explorer", "starlette", "uvicorn")
    from latently.explorer.saved_labels import LabelFile
    from latently.explorer.scene import Scene
    from latently.explorer.server import bound, serve

    with bound(host, port) as listening:  # before the images are encoded, which takes longer
        opened = open_run(run, data, device)
        scene = Scene(opened, points)
        first = None if labels else opened.label_file
        kept = LabelFile(labels or run / "labels.csv", scene.all_images, first)
        serve(scene, kept, listening, host, open_browser=not no_open)


def export(run: tyro.conf.Positional[Path], out: Path, prior: bool = False, json: JsonFlag = False) -> None:
    """Write encoder, decoder and classifier as ONNX, checked against torch; onnxruntime 1.15 or later reads it.

    Args:
        run: Run folder.
        out: File to write, .onnx: from images to codes, reconstructions and probabilities, as far as the run has them;
            the decoder is written next to it, as .decoder.onnx.
        prior: Also write the prior that `latently train prior RUN` learned: its velocity, as .velocity.onnx, and all
            that draws images from noise, as .sampler.onnx.
    """
    from latently import estimator
    from latently.runs import outputs

    require_extra("onnx", "onnx", "onnxscript", "onnxruntime")
    outputs.check_out(out, (".onnx",))
    from latently.analysis.onnx_export import export as export_files

    files = export_files(estimator.load(run, "cpu"), out, prior)
    if json:
        print_json({"files": files})
        return
    columns = list(files[0])
    cells = [
        [", ".join(cell) if isinstance(cell, list) else format_value(cell) for cell in row.values()] for row in files
    ]
    print_rows(f"{run} as ONNX", columns, cells)
