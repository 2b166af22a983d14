"""Freed memory that a process keeps while it trains.

A step of a convolutional net frees and takes again some hundred megabytes. glibc hands blocks that large back to the
kernel at once and gets them again page by page, filled with zeros: a sixth of the step on two cores
(docs/performance.md).
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 2**30  # blocks up to here stay in the process; larger ones (images, not activations) go back as before
USUAL_MMAP, USUAL_TRIM = 2**25, 2**26  # what glibc's own thresholds grow to in a process that frees large blocks


@contextlib.contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Inside, freed memory stays in the process; afterwards it is returned to the system. No effect without glibc."""
    glibc = find_glibc()
    if glibc is None:
        yield
        return
    set_thresholds(glibc, KEPT, KEPT)
    try:
        yield
    finally:
        set_thresholds(glibc, USUAL_MMAP, USUAL_TRIM)
        glibc.malloc_trim(0)


def find_glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


def set_thresholds(glibc: ctypes.CDLL, mmap: int, trim: int) -> None:
    if not glibc.mallopt(M_MMAP_THRESHOLD, mmap):  # older releases refuse more than 32 MB
        glibc.mallopt(M_MMAP_THRESHOLD, USUAL_MMAP)
    glibc.mallopt(M_TRIM_THRESHOLD, trim)
