"""Codes of more images than fit into memory: Ray Data gives ranges of images to workers, which write Parquet files.

OUT/codes-00003-of-00012.parquet has a row per image: `index`, its index among all images; `name` and `label` if there
are any; `code`, a fixed-size list of float32. Files are written atomically, and existing files are not written again.
"""

import hashlib
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from latently.analysis.run_images import RunImages
from latently.common.console import note
from latently.common.errors import require
from latently.common.files import atomic_write, read_json, write_json
from latently.data.chunks import Chunks, open_chunks
from latently.estimator import load
from latently.runs.outputs import check_folder
from latently.training.ray_cluster import connected, failures_told, n_shares, one_core, one_share
from latently.training.watchers import JobBar

ROWS = 8192  # per file
BYTES_AT_ONCE = 2**26  # of pixels in a worker's memory
SETTINGS_FILE = "_about.json"  # Parquet readers ignore files that start with _


def write_codes(opened: RunImages, source: str, out: Path, device: str, address: str) -> None:
    """Write the codes of all images of a folder or a .npy file to the folder `out`, using the Ray cluster at `address`.

    Raises InputError if the images do not have the run's shape, or `out` contains something else.
    """
    images = open_chunks(source, opened.preparation_for(source))
    opened.require_shape(images.read(0, 1).shape[1:], images.source)
    about = {"source": images.source, "n_images": len(images), "rows": ROWS, "content": images.content}
    about |= {"weights": hashlib.blake2b((opened.run.path / "model.safetensors").read_bytes()).hexdigest()}
    claim_folder(out, about)
    n_shards = math.ceil(len(images) / ROWS)
    shards: list[dict[str, Any]] = [
        {"path": str(out.absolute() / f"codes-{n:05}-of-{n_shards:05}.parquet"), "start": n * ROWS}
        for n in range(n_shards)
    ]
    missing = [shard for shard in shards if not Path(shard["path"]).exists()]
    if len(missing) < n_shards:
        note(f"{n_shards - len(missing)} of {n_shards} files exist already")
    if missing:
        with connected(address), JobBar() as tally:
            encode(missing, (str(opened.run.path.absolute()), device, images), lambda made: tally(made, len(missing)))
    unseen = [shard["path"] for shard in missing if not Path(shard["path"]).exists()]
    require(not unseen, f"{unseen[:1]} was written but is not visible here; with several machines, --out must be on a "
            "disk that they share")  # fmt: skip


def claim_folder(out: Path, about: dict[str, Any]) -> None:
    """Raise InputError if `out` contains anything but files of the same codes."""
    place = out / SETTINGS_FILE
    if place.exists():
        same = read_json(place) == about
        require(same, f"--out is {out}, which contains codes of other images or of another run; give a new folder")
        return
    check_folder(out)
    write_json(place, about)


def encode(shards: list[dict[str, Any]], given: tuple[str, str, Chunks], tell: Callable[[int], None]) -> None:
    """Encode with a pool of workers, each of which loads the run; `tell` is called with the number of files written."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars, context.raise_original_map_exception = False, True
    n = min(n_shares(), len(shards))
    work = ray.data.from_items(shards, override_num_blocks=len(shards)).map_batches(
        Encoder,
        fn_constructor_args=given,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=n, initial_size=n),
        **one_share(),
    )
    with failures_told("the encoding lost its workers"):
        for made, _ in enumerate(work.iter_rows(), 1):
            tell(made)


class Encoder:
    """A worker: loads the run, and writes the files that it is given."""

    def __init__(self, run: str, device: str, images: Chunks) -> None:
        self.estimator, self.images = load(run, device), images
        self.at_once = max(1, BYTES_AT_ONCE // images.read(0, 1).nbytes)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with one_core():
            for path, start in zip(batch["path"], batch["start"], strict=True):
                self.write(Path(str(path)), int(start), min(int(start) + ROWS, len(self.images)))
        return batch

    def write(self, path: Path, start: int, stop: int) -> None:
        from pyarrow import FixedSizeListArray, array, parquet, table

        images, rows = self.images, slice(start, stop)
        columns = {"index": array(np.arange(start, stop))}
        if images.names is not None:
            columns["name"] = array(images.names[rows].tolist())
        if images.label_names is not None:
            columns["label"] = array([name or None for name in images.label_names[rows].tolist()], "string")
        codes = np.concatenate(
            [self.codes(at, min(at + self.at_once, stop)) for at in range(start, stop, self.at_once)]
        )
        columns["code"] = FixedSizeListArray.from_arrays(array(codes.ravel()), codes.shape[1])
        with atomic_write(path) as temporary:
            parquet.write_table(table(columns), temporary)

    def codes(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, latent_dim) float32"""
        labels = None if self.images.label_names is None else self.images.label_names[start:stop]
        return self.estimator.transform(self.images.read(start, stop), labels)
