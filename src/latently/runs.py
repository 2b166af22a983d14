"""The run folder: params.json, model.safetensors, history.csv, metrics.json, split.json, checkpoint/, figures/.

Nothing in it is ever unpickled: it is JSON, CSV and safetensors. Every file is written beside its place, flushed to the
disk and renamed, so that a reader finds the old file or the new one, never half of one.
"""

import csv
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from latently.errors import InputError, require

FORMAT = 1  # of params.json; raised when a reader of the old one would go wrong


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, whole and on the disk, when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises InputError for a file that is missing or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; is {path.parent} a run folder?") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is no JSON ({error})") from None


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any] | None = None) -> None:
    """A safetensors file; `metadata` travels as JSON in its header."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(plain, {"json": json.dumps(metadata or {})})
    with replacing(path) as temporary:
        temporary.write_bytes(content)  # Python's own write: a full disk is an OSError with the path in it


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, metadata). Raises InputError for what is no whole safetensors file: a pickle is never opened."""
    require(path.is_file(), f"{path} does not exist; is {path.parent} a run folder?")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("json", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 (not a dict)
    except (SafetensorError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is no whole safetensors file ({error}); restore it or train again") from None


class Run:
    """One run folder. Reading is lazy; nothing is created before something is written."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    # What a run is --------------------------------------------------------------------------------

    @property
    def params(self) -> dict[str, Any]:
        """params.json. Raises InputError where it is missing, damaged, foreign or of a newer format."""
        values = read_json(self.path / "params.json")
        ours = isinstance(values, dict) and isinstance(values.get("format"), int) and "model" in values
        require(ours, f"{self.path / 'params.json'} was not written by latently: it has no format number and model")
        newer = f"{self.path} has format {values['format']}, newer than this latently reads ({FORMAT}); update latently"
        require(values["format"] <= FORMAT, newer)
        return values

    @params.setter
    def params(self, values: dict[str, Any]) -> None:
        write_json(self.path / "params.json", {"format": FORMAT} | values)

    @property
    def started(self) -> bool:
        return (self.path / "params.json").exists()

    @property
    def finished(self) -> bool:
        """The weights are the last thing that training writes."""
        return (self.path / "model.safetensors").exists()

    def create(self, overwrite: bool = False) -> None:
        """Make the folder. Raises InputError where one with content exists, unless `overwrite` (which empties a run)."""
        for parent in self.path.parents:
            require(not parent.is_file(), f"{self.path} cannot be made: {parent} is a file")
        require(not self.path.is_file(), f"{self.path} is a file; give --out a folder")
        if self.path.exists() and any(self.path.iterdir()):
            require(
                overwrite,
                f"{self.path} exists; continue it with --resume, replace it with --overwrite, or choose another --out",
            )
            require(self.started, f"{self.path} is no run folder, so --overwrite leaves it alone; choose another --out")
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)

    # Weights --------------------------------------------------------------------------------------

    def write_weights(self, net: nn.Module) -> None:
        write_tensors(self.path / "model.safetensors", net.state_dict())

    def read_weights(self, net: nn.Module) -> None:
        """Load into `net`. Raises InputError where the run is unfinished or the weights have other names or shapes."""
        unfinished = self.started and not self.finished
        require(
            not unfinished,
            f"{self.path} is not finished; finish it with: latently train ... --out {self.path} --resume",
        )
        tensors, _ = read_tensors(self.path / "model.safetensors")
        fit_into(net.state_dict(), tensors, self.path / "model.safetensors")
        net.load_state_dict(tensors)

    # Figures --------------------------------------------------------------------------------------

    def write_history(self, rows: list[dict[str, float]]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with (
            replacing(self.path / "history.csv") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def read_history(self) -> list[dict[str, float]]:
        """A row per epoch. Raises InputError where the file is missing or damaged."""
        path = self.path / "history.csv"
        require(path.is_file(), f"{path} does not exist; is {self.path} a run folder?")
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        try:
            return [{name: float(value) for name, value in row.items()} for row in rows]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged: {error}") from None

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        write_json(self.path / "metrics.json", metrics)

    def write_split(self, split: dict[str, Any]) -> None:
        write_text(self.path / "split.json", json.dumps(split) + "\n")

    def read_split(self) -> dict[str, Any] | None:
        """None where the source has a fixed split."""
        path = self.path / "split.json"
        return read_json(path) if path.exists() else None

    def figure(self, name: str) -> Path:
        return self.path / "figures" / f"{name}.png"

    # Checkpoints ----------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint" / "state.safetensors"

    def drop_checkpoint(self) -> None:
        shutil.rmtree(self.checkpoint.parent, ignore_errors=True)


def fit_into(wanted: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    """Raise InputError unless `found` has just the names and shapes of `wanted`."""
    for name in wanted.keys() | found.keys():
        require(name in found, f"{path} lacks {name!r}; it belongs to another model or is damaged")
        require(name in wanted, f"{path} holds {name!r}, which the model in params.json does not have")
        want, have = tuple(wanted[name].shape), tuple(found[name].shape)
        require(want == have, f"{path}: {name!r} has shape {have}; the model in params.json expects {want}")


def versions() -> dict[str, str]:
    """Of what a figure may depend on beyond the settings."""
    return {
        "latently": metadata.version("latently"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": metadata.version("numpy"),
    }
