"""IDX, the format of the MNIST files: http://yann.lecun.com/exdb/mnist, "the IDX file format".

Two zero bytes, one byte for the type, one for the number of dimensions, each dimension as a big-endian uint32, then
the values, big-endian.
"""

import math
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from latently.common.errors import require
from latently.data.arrays import image_set
from latently.data.imageset import ImageSet
from latently.data.ranges import Scale
from latently.data.reading import available_memory, open_plain, reading

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
CHUNK = 1 << 24


def is_idx(head: bytes) -> bool:
    """Do these first four bytes announce an IDX array of 1 to 4 dimensions?"""
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in TYPES and 1 <= head[3] <= 4


def read_idx(path: Path, scale: Scale = None) -> ImageSet:
    """An IDX file of images, gzipped or not, with the labels of the file beside it (images-idx3 -> labels-idx1)."""
    array = _read_file(path)
    require(
        array.ndim > 1,
        f"{path} holds labels, one number per image; name the images' file (...-images-idx3-...) instead",
    )
    labels_file = _labels_beside(path)
    return image_set(array, None if labels_file is None else _read_file(labels_file), path, scale)


def _read_file(path: Path) -> np.ndarray:
    with reading(str(path), "IDX"), open_plain(path) as stream:
        return read_array(stream, str(path))


def read_array(stream: BinaryIO, where: str) -> np.ndarray:
    """The one array of an IDX stream, in its own type; `InputError` where header and length do not agree."""
    head = stream.read(4)
    require(
        is_idx(head),
        f"{where} does not begin like an IDX file ({head.hex(' ') or 'it is empty'}); it is damaged or of another kind",
    )
    sizes = stream.read(4 * head[3])
    require(len(sizes) == 4 * head[3], f"{where} ends inside its IDX header; it is truncated: fetch or write it again")
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    dtype = np.dtype(TYPES[head[2]])
    n_bytes = math.prod(shape) * dtype.itemsize
    free = available_memory()
    body = _read_up_to(stream, min(n_bytes, free) + 1)
    require(len(body) <= free, f"{where} holds more than the {free / 1e9:,.1f} GB of memory that are free")
    found = f"{len(body):,}" if len(body) <= n_bytes else "more"
    require(
        len(body) == n_bytes,
        f"{where} promises {'x'.join(map(str, shape))} values in {n_bytes:,} bytes, but {found} follow; "
        "it is truncated or damaged: fetch or write it again",
    )
    return np.frombuffer(body, dtype).reshape(shape)


def _read_up_to(stream: BinaryIO, n_bytes: int) -> bytearray:
    # Piece by piece: memory grows with what is there, never with what a lying header promises.
    body = bytearray()
    while len(body) < n_bytes and (piece := stream.read(min(CHUNK, n_bytes - len(body)))):
        body += piece
    return body


def _labels_beside(path: Path) -> Path | None:
    if "images" not in path.name:
        return None
    plain = re.sub(r"idx\d", "idx1", path.name.replace("images", "labels")).removesuffix(".gz")
    candidates = (path.with_name(plain), path.with_name(plain + ".gz"))
    return next((file for file in candidates if file.is_file()), None)
