"""The command line. Each command is one typed function: its signature is its flags, its docstring their help.

Figures go to stdout, as a table or with --json as one JSON object and nothing else; progress and notes go to stderr.
Exit code 0: done; 2: bad usage or bad input, one sentence; 130: interrupted, with the checkpoint kept.
Nothing heavy is imported before a command needs it: `latently --help` does not wait for torch.
"""

import argparse
import contextlib
import difflib
import functools
import io
import json as json_module
import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import tyro

from latently.errors import InputError, require

if TYPE_CHECKING:
    from latently.data import ImageSet, Split
    from latently.estimator import Autoencoder
    from latently.models import Model
    from latently.runs import Run
    from latently.training import Training

# What `latently --help` lists without importing a model; a test holds it equal to latently.models.
MODEL_NAMES = {"ae": "Plain autoencoder: no prior, no noise; the code is a point.",
               "vae": "Variational autoencoder; beta-VAE (Higgins et al. 2017) is `VAE(beta=4)`."}  # fmt: skip

Part = Literal["all", "train", "validation", "test"]
SplitKind = Literal["auto", "standard", "pooled", "random", "all"]


# Commands -------------------------------------------------------------------------------------------------------------


def demo(out: Path = Path("runs/demo"), overwrite: bool = True, seed: int = 0, json: bool = False) -> None:
    """The main job on the embedded digits, in under a minute.

    Trains a VAE on all 1,797 digits without their labels, evaluates it, fits a classifier on the codes of a few labelled
    images and the same classifier on their pixels, draws, and writes a report.

    Args:
        out: Run folder to write.
        overwrite: Replace an earlier demo there.
        seed: Of weights, noise and label draws.
        json: Print one JSON object instead of tables.
    """
    from latently import report
    from latently.demo import BUDGETS, N_DRAWS
    from latently.demo import demo as run_demo
    from latently.progress import Bar, Log
    from latently.runs import Run

    run = Run(out)
    run.create(overwrite)
    note("learning codes from 1,797 digits, without their labels ...")
    with Bar() as bar:
        figures = run_demo(run, (bar, Log(out / "train.log")), seed)
    page = report.write(out)
    if json:
        print_figures("", figures, json)
        return
    print_figures(
        "The VAE on the images it was trained on", {k: v for k, v in figures.items() if "accuracy" not in k}, json
    )
    rows = [
        [str(n)] + [
            f"{100 * figures[f'accuracy_{name}_{n}_labels']:.1f} ± {100 * figures[f'accuracy_{name}_{n}_labels_std']:.1f}"
            for name in ("codes", "pixels")
        ]
        for n in BUDGETS
    ]  # fmt: skip
    print_rows(f"Accuracy in %, mean ± std over {N_DRAWS} draws of the labels", ["labels", "codes", "pixels"], rows)
    print(f"\nReport:   {page}\nPictures: {out / 'figures'}")


def data(
    source: tyro.conf.Positional[str],
    split: SplitKind = "auto",
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    json: bool = False,
) -> None:
    """Fetch a data set or read one of your own, verify it, describe it.

    Args:
        source: digits, mnist, fashion-mnist, kmnist, or the path of a folder, .npy, .npz, .csv or IDX file.
        split: Which split to describe; auto is the source's own where it has one, else 80/10/10 per class.
        image_size: Height and width in pixels to resize every image to.
        channels: 1 turns every image grey, 3 makes it colour.
        json: Print one JSON object instead of a table.
    """
    from latently.data import split as split_images

    images = load_images(source, image_size, channels)
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
        "n_unlabelled": int((images.labels < 0).sum()),
        "images_per_class": counts,
    }
    print_figures(source, figures, json)


@dataclass(kw_only=True)
class RunOptions:
    """What `train` needs beside the model and its training."""

    out: Path
    """Run folder to write."""
    data: str | None = None
    """digits, mnist, fashion-mnist, kmnist, or the path of a folder, .npy, .npz, .csv or IDX file."""
    preset: str | None = None
    """A study's recipe; any other flag wins over it."""
    split: SplitKind = "auto"
    """auto: the source's own where it has one, else 80/10/10 per class."""
    limit: int | None = None
    """Use the first so many training images."""
    image_size: tuple[int, int] | None = None
    """Height and width in pixels to resize every image to."""
    channels: int | None = None
    """1 turns every image grey, 3 makes it colour."""
    binarise: Literal["none", "static", "dynamic"] = "none"
    """Grey values as probabilities of black and white: one draw that is kept (static), or a new one at each use."""
    seed: int = 0
    """Of split, weights, order and noise."""
    resume: bool = False
    """Take up the run in --out; no other flag is needed."""
    overwrite: bool = False
    """Replace the run in --out."""
    checkpoint_epochs: int = 1
    """Epochs between checkpoints."""
    checkpoint_minutes: float = 5.0
    """Minutes after which a checkpoint is written, also within an epoch."""
    tensorboard: bool = False
    """Write scalars, and histograms of weights and gradients, to RUN/tensorboard."""
    json: bool = False
    """Print one JSON object instead of a table."""


def evaluate(
    run: tyro.conf.Positional[Path],
    data: str | None = None,
    part: Part | None = None,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Figures on the test split, to stdout and RUN/metrics.json.

    Args:
        run: Run folder.
        data: Other images than the run's own: a name or a path.
        part: Which part of the split; by default test, or all images of --data that has no test part of its own.
        device: auto, cpu, cuda, mps.
        json: Print one JSON object instead of a table.
    """
    from latently import evaluation

    opened = open_run(run, data, device)
    part = part or ("test" if opened.has_test else "all")
    images = opened.part(part)
    figures = {"split": part, "data": opened.images.source} | evaluation.evaluate(opened.estimator, images.images)
    if data is None:
        opened.run.write_metrics(figures)
    print_figures(f"{run}, {part} images of {opened.images.source}", figures, json)


def encode(
    run: tyro.conf.Positional[Path], out: Path, data: str | None = None, part: Part = "all", device: str = "auto"
) -> None:
    """Codes (posterior means) of images, to a .npz, .npy or .csv file, or drawn as a .png.

    Args:
        run: Run folder.
        out: File to write: .npz (codes, labels, names), .npy (codes), .csv (a row per image), .png (a scatter).
        data: Images to encode, a name or a path; by default the run's own.
        part: Which part of the split.
        device: auto, cpu, cuda, mps.
    """
    write_outputs(run, out, data, part, device, "scatter", lambda estimator, images: {
        "codes": estimator.transform(images.images), "labels": class_names(images),
    })  # fmt: skip


def reconstruct(
    run: tyro.conf.Positional[Path], out: Path, data: str | None = None, part: Part = "all", device: str = "auto"
) -> None:
    """Reconstructions of images, to a .npz, .npy or .csv file, or drawn beside the originals as a .png.

    Args:
        run: Run folder.
        out: File to write: .npz (images, names), .npy (images), .csv (a row of pixels per image), .png (pairs).
        data: Images to reconstruct, a name or a path; by default the run's own.
        part: Which part of the split.
        device: auto, cpu, cuda, mps.
    """
    write_outputs(run, out, data, part, device, "reconstructions", lambda estimator, images: {
        "images": estimator.reconstruct(images.images),
    })  # fmt: skip


def score(
    run: tyro.conf.Positional[Path], out: Path, data: str | None = None, part: Part = "all", device: str = "auto"
) -> None:
    """Rank images by how badly the model explains them, the anomalies first.

    Args:
        run: Run folder.
        out: File to write: .npz, .npy or .csv (a row per image, lowest score first), .png (the worst images).
        data: Images to score, a name or a path; by default the run's own.
        part: Which part of the split.
        device: auto, cpu, cuda, mps.
    """
    from latently.evaluation import score_name

    write_outputs(run, out, data, part, device, "worst", lambda estimator, images: {
        score_name(estimator): estimator.score_samples(images.images),
    }, rank=True)  # fmt: skip


def sample(
    run: tyro.conf.Positional[Path], n: int = 64, out: Path | None = None, seed: int = 0, device: str = "auto"
) -> None:
    """Draw codes from the prior and decode them.

    Args:
        run: Run folder.
        n: How many (-n).
        out: File to write: .png, .npz, .npy or .csv; by default RUN/figures/samples.png.
        seed: Of the draw.
        device: auto, cpu, cuda, mps.
    """
    import numpy as np

    from latently import estimator, gallery, outputs, pictures

    require(n >= 1, f"-n is {n}; expected at least 1")
    place = out or run / "figures" / "samples.png"
    outputs.check_out(place, (*outputs.ARRAY_ENDINGS, ".png"))
    images = estimator.load(run, device).sample(n, random_state=seed)
    if place.suffix.lower() == ".png":
        pictures.save(pictures.samples(gallery.as_drawn(images)), place)
    else:
        outputs.write_arrays(place, np.arange(n).astype(str), {"images": images})
    print(place)


def plot(
    runs: tyro.conf.Positional[tuple[str, ...]],
    out: Path | None = None,
    data: str | None = None,
    part: Part | None = None,
    grid: int = 20,
    range: float | None = None,
    n: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Draw pictures of runs: RUN [RUN ...] KIND.

    KIND: curves, reconstructions, scatter, canvas, samples, traversals, worst, or all.

    Args:
        runs: Run folders, then the kind of picture.
        out: File to write (.png, .pdf, .svg); by default RUN/figures/KIND.png.
        data: Images to draw with, a name or a path; by default the run's own.
        part: Which part of the split; by default test, or all where there is no test part.
        grid: Tiles a side of a canvas.
        range: Ends of a canvas, plus and minus; by default the prior's quantiles, or the range of an autoencoder's codes.
        n: How many images or points to show.
        seed: Of samples.
        device: auto, cpu, cuda, mps.
    """
    from latently import gallery, pictures

    require(len(runs) >= 2, "expected at least one run folder and a kind of picture: latently plot RUN curves")
    *folders, kind = runs
    kinds = (*gallery.KINDS, "all")
    require(kind in kinds, f"the last word is {kind!r}; expected a kind of picture: {', '.join(kinds)}")
    one_file = out is None or (len(folders) == 1 and kind != "all")
    require(one_file, "--out names one file; leave it out for several pictures, each goes to RUN/figures")
    require(grid >= 1, f"--grid is {grid}; expected at least 1")
    require(range is None or range > 0, f"--range is {range}; expected a number above 0")
    require(n is None or n >= 1, f"-n is {n}; expected at least 1")
    drawing = gallery.Drawing(grid=grid, range=range, n=n or 0, seed=seed)
    for folder in folders:
        opened = open_run(Path(folder), data, device)
        images = opened.part(part or ("test" if opened.has_test else "all"))
        for each in gallery.possible(opened.estimator) if kind == "all" else [kind]:
            place = out or opened.run.figure(each)
            pictures.save(gallery.draw(each, opened.estimator, images, drawing), place)
            print(place)


def report(run: tyro.conf.Positional[Path], device: str = "auto") -> None:
    """Write RUN/report.html, one file that opens offline; draws and evaluates what is not there yet.

    Args:
        run: Run folder.
        device: auto, cpu, cuda, mps.
    """
    from latently import evaluation, gallery, pictures
    from latently import report as report_room

    opened = open_run(run, None, device)
    part = "test" if opened.has_test else "all"
    images = opened.part(part)
    if not (run / "metrics.json").exists():
        figures = {"split": part, "data": opened.images.source} | evaluation.evaluate(opened.estimator, images.images)
        opened.run.write_metrics(figures)
    for kind in gallery.possible(opened.estimator):
        if not opened.run.figure(kind).exists():
            pictures.save(gallery.draw(kind, opened.estimator, images), opened.run.figure(kind))
    print(report_room.write(run))


COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__: command for command in (demo, data, evaluate, encode, reconstruct, score, sample, plot, report)
}


# Training a run -------------------------------------------------------------------------------------------------------


def train_command(words: list[str]) -> Callable[..., None]:
    """`train` for the model that is named first, with defaults of the run to resume, of a preset, or ours."""
    model_default, training_default, options_default = train_defaults(words)

    def train(
        model: type(model_default) = model_default,  # type: ignore[valid-type]
        training: type(training_default) = training_default,  # type: ignore[valid-type]
        options: RunOptions = options_default,
    ) -> None:
        train_run(model, training, options)

    train.__doc__ = MODEL_NAMES[words[0]]
    return train


def train_defaults(words: list[str]) -> tuple["Model", "Training", RunOptions]:
    from latently import presets
    from latently.models import MODELS
    from latently.runs import Run
    from latently.training import Training

    peek = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    peek.add_argument("--preset")
    peek.add_argument("--out")
    peek.add_argument("--resume", action="store_true")
    given, _ = peek.parse_known_args(words[1:])
    if given.resume and given.out and Run(given.out).started:
        model, training, options = stored_settings(Run(given.out))
        require(model.name == words[0], f"{given.out} trains the model {model.name}, not {words[0]}")
        return model, training, replace(options, out=tyro.MISSING)
    if given.preset:
        preset = presets.find(given.preset, words[0])
        options = RunOptions(out=tyro.MISSING, split=preset.split)  # type: ignore[arg-type]
        return preset.build(words[0]), Training(**preset.training), options
    return MODELS[words[0]](), Training(), RunOptions(out=tyro.MISSING)


def stored_settings(run: "Run") -> tuple["Model", "Training", RunOptions]:
    """What a run was started with, every `auto` as it was decided then."""
    from latently.data import Preparation
    from latently.estimator import Autoencoder
    from latently.training import Training

    params = run.params
    try:
        estimator = Autoencoder.from_description(params)
        stored, prepared = params["data"], Preparation.from_json(params["data"]["preparation"])
        options = RunOptions(
            out=run.path,
            data=stored["source"],
            split=stored["split"],
            limit=stored["limit"],
            seed=stored["seed"],
            image_size=prepared.image_size,
            channels=prepared.channels,
            binarise=estimator.binarise,
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{run.path / 'params.json'} is damaged: {error!r}") from None
    assert estimator.model is not None
    return estimator.model, Training(**{name: getattr(estimator, name) for name in Training.field_types()}), options


def train_run(model: "Model", training: "Training", options: RunOptions) -> None:
    """Load, split, fit, say how it went."""
    from latently.data import Preparation
    from latently.data import split as split_images
    from latently.estimator import Autoencoder
    from latently.progress import Bar, Log, TensorBoard
    from latently.runs import Run

    run = Run(options.out)
    model.check()
    training.check()
    require(options.checkpoint_epochs >= 1, f"--checkpoint-epochs is {options.checkpoint_epochs}; expected at least 1")
    require(
        options.checkpoint_minutes >= 0, f"--checkpoint-minutes is {options.checkpoint_minutes}; expected at least 0"
    )
    require(0 <= options.seed < 2**31, f"--seed is {options.seed}; expected a whole number from 0 to {2**31 - 1}")
    require(options.data is not None, "no images were named; give --data: digits, mnist, or the path of your own")
    resuming = options.resume and run.started
    if resuming:
        require_unchanged(run, model, training, options)
        if run.finished:
            note(f"{run.path} is finished; nothing is left to train")
            return
    images = load_images(str(options.data), options.image_size, options.channels)
    parts = split_images(images, options.split, options.seed, options.limit)
    about = {
        "data": {
            "source": images.source,
            "split": parts.kind,
            "limit": options.limit,
            "seed": options.seed,
            "preparation": Preparation(options.image_size, options.channels).to_json(),
            "n_images": len(images),
            "n_train": len(parts.train),
            "n_validation": len(parts.validation),
            "n_test": len(parts.test),
        },
        "classes": list(images.classes),
        "command": "latently " + shlex.join(word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")),
    }
    if resuming:
        then, now = run.params["data"]["n_images"], len(images)
        require(then == now, f"{images.source} holds {now:,} images now and held {then:,} when the run was started")
    else:
        run.create(options.overwrite)
        if parts.kind != "standard":
            run.write_split(parts.to_json())
    estimator = Autoencoder(model, binarise=options.binarise, random_state=options.seed, **training.get_params())
    with Bar() as bar:
        watchers: list[Any] = [bar, Log(run.path / "train.log")]
        if options.tensorboard:
            watchers.append(TensorBoard(run.path / "tensorboard"))
        estimator.fit(
            images.images[parts.train],
            validation=images.images[parts.validation] if len(parts.validation) else None,
            run=run,
            about=about,
            watchers=watchers,
            checkpoint_epochs=options.checkpoint_epochs,
            checkpoint_minutes=options.checkpoint_minutes,
        )
    last = estimator.history_[-1]
    print_figures(f"{run.path}, epoch {last['epoch']:.0f}", {"run": str(run.path)} | last, options.json)


def require_unchanged(run: "Run", model: "Model", training: "Training", options: RunOptions) -> None:
    """A resumed run keeps its settings. Raises InputError that names the first one that a flag would change."""
    then_model, then_training, then_options = stored_settings(run)
    asked = model.get_params() | training.get_params() | vars(options)
    then = then_model.get_params() | then_training.get_params() | vars(then_options)
    keep = ("data", "split", "limit", "seed", "image_size", "channels", "binarise")
    names = [*model.field_types(), *training.field_types(), *keep]
    for name in names:
        same = asked[name] == then[name] or (name == "data" and absolute(asked[name]) == then[name])
        require(
            same,
            f"--{name.replace('_', '-')} is {asked[name]!r}, but {run.path} was started with {then[name]!r}; "
            "leave it out to resume, or choose another --out",
        )


def absolute(source: str) -> str:
    return str(Path(source).expanduser().resolve())


# Using a run ----------------------------------------------------------------------------------------------------------


@dataclass
class Opened:
    """A run, its estimator, and the images it is asked about."""

    run: "Run"
    estimator: "Autoencoder"
    images: "ImageSet"
    split: "Split"

    @property
    def has_test(self) -> bool:
        return len(self.split.test) > 0

    def part(self, name: str) -> "ImageSet":
        """Raises InputError for a part that holds no image."""
        if name == "all":
            return self.images
        index = getattr(self.split, name)
        require(len(index) > 0, f"{self.images.source} has no {name} images in this run's split ({self.split.kind})")
        return self.images.take(index)


def open_run(path: Path, source: str | None, device: str) -> Opened:
    """Images are prepared as the run's were; the run's own are split as they were then, others count as all test."""
    from latently.data import Preparation, Split, load
    from latently.data import split as split_images
    from latently.estimator import load as load_estimator
    from latently.runs import Run

    run = Run(path)
    estimator = load_estimator(path, device)
    data = run.params.get("data")
    require(source is not None or data is not None, f"{path} does not say where its images came from; give --data")
    prepared = Preparation.from_json(data["preparation"]) if data else Preparation()
    images = load(source or data["source"], prepared, progress=sys.stderr.isatty())
    if data and images.source == data["source"]:
        require(len(images) == data["n_images"], f"{images.source} holds {len(images):,} images now; {path} was trained "
                f"when it held {data['n_images']:,}: give --data to take them as new images")  # fmt: skip
        stored = run.read_split()
        split = Split.from_json(stored) if stored else split_images(images, data["split"], data["seed"], data["limit"])
    else:
        split = split_images(images, "all" if images.n_train is None else "standard")
    return Opened(run, estimator, images, split)


def write_outputs(
    path: Path,
    out: Path,
    source: str | None,
    part: str,
    device: str,
    picture: str,
    compute: Callable[["Autoencoder", "ImageSet"], dict[str, Any]],
    rank: bool = False,
) -> None:
    """Compute something per image and write it as the ending of `out` says; a .png is the picture of that name."""
    from latently import gallery, outputs, pictures

    outputs.check_out(out, (*outputs.ARRAY_ENDINGS, ".png"))
    opened = open_run(path, source, device)
    images = opened.part(part)
    if out.suffix.lower() == ".png":
        pictures.save(gallery.draw(picture, opened.estimator, images), out)
    else:
        arrays = compute(opened.estimator, images)
        order = next(iter(arrays.values())).argsort(kind="stable") if rank else slice(None)
        outputs.write_arrays(out, images.names[order], {name: values[order] for name, values in arrays.items()})
    print(out)


def load_images(source: str, image_size: tuple[int, int] | None, channels: int | None) -> "ImageSet":
    from latently.data import Preparation, load

    return load(source, Preparation(image_size, channels), progress=sys.stderr.isatty())


def class_names(images: "ImageSet") -> Any:
    """Labels as their names; an unlabelled image's is empty."""
    import numpy as np

    return np.array([*images.classes, ""])[images.labels]


# Printing -------------------------------------------------------------------------------------------------------------


def note(text: str) -> None:
    print(text, file=sys.stderr)


def print_figures(title: str, figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json_module.dumps(figures, allow_nan=False))
    else:
        rows = [[name, f"{value:,.6g}" if isinstance(value, float) else str(value)] for name, value in figures.items()]
        print_rows(title, ["figure", "value"], rows)


def print_rows(title: str, columns: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, title_style="bold")
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


# Parsing --------------------------------------------------------------------------------------------------------------


def main(words: list[str] | None = None) -> int:
    """Parse, work, and turn what went wrong into one sentence and an exit code."""
    words = sys.argv[1:] if words is None else words
    try:
        work = parse(words)
        work()
        sys.stdout.flush()
    except Finished as finished:
        return finished.code
    except InputError as error:
        note(f"latently: {error}")
        return 2
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        note(
            f"latently: {place}{error.strerror or error}; check the place, its rights and the free space, then try again"
        )
        return 2
    except MemoryError:
        note("latently: memory ran out; take fewer or smaller images (--limit, --image-size)")
        return 2
    except KeyboardInterrupt:
        resume = " ".join(["latently", *words]) + ("" if "--resume" in words else " --resume")
        note("\nlatently: interrupted" + (f"; go on with: {resume}" if words[:1] == ["train"] else ""))
        return 130
    return 0


class Finished(Exception):
    """Nothing is left to do: help was shown, or a usage error explained."""

    def __init__(self, code: int) -> None:
        self.code = code


def parse(words: list[str]) -> Callable[[], None]:
    """The work that the words ask for, not yet begun. Raises InputError or Finished."""
    if not words or words[0] in ("-h", "--help"):
        show(top_help(), 0)
    if words[0] == "--version":
        from importlib.metadata import version

        show(f"latently {version('latently')}", 0)
    if words[0] != "train":
        require(words[0] in COMMANDS, unknown("command", words[0], [*COMMANDS, "train"]))
        return parse_flags(COMMANDS[words[0]], f"latently {words[0]}", words[1:])
    if words[1:2] in ([], ["-h"], ["--help"]):
        show(train_help(), 0 if words[1:] else 2)
    require(words[1] in MODEL_NAMES, unknown("model", words[1], list(MODEL_NAMES)))
    return parse_flags(train_command(words[1:]), f"latently train {words[1]}", words[2:])


def parse_flags(command: Callable[..., None], program: str, words: list[str]) -> Callable[[], None]:
    """Let tyro read the flags, its messages held back: a usage error is to begin with one sentence."""

    @functools.wraps(command)
    def bound(*args: Any, **kwargs: Any) -> Callable[[], None]:
        return functools.partial(command, *args, **kwargs)

    config = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff, tyro.conf.AvoidSubcommands)
    words = ["--n" if word == "-n" else word for word in words]
    parse_words = functools.partial(tyro.cli, bound, prog=program, args=words, config=config)
    if "-h" in words or "--help" in words:
        parse_words()  # prints and raises SystemExit
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box), contextlib.redirect_stdout(box):
            return parse_words()  # type: ignore[return-value]
    except SystemExit:
        raise InputError(f"{usage_sentence(box.getvalue())} (see {program} --help)") from None


def usage_sentence(box: str) -> str:
    """What tyro's box of several lines says, in one."""
    text = box.partition("For full helptext")[0]
    text = re.sub(r"[╭╮╰╯│─]|-{3,}|\|", " ", text)
    return re.sub(r"\s+", " ", text).strip(" .")


def show(text: str, code: int) -> NoReturn:
    print(text, file=sys.stderr if code else sys.stdout)
    raise Finished(code)


def unknown(what: str, word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"there is no {what} {word!r}{hint}; there are {', '.join(known)}"


def top_help() -> str:
    summaries = {"train": "Train a model on images: latently train MODEL --data D --out RUN."}
    summaries |= {name: (command.__doc__ or "").partition("\n")[0] for name, command in COMMANDS.items()}
    order = ["demo", "data", "train", *(name for name in summaries if name not in ("demo", "data", "train"))]
    lines = [f"  {name:12}{summaries[name]}" for name in order]
    return "\n".join(["usage: latently COMMAND ...", "", "Learns codes from images without labels.", "", *lines, "",
                      "latently COMMAND --help tells a command's flags."])  # fmt: skip


def train_help() -> str:
    lines = [f"  {name:12}{summary}" for name, summary in MODEL_NAMES.items()]
    return "\n".join(["usage: latently train MODEL --data D --out RUN ...", "", *lines, "",
                      "latently train MODEL --help tells a model's flags."])  # fmt: skip
