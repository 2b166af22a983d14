"""A run folder has one writer at a time.

The writer locks the file `.lock` in the folder (flock) and notes in it who it is. The system drops the lock when the
process ends, also by kill -9; the file that is then left locks nothing. Where there are no such locks (Windows, some
network file systems), nothing is held.
"""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from latently.common.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Be the only writer of a folder, which is made if it is missing, until the block ends.

    Raises InputError with process, host and time of who holds it.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    try:
        descriptor = take(path)
        try:
            os.ftruncate(descriptor, 0)
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            os.write(descriptor, json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since}).encode())
            yield
        finally:
            with suppress(OSError):
                path.unlink()  # while it is still ours: who opened it meanwhile sees that it is gone, and makes another
            os.close(descriptor)
    finally:
        with suppress(OSError):  # not empty, as a rule
            for each in made:
                each.rmdir()


def require_unheld(folder: Path) -> None:
    """Raise InputError if a folder is held. Changes nothing."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR)
    except OSError:
        return
    try:
        if not lock(descriptor):
            raise InputError(held_by(folder))
    finally:
        os.close(descriptor)


def take(path: Path) -> int:
    """The descriptor of the locked file. Raises InputError if another has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not lock(descriptor):
                raise InputError(held_by(path.parent))
            if path.exists() and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # of a file that its writer has just removed


def lock(descriptor: int) -> bool:
    """Whether the file is now locked by this descriptor, or cannot be locked at all; False if another has locked it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        return True
    return True


def held_by(folder: Path) -> str:
    who = "another process"
    with suppress(OSError, ValueError, LookupError, TypeError):  # it may not have written this yet
        about = json.loads((folder / LOCK_FILE).read_text(encoding="utf-8"))
        who = f"process {about['pid']} on {about['host']}, since {about['since']}"
    return f"{folder} is being written by {who}; wait until it has ended, or choose another folder"
