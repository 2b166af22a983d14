"""A folder of images: one subfolder per class; images directly inside are unlabelled."""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from latently.common.console import data_note
from latently.common.errors import InputError, require
from latently.data.cache import decoded_array, file_states
from latently.data.folder_index import index_folder
from latently.data.folder_survey import LARGEST_SIDE, look_at
from latently.data.image_file import read_image, read_limits
from latently.data.imageset import UNLABELLED, ImageSet
from latently.data.mapped import Images, Mapped, stays_on_disk
from latently.data.preparation import Preparation
from latently.data.ranges import BYTE, Limits, decided, limits_of_all, note_beyond, stay_bytes
from latently.data.reading import UnreadableError, in_threads, require_memory

FILES_IN_A_PART = 1024  # decoded between two writes to the disk
FILES_THAT_TELL = 2000  # which range the files of a dark folder have
BROKEN_SHOWN = 5  # files that cannot be read, of which a sentence tells the reason


def read_folder(
    folder: Path, preparation: Preparation, progress: bool = False, largest_side: int = LARGEST_SIDE
) -> ImageSet:
    """Every image in `folder`, sorted by relative path, decoded to uint8 and prepared one by one.

    Many of them are decoded once, with a bar on stderr where `progress`, into a memory-mapped
    array in the cache: the images are then `Mapped`.

    Grey files give (N, H, W), colour (N, H, W, 3). Alpha is composed over black. A palette that shows greys only is
    grey. 16-bit grey is value / 257, rounded, or as `scale` says. The EXIF orientation is applied. Of an animation the
    first frame counts.
    Images that differ are made alike as `preparation` says, or as suits them, up to `largest_side`. `DataNote`s tell
    what was chosen, and which files were passed over. Raises `InputError` naming the files that are damaged, unless
    `preparation` leaves them out, or the one that is unlike the first where `preparation` forbids that.
    """
    index = index_folder(folder)
    for text in index.notes():
        data_note(f"{folder}: {text}")
    preparation = chosen_preparation(folder, index.names, preparation, largest_side)
    preparation = _with_scale(folder, index.names, preparation)
    images, broken = _images(folder, index.names, preparation, progress)
    _note_range(folder, index.names, preparation, images)
    names, parts = np.array(index.names), index.parts
    data = ImageSet(
        images, index.labels, index.classes, names, str(folder.absolute()), parts=parts, preparation=preparation
    )
    if not broken:
        return data
    require(preparation.skip_broken, _broken_sentence(folder, broken, len(names)))
    are = "is" if len(broken) == 1 else "are"
    data_note(f"{folder}: {_broken_files(broken, len(names))} and {are} left out: {_listed(broken)}")
    readable = np.flatnonzero(~np.isin(names, list(broken)))
    return replace(data.take(readable), parts=None if parts is None else parts[readable])


def read_one(path: Path, preparation: Preparation, largest_side: int = LARGEST_SIDE) -> ImageSet:
    """One image file, without a label, as `read_folder` reads it."""
    preparation = chosen_preparation(path.parent, [path.name], preparation, largest_side)
    preparation = _with_scale(path.parent, [path.name], preparation)
    beyond: list[Limits] = []
    pixels = read_image(path, preparation, beyond)[None]
    _note_beyond(path, preparation, beyond)
    _note_range(path.parent, [path.name], preparation, pixels)
    return ImageSet(
        pixels, np.array([UNLABELLED]), (), np.array([path.name]), str(path.absolute()), preparation=preparation
    )


def chosen_preparation(folder: Path, names: list[str], asked: Preparation, largest_side: int) -> Preparation:
    """How these images are made alike; a `DataNote` tells what was chosen. Where all is said, no file is opened."""
    if asked.fit == "none" or (asked.fit != "auto" and asked.image_size and asked.channels):
        return asked
    survey = look_at(folder, names)
    if not survey.headers:  # all are damaged, as reading them will tell
        return asked
    chosen = survey.choose(asked, largest_side)
    for sentence in (survey.sentence(asked, chosen), survey.frames()):
        if sentence:
            data_note(f"{_place(folder, names)}: {sentence}")
    return chosen


def _place(folder: Path, names: list[str]) -> Path:
    """What a note is about: the folder, or its only image."""
    return folder / names[0] if len(names) == 1 else folder


def _with_scale(folder: Path, names: list[str], asked: Preparation) -> Preparation:
    """With the number that auto stands for, or None."""
    if asked.scale != "auto":
        return asked
    limits = _limits(folder, names)  # none where all are damaged, as reading them will tell
    return replace(asked, scale=decided("auto", limits, str(_place(folder, names))) if limits else None)


def _note_range(folder: Path, names: list[str], preparation: Preparation, images: Images) -> None:
    """A `DataNote` if images that nobody scaled use at most half of their range: then files are read again to tell
    which."""
    if preparation.scale == "none" or not stay_bytes(preparation.maximum) or not _are_dark(images):
        return
    step = -(-len(names) // FILES_THAT_TELL)
    limits = _limits(folder, names[::step])
    if limits and (preparation.scale is None or limits.are_bytes):
        decided(preparation.scale, limits, str(_place(folder, names)))


def _note_beyond(where: Path, preparation: Preparation, beyond: list[Limits]) -> None:
    limits = limits_of_all(beyond)
    if limits and preparation.maximum:
        note_beyond(preparation.maximum, limits, str(where))


def _are_dark(images: Images) -> bool:
    """Whether no pixel is as much as half as bright as white."""
    parts = images.parts() if isinstance(images, Mapped) else [images]
    return all(part.max() <= BYTE / 2 for part in parts)


def _limits(folder: Path, names: list[str]) -> Limits | None:
    """Of those files that can be read."""

    def found(name: str) -> Limits | None:
        with suppress(UnreadableError):
            return read_limits(folder / name)
        return None

    return limits_of_all([limits for limits in in_threads(found, names) if limits])


def note_fitting(path: Path, asked: Preparation, preparation: Preparation, why: str) -> None:
    """A `DataNote` if images of a folder, or one image, change by more than what was `asked`, to be like a run's."""
    folder, names = (path, index_folder(path).names) if path.is_dir() else (path.parent, [path.name])
    survey = look_at(folder, names)
    if survey.headers and (sentence := survey.sentence(asked, preparation, why)):
        data_note(f"{path}: {sentence}")


Broken = dict[str, str]  # file -> why it cannot be read


def _images(folder: Path, names: list[str], preparation: Preparation, progress: bool) -> tuple[Images, Broken]:
    """One for each name, black where the file is broken."""
    first_name, first = _first(folder, names, preparation)
    shape = (len(names), *first.shape)
    broken: Broken = {}
    beyond: list[Limits] = []

    def decoded(some: list[str]) -> np.ndarray:
        return _decoded(folder, some, preparation, first_name, first, broken, beyond)

    if not stays_on_disk(math.prod(shape)):
        require_memory(math.prod(shape), f"{folder}, {len(names):,} images of {_size(first)},")
        found = decoded(names)
        _note_beyond(folder, preparation, beyond)
        return found, broken

    def parts() -> Iterator[np.ndarray]:
        for start in range(0, len(names), FILES_IN_A_PART):
            yield decoded(names[start : start + FILES_IN_A_PART])
        require(preparation.skip_broken or not broken, _broken_sentence(folder, broken, len(names)))
        _note_beyond(folder, preparation, beyond)

    found = decoded_array(
        folder, preparation, file_states(folder, names), shape, first.dtype, parts(), progress, broken
    )
    return Mapped(found, str(folder)), broken


def _first(folder: Path, names: list[str], preparation: Preparation) -> tuple[str, np.ndarray]:
    """The first image that can be read, with its name. Raises `InputError` where none can."""
    broken: Broken = {}
    for name in names:
        try:
            return name, read_image(folder / name, preparation)
        except UnreadableError as error:
            broken[name] = error.reason
    raise InputError(_broken_sentence(folder, broken, len(names)))


def _decoded(
    folder: Path,
    names: list[str],
    preparation: Preparation,
    first_name: str,
    first: np.ndarray,
    broken: Broken,
    beyond: list[Limits],
) -> np.ndarray:
    """These images, which must be like the first of all; those that cannot be read join `broken`, and the range of
    those that have pixels brighter than white, `beyond`."""
    images = np.zeros((len(names), *first.shape), np.uint8)

    def decode(place: int) -> None:
        try:
            image = read_image(folder / names[place], preparation, beyond)
        except UnreadableError as error:
            broken[names[place]] = error.reason
            return
        if image.shape != first.shape:
            raise InputError(_odd_one(folder / names[place], image, first_name, first))
        images[place] = image

    in_threads(decode, range(len(names)))
    return images


def _broken_files(broken: Broken, n: int) -> str:
    return f"{len(broken):,} of {n:,} images cannot be read"


def _listed(broken: Broken) -> str:
    """The first of them, each with its reason."""
    some = [f"{name} ({broken[name]})" for name in sorted(broken)[:BROKEN_SHOWN]]
    return "; ".join(some) + (f"; and {len(broken) - BROKEN_SHOWN:,} more" if len(broken) > BROKEN_SHOWN else "")


def _broken_sentence(folder: Path, broken: Broken, n: int) -> str:
    help_ = "replace or remove them; --skip-broken of train and data leaves them out"
    if len(broken) != 1:
        return f"{folder}: {_broken_files(broken, n)}: {_listed(broken)}; {help_}"
    ((name, reason),) = broken.items()
    help_ = help_.replace("them", "it")
    return f"{folder / name} cannot be read as an image: {reason}; it is damaged or of another kind: {help_}"


def _odd_one(path: Path, image: np.ndarray, first_name: str, first: np.ndarray) -> str:
    differ, flags = [], []
    if image.shape[:2] != first.shape[:2]:
        differ.append(f"{_size(image)} where {first_name} is {_size(first)} (height x width)")
        flags.append(f"--image-size {first.shape[0]} {first.shape[1]}")
    if image.ndim != first.ndim:
        kinds = {2: "grey", 3: "colour"}
        differ.append(f"{kinds[image.ndim]} where {first_name} is {kinds[first.ndim]}")
        flags.append("--channels 1 (or 3)")
    return f"{path} is {' and '.join(differ)}; all images must be alike: {' with '.join(flags)} makes them so"


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"
