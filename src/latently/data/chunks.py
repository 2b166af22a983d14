"""Images that are read a range at a time, by as many processes as see the disk: more of them than memory holds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from latently.common.errors import InputError, require
from latently.data.arrays import as_images
from latently.data.cache import file_states, short_hash
from latently.data.folder_index import index_folder
from latently.data.image_file import read_image
from latently.data.pixels import as_pixels
from latently.data.preparation import Preparation
from latently.data.reading import reading


@dataclass(frozen=True)
class Chunks:
    """N images of a folder or of a .npy file, of which nothing is read yet.

    read: (start, stop) -> the images from start to stop - 1, as `load` gives them.
    content: short_hash by which they are known until one of their files is written.
    names: (N,) of the files; None where images have numbers alone.
    label_names: (N,) of the classes, empty where unlabelled; None where no image has a label.
    """

    n_images: int
    read: Callable[[int, int], np.ndarray]
    source: str
    content: str
    names: np.ndarray | None = None
    label_names: np.ndarray | None = None

    def __len__(self) -> int:
        return self.n_images


def open_chunks(source: str, preparation: Preparation) -> Chunks:
    """Raises InputError for a source of another kind, or one that holds no images."""
    path = Path(source).expanduser().absolute()
    if path.is_dir():
        index = index_folder(path)
        names = index.names
        label_names = np.array([*index.classes, ""])[index.labels] if index.classes else None
        read, content = partial(_of_folder, path, names, preparation), short_hash(file_states(path, names))
        return Chunks(len(names), read, str(path), content, np.array(names), label_names)
    readable = path.is_file() and path.suffix.lower() == ".npy"
    require(readable, f"{source} cannot be read a range at a time; expected a folder of images, or a .npy file")
    content = short_hash(file_states(path.parent, [path.name]))
    return Chunks(len(_mapped(path)), partial(_of_array, path, preparation), str(path), content)


def _of_folder(folder: Path, names: list[str], preparation: Preparation, start: int, stop: int) -> np.ndarray:
    images = [read_image(folder / name, preparation) for name in names[start:stop]]
    for name, image in zip(names[start:stop], images, strict=True):
        if image.shape != images[0].shape:
            raise InputError(f"{folder / name} has shape {image.shape} where others have {images[0].shape}")
    return np.stack(images)


def _of_array(path: Path, preparation: Preparation, start: int, stop: int) -> np.ndarray:
    return preparation.apply(as_pixels(_mapped(path)[start:stop], str(path), maximum=preparation.maximum))


def _mapped(path: Path) -> np.ndarray:
    with reading(str(path), "a .npy array of numbers, never of Python objects"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    require(isinstance(array, np.memmap), f"{path} is not a .npy array; write it with np.save(file, images)")
    return as_images(array, str(path))
