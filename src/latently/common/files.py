"""Atomic file writing, JSON, and checks of paths."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from latently.common.errors import InputError, require

TEMPORARY = ".tmp"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to `path`; if the block succeeds, flushes it to disk and renames it to `path`.

    Creates missing folders. If the block fails, the temporary file and the new folders are removed.
    """
    made = [folder for folder in path.parents if not folder.exists()]  # the innermost first
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)  # a failed write does not name its file
        raise


def flush(path: Path) -> None:
    """Flush a file to disk (fsync)."""
    with open(path, "rb+") as file:  # Windows cannot flush a file that is open for reading only
        os.fsync(file.fileno())


def is_temporary(path: Path) -> bool:
    """Whether a file is a temporary file of `atomic_write`."""
    return path.name.startswith(".") and path.name.endswith(TEMPORARY)


def remove_stale_temporaries(folder: Path) -> None:
    """Remove temporary files of processes that no longer run."""
    for path in folder.glob(f".*{TEMPORARY}"):
        writer = path.name.removesuffix(TEMPORARY).rpartition(".")[2]
        if not (writer.isdigit() and psutil.pid_exists(int(writer))):
            path.unlink(missing_ok=True)


RESTORE = "restore it, or train again"


def require_writable(path: Path) -> None:
    """Raise InputError if no file can be written at `path`: a parent is a file, or permission is missing."""
    for parent in path.parents:
        require(not parent.is_file(), f"{path} cannot be written: {parent} is a file; choose another place")
    home = next(folder for folder in path.absolute().parents if folder.exists())
    require(
        os.access(home, os.W_OK), f"{path} cannot be written: no permission to write to {home}; choose another place"
    )


def write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def as_json(values: Any) -> str:
    return (
        json.dumps(values, indent=2, allow_nan=False, default=lambda number: number.item()) + "\n"
    )  # also NumPy scalars


def write_json(path: Path, values: Any) -> None:
    write_text(path, as_json(values))


def read_json(path: Path) -> Any:
    """Raises InputError for a file that is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; is {path.parent} a run folder?") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is not JSON ({error}); {RESTORE}") from None


@contextmanager
def input_errors_for(path: Path, advice: str = RESTORE) -> Iterator[None]:
    """Within the block, errors caused by bad content of a file become an InputError with the file and the reason."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        if isinstance(error, InputError) and str(error).endswith(advice):
            raise  # already an error about this file
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{path} cannot be used: {reason}; {advice}") from None


def nan_to_null(figures: dict[str, Any]) -> dict[str, Any]:
    """Replace NaN and infinity, which JSON lacks, by null; also in nested dicts."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return nan_to_null(value)
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {name: plain(value) for name, value in figures.items()}
