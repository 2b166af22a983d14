"""Codes that were made elsewhere, as an encoder: an image's code is found by the hash of its pixels."""

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from latently.common.console import data_note
from latently.common.errors import require
from latently.data import Images, Mapped
from latently.data.batches import scale, to_channels_first
from latently.data.imageset import pixel_hash
from latently.data.noise import image_key

ROWS_AT_ONCE = 1000


class CodeTable(nn.Module):
    """A table of codes as an encoder: the code of an image is looked up by its pixels, and a new image has none.

    n images of different pixels, codes of width d. A table that is read from a run folder is empty at first: its
    buffers come with the weights.

    >>> images = np.random.default_rng(0).random((5, 8, 8))
    >>> table = CodeTable.of(images, [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]])
    >>> table(torch.tensor(images[3:, None], dtype=torch.float32)).tolist()
    [[6.0, 7.0], [8.0, 9.0]]
    """

    keys: Tensor  # (n,) int64, ascending
    codes: Tensor  # (n, d) float32

    def __init__(self, n: int, width: int, digest: str = "") -> None:
        super().__init__()
        self.width, self.digest = width, digest
        self.register_buffer("keys", torch.zeros(n, dtype=torch.int64))
        self.register_buffer("codes", torch.zeros(n, width))

    @classmethod
    def of(cls, images: Any, codes: Any) -> Self:
        """images: (n, h, w), (n, h, w, c) or (n, features), as an estimator takes them; codes (n, d), row for row.

        Images with the same pixels have one code, that of the first. Raises InputError unless rows and images agree.
        """
        images = images if isinstance(images, Mapped) else np.asarray(images)
        codes = np.asarray(codes, dtype=np.float32)
        fits = codes.ndim == 2 and codes.shape[1] > 0 and len(codes) == len(images)
        require(fits, f"codes have shape {codes.shape}; expected ({len(images)}, d): a row for each image")
        require(bool(np.isfinite(codes).all()), "codes hold NaN or infinite numbers; expected finite ones")
        keys, first, inverse = np.unique(keys_of(images), return_index=True, return_inverse=True)
        n_other = int((codes[first][inverse] != codes).any(1).sum())
        if n_other:
            data_note(
                f"{n_other:,} images have the pixels of an earlier one but another code; they get that one's code"
            )
        table = cls(len(keys), codes.shape[1], pixel_hash(codes))
        table.keys.copy_(torch.from_numpy(keys))
        table.codes.copy_(torch.from_numpy(codes[first]))
        return table

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, d). Raises InputError for an image that is not in the table."""
        if x.is_meta:
            return x.new_empty(len(x), self.width)
        key = image_key(x.float())
        place = torch.searchsorted(self.keys, key).clamp(max=len(self.keys) - 1)
        if not (self.training or torch.compiler.is_compiling()):  # training images were looked up before the first step
            self.require_known(self.keys[place] == key)
        return self.codes[place]

    def require_known(self, known: Tensor) -> None:
        require(
            bool(known.all()),
            f"an image is not among the {len(self.keys):,} whose codes were given, and the code of a new image cannot "
            "be computed here: make it where those were made, and train a decoder on all of them",
        )

    # Keeping ----------------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        return {"n": len(self.keys), "width": self.width, "digest": self.digest}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """An empty table. Raises InputError for anything that `to_json` does not write."""
        whole = isinstance(values, dict) and all(type(values.get(name)) is int for name in ("n", "width"))
        require(whole and values["n"] > 0 and values["width"] > 0, f"a table of codes is {values!r}; expected n, width")
        return cls(values["n"], values["width"], str(values.get("digest", "")))


def keys_of(images: Images) -> np.ndarray:
    """The hash of each image's pixels, as a model sees them. -> (n,) int64"""
    keys = []
    for start in range(0, len(images), ROWS_AT_ONCE):
        part = images[start : start + ROWS_AT_ONCE]
        part = part if part.dtype == np.uint8 else part.astype(np.float32)
        keys.append(image_key(scale(to_channels_first(part))).numpy())
    return np.concatenate(keys)
