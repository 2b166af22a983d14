"""Codes that were made elsewhere, in a file: a row for every image."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from latently.common.errors import InputError, require
from latently.data.imageset import ImageSet
from latently.data.reading import open_plain, reading, require_memory

KINDS = "a .npy, .npz or .parquet file, or a folder of .parquet files"
NPY, ZIP = b"\x93NUMPY", b"PK"
COLUMNS = ("code", "codes", "embedding", "embeddings", "features")  # names of the column, or array, that holds codes


def read_codes(path: Path, images: ImageSet) -> np.ndarray:
    """The codes of these images, (n, d) float32, in their order. Never unpickles.

    .npy: an array (n, d), row for row. .npz: the array `codes`, or the only one (n, d). .parquet: a column of lists
    called `code`, or the only one, or else all columns of floats; a folder holds several such files, as
    `latently encode --ray` writes them. Where there are names as well (an array or column `names` or `name`), rows are
    matched with the images by name; else, in .parquet, by `index`; else they are in the order of the images: files
    sorted by path, or as in the array. Raises InputError unless every image has one row of finite numbers.
    """
    where = str(path)
    require(path.exists(), f"--codes is {where}, which does not exist; expected {KINDS}")
    kind = ".parquet" if path.is_dir() else path.suffix.lower()
    require(kind in READERS, f"--codes is {where}, which is of no known kind; expected {KINDS}")
    if path.is_file():
        require_memory(path.stat().st_size, where)
    table, names, index = READERS[kind](path)
    codes = as_codes(table, where)
    require(
        len(codes) == len(images),
        f"{where} has {len(codes):,} codes, but {images.source} has {len(images):,} images; expected a row for every "
        "image, in the same order",
    )
    if names is not None:
        codes = codes[rows_by_name(names, images, where)]
    elif index is not None:
        codes = codes[rows_by_index(index, where)]
    return codes


Table = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]  # codes, and names or indices, if there are any


def read_npy(path: Path) -> Table:
    with reading(str(path), "a .npy array of numbers"), open_plain(path) as stream:
        require(stream.read(6) == NPY, f"{path} is not a .npy array; write it with np.save(file, codes)")
        stream.seek(0)
        codes: np.ndarray = np.load(stream, allow_pickle=False)
    return codes, None, None


def read_npz(path: Path) -> Table:
    with reading(str(path), "a .npz archive of numbers and text"), open(path, "rb") as stream:
        require(stream.read(2) == ZIP, f"{path} is not a .npz archive; write it with np.savez(file, codes=...)")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    called = [key for key in arrays if key.lower() in COLUMNS]
    found = called[:1] or [key for key, array in arrays.items() if array.ndim == 2]
    require(len(found) == 1, f"{path} holds no array 'codes' (its keys: {', '.join(arrays) or 'none'}); rename one")
    return arrays[found[0]], arrays.get("names"), None


def read_parquet(path: Path) -> Table:
    require(find_spec("pyarrow") is not None, "reading .parquet needs pyarrow: pip install 'latently[parquet]'")
    from pyarrow import parquet

    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    require(bool(files), f"{path} holds no .parquet file; expected {KINDS}")
    codes, names, index = [], [], []
    for file in files:
        with reading(str(file), "Parquet"):
            columns = {str(name): column for name, column in zip(*columns_of(parquet.ParquetFile(file)), strict=True)}
            codes.append(codes_in(columns, file))
            names.append(column_of(columns, "name"))
            index.append(column_of(columns, "index"))
    widths = {part.shape[1] for part in codes}
    require(len(widths) == 1, f"the files of {path} hold codes of widths {', '.join(map(str, sorted(widths)))}")
    return np.concatenate(codes), joined(names), joined(index)


READERS: dict[str, Callable[[Path], Table]] = {".npy": read_npy, ".npz": read_npz, ".parquet": read_parquet}


def columns_of(file: Any) -> tuple[list[str], list[Any]]:
    table = file.read()
    return table.column_names, [column.combine_chunks() for column in table.columns]


def codes_in(columns: dict[str, Any], file: Path) -> np.ndarray:
    """The codes (n, d) among the columns of a Parquet file."""
    from pyarrow import types

    lists = [
        name
        for name, column in columns.items()
        if types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type)
    ]
    found = [name for name in lists if name.lower() in COLUMNS][:1] or lists
    if len(found) == 1:
        column = columns[found[0]]
        values = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
        even = column.null_count == 0 and len(column) > 0 and len(values) % len(column) == 0
        widths = {len(values) // len(column)} if even else set()
        if widths and not types.is_fixed_size_list(column.type):
            widths = set(column.value_lengths().to_pylist())
        require(len(widths) == 1, f"{file} has codes of several widths in its column {found[0]!r}, or none; mend them")
        return values.reshape(len(column), -1)
    floats = [column for column in columns.values() if types.is_floating(column.type)]
    none = f"{file} has no column 'code' of lists, and no columns of floats (its columns: {', '.join(columns)})"
    require(not lists and bool(floats), none)
    return np.stack([column.to_numpy(zero_copy_only=False) for column in floats], 1)


def column_of(columns: dict[str, Any], name: str) -> np.ndarray | None:
    found = columns.get(name, columns.get(f"{name}s"))
    return None if found is None else np.array(found.to_pylist())


def joined(parts: list[np.ndarray | None]) -> np.ndarray | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if len(there) == len(parts) else None


def as_codes(table: np.ndarray, where: str) -> np.ndarray:
    """(n, d) float32, finite."""
    is_table = table.ndim == 2 and table.shape[1] > 0 and table.dtype.kind in "buif"
    expected = "expected numbers (n, d): a row of d for each image"
    require(is_table, f"{where} holds an array of shape {table.shape} and type {table.dtype}; {expected}")
    with np.errstate(over="ignore"):
        codes = table.astype(np.float32)
    strange = np.flatnonzero(~np.isfinite(codes).all(1))
    require(
        len(strange) == 0,
        f"{where} has NaN, infinite or too large numbers in {len(strange):,} of its {len(codes):,} rows (the first: "
        f"{strange[:1].tolist()}); expected finite ones",
    )
    return codes


def rows_by_name(names: np.ndarray, images: ImageSet, where: str) -> np.ndarray:
    """The row of each image."""
    row_of = {str(name): row for row, name in enumerate(names.tolist())}
    require(len(row_of) == len(names), f"{where} has two rows of one name; expected one row for every image")
    rows = [row_of.get(name, -1) for name in images.names.tolist()]
    missing = [name for name, row in zip(images.names.tolist(), rows, strict=True) if row < 0]
    if missing:
        lack = f"{len(missing):,} images of {images.source} have none"
        raise InputError(f"{where} has no row named {missing[0]!r}; {lack}")
    return np.array(rows)


def rows_by_index(index: np.ndarray, where: str) -> np.ndarray:
    """The row of each image, by its number."""
    order = np.argsort(index, kind="stable")
    whole = np.array_equal(index[order], np.arange(len(index)))
    require(whole, f"{where} has a column 'index' that does not number its rows 0 to {len(index) - 1:,}; leave it out")
    return order
