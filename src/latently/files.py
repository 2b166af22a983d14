"""Files that are there whole or not at all, whatever interrupts their writer."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

TEMPORARY = ".tmp"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, whole and on the disk, when the block ends well.

    Folders that are missing are made; when the block fails, nothing of all this is left.
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
            error.filename = str(path)  # a write that fails does not say where
        raise


def flush(path: Path) -> None:
    """Wait until the disk has it."""
    with open(path, "rb+") as file:  # Windows flushes no file that is open for reading alone
        os.fsync(file.fileno())


def is_temporary(path: Path) -> bool:
    """Whether a file is what `replacing` leaves when it is killed."""
    return path.name.startswith(".") and path.name.endswith(TEMPORARY)


def sweep(folder: Path) -> None:
    """Remove what writers left that were killed; one that is still at work keeps its file."""
    for path in folder.glob(f".*{TEMPORARY}"):
        writer = path.name.removesuffix(TEMPORARY).rpartition(".")[2]
        if not (writer.isdigit() and psutil.pid_exists(int(writer))):
            path.unlink(missing_ok=True)
