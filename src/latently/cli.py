"""The command line. Each command is one typed function: its signature is its flags, its docstring their help.

Figures go to stdout, as a table or with --json as one JSON object and nothing else; progress and notes go to stderr.
Exit code 0: done; 2: bad usage or bad input, one sentence; 130: interrupted, with the checkpoint kept.
Nothing heavy is imported before a command needs it: `latently --help` does not wait for torch.
"""

import contextlib
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from latently import flags
from latently.console import (
    disk_sentence,
    has_the_word,
    in_text,
    left_out,
    n_started,
    note,
    print_figures,
    print_json,
    print_rows,
)
from latently.errors import InputError, require

if TYPE_CHECKING:
    from latently.data import ImageSet
    from latently.estimator import Autoencoder
    from latently.estimator.mixture import CodeMixture
    from latently.opened import Opened
    from latently.pieces import Maker

# What `latently --help` lists without importing a model; a test holds it equal to latently.models.
MODEL_NAMES = {"ae": "Plain autoencoder: no prior, no noise; the code is a point.",
               "dae": "Denoising autoencoder: sees damaged images, and rebuilds the clean ones.",
               "vae": "Variational autoencoder; beta-VAE (Higgins et al. 2017) is `VAE(beta=4)`.",
               "cvae": "Conditional variational autoencoder: told the class of an image, it makes new ones of a class.",
               "vamp": "Variational autoencoder with a VampPrior: its prior is a mixture, learned with it.",
               "classifier": "Classifier: a network of any layers with a softmax on top."}  # fmt: skip

RECIPES = {"few-label": "Codes from all images, classes from the few that carry a label."}

MOST_ROWS = 20  # of near-duplicates that are printed

Part = Literal["all", "train", "validation", "test"]
SplitKind = Literal["auto", "standard", "pooled", "random", "all"]


def default(words: str, **others: Any) -> Any:
    """What --help says of a flag that may be left out."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {words})", **others)


OwnData = Annotated[str | None, default("the run's own")]
JudgedPart = Annotated[Part | None, default("test, or all where there is no test part")]
Cluster = Annotated[str | None, default("one after another, in this process", metavar="auto|HOST:PORT")]
Number = Annotated[int, tyro.conf.arg(aliases=["-n"])]
RUNS_AND_KIND = tyro.conf.arg(metavar="RUN [RUN ...] KIND", help_behavior_hint="(required)")


# Commands -------------------------------------------------------------------------------------------------------------


def demo(out: Path = Path("runs/demo"), overwrite: bool = False, seed: int = 0, json: bool = False) -> None:
    """The main job on the embedded digits, in under a minute.

    Trains a VAE on all 1,797 digits without their labels, evaluates it, fits a classifier on the codes of a few
    labelled images and the same classifier on their pixels, draws, and writes a report.

    Args:
        out: Run folder to write; an earlier demo there is replaced.
        overwrite: Replace the run in --out even if it is no demo.
        seed: Seed of weights, noise and label draws.
        json: Print one JSON object instead of tables.
    """
    from latently.runs import Run

    require(0 <= seed < 2**31, f"--seed is {seed}; expected a whole number from 0 to 2147483647")
    run = Run(out, overwrite or is_demo(out))
    run.require_free()

    from latently import report
    from latently.demo import BUDGETS, N_DRAWS
    from latently.demo import demo as run_demo
    from latently.progress import Bar, Log

    note("learning codes from 1,797 digits without their labels, then classifiers from a few labels ...")
    with Bar() as bar:
        figures = run_demo(run, (bar, Log(out / "train.log")), seed)
    page = report.write(out)
    if json:
        print_json(figures)
        return
    own = {name: value for name, value in figures.items() if not name.startswith("accuracy_")}
    print_figures("The VAE, on the images it was trained on", own)
    columns = ["labels", "codes", "pixels"]
    rows = [[str(n), *(mean_and_std(figures, f"accuracy_{name}_{n}_labels") for name in columns[1:])] for n in BUDGETS]
    print_rows(f"Accuracy in %, mean ± std over {N_DRAWS} draws of the labels", columns, rows)
    print(f"\nReport:   {page}\nPictures: {out / 'figures'}")


def is_demo(out: Path) -> bool:
    from latently.runs import Run

    return Run(out).started and Run(out).params.get("command") == "latently demo"


def mean_and_std(figures: dict[str, Any], name: str) -> str:
    return f"{100 * figures[name]:.1f} ± {100 * figures[f'{name}_std']:.1f}"


def data(
    source: tyro.conf.Positional[str],
    split: SplitKind = "auto",
    image_size: Annotated[tuple[int, int] | None, default("as they are")] = None,
    channels: Annotated[int | None, default("as they are")] = None,
    json: bool = False,
) -> None:
    """Fetch a data set or read one of your own, verify it, describe it.

    Args:
        source: digits, mnist, fashion-mnist, kmnist, or the path of a folder, .npy, .npz, .csv or IDX file.
        split: Which split to describe; auto is the source's own where it has one, else 80/10/10 per class.
        image_size: Height and width in pixels to resize every image to.
        channels: 1 turns every image grey, 3 makes it colour.
        json: Print one JSON object instead of tables.
    """
    from latently.data import Preparation, load
    from latently.data import split as split_images

    images = load(source, Preparation(image_size, channels), progress=sys.stderr.isatty())
    parts = split_images(images, split)
    counts = {name: int((images.labels == label).sum()) for label, name in enumerate(images.classes)}
    figures = {
        "source": images.source,
        "n_images": len(images),
        "image_shape": list(images.image_shape),
        "dtype": str(images.images.dtype),
        "lowest_pixel": images.images.min().item(),
        "highest_pixel": images.images.max().item(),
        "split": parts.kind,
        "n_train": len(parts.train),
        "n_validation": len(parts.validation),
        "n_test": len(parts.test),
        "n_classes": len(counts),
        "n_unlabelled": int((images.labels < 0).sum()),
    }
    if json:
        print_json(figures | {"images_per_class": counts})
        return
    print_figures(source, figures)
    if counts:
        print_rows("", ["class", "images"], [[name, f"{count:,}"] for name, count in counts.items()])


def evaluate(
    run: tyro.conf.Positional[Path],
    data: OwnData = None,
    part: JudgedPart = None,
    codes: bool = False,
    samples: Annotated[int | None, default("no samples are judged")] = None,
    judge: Annotated[Path | None, default("RUN/judge, which is trained where it is missing")] = None,
    all: bool = False,
    importance_samples: Annotated[int | None, default("no such bound")] = None,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Figures on the test split, to stdout; of the run's own images also to RUN/metrics.json.

    The likelihoods, the reconstruction or the accuracy are always told; what takes its time, by a flag.

    Args:
        run: Run folder.
        data: Images to evaluate on, a name or a path.
        part: Which part of the split.
        codes: Judge the codes by labels: linear probe, nearest neighbours, clusters; all fitted on training images.
        samples: Draw so many samples, and judge them by a classifier: Frechet distance, precision and recall.
        judge: Run folder of the classifier that judges the samples, trained on images of the same kind and size.
        all: Every figure that the model can give; of samples as many as there are images, 10,000 at most.
        importance_samples: Codes drawn for each image for the importance-weighted bound on log p(x), 500 or 5,000 say.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
        json: Print one JSON object instead of a table.
    """
    from latently.measuring import Costly, measure

    costly = Costly(codes, samples, judge, importance_samples, all)
    costly.check()
    opened = open_run(run, data, device)
    which = part or opened.judged_part
    figures = measure(opened, which, costly)
    if opened.is_own and which == opened.judged_part:
        opened.run.add_metrics(figures)
    if json:
        print_json(figures)
        return
    per_class = figures.pop("per_class", {})
    print_figures(f"{run}, {which} images of {opened.images.source}", figures)
    if per_class:
        columns = ["class", *next(iter(per_class.values()))]
        print_rows("", columns, [[name, *map(in_text, row.values())] for name, row in per_class.items()])


def encode(
    run: tyro.conf.Positional[Path],
    out: Path,
    data: OwnData = None,
    part: Part = "all",
    device: str = "auto",
    ray: Cluster = None,
) -> None:
    """Codes (posterior means) of images, to a .npz, .npy or .csv file, or drawn as a .png.

    Args:
        run: Run folder.
        out: File to write: .npz (codes, labels, names), .npy (codes), .csv (a row per image), .png (a scatter); by Ray
            a folder of Parquet files.
        data: Images to encode, a name or a path.
        part: Which part of the split.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
        ray: More images than memory holds, a folder or a .npy, by Ray: auto (the cluster that runs here, else this
            machine's cores), or its host:port.
    """
    if ray is not None:
        if data is None:
            raise InputError("--ray wants --data, a folder of images or a .npy file")
        require(part == "all", f"--part is {part}, but --ray encodes all images; leave it out")
        write_shards(run, out, data, device, ray)
        return
    write_outputs(run, out, data, part, device, "scatter", lambda estimator, images: {
        "codes": estimator.transform(images.images, images.label_names), "labels": images.label_names,
    })  # fmt: skip


def reconstruct(
    run: tyro.conf.Positional[Path], out: Path, data: OwnData = None, part: Part = "all", device: str = "auto"
) -> None:
    """Reconstructions of images, to a .npz, .npy or .csv file, or drawn beside the originals as a .png.

    Args:
        run: Run folder.
        out: File to write: .npz (images, names), .npy (images), .csv (a row of pixels per image), .png (pairs).
        data: Images to reconstruct, a name or a path.
        part: Which part of the split.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
    """
    write_outputs(run, out, data, part, device, "reconstructions", lambda estimator, images: {
        "images": estimator.reconstruct(images.images, images.label_names),
    })  # fmt: skip


def denoise(
    run: tyro.conf.Positional[Path], out: Path, data: OwnData = None, part: Part = "all", device: str = "auto"
) -> None:
    """Noisy images as they are, rebuilt without their noise, by a denoising autoencoder.

    Args:
        run: Run folder of a dae.
        out: File to write: .npz (images, names), .npy (images), .csv (a row of pixels per image), .png (noisy above
            rebuilt); or a folder, by a name without an ending: a PNG for each image, under its name.
        data: Noisy images, a name or a path.
        part: Which part of the split.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
    """
    from latently import outputs, pictures

    is_folder = not out.suffix
    if is_folder:
        outputs.check_folder(out)
    else:
        outputs.check_out(out, (*outputs.ARRAY_ENDINGS, ".png"))
    opened = open_run(run, data, device)
    images = opened.part(part)
    opened.require_apart(out, adds_images=is_folder or out.suffix.lower() == ".png")
    rebuilt = autoencoder_of(opened.estimator, run).denoise(images.images)
    if is_folder:
        outputs.write_images(out, images.names, rebuilt)
    elif out.suffix.lower() == ".png":
        noisy, names = images.images[:20], ("noisy", "rebuilt")
        pictures.save(pictures.reconstructions(noisy, rebuilt[:20], names=names, title="Noisy images, rebuilt"), out)
    else:
        outputs.write_arrays(out, images.names, {"images": rebuilt})
    print(out)


def score(
    run: tyro.conf.Positional[Path], out: Path, data: OwnData = None, part: Part = "all", device: str = "auto"
) -> None:
    """Rank images by how badly the model explains them, the anomalies first.

    Args:
        run: Run folder.
        out: File to write: .npz, .npy or .csv (a row per image, lowest score first), .png (the worst images).
        data: Images to score, a name or a path.
        part: Which part of the split.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
    """
    from latently.evaluation import score_name

    write_outputs(run, out, data, part, device, "worst", lambda estimator, images: {
        score_name(estimator): estimator.score_samples(images.images, images.label_names),
    }, rank=True)  # fmt: skip


def predict(
    run: tyro.conf.Positional[Path], out: Path, data: OwnData = None, part: Part = "all", device: str = "auto"
) -> None:
    """The class of every image with its probability, by a classifier.

    Args:
        run: Run folder of a classifier.
        out: File to write: .csv (name, class, probability; a row per image) or .npz.
        data: Images to classify, a name or a path.
        part: Which part of the split.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
    """
    from latently import outputs
    from latently.estimator import ClassPredictor

    outputs.check_out(out, (".csv", ".npz"))
    opened = open_run(run, data, device)
    classifier: Any = opened.estimator
    require(isinstance(classifier, ClassPredictor), f"{run} is no classifier; train one: latently train classifier")
    images = opened.part(part)
    opened.require_apart(out, adds_images=False)
    p = classifier.predict_proba(images.images)
    best = p.argmax(1)
    columns = {"class": classifier.classes_[best].astype(str), "probability": p.max(1)}
    outputs.write_arrays(out, images.names, columns)
    print(out)


def similar(
    run: tyro.conf.Positional[Path],
    query: Annotated[tuple[str, ...], default("none", metavar="IMAGE ...")] = (),
    duplicates: bool = False,
    data: OwnData = None,
    part: Part = "all",
    n: Number = 10,
    threshold: Annotated[float | None, default("a quarter of the median distance between nearest images")] = None,
    out: Annotated[Path | None, default("no file")] = None,
    device: str = "auto",
    json: bool = False,
) -> None:
    """The images that are nearest to a query by their codes; or all near-duplicates in a set.

    Args:
        run: Run folder of an autoencoder.
        query: Images to find the like of: files, or numbers (from 0) or names of images of the data.
        duplicates: Find pairs of images with nearly the same code: copies, saved anew or slightly noisy.
        data: Images to search, a name or a path.
        part: Which part of the split to search.
        n: How many of the nearest, of each query.
        threshold: Largest distance between the codes of near-duplicates.
        out: File to write: .png (each query and its nearest, or the pairs), .csv or .npz (a row per neighbour or pair).
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
        json: Print one JSON object instead of a table.
    """
    from latently import outputs, pictures
    from latently import similar as similar_room

    require(bool(query) != duplicates, "expected --query IMAGE, or --duplicates, and not both")
    require(n >= 1, f"-n is {n}; expected at least 1")
    require(threshold is None or threshold >= 0, f"--threshold is {threshold}; expected a number of at least 0")
    require(threshold is None or duplicates, "--threshold is for --duplicates; leave it out, or give -n")
    if out:
        outputs.check_out(out, (".csv", ".npz", ".png"))
    opened = open_run(run, data, device)
    autoencoder = autoencoder_of(opened.estimator, run)
    images = opened.part(part)
    if out:
        opened.require_apart(out, adds_images=out.suffix.lower() == ".png")
    found: Any
    if duplicates:
        found = similar_room.duplicates(autoencoder, images, threshold)
        about: dict[str, Any] = {"threshold": found.threshold, "n_pairs": len(found.first)}
        title = f"{len(found.first):,} pairs of {len(images):,} images are no farther apart than {found.threshold:.4g}"
    else:
        queries = similar_room.read_queries(query, opened.images, opened.preparation)
        found, about = similar_room.neighbours(autoencoder, images, queries, n), {}
        title = f"The nearest of {len(images):,} images by the codes of {run}"
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
    print_rows(title, list(columns), [list(map(in_text, row)) for row in shown])
    if len(shown) < len(rows):
        print(f"... and {len(rows) - len(shown):,} more; --out pairs.csv writes all")
    if out:
        print(out)


def sample(
    run: tyro.conf.Positional[Path],
    n: Number = 64,
    out: Annotated[Path | None, default("RUN/figures/samples.png")] = None,
    label: Annotated[str | None, default("all labels in turn")] = None,
    sampler: Literal["prior", "mixture"] = "prior",
    components: Annotated[int | None, default("those of the mixture that the run keeps, else 10")] = None,
    data: OwnData = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Draw codes and decode them.

    Args:
        run: Run folder.
        n: How many.
        label: Of a conditional model (cvae): what the images are to be of.
        sampler: Where codes are drawn from: the model's prior, or a Gaussian mixture, which is fitted to the codes of
            the run's training images once and kept in the run folder.
        components: Of the mixture.
        data: Where the run's own images are, for the mixture, if they have moved: a path.
        out: File to write: .png, .npz, .npy or .csv.
        seed: Seed of the draw.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
    """
    import numpy as np

    from latently import outputs, pictures
    from latently.runs import Run
    from latently.trained import Trained

    require(n >= 1, f"-n is {n}; expected at least 1")
    require(seed >= 0, f"--seed is {seed}; expected at least 0")
    require(components is None or components >= 1, f"--components is {components}; expected at least 1")
    place = out or run / "figures" / ("samples.png" if sampler == "prior" else "samples-mixture.png")
    outputs.check_out(place, (*outputs.ARRAY_ENDINGS, ".png"))
    require_codes(Run(run).kind, run)
    trained = Trained.of_run(Run(run), device)
    told = label is None or trained.model.takes_labels
    require(told, f"--label is {label}, but {run} was trained without labels; train a cvae, or leave it out")
    drawn_by = None if sampler == "prior" else mixture_of(run, data, components, device).sample
    images = trained.sample(n, seed, label, drawn_by)
    if place.suffix.lower() == ".png":
        pictures.save(pictures.samples(images), place)
    else:
        outputs.write_arrays(place, np.arange(n).astype(str), {"images": images})
    print(place)


def plot(
    runs: Annotated[tuple[str, ...], tyro.conf.Positional, RUNS_AND_KIND],
    out: Annotated[Path | None, default("RUN/figures/KIND.png")] = None,
    data: OwnData = None,
    part: JudgedPart = None,
    grid: int = 20,
    range: Annotated[float | None, default("the prior's quantiles, or an autoencoder's own codes")] = None,
    n: Annotated[int | None, default("by the kind", aliases=["-n"])] = None,
    noise: Annotated[float | None, default("the model's own level; about a label's mean 0.1")] = None,
    label: Annotated[str | None, default("the first class")] = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Draw pictures of runs.

    Args:
        runs: Run folders, then the kind of picture: curves, reconstructions, scatter, canvas, samples, traversals,
            worst; of a dae denoising, noisy, residuals; of a cvae analogies, label-means, mean-noise; of a classifier
            confusion, mistakes; or all of them that the model can give.
        out: File to write: .png, .pdf or .svg.
        data: Images to draw with, a name or a path.
        part: Which part of the split.
        grid: Tiles on a side of a canvas.
        range: Codes at the ends of a canvas, plus and minus.
        n: How many images or points to show.
        noise: Level of the noise that images are damaged with, or its standard deviation about a label's mean code.
        label: What a cvae's canvas is decoded as.
        seed: Seed of samples and noise.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
    """
    from latently import gallery, outputs, pictures

    require(len(runs) >= 2, "expected a run folder or several, then a kind of picture: latently plot RUN curves")
    *folders, kind = runs
    kinds = (*gallery.KINDS, "all")
    require(kind in kinds, f"{flags.unknown('picture', kind, list(kinds))}; the last word is its kind")
    one_file = out is None or (len(folders) == 1 and kind != "all")
    require(one_file, "--out names one file, but several pictures were asked for; leave it out: each has its place")
    require(grid >= 1, f"--grid is {grid}; expected at least 1")
    require(range is None or range > 0, f"--range is {range}; expected a number above 0")
    require(n is None or n >= 1, f"-n is {n}; expected at least 1")
    if out:
        outputs.check_out(out, (".png", ".pdf", ".svg"))
    require(noise is None or noise >= 0, f"--noise is {noise}; expected a number of at least 0")
    drawing = gallery.Drawing(grid=grid, range=range, n=n or 0, seed=seed, noise=noise, label=label)
    for folder in folders:
        opened = open_run(Path(folder).expanduser(), data, device)
        for each in gallery.possible(opened.estimator) if kind == "all" else [kind]:
            place = out or opened.run.figure(each)
            images = None if each in gallery.WITHOUT_IMAGES else opened.part(part or opened.judged_part)
            if images:
                opened.require_apart(place, adds_images=True)
            with left_out(among_all=kind == "all"):
                pictures.save(gallery.draw(each, opened.estimator, images, drawing), place)
                print(place)


def report(run: tyro.conf.Positional[Path], data: OwnData = None, device: str = "auto") -> None:
    """Write RUN/report.html, one file that opens offline; draws and evaluates what is not there yet.

    Args:
        run: Run folder.
        data: The run's own images, where they have moved: a path.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
    """
    from latently import gallery, pictures
    from latently import report as report_room

    opened = open_run(run, data, device)
    if not (run / "metrics.json").exists():
        require(opened.is_own, f"{opened.images.source} are not the images of {run}; a report tells of its own")
        with left_out(among_all=True):
            opened.run.write_metrics(opened.evaluate(opened.judged_part))
    for kind in gallery.possible(opened.estimator):
        if not opened.run.figure(kind).exists():
            images = None if kind in gallery.WITHOUT_IMAGES else opened.part(opened.judged_part)
            with left_out(among_all=True):
                pictures.save(gallery.draw(kind, opened.estimator, images), opened.run.figure(kind))
    print(report_room.write(run))


def compare(
    runs: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN RUN ...", help_behavior_hint="(required)")
    ],
    data: OwnData = None,
    part: JudgedPart = None,
    out: Path = Path("compare"),
    device: str = "auto",
    json: bool = False,
) -> None:
    """Several runs in one table, and on one page: figures, what differs in their settings, pictures, curves.

    Figures are those that latently evaluate left in a run, with its costly ones; where there are none, they are
    measured.

    Args:
        runs: Run folders, two or more, trained on the same images.
        data: Images to compare on, a name or a path, in the place of the runs' own.
        part: Which part of the split.
        out: Folder of comparison.html, which opens offline, and of its pictures; an earlier comparison is replaced.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
        json: Print one JSON object instead of a table.
    """
    from latently import comparison

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
    data: OwnData = None,
    labels: Annotated[Path | None, default("RUN/labels.csv")] = None,
    points: int = 100_000,
    host: str = "127.0.0.1",
    port: Annotated[int, default("0, a free one")] = 0,
    no_open: bool = False,
    static: Annotated[Path | None, default("serve the page instead")] = None,
    device: str = "auto",
) -> None:
    """Open a run in the browser: a map that decodes under the pointer, and a place to label.

    Args:
        run: Run folder of an autoencoder, or of few-label.
        data: Images to show, a name or a path.
        labels: CSV file that keeps the labels given on the page, as `latently train --labels` reads it. The default
            one begins with the labels that the run was trained on.
        points: Show at most so many images.
        host: Address to listen on; beyond this machine, the page wants the token that is printed with its address.
        port: Port to listen on.
        no_open: Print the address and leave the browser alone.
        static: Write the page to this folder, new or empty, with up to 5,000 points: any static host can serve it, and
            it decodes in the browser.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
    """
    require(points >= 2, f"--points is {points}; expected at least 2")
    if static is not None:
        from latently.explorer.scene import Scene
        from latently.explorer.static import MOST_POINTS, write_static
        from latently.outputs import check_folder

        check_folder(static)  # before the images are read
        print(write_static(Scene(open_run(run, data, device), min(points, MOST_POINTS)), static))
        return
    require_extra("explorer", "starlette", "uvicorn")
    from latently.explorer.labelling import LabelFile
    from latently.explorer.scene import Scene
    from latently.explorer.server import serve

    opened = open_run(run, data, device)
    scene = Scene(opened, points)
    first = None if labels else opened.label_file
    kept = LabelFile(labels or run / "labels.csv", scene.all_images, first)
    serve(scene, kept, host, port, open_browser=not no_open)


def export(run: tyro.conf.Positional[Path], out: Path, json: bool = False) -> None:
    """Write encoder, decoder and classifier as ONNX, checked against torch.

    Args:
        run: Run folder.
        out: File to write, .onnx: images to codes, reconstructions and probabilities, whatever the run can; a decoder
            of codes is written beside it, as .decoder.onnx.
        json: Print one JSON object instead of a table.
    """
    from latently import estimator, outputs

    require_extra("onnx", "onnx", "onnxscript", "onnxruntime")
    outputs.check_out(out, (".onnx",))
    from latently.exporting import export as export_files

    files = export_files(estimator.load(run, "cpu"), out)
    if json:
        print_json({"files": files})
        return
    columns = list(files[0])
    cells = [[", ".join(cell) if isinstance(cell, list) else in_text(cell) for cell in row.values()] for row in files]
    print_rows(f"{run} as ONNX", columns, cells)


def presets(json: bool = False) -> None:
    """List the recipes of `train --preset`, with their sources and published figures.

    Args:
        json: Print one JSON object instead of a table.
    """
    from latently.presets import CLASSIFIERS, PRESETS

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
    study: Annotated[str | None, tyro.conf.Positional, default("list the studies")] = None,
    out: Annotated[Path | None, default("runs/reproduce/STUDY")] = None,
    quick: bool = False,
    seeds: int = 3,
    presets: Annotated[tuple[str, ...], default("those of the study", metavar="NAME ...")] = (),
    codes: Annotated[tuple[int, ...], default("those of the study", metavar="INT ...")] = (),
    data: str = "mnist",
    ray: Cluster = None,
    json: bool = False,
) -> None:
    """Run a study again, ours beside the published figures; without a name, list the studies.

    Args:
        study: elbo, panels, plane, kl, label-curve, codes-vs-pixels, latent-table, classifiers, code-distances,
            probes, denoise, conditional or bounds.
        out: Folder of its tables, pictures and trials; a study that was interrupted there goes on.
        quick: A small version, in under two minutes, to see that it works; its figures mean nothing.
        seeds: How many seeds; convolutional networks on a CPU take one.
        presets: Train with these presets.
        codes: Train with these widths of the code.
        data: Images in the place of MNIST's: a name or a path.
        ray: Trials at once, by Ray: auto (the cluster that runs here, else this machine's cores), or its host:port.
        json: Print one JSON object instead of a table.
    """
    from latently import experiments

    if study is None:
        if json:
            told = {name: {"summary": each.summary, "cost": each.cost} for name, each in experiments.STUDIES.items()}
            print_json({"studies": told})
            return
        rows = [[name, each.summary, each.cost] for name, each in experiments.STUDIES.items()]
        print_rows("latently reproduce STUDY", ["study", "what", "cost"], rows)
        return
    chosen = experiments.find(study)
    require(seeds >= 1, f"--seeds is {seeds}; expected at least 1")
    require(all(code >= 1 for code in codes), f"--codes is {codes}; expected whole numbers of at least 1")
    folder = out or Path("runs/reproduce") / (f"{study}-quick" if quick else study)
    with maker_by(ray) as maker:
        bench = experiments.Bench(folder.absolute(), data, quick, seeds, presets, codes, maker)
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
    encoder: Annotated[Path | None, default("a VAE, which learns from the training images first")] = None,
    labels: Annotated[Path | None, default("the source's own")] = None,
    image_size: Annotated[tuple[int, int] | None, default("as they are")] = None,
    channels: Annotated[int | None, default("as they are")] = None,
    draws: int = 5,
    plain_up_to: int = 1000,
    seed: int = 0,
    device: str = "auto",
    ray: Cluster = None,
    json: bool = False,
) -> None:
    """Accuracy against the number of labels, on codes and on pixels, and what the next doubling would buy.

    Budgets double from two labels per class up to all of them. Test images judge; where fewer than 500 of those carry a
    label, the labelled images that a draw leaves over do.

    Args:
        data: A name or a path of images of which some carry labels.
        out: Folder of the curve; one that was interrupted there goes on.
        encoder: Run folder of an autoencoder to take codes from.
        labels: A CSV file of labels in the place of the source's: image (file name or number from 0), label.
        image_size: Height and width in pixels to resize every image to; not beside --encoder, which remembers its own.
        channels: 1 turns every image grey, 3 makes it colour.
        draws: How many times the labels of each budget are drawn.
        plain_up_to: The largest budget for our default classifier of images, three draws at most; 0 leaves it out.
        seed: Seed of the split and of the VAE that is trained first.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
        ray: Draws at once, by Ray: auto (the cluster that runs here, else this machine's cores), or its host:port.
        json: Print one JSON object instead of a table.
    """
    from latently import data as data_room
    from latently import label_curve as curve_room
    from latently import outputs, pictures
    from latently.estimates import percent
    from latently.runs import write_json

    require(draws >= 1, f"--draws is {draws}; expected at least 1")
    require(plain_up_to >= 0, f"--plain-up-to is {plain_up_to}; expected at least 0")
    require(0 <= seed < 2**31, f"--seed is {seed}; expected a whole number from 0 to 2147483647")
    prepared_already = encoder is not None and (image_size, channels) != (None, None)
    require(not prepared_already, "--image-size and --channels go without --encoder, which remembers its own")
    if encoder:
        opened = open_run(encoder, data, device)
        fitted, images, parts = autoencoder_of(opened.estimator, encoder), opened.images, opened.split
    else:
        prepared = data_room.Preparation(image_size, channels)
        images = data_room.load(data, prepared, progress=sys.stderr.isatty())
        parts = data_room.split(images, seed=seed)
    outputs.check_folder(out, ("encoder", "draws", "label-curve.json", "label-curve.png"))
    outputs.require_apart(out, images.source, adds_images=True)
    if labels:
        images = data_room.read_labels(labels, images)
    curve_room.task(images.labels, parts.train, parts.validation, parts.test)  # fails before a long training does
    if not encoder:
        fitted = curve_room.trained_encoder(out / "encoder", images, parts, seed, device)
    with maker_by(ray) as maker:
        folder = out.absolute() / "draws"
        task, curves = curve_room.curves(images, parts, fitted, draws, plain_up_to, folder, note, maker)
    judges = f"{task.n_judges:,} test images" if task.apart else "the labelled images that a draw leaves over, " \
        f"{task.n_judges:,} of them at the largest budget"  # fmt: skip
    figures = {"data": images.source, "judged_by": judges, "draws": draws}
    figures |= {name.replace(" ", "_"): curve.to_json() for name, curve in curves.items()}
    write_json(out / "label-curve.json", figures)
    pictures.save(curve_room.picture(curves), out / "label-curve.png")
    if json:
        print_json(figures)
        return
    budgets = sorted({n for curve in curves.values() for n in curve.budgets})
    cells = [{n: str(percent(mean)) for n, mean in curve.points()} for curve in curves.values()]
    rows = [[f"{n:,}", *(column.get(n, "") for column in cells)] for n in budgets]
    print_rows(
        f"{data}: accuracy in %, mean and 95 % interval over draws, judged by {judges}", ["labels", *curves], rows
    )
    for name, curve in curves.items():
        ahead = f"twice as many labels as {curve.budgets[-1]:,} would add {percent(curve.gain())} points"
        print(f"{name}: {ahead}, if errors go on falling as they did")
    print(f"Picture: {out / 'label-curve.png'}")


COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__.replace("_", "-"): command
    for command in (
        demo,
        data,
        evaluate,
        encode,
        reconstruct,
        denoise,
        score,
        predict,
        similar,
        sample,
        plot,
        report,
        compare,
        explore,
        export,
        presets,
        reproduce,
        label_curve,
    )
}
SUMMARIES = {
    "demo": "", "data": "", "train": "Train a model on images, or take up a run that was interrupted."
} | {name: str(command.__doc__).partition("\n")[0] for name, command in COMMANDS.items()}  # fmt: skip


# Training a run -------------------------------------------------------------------------------------------------------


def train_command(words: list[str]) -> Callable[..., None]:
    """`train` for the model that is named first, with defaults of the run to resume, of a preset, or ours."""
    from latently import launch, processes

    model_default, training_default, options_default = launch.train_defaults(words)
    command = "latently train " + shlex.join(word for word in words if word not in ("--resume", "--overwrite"))

    def train(
        model: type(model_default) = model_default,  # type: ignore[valid-type]
        training: type(training_default) = training_default,  # type: ignore[valid-type]
        run: type(options_default) = options_default,  # type: ignore[valid-type]
    ) -> None:
        with processes.joined() as together:
            launch.train_run(words[0], model, training, run, command, together)

    train.__doc__ = (MODEL_NAMES | RECIPES)[words[0]]
    return train


# Using a run ----------------------------------------------------------------------------------------------------------


def open_run(path: Path, source: str | None, device: str) -> "Opened":
    from latently.opened import Opened

    return Opened(path, source, device)


def autoencoder_of(estimator: Any, path: Path) -> "Autoencoder":
    """Raises InputError for a run that has no codes."""
    require_codes(estimator.kind, path)
    return estimator


def require_codes(kind: str, path: Path) -> None:
    hint = f"those of its encoder are {path / 'encoder'}'s" if kind == "few-label" else "see latently predict --help"
    require(kind == "autoencoder", f"{path} is a classifier and has no codes; {hint}")


def mixture_of(run: Path, source: str | None, components: int | None, device: str) -> "CodeMixture":
    """The mixture that the run folder keeps, where it has as many components as were asked for; else a new one, fitted
    to the training codes."""
    from latently import estimator

    autoencoder = autoencoder_of(estimator.load(run, device), run)
    if hasattr(autoencoder, "mixture_") and components in (None, len(autoencoder.mixture_.weights)):
        return autoencoder.mixture_
    components = components or 10
    opened = open_run(run, source, device)
    train = opened.part("train")
    own = opened.is_own or opened.record is None
    require(own, f"{train.source} are not the images of {run}, to whose codes the mixture is fitted; leave --data out")
    note(f"fitting a mixture of {components} normals to the codes of {len(train):,} training images ...")
    autoencoder.fit_mixture(train.images, train.label_names, components)
    autoencoder.mixture_.write(run)
    return autoencoder.mixture_


def require_extra(extra: str, *packages: str) -> None:
    """Raise InputError where packages of an optional part are not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    require(not missing, f"this needs {' and '.join(missing)}: pip install 'latently[{extra}]'")


@contextlib.contextmanager
def maker_by(address: str | None) -> Iterator["Maker"]:
    """Who makes pieces of work: this process, one after another, or the Ray cluster at `address`, many at once."""
    from latently.pieces import InTurn

    if address is None:
        yield InTurn()
        return
    require_extra("ray", "ray")
    from latently import cluster
    from latently.progress import Tally

    with cluster.connected(address), Tally() as tally, cluster.maker(tally) as maker:
        yield maker


def write_outputs(
    path: Path, out: Path, source: str | None, part: str, device: str, picture: str,
    compute: Callable[["Autoencoder", "ImageSet"], dict[str, Any]], rank: bool = False,
) -> None:  # fmt: skip
    """Compute something per image and write it as the ending of `out` says; a .png is the picture of that name."""
    from latently import gallery, outputs, pictures

    outputs.check_out(out, (*outputs.ARRAY_ENDINGS, ".png"))
    opened = open_run(path, source, device)
    images = opened.part(part)
    opened.require_apart(out, adds_images=out.suffix.lower() == ".png")
    if out.suffix.lower() == ".png":
        pictures.save(gallery.draw(picture, opened.estimator, images), out)
    else:
        arrays = compute(autoencoder_of(opened.estimator, path), images)
        order = next(iter(arrays.values())).argsort(kind="stable") if rank else slice(None)
        outputs.write_arrays(out, images.names[order], {name: values[order] for name, values in arrays.items()})
    print(out)


def write_shards(path: Path, out: Path, source: str, device: str, address: str) -> None:
    """Codes as Parquet files in the folder `out`, by the Ray cluster at `address`."""
    from latently import outputs

    require_extra("ray", "ray", "pyarrow")
    from latently import shards

    outputs.require_apart(out, source, adds_images=False)
    opened = open_run(path, source, device)
    autoencoder_of(opened.estimator, path)
    shards.write_codes(opened, source, out, device, address)
    print(out)


# Parsing --------------------------------------------------------------------------------------------------------------


def main(words: list[str] | None = None) -> int:
    """The exit code. Of processes that torchrun started together, the first one speaks."""
    prepare_streams()
    with contextlib.ExitStack() as streams:
        if not has_the_word():
            nowhere = streams.enter_context(open(os.devnull, "w"))
            streams.enter_context(contextlib.redirect_stdout(nowhere))
            streams.enter_context(contextlib.redirect_stderr(nowhere))
        return answer(words)


def answer(words: list[str] | None) -> int:
    """Parse, work, and turn what went wrong into one sentence and an exit code."""
    try:
        with contextlib.suppress(flags.Finished), warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: note(f"note: {message}")
            parse(sys.argv[1:] if words is None else words)()
        sys.stdout.flush()
    except InputError as error:
        return failed(str(error))
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        drop_output()
    except OSError as error:
        drop_output()
        return failed(disk_sentence(error))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        return failed("memory ran out; take fewer or smaller images (--limit, --image-size), or a smaller network")
    except KeyboardInterrupt as error:
        note(f"\nlatently: interrupted{'; ' if str(error) else ''}{error}")
        return 130
    return 0


def failed(sentence: str) -> int:
    note(f"latently: {sentence}")
    return 2


def prepare_streams() -> None:
    """A stream that was closed swallows, and one that lacks a character writes its code: figures are not lost by it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open until the end)
        with contextlib.suppress(AttributeError):
            getattr(sys, name).reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """What is still in the buffer of stdout goes nowhere, so that Python does not complain of it at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse(words: list[str]) -> flags.Work:
    """The work that the words ask for, not yet begun. Raises InputError, and Finished where help was shown."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(top_help())
        raise flags.Finished
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"latently {version('latently')}")
        raise flags.Finished
    require(words[0] in SUMMARIES, flags.unknown("command", words[0], list(SUMMARIES)))
    alone = f"{n_started()} processes were started, but only latently train shares its work; start one"
    require(words[0] == "train" or n_started() == 1, alone)
    if words[0] != "train":
        return flags.parse(COMMANDS[words[0]], f"latently {words[0]}", words[1:])
    if words[1:2] in (["-h"], ["--help"]):
        print(train_help())
        raise flags.Finished
    models = [*MODEL_NAMES, *RECIPES]
    require(
        len(words) > 1, f"train which model? latently train MODEL --data D --out RUN; there are {', '.join(models)}"
    )
    first = "; the model comes first: latently train MODEL --data D --out RUN" if words[1].startswith("-") else ""
    require(words[1] in models, flags.unknown("model", words[1], models) + first)
    return flags.parse(train_command(words[1:]), f"latently train {words[1]}", words[2:])


def top_help() -> str:
    lines = [f"  {name:13}{summary}" for name, summary in SUMMARIES.items()]
    return "\n".join([
        "usage: latently COMMAND ...", "",
        "Learns codes from images that need no labels, and shows what it learned.", "",
        *lines, "", "latently COMMAND --help tells a command's flags. To begin with:", "", "  latently demo",
        "  latently train vae --data digits --latent-dim 2 --out runs/first", "  latently report runs/first",
    ])  # fmt: skip


def train_help() -> str:
    lines = [f"  {name:13}{summary}" for name, summary in (MODEL_NAMES | RECIPES).items()]
    return "\n".join([
        "usage: latently train MODEL --data D --out RUN ...", "", *lines, "",
        "latently train MODEL --help tells the flags of a model and of its training.",
    ])  # fmt: skip
