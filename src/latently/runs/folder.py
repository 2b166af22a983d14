"""The run folder: params.json, model.safetensors, history.csv, metrics.json, split.json, checkpoint/, figures/.

It contains only JSON, CSV and safetensors; nothing is unpickled. Every file is written to a temporary name, flushed to
disk and renamed, so that a reader finds either the old file or the new one.
"""

import csv
import io
import json
import platform
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latently.common.errors import InputError, require
from latently.common.files import (
    RESTORE,
    as_json,
    atomic_write,
    flush,
    input_errors_for,
    is_temporary,
    nan_to_null,
    read_json,
    remove_stale_temporaries,
    require_writable,
    write_json,
    write_text,
)
from latently.models import model_from_json, model_to_json
from latently.runs.lock import LOCK_FILE, hold, require_unheld
from latently.runs.record import DataRecord
from latently.runs.tensors import fit_into, read_tensors, write_tensors

FORMAT = 1  # of params.json; incremented when older readers would misread it
TRIAL_FILE = "trial.json"  # whether the unlabelled images help, of few-label
# Files of ours in a run folder; params.json is deleted last: while it exists, the folder is a run.
RUN_FILES = ("model.safetensors", "mixture.safetensors", "prior", "history.csv", "metrics.json", "split.json",
        TRIAL_FILE, "train.log", "report.html", "card.md", "checkpoint", "figures", "tensorboard", "encoder",
        "classifier", "judge", "explorer", "params.json")  # fmt: skip


class NonFiniteLoss(InputError):
    """Training has ended because its loss is no longer finite; resumed, it would end there again."""


@dataclass(frozen=True)
class Context:
    """What a run folder records in addition to its estimator, and how often a checkpoint is written.

    about: entries of params.json: data, command and other provenance. split: content of split.json, for a source
    without a fixed split.
    """

    about: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, Any] | None = None
    checkpoint_epochs: int = 1
    checkpoint_minutes: float = 5.0


class Run:
    """One run folder. Files are read on access; nothing is created until something is written.

    overwrite: whether `begin` may replace an existing run.
    """

    def __init__(self, path: str | Path, overwrite: bool = False, context: Context = Context()) -> None:
        self.path, self.overwrite, self.context = Path(path), overwrite, context
        self.begun = False  # whether `begin` succeeded, so that the run can be resumed

    def part(self, name: str) -> "Run":
        """The run folder of a part, inside this one and with its context."""
        return Run(self.path / name, context=self.context)

    # What a run is ----------------------------------------------------------------------------------------------------

    @property
    def params(self) -> dict[str, Any]:
        """params.json. Raises InputError if it is missing, damaged, not ours, or of a newer format."""
        path = self.path / "params.json"
        require(
            self.path.exists(), f"{self.path} does not exist; give a run folder, which `latently train --out` creates"
        )
        none = f"{self.path} is not a run folder: it has no params.json; give one that `latently train --out` created"
        require(path.is_file(), none)
        values = read_json(path)
        ours = isinstance(values, dict) and type(values.get("format")) is int and isinstance(values.get("model"), dict)
        require(ours, f"{path} was not written by latently: it has no format number and model; give another folder")
        newer = f"{self.path} has format {values['format']}, newer than this latently reads ({FORMAT}); update latently"
        require(values["format"] <= FORMAT, newer)
        return values

    @property
    def kind(self) -> str:
        """autoencoder, classifier or few-label. Raises InputError if params.json does not say."""
        params = self.params
        with input_errors_for(self.path / "params.json"):
            return str(params["estimator"])

    @property
    def data(self) -> DataRecord | None:
        """The record of the images; None for a run that was fitted to arrays. Raises InputError if damaged."""
        values = self.params.get("data")
        with input_errors_for(self.path / "params.json"):
            return None if values is None else DataRecord.from_json(values)

    @property
    def options(self) -> dict[str, Any]:
        """Options of `latently train` beyond model, training and data. Raises InputError if damaged."""
        values = self.params.get("options", {})
        with input_errors_for(self.path / "params.json"):
            return dict(values)

    @property
    def started(self) -> bool:
        return (self.path / "params.json").exists()

    @property
    def failed(self) -> str:
        """Why training cannot be resumed: the sentence of its `NonFiniteLoss`; empty if it can."""
        return str(self.params.get("failed", "")) if self.started else ""

    @property
    def finished(self) -> bool:
        """Whether training is complete: weights are written last; in a run of two parts, the history after all
        weights."""
        in_parts = (self.path / "classifier" / "model.safetensors", self.path / "history.csv")
        return (self.path / "model.safetensors").exists() or all(path.exists() for path in in_parts)

    # Beginning --------------------------------------------------------------------------------------------------------

    def require_free(self) -> None:
        """Raise InputError unless a new run may start here: a run that has failed is replaced. Changes nothing."""
        require(not self.path.is_file(), f"{self.path} is a file; expected a folder that is new or empty")
        require_writable(self.path / "params.json")
        if not self.path.exists() or all(is_temporary(each) or each.name == LOCK_FILE for each in self.path.iterdir()):
            return
        foreign = (
            f"{self.path} is not empty and not a run folder, so it is not changed; choose a folder that is new or empty"
        )
        require(self.started, foreign)
        existing = (
            f"{self.path} exists; continue it with --resume, replace it with --overwrite, or choose another --out"
        )
        require(self.overwrite or bool(self.failed), existing)
        _ = self.params  # never replace a params.json of another program

    def require_unheld(self) -> None:
        """Raise InputError if another writes here now. Changes nothing."""
        require_unheld(self.path)

    @contextmanager
    def writing(self, description: dict[str, Any]) -> Iterator[None]:
        """`begin`, and be the only writer of the folder until the block ends. Raises InputError if another is.

        A `NonFiniteLoss` in the block is recorded: the next run may then start here.
        """
        if not self.resumes:
            self.require_free()
        with self._held():
            self.begin(description)
            try:
                yield
            except NonFiniteLoss as error:
                self.write_failed(str(error))
                raise

    def _held(self) -> AbstractContextManager[None]:
        return hold(self.path)

    @property
    def resumes(self) -> bool:
        """Whether `begin` would resume a run, not start one."""
        return self.started and not self.overwrite and not self.failed

    def begin(self, description: dict[str, Any]) -> None:
        """Write params.json, the first file of a new run, or resume the unfinished run in this folder.

        description: the estimator's entries of params.json, in addition to the context's `about`.
        A run to be replaced is deleted only after the new params.json is on disk. Raises InputError if the folder is
        already used, or if the run to resume has other settings.
        """
        params = {**self.context.about, **description}
        if self.resumes:
            require(not self.finished, f"{self.path} is finished; load it, or choose another folder")
            self.require_same(params)
            for folder in (self.path, self.checkpoint.parent):
                remove_stale_temporaries(folder)
        else:
            self.require_free()
            with atomic_write(self.path / "params.json") as new:
                new.write_text(as_json({"format": FORMAT} | params), encoding="utf-8")
                flush(new)
                self.clear()
        self.overwrite, self.begun = False, True
        if self.context.split is not None and not (self.path / "split.json").exists():
            write_text(self.path / "split.json", json.dumps(self.context.split) + "\n")

    def write_failed(self, reason: str) -> None:
        self.add({"failed": reason})

    def add(self, entries: dict[str, Any]) -> None:
        """Write entries to params.json that are known only now."""
        write_json(self.path / "params.json", self.params | entries)

    def require_same(self, params: dict[str, Any]) -> None:
        """Raise InputError if the run to resume was started with other settings."""
        then = self.params
        with input_errors_for(self.path / "params.json"):
            then = resolved_settings(then)
        now_all = resolved_settings(json.loads(as_json(params)))
        for name in params["resolved"].keys() - self.params["resolved"].keys():
            if then["training"][name] == "auto":  # an earlier version did not record how it was decided
                now_all["training"][name] = "auto"
        for name, now in now_all.items():
            if then[name] is None:  # not recorded by an earlier version
                continue
            require(
                then[name] == now,
                f"{self.path} was started with {name} {then[name]!r}, not {now!r}; choose another folder",
            )

    def clear(self) -> None:
        """Remove the files of the run; other files in the folder stay."""
        for path in [self.path / name for name in RUN_FILES]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    # Weights ----------------------------------------------------------------------------------------------------------

    def write_weights(self, net: nn.Module) -> None:
        write_tensors(self.path / "model.safetensors", net.state_dict())

    def read_weights(self, net: nn.Module) -> None:
        """Load into `net`. Raises InputError if the run is unfinished or the weights have other names or shapes."""
        failed = f"training of {self.path} failed: {self.failed}"
        require(not self.failed, failed)
        if self.started and not self.finished:
            raise InputError(f"training of {self.path} is not finished; resume with: {self.resume_command()}")
        tensors, _ = read_tensors(self.path / "model.safetensors")
        fit_into(net.state_dict(), tensors, self.path / "model.safetensors")
        net.load_state_dict(tensors, assign=True)  # also works for a net on the meta device

    def resume_command(self) -> str:
        """The command that resumes this run."""
        if self.params.get("estimator") == "prior":
            return f"latently train prior {shlex.quote(str(self.path.parent))} --resume"
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
        """A row per epoch. Raises InputError if the file is missing or damaged."""
        path = self.path / "history.csv"
        require(path.is_file(), f"{path} does not exist; {RESTORE}")
        with input_errors_for(path):
            rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines(), strict=True)
            history = [{name: float(value) for name, value in row.items()} for row in rows]
            require(bool(history), "it has no epochs")
        return history

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        write_json(self.path / "metrics.json", nan_to_null(metrics))

    def add_metrics(self, metrics: dict[str, Any]) -> None:
        """Merge with the saved metrics if these were measured on the same images, so that expensive ones are kept."""
        path = self.path / "metrics.json"
        then = read_json(path) if path.exists() else {}
        same = isinstance(then, dict) and all(then.get(key) == metrics[key] for key in ("split", "data", "n_images"))
        self.write_metrics((then if same else {}) | metrics)

    def read_split(self) -> dict[str, Any] | None:
        """None if the source has a fixed split."""
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


def resolved_settings(params: dict[str, Any]) -> dict[str, Any]:
    """The settings that define a run, with every `auto` resolved."""
    names = ("model", "binarise", "classes", "seed", "image_shape", "sees", "spread", "consistency", "class_shares",
        "encoder")  # fmt: skip
    same = {name: params.get(name) for name in names}
    model = model_to_json(model_from_json(params["model"]))  # with settings that are newer than the run
    return same | {"model": model, "training": params["training"] | params["resolved"]}


def versions() -> dict[str, str]:
    """Versions of software that results may depend on."""
    return {
        "latently": metadata.version("latently"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": metadata.version("numpy"),
    }
