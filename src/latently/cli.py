"""The command line. Each command is one typed function: its signature is its flags, its docstring their help.

Figures go to stdout, as a table or with --json as one JSON object and nothing else; progress and notes go to stderr.
Exit code 0: done; 2: bad usage or bad input, one sentence; 130: interrupted, with the checkpoint kept.
Nothing heavy is imported before a command needs it: `latently --help` does not wait for torch.
"""

import argparse
import contextlib
import errno
import json as json_module
import math
import os
import shlex
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from latently import flags
from latently.errors import InputError, require
from latently.settings import Count, NonNegative, Seed, Settings

if TYPE_CHECKING:
    from latently.data import ImageSet, Split
    from latently.estimator import Autoencoder
    from latently.models import Model
    from latently.opened import Opened
    from latently.runs import Run
    from latently.training import Training

# What `latently --help` lists without importing a model; a test holds it equal to latently.models.
MODEL_NAMES = {"ae": "Plain autoencoder: no prior, no noise; the code is a point.",
               "vae": "Variational autoencoder; beta-VAE (Higgins et al. 2017) is `VAE(beta=4)`."}  # fmt: skip

Part = Literal["all", "train", "validation", "test"]
SplitKind = Literal["auto", "standard", "pooled", "random", "all"]


def default(words: str, **others: Any) -> Any:
    """What --help says of a flag that may be left out."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {words})", **others)


OwnData = Annotated[str | None, default("the run's own")]
JudgedPart = Annotated[Part | None, default("test, or all where there is no test part")]
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
        "n_classes": len(counts),
        "n_unlabelled": int((images.labels < 0).sum()),
    }
    if json:
        print_json(figures | {"images_per_class": counts})
        return
    print_figures(source, figures)
    if counts:
        print_rows("", ["class", "images"], [[name, f"{count:,}"] for name, count in counts.items()])


@dataclass(kw_only=True)
class RunOptions(Settings):
    """The images, and the run folder."""

    out: Path
    """Run folder to write."""
    data: str | None = None
    """The images: digits, mnist, fashion-mnist, kmnist, or the path of a folder, .npy, .npz, .csv or IDX file."""
    preset: str | None = None
    """A study's recipe, over which any other flag wins: mlp-512, study1-conv, study1-mlp, study2-conv, study3-mlp,
    study4-mlp, study5-mlp."""
    config: Path | None = None
    """A JSON file of settings, over which any flag wins: {"model": {}, "training": {}}, or a run's params.json."""
    split: SplitKind = "auto"
    """Which images train, validate and test; auto: the source's own split where it has one, else 80/10/10 per class."""
    limit: Count | None = None
    """Train on no more than the first so many training images."""
    image_size: tuple[int, int] | None = None
    """Height and width in pixels to resize every image to."""
    channels: int | None = None
    """1 turns every image grey, 3 makes it colour."""
    binarise: Literal["none", "static", "dynamic"] = "none"
    """Grey values as probabilities of black and white: one draw that is kept (static), or a new one at each use."""
    seed: Seed = 0
    """Seed of split, weights, order and noise."""
    resume: bool = False
    """Take up the run in --out; no other flag is needed."""
    overwrite: bool = False
    """Replace the run in --out."""
    checkpoint_epochs: Count = 1
    """Epochs between checkpoints."""
    checkpoint_minutes: NonNegative = 5.0
    """Minutes after which a checkpoint is written, also within an epoch."""
    tensorboard: bool = False
    """Write scalars, and histograms of weights and gradients, to RUN/tensorboard."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def watching(self) -> dict[str, Any]:
        """How a run is watched, which changes nothing in it; a resume does the same."""
        return {name: getattr(self, name) for name in ("checkpoint_epochs", "checkpoint_minutes", "tensorboard")}


def evaluate(
    run: tyro.conf.Positional[Path],
    data: OwnData = None,
    part: JudgedPart = None,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Figures on the test split, to stdout; of the run's own images also to RUN/metrics.json.

    Args:
        run: Run folder.
        data: Images to evaluate on, a name or a path.
        part: Which part of the split.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
        json: Print one JSON object instead of a table.
    """
    opened = open_run(run, data, device)
    which = part or opened.judged_part
    figures = opened.evaluate(which)
    if opened.is_own and which == opened.judged_part:
        opened.run.write_metrics(figures)
    if json:
        print_json(figures)
    else:
        print_figures(f"{run}, {which} images of {opened.images.source}", figures)


def encode(
    run: tyro.conf.Positional[Path], out: Path, data: OwnData = None, part: Part = "all", device: str = "auto"
) -> None:
    """Codes (posterior means) of images, to a .npz, .npy or .csv file, or drawn as a .png.

    Args:
        run: Run folder.
        out: File to write: .npz (codes, labels, names), .npy (codes), .csv (a row per image), .png (a scatter).
        data: Images to encode, a name or a path.
        part: Which part of the split.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
    """
    write_outputs(run, out, data, part, device, "scatter", lambda estimator, images: {
        "codes": estimator.transform(images.images), "labels": class_names(images),
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
        "images": estimator.reconstruct(images.images),
    })  # fmt: skip


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
        score_name(estimator): estimator.score_samples(images.images),
    }, rank=True)  # fmt: skip


def sample(
    run: tyro.conf.Positional[Path],
    n: Number = 64,
    out: Annotated[Path | None, default("RUN/figures/samples.png")] = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Draw codes from the prior and decode them.

    Args:
        run: Run folder.
        n: How many.
        out: File to write: .png, .npz, .npy or .csv.
        seed: Seed of the draw.
        device: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps.
    """
    import numpy as np

    from latently import estimator, gallery, outputs, pictures

    require(n >= 1, f"-n is {n}; expected at least 1")
    require(seed >= 0, f"--seed is {seed}; expected at least 0")
    place = out or run / "figures" / "samples.png"
    outputs.check_out(place, (*outputs.ARRAY_ENDINGS, ".png"))
    images = estimator.load(run, device).sample(n, random_state=seed)
    if place.suffix.lower() == ".png":
        pictures.save(pictures.samples(gallery.as_drawn(images)), place)
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
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Draw pictures of runs.

    Args:
        runs: Run folders, then the kind of picture: curves, reconstructions, scatter, canvas, samples, traversals,
            worst, or all of them that the model can give.
        out: File to write: .png, .pdf or .svg.
        data: Images to draw with, a name or a path.
        part: Which part of the split.
        grid: Tiles on a side of a canvas.
        range: Codes at the ends of a canvas, plus and minus.
        n: How many images or points to show.
        seed: Seed of samples.
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
    drawing = gallery.Drawing(grid=grid, range=range, n=n or 0, seed=seed)
    for folder in folders:
        opened = open_run(Path(folder).expanduser(), data, device)
        for each in gallery.possible(opened.estimator) if kind == "all" else [kind]:
            place = out or opened.run.figure(each)
            images = None if each in gallery.WITHOUT_IMAGES else opened.part(part or opened.judged_part)
            if images:
                outputs.require_apart(place, images.source, adds_images=True)
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
        opened.run.write_metrics(opened.evaluate(opened.judged_part))
    for kind in gallery.possible(opened.estimator):
        if not opened.run.figure(kind).exists():
            images = None if kind in gallery.WITHOUT_IMAGES else opened.part(opened.judged_part)
            pictures.save(gallery.draw(kind, opened.estimator, images), opened.run.figure(kind))
    print(report_room.write(run))


def presets(json: bool = False) -> None:
    """List the recipes of `train --preset`, with their sources and published figures.

    Args:
        json: Print one JSON object instead of a table.
    """
    from latently.presets import PRESETS

    if json:
        print_json({name: asdict(preset) for name, preset in PRESETS.items()})
        return
    rows = [[name, ", ".join(preset.models), preset.source, preset.figures()] for name, preset in PRESETS.items()]
    print_rows("latently train MODEL --preset NAME", ["name", "models", "source", "published, training -ELBO"], rows)


def reproduce(
    study: Annotated[str | None, tyro.conf.Positional, default("list the studies")] = None,
    out: Annotated[Path | None, default("runs/reproduce/STUDY")] = None,
    quick: bool = False,
    seeds: int = 3,
    presets: Annotated[tuple[str, ...], default("those of the study", metavar="NAME ...")] = (),
    codes: Annotated[tuple[int, ...], default("those of the study", metavar="INT ...")] = (),
    data: str = "mnist",
    json: bool = False,
) -> None:
    """Run a study again, ours beside the published figures; without a name, list the studies.

    Args:
        study: elbo, panels, plane or kl.
        out: Folder of its tables, pictures and trials; a study that was interrupted there goes on.
        quick: A small version, in under two minutes, to see that it works; its figures mean nothing.
        seeds: How many seeds; convolutional networks on a CPU take one.
        presets: Train with these presets.
        codes: Train with these widths of the code.
        data: Images in the place of MNIST's: a name or a path.
        json: Print one JSON object instead of a table.
    """
    from latently import experiments

    if study is None:
        rows = [[name, each.summary, each.cost] for name, each in experiments.STUDIES.items()]
        print_rows("latently reproduce STUDY", ["study", "what", "cost"], rows)
        return
    chosen = experiments.find(study)
    require(seeds >= 1, f"--seeds is {seeds}; expected at least 1")
    require(all(code >= 1 for code in codes), f"--codes is {codes}; expected whole numbers of at least 1")
    folder = out or Path("runs/reproduce") / (f"{study}-quick" if quick else study)
    bench = experiments.Bench(folder, data, quick, seeds, presets, codes)
    result = chosen.reproduce(bench)
    if json:
        print(bench.table.read_text())
    else:
        columns, cells = result.as_text()
        print_rows(f"{study}: {chosen.summary}", columns, cells)
        print(f"Tables and pictures: {folder}")


COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__: command
    for command in (demo, data, evaluate, encode, reconstruct, score, sample, plot, report, presets, reproduce)
}
SUMMARIES = {
    "demo": "", "data": "", "train": "Train a model on images, or take up a run that was interrupted."
} | {name: str(command.__doc__).partition("\n")[0] for name, command in COMMANDS.items()}  # fmt: skip


# Training a run -------------------------------------------------------------------------------------------------------


def train_command(words: list[str]) -> Callable[..., None]:
    """`train` for the model that is named first, with defaults of the run to resume, of a preset, or ours."""
    model_default, training_default, options_default = train_defaults(words)
    command = "latently train " + shlex.join(word for word in words if word not in ("--resume", "--overwrite"))

    def train(
        model: type(model_default) = model_default,  # type: ignore[valid-type]
        training: type(training_default) = training_default,  # type: ignore[valid-type]
        run: RunOptions = options_default,
    ) -> None:
        train_run(model, training, run, command)

    train.__doc__ = MODEL_NAMES[words[0]]
    return train


def train_defaults(words: list[str]) -> tuple["Model", "Training", RunOptions]:
    from latently import presets
    from latently.models import MODELS
    from latently.runs import Run
    from latently.training import Training

    given = peek(words[1:])
    given.out = given.out and Path(given.out).expanduser()
    if given.resume and given.out and Run(given.out).started:
        model, training, options = stored_settings(Run(given.out))
        require(model.name == words[0], f"{given.out} trains the model {model.name}, not {words[0]}")
        return model, training, replace(options, out=tyro.MISSING)
    require(not (given.preset and given.config), "--preset and --config contradict each other; give one")
    if given.config:
        return settings_from_file(Path(given.config).expanduser(), words[0])
    if given.preset:
        preset = presets.find(given.preset, words[0])
        options = RunOptions(out=tyro.MISSING, split=preset.split)  # type: ignore[arg-type]
        return preset.build(words[0]), Training(**preset.training), options
    return MODELS[words[0]](), Training(), RunOptions(out=tyro.MISSING)


def settings_from_file(path: Path, name: str) -> tuple["Model", "Training", RunOptions]:
    """The settings in a JSON file: a run's params.json, all of them but its place, or {"model": {}, "training": {}}."""
    from latently.models import model_from_json
    from latently.runs import Run, read_json, understanding
    from latently.training import Training

    require(path.is_file(), f"--config is {path}, which does not exist; expected a JSON file, a params.json for one")
    values = read_json(path)
    with understanding(path):
        if "format" in values and path.name == "params.json" and "data" in values:
            model, training, options = stored_settings(Run(path.parent))
            training = Training.from_json(values["training"])  # as it was asked for: this machine may decide otherwise
        else:
            strange = values.keys() - {"model", "training"}
            require(not strange, f"it has {', '.join(map(repr, strange))}; expected model and training")
            model = model_from_json({"name": name} | values.get("model", {}))
            training, options = Training.from_json(values.get("training", {})), RunOptions(out=Path())
        require(model.name == name, f"it describes the model {model.name}, not {name}")
    return model, training, replace(options, out=tyro.MISSING)


def peek(words: list[str]) -> argparse.Namespace:
    """The flags on which the defaults of all others depend."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--preset", "--config", "--out"):
        parser.add_argument(flag, nargs="?")  # a value that is missing is told of later
    parser.add_argument("--resume", action="store_true")
    return parser.parse_known_args(words)[0]


def stored_settings(run: "Run") -> tuple["Model", "Training", RunOptions]:
    """What a run was started with, every `auto` as it was decided then."""
    from latently.data import Preparation
    from latently.estimator import Autoencoder
    from latently.runs import understanding
    from latently.training import Training

    params = run.params
    with understanding(run.path / "params.json"):
        estimator = Autoencoder.from_description(params)
        watching = params.get("watching", {})
        require(isinstance(watching, dict), f"watching is {watching!r}; expected an object")
    record = run.data
    if record is None:
        raise InputError(f"{run.path} was fitted to arrays in Python; only a run of `latently train` can be resumed")
    with understanding(run.path / "params.json"):
        prepared = Preparation.from_json(record.preparation)
        options = RunOptions(
            out=run.path,
            data=record.source,
            preset=params.get("preset"),
            split=record.split,  # type: ignore[arg-type]
            limit=record.limit,
            seed=record.seed,
            image_size=prepared.image_size,
            channels=prepared.channels,
            binarise=estimator.binarise,
            **watching,
        )
        options.check()
    assert estimator.model is not None
    return estimator.model, Training(**{name: getattr(estimator, name) for name in Training.field_types()}), options


def train_run(model: "Model", training: "Training", options: RunOptions, command: str) -> None:
    """Check, load, split, fit, say how it went. What can fail fails before the run folder is touched."""
    from latently.data import Preparation
    from latently.outputs import require_apart
    from latently.progress import Bar, Log, TensorBoard
    from latently.runs import DataRecord, Run

    run = Run(options.out, options.overwrite)
    check_flags(model, training, options)
    require(not (options.resume and options.overwrite), "--resume and --overwrite contradict each other; give one")
    resuming = options.resume and run.started
    if resuming:
        require_unchanged(run, model, training, options)
        if run.finished:
            note(f"{run.path} is finished; nothing is left to train")
            print_last(run.read_history(), model, training, options)
            return
    else:
        run.require_free()
        nothing = f"{run.path} holds no run to resume; to start one there, " if options.resume else ""
        require(options.data is not None, f"{nothing}give --data: digits, mnist, or the path of your own images")
        require_apart(run.path, str(options.data), adds_images=True)
    watchers: list[Any] = [Log(run.path / "train.log")]
    if options.tensorboard:
        watchers.append(TensorBoard(run.path / "tensorboard"))
    images = load_images(str(options.data), options.image_size, options.channels)
    parts = split_for(run if resuming else None, images, options)
    patient = training.patience is None or len(parts.validation) > 0
    require(patient, f"--patience needs validation images, and the split {parts.kind!r} has none; leave --patience out")
    record = DataRecord.of(
        images, parts, Preparation(options.image_size, options.channels), options.seed, options.limit
    )
    about = {"data": record.to_json(), "classes": list(images.classes), "preset": options.preset, "command": command}
    about |= {"watching": options.watching()}
    if parts.kind != "standard":
        run.split = parts.to_json()
    run.announce = announce
    with Bar() as bar:
        history = fit(run, model, training, options, images, parts, about, [bar, *watchers])
    print_last(history, model, training, options)


def check_flags(*settings: Settings) -> None:
    """Every setting in its range; a sentence about one calls it by its flag."""
    for each in settings:
        try:
            each.check()
        except InputError as error:
            name, _, rest = str(error).partition(" is ")
            raise InputError(f"--{name.replace('_', '-')} is {rest.replace('None', flags.NONE)}") from None


def announce(params: dict[str, Any]) -> None:
    """What begins, as it was decided; and once, why a long run is not compiled."""
    import torch

    from latently.training import COMPILE_FROM_STEPS, has_compiler

    data, training, decided = params["data"], params["training"], params["resolved"]
    compiled = decided["compile"] == "on"
    how = f"{decided['device']}, {decided['precision']}{', compiled (which takes up to 20 s)' if compiled else ''}"
    note(
        f"{params['model']['name']} on {data['source']}: {data['n_train']:,} images train, {data['n_validation']:,} "
        f"validate; {params['n_parameters']:,} weights; {how}"
    )
    long = training["epochs"] * math.ceil(data["n_train"] / training["batch_size"]) >= COMPILE_FROM_STEPS
    if long and training["compile"] == "auto" and decided["device"] == "cpu" and not has_compiler(torch.device("cpu")):
        note("no C++ compiler (g++ or clang++) was found; with one, a run this long would be compiled and faster")


def split_for(resumed: "Run | None", images: "ImageSet", options: RunOptions) -> "Split":
    """The split that the flags ask for, or the one that a run that is taken up has already."""
    from latently.data import split as split_images
    from latently.opened import stored_split

    if resumed is None:
        return split_images(images, options.split, options.seed, options.limit)
    changed = f"{images.source} has changed since {resumed.path} was started; restore it, or choose another --out"
    require(resumed.data is not None and resumed.data.describes(images), changed)
    return stored_split(resumed, images)


def fit(
    run: "Run", model: "Model", training: "Training", options: RunOptions, images: "ImageSet", parts: "Split",
    about: dict[str, Any], watchers: list[Any],
) -> list[dict[str, float]]:  # fmt: skip
    """-> the history. What ends the training early says how to go on."""
    from latently.estimator import Autoencoder

    estimator = Autoencoder(model, binarise=options.binarise, random_state=options.seed, **training.get_params())
    try:
        estimator.fit(
            images.images[parts.train],
            validation=images.images[parts.validation] if len(parts.validation) else None,
            run=run,
            about=about,
            watchers=watchers,
            checkpoint_epochs=options.checkpoint_epochs,
            checkpoint_minutes=options.checkpoint_minutes,
        )
    except (KeyboardInterrupt, OSError) as error:
        if not run.begun:
            raise
        go_on = f"go on with: {run.resume_command()}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(go_on) from None
        raise InputError(f"{disk_sentence(error)}; then {go_on}") from None
    return estimator.history_


def print_last(history: list[dict[str, float]], model: "Model", training: "Training", options: RunOptions) -> None:
    """The figures of the epoch whose weights were kept."""
    best_first = sorted(history, key=lambda row: row[f"val_{model.monitor}"]) if training.patience else history[-1:]
    figures = {"run": str(options.out)} | best_first[0]
    if options.json:
        print_json(figures)
    else:
        print_figures(f"{options.out}, epoch {figures['epoch']:.0f} of {len(history)}", figures)


def require_unchanged(run: "Run", model: "Model", training: "Training", options: RunOptions) -> None:
    """A resumed run keeps its settings. Raises InputError that names the first one that a flag would change."""
    then_model, then_training, then_options = stored_settings(run)
    asked = model.get_params() | training.get_params() | vars(options)
    then = then_model.get_params() | then_training.get_params() | vars(then_options)
    kept = ("data", "preset", "split", "limit", "seed", "image_size", "channels", "binarise")
    for name in (*then_model.get_params(), *then_training.get_params(), *kept):
        # Where `auto` was given, it may be given again.
        undecided = "auto" if name == "split" else run.params["training"].get(name, then[name])
        same = isinstance(then[name], Settings) or asked[name] in (then[name], undecided)
        flag = "--" + name.rpartition("__")[2].replace("_", "-")
        require(
            same or (name == "data" and os.path.realpath(str(asked[name])) == os.path.realpath(then[name])),
            f"{flag} is {asked[name]}, but {run.path} was started with {then[name]}; leave it out to resume, or choose "
            "another --out",
        )


# Using a run ----------------------------------------------------------------------------------------------------------


def open_run(path: Path, source: str | None, device: str) -> "Opened":
    from latently.opened import Opened

    return Opened(path, source, device)


def write_outputs(
    path: Path, out: Path, source: str | None, part: str, device: str, picture: str,
    compute: Callable[["Autoencoder", "ImageSet"], dict[str, Any]], rank: bool = False,
) -> None:  # fmt: skip
    """Compute something per image and write it as the ending of `out` says; a .png is the picture of that name."""
    from latently import gallery, outputs, pictures

    outputs.check_out(out, (*outputs.ARRAY_ENDINGS, ".png"))
    opened = open_run(path, source, device)
    images = opened.part(part)
    outputs.require_apart(out, images.source, adds_images=out.suffix.lower() == ".png")
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
    with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
        print(text, file=sys.stderr)


def print_json(figures: dict[str, Any]) -> None:
    from latently.runs import finite

    print(json_module.dumps(finite(figures), allow_nan=False))


def print_figures(title: str, figures: dict[str, Any]) -> None:
    print_rows(title, ["figure", "value"], [[name, in_text(value)] for name, value in figures.items()])


def in_text(value: Any) -> str:
    """1437 -> `1,437`, 38.019440 -> `38.0194`, [8, 8] -> `8 x 8`."""
    if isinstance(value, list):
        return " x ".join(map(str, value))
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def print_rows(title: str, columns: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    # Paths and class names are text, not rich's markup; where no terminal limits them, lines are not broken.
    console = Console(markup=False, highlight=False, emoji=False)
    console.width = console.width if console.is_terminal else 10_000
    table = Table(box=SIMPLE_HEAD)
    for place, name in enumerate(columns):
        numbers = place > 0 and all(row[place][:1] in "-0123456789" for row in rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    with console.capture() as lines:  # rich would exit by itself if a pipe broke
        if title:
            console.print(title, style="bold", soft_wrap=True)
        console.print(table)
    print(lines.get(), end="")


# Parsing --------------------------------------------------------------------------------------------------------------


def main(words: list[str] | None = None) -> int:
    """Parse, work, and turn what went wrong into one sentence and an exit code."""
    prepare_streams()
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


def disk_sentence(error: OSError) -> str:
    """`RUN/history.csv: No space left on device; free some space`."""
    advice = {
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "free some space",
        errno.EACCES: "choose another place, or get the right to it",
        errno.EPERM: "choose another place, or get the right to it",
        errno.EROFS: "choose another place",
        errno.ENOENT: "check the path",
    }
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}; {advice.get(error.errno or 0, 'check the place and try again')}"


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
    if words[0] != "train":
        return flags.parse(COMMANDS[words[0]], f"latently {words[0]}", words[1:])
    if words[1:2] in (["-h"], ["--help"]):
        print(train_help())
        raise flags.Finished
    models = list(MODEL_NAMES)
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
    lines = [f"  {name:13}{summary}" for name, summary in MODEL_NAMES.items()]
    return "\n".join([
        "usage: latently train MODEL --data D --out RUN ...", "", *lines, "",
        "latently train MODEL --help tells the flags of a model and of its training.",
    ])  # fmt: skip
