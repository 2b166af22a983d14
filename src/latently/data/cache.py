"""Images that took their time to decode or to resize, kept in the cache as one memory-mapped array.

`<cache>/decoded/PLACE-CONTENT.npy`: where the images lie and how they were prepared, and what they were then (names,
sizes and times of change). So a source that has changed is decoded anew, and its old array goes. Any of these files may
be removed at any time.
"""

import contextlib
import errno
import hashlib
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from latently.common.errors import InputError, require
from latently.common.files import atomic_write, read_json, remove_stale_temporaries, write_json
from latently.data.download import cache_folder
from latently.data.preparation import Preparation
from latently.data.reading import reading


def decoded_array(
    source: Path,
    preparation: Preparation,
    content: Iterable[str],
    shape: Sequence[int],
    dtype: np.dtype,
    parts: Iterable[np.ndarray],
    progress: bool,
    left_out: dict[str, str] | None = None,
) -> np.memmap:
    """The array of all `parts`, memory-mapped: from the cache, else written there first, which alone asks for parts.

    content: what the images are known by. shape: (N, ...). left_out: which rows say nothing, and why,
    which asking for the last part fills; it is kept beside the array. Raises `InputError` where the disk has no room.
    """
    folder = cache_folder() / "decoded"
    plain = replace(preparation, skip_broken=False, scale=preparation.maximum)
    place = short_hash([str(source.absolute()), repr(plain.to_json())])
    path = folder / f"{place}-{short_hash(content)}.npy"
    beside = path.with_suffix(".json")
    if path.exists() and left_out is not None and beside.exists():
        left_out |= read_json(beside)

    def all_parts() -> Iterator[np.ndarray]:
        yield from parts
        if left_out:  # before the array takes its place
            write_json(beside, left_out)

    if not path.exists():
        require_room(folder, source, shape, dtype)
        write(path, source, shape, dtype, all_parts(), progress)
        for old in folder.glob(f"{place}-*"):
            if old not in (path, beside):
                with contextlib.suppress(OSError):  # Windows keeps a file that is still mapped
                    old.unlink()
    with reading(str(path), "decoded images"):
        images: np.memmap = np.load(path, mmap_mode="r")
    return images


def file_states(folder: Path, names: Iterable[str]) -> Iterable[str]:
    """What files are known by as long as nobody writes them: their names, sizes and times of change."""
    return (f"{name} {stat.st_size} {stat.st_mtime_ns}" for name in names for stat in [(folder / name).stat()])


def short_hash(texts: Iterable[str]) -> str:
    """A few that stand for all these."""
    name = hashlib.blake2b(digest_size=8)
    for text in texts:
        name.update(text.encode(errors="surrogateescape") + b"\0")
    return name.hexdigest()


def write(
    path: Path, source: Path, shape: Sequence[int], dtype: np.dtype, parts: Iterable[np.ndarray], progress: bool
) -> None:
    """Written, not mapped: a full disk is then an error, where a mapped page would end the process."""
    from tqdm import tqdm

    remove_stale_temporaries(path.parent)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
    bar = tqdm(total=shape[0], desc=f"decoding {source.name}", unit=" images", file=sys.stderr, disable=not progress)
    try:
        with bar, atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype).data)
                bar.update(len(part))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(no_room(path.parent, source, shape, dtype)) from None


def require_room(folder: Path, source: Path, shape: Sequence[int], dtype: np.dtype) -> None:
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    require(shutil.disk_usage(there).free > prod(shape) * dtype.itemsize, no_room(folder, source, shape, dtype))


def no_room(folder: Path, source: Path, shape: Sequence[int], dtype: np.dtype) -> str:
    size = f"{prod(shape) * dtype.itemsize / 1e9:,.1f} GB"
    return (
        f"the {shape[0]:,} images of {source} take {size} once decoded, and the disk of {folder} has no room for them; "
        "free some space, set LATENTLY_DATA to a folder on another disk, or make them smaller with --image-size H W"
    )
