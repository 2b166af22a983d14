"""Trials: the fits of a study, each stored in its own run folder, so that an interrupted study loses none."""

import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from latently.common.errors import require
from latently.common.files import input_errors_for, read_json
from latently.data import NAMED, ImageSet, Split, load, split
from latently.data.batches import Binarise
from latently.data.imageset import pixel_hash
from latently.estimator import Autoencoder
from latently.estimator import load as load_estimator
from latently.evaluation.figures import evaluate
from latently.models import Model, model_to_json
from latently.runs.cached_work import Executor, Sequential
from latently.runs.folder import Context, Run
from latently.training.hardware import has_bfloat16, resolve_device
from latently.training.settings import Training, with_defaults
from latently.training.state import Watcher
from latently.training.watchers import Bar

Item = TypeVar("Item")
Made = TypeVar("Made")
QUICK_IMAGES = 5000  # training images of a quick study


@dataclass(frozen=True)
class Trial:
    """One fit: a model, its training settings and its data. `name` is the name of its folder, and unique."""

    name: str
    model: Model
    training: Training
    seed: int = 0
    split: str = "auto"
    binarise: Binarise = "none"

    def to_json(self, source: str, n_train: int) -> dict[str, Any]:
        """Everything that its results depend on."""
        return {
            "model": model_to_json(self.model),
            "training": self.training.to_json(),
            "seed": self.seed,
            "split": self.split,
            "binarise": self.binarise,
            "source": source,
            "n_train": n_train,
        }


@dataclass
class Bench:
    """The context of a study: the images, the folder for its results, and options that limit its cost."""

    folder: Path
    source: str = "mnist"
    quick: bool = False
    seeds: int = 3
    presets: tuple[str, ...] = ()
    """Presets to use; empty: those of the study."""
    codes: tuple[int, ...] = ()
    """Code widths to use; empty: those of the study."""
    executor: Executor = field(default_factory=Sequential)
    """Runs the trials, and the computation of cached results."""
    splits: dict[str, Split] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.images: ImageSet = load(self.source)
        self.data_id = self.images.source  # identifies the images in trials; for a path, by its current content
        if self.source not in NAMED:
            self.data_id += f" ({self.images.pixel_hash}, labels {pixel_hash(self.images.labels)})"

    @property
    def table(self) -> Path:
        """The file with the study's results, as JSON."""
        return self.folder / "table.json"

    def split(self, kind: str) -> Split:
        """Random splits always use seed 0, so that the seeds of trials affect only training."""
        if kind not in self.splits:
            whole = split(self.images, kind, seed=0)
            self.splits[kind] = replace(whole, train=whole.train[:QUICK_IMAGES]) if self.quick else whole
        return self.splits[kind]

    def part(self, name: str, kind: str = "auto") -> ImageSet:
        return self.images.take(getattr(self.split(kind), name))

    def map(self, function: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
        """[function(item) for item in items] for independent parts of a study, whose trials may run in parallel."""
        return self.executor.map(function, items)

    def seeds_for(self, network: Mapping[str, str]) -> range:
        """Convolutional nets take 40 s per epoch on two cores: one seed on a CPU, all seeds on a GPU."""
        slow = "conv" in network.get("encoder", "") and not torch.cuda.is_available()
        return range(1 if slow else self.seeds)

    def fit(self, trial: Trial, watchers: Sequence[Watcher] = ()) -> Autoencoder:
        """The fitted estimator of a trial, from its run folder."""
        return load_estimator(self.trained(trial, watchers).path)

    def history(self, trial: Trial) -> list[dict[str, float]]:
        """A row per epoch of its training."""
        return self.trained(trial).read_history()

    def trained(self, trial: Trial, watchers: Sequence[Watcher] = ()) -> Run:
        """Its finished run folder; if needed, it is trained first, or resumed from its checkpoint, with `watchers` in
        addition to the progress bar. Raises InputError if the folder contains other settings."""
        about = trial.to_json(self.data_id, len(self.split(trial.split).train))
        run = self.trial_run(trial.name, trial.model, about)

        def train() -> None:
            settings = trial.training.get_params() | {"random_state": trial.seed}
            estimator = Autoencoder(trial.model, binarise=trial.binarise, **settings)
            self.train(estimator, run, trial.split, watchers=watchers)

        if not run.finished:
            self.executor.run(str(run.path), train)
        return run

    def trial_run(self, name: str, model: Model, about: dict[str, Any]) -> Run:
        """The run folder of a trial; `about` is everything that its results depend on. Raises InputError if the folder
        contains a trial with other settings or images."""
        run = Run(self.folder / "trials" / name, context=Context({"trial": about}))
        if run.started:
            with input_errors_for(run.path / "params.json"):
                same = with_current_settings(run.params["trial"], model) == with_current_settings(about, model)
            require(same, f"{run.path} contains a trial with other settings or images; choose another --out")
        return run

    def train(
        self, estimator: Any, run: Run, split: str = "auto",
        labels_of: Callable[[ImageSet], Any] | None = None, watchers: Sequence[Watcher] = (),
    ) -> None:  # fmt: skip
        """Fit an estimator to the training part, in a trial's run folder. labels_of: the labels of images for `fit`."""
        train, validation = self.part("train", split), self.part("validation", split)
        told = () if labels_of is None else (labels_of(train),)
        held_out = validation.images if labels_of is None else (validation.images, labels_of(validation))
        with Bar() as bar:
            estimator.fit(train.images, *told, validation=held_out, run=run, watchers=[bar, *watchers])

    def figures(self, trial: Trial, importance_samples: int | None = None, every: int = 1) -> dict[str, Any]:
        """Test metrics of a trial, cached in its run folder; on one in `every` images."""
        run = self.trained(trial)
        path = run.path / "metrics.json"
        if path.exists():
            kept, n_images = read_json(path), len(self.split(trial.split).test[::every])
            counted = (
                "kl_nats" not in kept or "active_units" in kept
            )  # an earlier version counted active units differently
            if counted and (kept["n_images"], kept.get("importance_samples")) == (n_images, importance_samples):
                return kept

        def measure() -> None:
            test = self.part("test", trial.split).images[::every]
            figures = evaluate(self.fit(trial), test, importance_samples=importance_samples)
            run.write_metrics({"split": "test", "data": self.source} | figures)

        self.executor.run(str(path), measure)
        return read_json(path)


def with_current_settings(trial: dict[str, Any], model: Model) -> dict[str, Any]:
    """A trial's JSON with every setting: settings newer than the stored trial get their defaults."""
    settings = {name: value for name, value in trial["model"].items() if name != "name"}
    filled = {"model": type(model).from_json(settings).to_json(), "name": trial["model"].get("name")}
    return {"binarise": "none"} | with_defaults(trial) | filled


def machine() -> str:
    """The hardware and software that timings depend on, and the precision of matrix products."""
    device = resolve_device("auto")
    chip = torch.cuda.get_device_name() if device.type == "cuda" else f"{processor()}, {os.cpu_count()} cores"
    return f"{chip}, {'bfloat16' if has_bfloat16(device) else 'float32'} products, torch {torch.__version__}"


def processor() -> str:
    """The CPU model if the system reports it, otherwise its architecture."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
