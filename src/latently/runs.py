"""The run folder: params.json, model.safetensors, history.csv, metrics.json, split.json, checkpoint/, figures/.

Nothing in it is ever unpickled: it is JSON, CSV and safetensors. Every file is written beside its place, flushed to the
disk and renamed, so that a reader finds the old file or the new one, never half of one.
"""

import csv
import hashlib
import io
import json
import math
import os
import platform
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from latently.data import Images, ImageSet, Mapped, Preparation, Split
from latently.errors import InputError, require
from latently.files import flush, is_temporary, replacing, sweep
from latently.settings import Count, Settings, WholeNumber

FORMAT = 1  # of params.json; raised when a reader of the old one would go wrong
RESTORE = "restore it, or train again"
# What a run folder holds of ours, params.json last: while it is there, the folder counts as a run.
OURS = ("model.safetensors", "mixture.safetensors", "history.csv", "metrics.json", "split.json", "train.log",
        "report.html", "checkpoint", "figures", "tensorboard", "encoder", "classifier", "judge",
        "explorer", "params.json")  # fmt: skip


def require_place(path: Path) -> None:
    """Raise InputError where no file can be written at `path`: it would lie below a file, or there is no right to."""
    for parent in path.parents:
        require(not parent.is_file(), f"{path} cannot be written: {parent} is a file; choose another place")
    home = next(folder for folder in path.absolute().parents if folder.exists())
    require(os.access(home, os.W_OK), f"{path} cannot be written: {home} does not allow it; choose another place")


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def as_json(values: Any) -> str:
    return json.dumps(values, indent=2, allow_nan=False, default=lambda number: number.item()) + "\n"  # NumPy's, too


def write_json(path: Path, values: Any) -> None:
    write_text(path, as_json(values))


def read_json(path: Path) -> Any:
    """Raises InputError for a file that is missing or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; is {path.parent} a run folder?") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is no JSON ({error}); {RESTORE}") from None


@contextmanager
def understanding(path: Path, advice: str = RESTORE) -> Iterator[None]:
    """Inside, what a file says is taken for true; where that fails, an InputError names the file and the reason."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        if isinstance(error, InputError) and str(error).endswith(advice):
            raise  # said already, within
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{path} cannot be used: {reason}; {advice}") from None


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any] | None = None) -> None:
    """A safetensors file; `metadata` travels as JSON in its header."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(plain, {"json": json.dumps(metadata or {})})
    with replacing(path) as temporary:
        temporary.write_bytes(content)  # Python's own write: a full disk is an OSError with the path in it


def read_tensors(path: Path, advice: str = RESTORE) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, metadata). Raises InputError for what is no whole safetensors file: a pickle is never opened."""
    require(path.is_file(), f"{path} does not exist; is {path.parent} a run folder?")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("json", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 (not a dict)
    except (SafetensorError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is no whole safetensors file ({error}); {advice}") from None


@dataclass(kw_only=True)
class DataRecord(Settings):
    """What params.json says of the images: where they are, how they were prepared and split, and how to know them."""

    source: str
    preparation: dict
    split: str
    seed: WholeNumber
    limit: Count | None
    n_images: Count
    n_train: WholeNumber
    n_validation: WholeNumber
    n_test: WholeNumber
    digest: str = ""
    """Of the prepared pixels; empty in a run that did not take it."""
    labels: str = ""
    """Likewise of the labels, `labels_digest`."""

    @classmethod
    def of(
        cls, images: ImageSet, split: Split, preparation: Preparation, seed: int = 0, limit: int | None = None
    ) -> "DataRecord":
        return cls(
            source=images.source,
            preparation=preparation.to_json(),
            split=split.kind,
            seed=seed,
            limit=limit,
            n_images=len(images),
            n_train=len(split.train),
            n_validation=len(split.validation),
            n_test=len(split.test),
            digest=digest(images.images),
            labels=labels_digest(images),
        )

    def describes(self, images: ImageSet) -> bool:
        """Whether these are the very images, wherever they lie now."""
        if self.digest:
            return digest(images.images) == self.digest
        return (images.source, len(images)) == (self.source, self.n_images)

    def describes_labels(self, images: ImageSet) -> bool:
        """Whether these images, the very ones, carry the labels that they had."""
        return self.labels in ("", labels_digest(images))


def digest(images: Images) -> str:
    """A few letters by which the same pixels are known again, wherever they are kept."""
    name = hashlib.blake2b(repr((images.shape, images.dtype.str)).encode(), digest_size=16)
    for part in images.parts() if isinstance(images, Mapped) else [images]:
        name.update(np.ascontiguousarray(part).data)
    return name.hexdigest()


def weights_digest(net: nn.Module) -> str:
    """By which the same weights are known again, on whatever device."""
    return digest(np.concatenate([tensor.detach().cpu().numpy().reshape(-1) for tensor in net.state_dict().values()]))


def labels_digest(images: ImageSet) -> str:
    """By which the same labels of the same images are known again."""
    return hashlib.blake2b("\n".join(images.label_names.tolist()).encode(), digest_size=16).hexdigest()


class Run:
    """One run folder. Reading is lazy; nothing is created before something is written."""

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.overwrite = overwrite  # whether `begin` may replace the run that is there
        self.split: dict[str, Any] | None = None  # what `begin` keeps as split.json
        self.begun = False  # whether `begin` ended well: from then on the run can be resumed
        self.announce: Callable[[dict[str, Any]], None] = lambda params: None  # told by `begin` what the run is

    # What a run is ----------------------------------------------------------------------------------------------------

    @property
    def params(self) -> dict[str, Any]:
        """params.json. Raises InputError where it is missing, damaged, foreign or of a newer format."""
        path = self.path / "params.json"
        require(
            self.path.exists(), f"{self.path} does not exist; give a run folder, which `latently train --out` makes"
        )
        none = f"{self.path} is no run folder: it has no params.json; give one that `latently train --out` made"
        require(path.is_file(), none)
        values = read_json(path)
        ours = isinstance(values, dict) and type(values.get("format")) is int and isinstance(values.get("model"), dict)
        require(ours, f"{path} was not written by latently: it has no format number and model; give another folder")
        newer = f"{self.path} has format {values['format']}, newer than this latently reads ({FORMAT}); update latently"
        require(values["format"] <= FORMAT, newer)
        return values

    @property
    def kind(self) -> str:
        """autoencoder, classifier or few-label. Raises InputError where params.json does not tell."""
        params = self.params
        with understanding(self.path / "params.json"):
            return str(params["estimator"])

    @property
    def data(self) -> DataRecord | None:
        """Where the images came from; None for a run that was fitted to arrays. Raises InputError where damaged."""
        values = self.params.get("data")
        with understanding(self.path / "params.json"):
            return None if values is None else DataRecord.from_json(values)

    @property
    def options(self) -> dict[str, Any]:
        """What `latently train` was asked for beyond model, training and data. Raises InputError where damaged."""
        values = self.params.get("options", {})
        with understanding(self.path / "params.json"):
            return dict(values)

    @property
    def started(self) -> bool:
        return (self.path / "params.json").exists()

    @property
    def finished(self) -> bool:
        """The weights are the last thing that training writes; in a run of two parts its history, after all weights."""
        in_parts = (self.path / "classifier" / "model.safetensors", self.path / "history.csv")
        return (self.path / "model.safetensors").exists() or all(path.exists() for path in in_parts)

    # Beginning --------------------------------------------------------------------------------------------------------

    def require_free(self) -> None:
        """Raise InputError unless a new run may begin here. Changes nothing."""
        require(not self.path.is_file(), f"{self.path} is a file; expected a folder that is new or empty")
        require_place(self.path / "params.json")
        if not self.path.exists() or all(map(is_temporary, self.path.iterdir())):
            return
        foreign = (
            f"{self.path} is no run folder and not empty, so it is left alone; choose a folder that is new or empty"
        )
        require(self.started, foreign)
        existing = (
            f"{self.path} exists; continue it with --resume, replace it with --overwrite, or choose another --out"
        )
        require(self.overwrite, existing)
        _ = self.params  # a params.json of another program is not ours to replace

    def begin(self, params: dict[str, Any]) -> None:
        """Write params.json, the first file of a new run, or take up the unfinished run that is there.

        A run that is to be replaced goes only once the new params.json is on the disk. Raises InputError where the
        place is taken, and where the run to take up has other settings.
        """
        if self.started and not self.overwrite:
            require(not self.finished, f"{self.path} is finished; load it, or choose another folder")
            self.require_same(params)
            for folder in (self.path, self.checkpoint.parent):
                sweep(folder)
        else:
            self.require_free()
            with replacing(self.path / "params.json") as new:
                new.write_text(as_json({"format": FORMAT} | params), encoding="utf-8")
                flush(new)
                self.clear()
        self.overwrite, self.begun = False, True
        if self.split is not None and not (self.path / "split.json").exists():
            write_text(self.path / "split.json", json.dumps(self.split) + "\n")
        self.announce(params)

    def require_same(self, params: dict[str, Any]) -> None:
        """Raise InputError where a run that is taken up was begun with other settings."""
        then = self.params
        with understanding(self.path / "params.json"):
            then = settled(then)
        for name, now in settled(json.loads(as_json(params))).items():
            if then[name] is None:  # an earlier version did not write it down
                continue
            require(
                then[name] == now,
                f"{self.path} was begun with {name} {then[name]!r}, not {now!r}; choose another folder",
            )

    def clear(self) -> None:
        """Remove what a run holds; what else lies in the folder stays."""
        for path in [self.path / name for name in OURS]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    # Weights ----------------------------------------------------------------------------------------------------------

    def write_weights(self, net: nn.Module) -> None:
        write_tensors(self.path / "model.safetensors", net.state_dict())

    def read_weights(self, net: nn.Module) -> None:
        """Load into `net`. Raises InputError where the run is unfinished or the weights have other names or shapes."""
        if self.started and not self.finished:
            raise InputError(f"{self.path} is not trained to its end; go on with: {self.resume_command()}")
        tensors, _ = read_tensors(self.path / "model.safetensors")
        fit_into(net.state_dict(), tensors, self.path / "model.safetensors")
        net.load_state_dict(tensors, assign=True)  # also into a net without storage

    def resume_command(self) -> str:
        """What to type to finish this run."""
        name = self.params.get("train") or self.params["model"].get("name")
        return f"latently train {name} --out {shlex.quote(str(self.path))} --resume"

    # Figures ----------------------------------------------------------------------------------------------------------

    def write_history(self, rows: list[dict[str, float]]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path / "history.csv", text.getvalue())

    def read_history(self) -> list[dict[str, float]]:
        """A row per epoch. Raises InputError where the file is missing or damaged."""
        path = self.path / "history.csv"
        require(path.is_file(), f"{path} does not exist; {RESTORE}")
        with understanding(path):
            rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines(), strict=True)
            history = [{name: float(value) for name, value in row.items()} for row in rows]
            require(bool(history), "it holds no epoch")
        return history

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        write_json(self.path / "metrics.json", finite(metrics))

    def add_metrics(self, metrics: dict[str, Any]) -> None:
        """Beside the figures that are there already, where these were measured on the same images: a costly one stays
        until it is measured again."""
        path = self.path / "metrics.json"
        then = read_json(path) if path.exists() else {}
        same = isinstance(then, dict) and all(then.get(key) == metrics[key] for key in ("split", "data", "n_images"))
        self.write_metrics((then if same else {}) | metrics)

    def read_split(self) -> dict[str, Any] | None:
        """None where the source has a fixed split."""
        path = self.path / "split.json"
        return read_json(path) if path.exists() else None

    def figure(self, name: str) -> Path:
        return self.path / "figures" / f"{name}.png"

    # Checkpoints ------------------------------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint" / "state.safetensors"

    def drop_checkpoint(self) -> None:
        shutil.rmtree(self.checkpoint.parent, ignore_errors=True)


def settled(params: dict[str, Any]) -> dict[str, Any]:
    """What makes a run the run it is, every `auto` as it was decided."""
    names = ("model", "binarise", "classes", "seed", "image_shape", "sees", "spread", "encoder")
    same = {name: params.get(name) for name in names}
    return same | {"training": params["training"] | params["resolved"]}


def finite(figures: dict[str, Any]) -> dict[str, Any]:
    """JSON has no word for NaN and infinity: null, also in figures within figures."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return finite(value)
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {name: plain(value) for name, value in figures.items()}


def fit_into(wanted: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    """Raise InputError unless `found` has just the names, shapes and types of `wanted`."""
    for name, tensor in wanted.items():
        require(name in found, f"{path} lacks {name!r}, which the model in params.json has; {RESTORE}")
        want, have = (f"{each.dtype} {tuple(each.shape)}".removeprefix("torch.") for each in (tensor, found[name]))
        require(want == have, f"{path} holds {name!r} as {have}; the model in params.json expects {want}; {RESTORE}")
    for name in found:
        require(name in wanted, f"{path} holds {name!r}, which the model in params.json does not have; {RESTORE}")


def versions() -> dict[str, str]:
    """Of what a figure may depend on beyond the settings."""
    return {
        "latently": metadata.version("latently"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": metadata.version("numpy"),
    }
