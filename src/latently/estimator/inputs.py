"""Images as people hold them -> one array: tensors, lists of pictures, arrays with a mask or of Python objects."""

import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from torch.utils.data import DataLoader, Dataset, IterableDataset

from latently.common.errors import InputError, require
from latently.data import ImageSet
from latently.data.arrays import require_channels_last
from latently.data.image_file import picture_pixels


def as_array(X: Any) -> Any:
    """X, but as one array where NumPy would fail or lose something: a torch tensor on any device, of any type, also one
    with gradients; a torch `Dataset`, which is read once; a masked array; a list, tuple or array of such images, of
    pictures of Pillow's, or of arrays.

    Pictures are read as files are: uint8, alpha over black, 16 bits divided by 257. Raises `InputError` where values
    are masked, where images differ in shape or type, where channels stand first, and for what holds no images.
    """
    _require_images(X)
    if isinstance(X, Dataset):
        X = _read(X)
    if type(X).__name__ == "Series":  # of pandas, and polars
        X = X.to_numpy()
    is_row = isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1
    if (isinstance(X, list | tuple) or is_row) and len(X) and _is_image(X[0]):
        X = _stacked(X)
    elif _is_image(X):
        X = _plain(X, "X")
    if isinstance(X, np.ndarray):
        require_channels_last(X.shape, "X")
        _require_numbers(X)
    return X


def labelled_pair(validation: Any) -> tuple[Any, Any]:
    """(X, y) of `validation`. Raises InputError if it is no such pair."""
    pair = isinstance(validation, tuple) and len(validation) == 2 and validation[1] is not None
    require(pair, "validation is no pair of images and their labels: validation=(X, y)")
    X, y = validation
    return X, y


def _require_images(X: Any) -> None:
    """Of what people hand in by mistake."""
    if isinstance(X, str | Path):
        raise InputError(f"X is a path, {str(X)!r}; give its images: latently.data.load({str(X)!r}).images")
    require(not isinstance(X, DataLoader), "X is a DataLoader, which may shuffle and repeat; give X.dataset")
    require(not isinstance(X, ImageSet), "X is an ImageSet; give X.images, and X.label_names as labels")
    require(not issparse(X), f"X is sparse, {type(X).__name__}; give X.toarray()")
    none = X is None or isinstance(X, Mapping | Iterator | Set)
    require(
        not none, f"X is {type(X).__name__}; expected images as one array: (n, h, w), (n, h, w, c) or (n, features)"
    )


def _read(images: Dataset[Any]) -> list[Any]:
    """The images of a map-style dataset of torch's, whose items are images, or tuples of an image and its label.

    Tensors (C, H, W), as torchvision makes them, become (H, W, C), or (H, W) if they are grey.
    """
    name = type(images).__name__
    sized = hasattr(images, "__len__") and not isinstance(images, IterableDataset)
    require(sized, f"X is {name}, a dataset without a length; give one of map style, with __len__ and __getitem__")
    read = []
    for place in range(len(images)):  # type: ignore[arg-type]
        item = images[place]
        image = item[0] if isinstance(item, tuple | list) and len(item) else item
        known = _is_image(image) and getattr(image, "ndim", 2) in (1, 2, 3)
        came = f"item {place} of X, {name}, is {type(image).__name__}"
        require(known, f"{came}; expected an image as tensor, array or picture, or a tuple that starts with one")
        first = isinstance(image, torch.Tensor) and image.ndim == 3 and image.shape[0] in (1, 3)
        read.append((image[0] if len(image) == 1 else image.permute(1, 2, 0)) if first else image)
    require(bool(read), f"X is {name}, a dataset without images")
    return read


def _is_image(one: Any) -> bool:
    return isinstance(one, torch.Tensor | np.ndarray) or _is_picture(one)


def _is_picture(one: Any) -> bool:
    """Whether it is an image of Pillow's; whoever has one has imported Pillow."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(one, pillow.Image)


def _plain(one: Any, where: str) -> Any:
    if isinstance(one, torch.Tensor):
        one = one.detach().cpu()
        return (one.float() if one.dtype == torch.bfloat16 else one).numpy()
    if isinstance(one, np.ma.MaskedArray):
        n = int(np.asarray(one.mask).sum())
        require(n == 0, f"{where} has {n:,} masked values; fill them, as X.filled(0) does, or leave these images out")
        return one.data
    return picture_pixels(one, where) if _is_picture(one) else one


def _stacked(images: Sequence[Any]) -> np.ndarray:
    arrays = [np.asarray(_plain(image, f"image {place} of X")) for place, image in enumerate(images)]
    for name, found in (("shape", {a.shape for a in arrays}), ("type", {str(a.dtype) for a in arrays})):
        some = " and ".join(map(str, sorted(found)[:2]))
        advice = "make them alike, or save them in a folder, which latently.data.load makes alike"
        require(len(found) == 1, f"X holds images of {len(found)} {name}s, such as {some}; {advice}")
    return np.stack(arrays)


def _require_numbers(X: np.ndarray) -> None:
    """Whole numbers that are Python objects no longer tell whether they were bytes."""
    whole = X.dtype == object and X.ndim > 2 and any(isinstance(each, int | np.integer) for each in X[:1].flat)
    require(
        not whole,
        f"X is an array of Python objects of shape {X.shape}, so it is not known whether white is 255 or 1; "
        "give X.astype('uint8') for 0..255, or X.astype('float32')",
    )
