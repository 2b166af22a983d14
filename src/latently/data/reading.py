"""Opening files that may be gzipped, damaged or too big, with one sentence when they are."""

import errno
import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from latently.common.errors import InputError, require

GZIP_MAGIC = b"\x1f\x8b"
FILES_AT_ONCE = 64  # of a thread
LONGEST_REASON = 300  # letters: NumPy's show the header of a damaged file

Item = TypeVar("Item")
Result = TypeVar("Result")


class UnreadableError(InputError):
    """A file that cannot be read. reason: why, for a sentence that names the file itself."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@contextmanager
def reading(where: str, expected: str) -> Iterator[None]:
    """Turn what a decoder raises on broken bytes into an `InputError` that names the file `where`.

    Everything is caught, because decoders raise nearly everything on broken bytes (OSError, SyntaxError, zlib.error,
    struct.error, IndexError ...). The disk's own errors (missing, not permitted: they carry an errno) pass through, but
    not the one that tells of a place which no file has.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = " ".join(str(error).replace(f" {where!r}", "").split()).rstrip(".") or type(error).__name__
        reason = reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 3] + "..."
        sentence = (
            f"{where} cannot be read as {expected}: {reason}; it is damaged or of another kind: replace or remove it"
        )
        raise UnreadableError(sentence, reason) from error


@contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes as a stream, decompressed where they are gzip (whatever the file is called)."""
    with open(path, "rb") as raw:
        is_gzip = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if is_gzip else raw


def available_memory() -> int:
    """Bytes that can be taken without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def require_memory(n_bytes: int, what: str) -> None:
    """Raise `InputError` where `what` needs more bytes than are free."""
    free = available_memory()
    require(
        n_bytes <= free,
        f"{what} needs {n_bytes / 1e9:,.1f} GB of memory but {free / 1e9:,.1f} GB are free; "
        "use fewer images, smaller ones with --image-size H W, or one .npy array of them, which need not be in memory",
    )


def in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`work` on each item, by a thread per core; the results in the items' order. The first error ends it."""

    def some(start: int) -> list[Result]:
        return [work(item) for item in items[start : start + FILES_AT_ONCE]]

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            return [result for part in pool.map(some, range(0, len(items), FILES_AT_ONCE)) for result in part]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
