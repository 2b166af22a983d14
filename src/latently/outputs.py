"""Arrays per image -> a file of the kind that its ending names, file names kept."""

import csv
from pathlib import Path

import numpy as np

from latently.errors import require
from latently.runs import replacing

ARRAY_ENDINGS = (".npz", ".npy", ".csv")


def check_out(out: Path, endings: tuple[str, ...]) -> None:
    """Raise InputError for an ending that cannot be written, or a place that is a folder or lies under a file."""
    require(out.suffix.lower() in endings, f"--out is {out}; expected a name that ends in {', '.join(endings)}")
    require(not out.is_dir(), f"--out is {out}, which is a folder; give a file name in it")
    for parent in out.parents:
        require(not parent.is_file(), f"--out is {out}, but {parent} is a file; choose another place")


def write_arrays(out: Path, names: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays (N, ...), the first of them the main one.

    .npz: all of them, and `names`; .npy: the main one alone; .csv: a row per image, its name first, then every array
    flattened (`codes_1`, `codes_2` ...).
    """
    check_out(out, ARRAY_ENDINGS)
    with replacing(out) as temporary, open(temporary, "wb") as file:
        if out.suffix.lower() == ".npz":
            np.savez_compressed(file, names=np.asarray(names, dtype=str), **arrays)  # type: ignore[arg-type]
        elif out.suffix.lower() == ".npy":
            np.save(file, next(iter(arrays.values())))
        else:
            file.write(to_csv(names, arrays))


def to_csv(names: np.ndarray, arrays: dict[str, np.ndarray]) -> bytes:
    import io

    text = io.StringIO(newline="")
    writer = csv.writer(text)
    columns = {name: values.reshape(len(values), -1) for name, values in arrays.items()}
    header = [
        name if values.ndim == 1 else f"{name}_{place}"
        for name, values in arrays.items()
        for place in range(1, columns[name].shape[1] + 1)
    ]
    writer.writerow(["name", *header])
    rows = np.concatenate([values.astype(object) for values in columns.values()], axis=1)
    writer.writerows([name, *row] for name, row in zip(names, rows, strict=True))
    return text.getvalue().encode()
