"""Arrays per image -> a file in the format given by its extension, with image names."""

import csv
import io
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from latently.common.errors import require
from latently.common.files import atomic_write, is_temporary, require_writable
from latently.data import NAMED
from latently.runs.folder import RUN_FILES

ARRAY_ENDINGS = (".npz", ".npy", ".csv")
ROWS_AT_ONCE = 256  # of a CSV: numbers as text take much more memory


def check_out(out: Path, endings: tuple[str, ...]) -> None:
    """Raise InputError for an unsupported extension, and for a path that cannot or must not be written."""
    require(out.suffix.lower() in endings, f"--out is {out}; expected a name that ends in {', '.join(endings)}")
    require(not out.is_dir(), f"--out is {out}, which is a folder; give a file name in it")
    of_a_run = out.name in RUN_FILES and (out.parent / "params.json").exists()
    require(not of_a_run, f"--out is {out}, a file of the run in that folder; choose another name")
    require_writable(out)


def require_apart(out: Path, source: str, adds_images: bool) -> None:
    """Raise InputError if writing `out` would overwrite the input, or add images to the input folder."""
    place, origin = out.resolve(), Path(source).expanduser().resolve()
    inside = origin in place.parents and (adds_images or out.exists())
    among = source not in NAMED and (place == origin or inside)
    require(not among, f"--out is {out}, which is among the images of {source}; choose another place")


def write_arrays(out: Path, names: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays (N, ...), the first of them the main one.

    .npz: all of them, and `names`; .npy: only the main one; .csv: a row per image, with its name and every array
    flattened (`codes_1`, `codes_2` ...).
    """
    check_out(out, ARRAY_ENDINGS)
    with atomic_write(out) as temporary, open(temporary, "wb") as file:
        if out.suffix.lower() == ".npz":
            np.savez_compressed(file, names=np.asarray(names, dtype=str), **arrays)  # type: ignore[arg-type]
        elif out.suffix.lower() == ".npy":
            np.save(file, next(iter(arrays.values())))
        else:
            write_csv(file, names, arrays)


def write_csv(file: BinaryIO, names: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
    """Numbers are written with full precision; names that are not UTF-8 keep their bytes."""
    with io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["name", *(column for name, values in arrays.items() for column in columns(name, values))])
        for start in range(0, len(names), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            cells = [values[part].reshape(len(values[part]), -1).astype(str) for values in arrays.values()]
            rows = np.concatenate([names[part].astype(str)[:, None], *cells], axis=1)
            writer.writerows(rows.tolist())


def check_folder(out: Path, ours: tuple[str, ...] = ()) -> None:
    """Raise InputError unless `out` can be created, or is a folder that contains nothing but `ours`."""
    free = not out.exists() or (out.is_dir() and all(each.name in ours or is_temporary(each) for each in out.iterdir()))
    require(free, f"--out is {out}, which is not empty; give a new folder")
    require_writable(out)


def write_images(out: Path, names: np.ndarray, images: np.ndarray) -> None:
    """Write a PNG per image (N, H, W[, C]), floats clipped to 0..1, under its name; creates folders in names."""
    from PIL import Image

    for name, pixels in zip(names, np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8), strict=True):
        place = out / (name if name.lower().endswith(".png") else f"{name}.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place)


def columns(name: str, values: np.ndarray) -> list[str]:
    n = math.prod(values.shape[1:])
    return [name] if values.ndim == 1 else [f"{name}_{place}" for place in range(1, n + 1)]
