"""Images on the device: gathered by index and scaled there, no worker processes, no per-image Python.

Images that stay on the disk are read a batch at a time; to a GPU that has room for them they are copied once.

Nets that train together each have a `Draw` of the images: an index then has one more dimension in front, (K, B).
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latently.data import noise
from latently.data.mapped import Images, Mapped
from latently.data.ranges import BYTE, Limits

Binarise = Literal["none", "static", "dynamic"]


def to_channels_first(images: np.ndarray) -> Tensor:
    """(N, F), (N, H, W) or (N, H, W, C) -> (N, C, H, W); a row of F features is an image of height 1."""
    if images.ndim == 2:
        images = images[:, None, :]
    channels = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.array(channels, order="C"))  # torch takes no negative strides, which X[::-1] has


def scale(raw: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1; floats stay as they are."""
    return raw.float().div_(255) if raw.dtype == torch.uint8 else raw


def permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The order of n images in an epoch, a function of seed and epoch alone: a resumed run need not store it."""
    return torch.randperm(n, generator=torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63))


class Draw:
    """The images that one net may see, and the seed of their order.

    members: (m,) ints, places among the images.
    """

    def __init__(self, members: np.ndarray | Tensor, seed: int) -> None:
        self.members, self.seed = torch.as_tensor(members, dtype=torch.int64), seed

    def order(self, n: int, epoch: int) -> Tensor:
        """The next n members in an endless chain of passes, each in its own order, (n,).

        So a small draw passes several times in an epoch, and none of its images is ever more than one pass ahead.
        """
        m = len(self.members)
        first, start = divmod(epoch * n, m)
        passes = range(first, first + -(-(start + n) // m))
        return torch.cat([self.members[permutation(m, self.seed, each)] for each in passes])[start : start + n]


class Batches:
    """N images and labels on a device.

    images: (N, C, H, W) uint8, or float32. labels: (N,) int64, -1 = unlabelled.
    binarise: static = one draw, made here and kept (a function of seed and pixels alone, so that whatever is given
    later is drawn the same way); dynamic = a new draw whenever a batch is used.
    members: (m,) ints, the images that an epoch of one net holds, some perhaps more than once; by default each once.
    draws: what each of K nets sees, in the place of members.
    epoch_images: how many images, repeated or not, an epoch of draws holds; by default the members of the largest.
    """

    def __init__(
        self,
        images: Images,
        labels: np.ndarray,
        device: torch.device,
        binarise: Binarise = "none",
        seed: int = 0,
        members: np.ndarray | None = None,
        draws: Sequence[Draw] = (),
        epoch_images: int | None = None,
    ) -> None:
        self.device, self.seed, self.binarise = device, seed, binarise
        self.on_disk = images if isinstance(images, Mapped) and not has_room(device, images) else None
        self.home = device if self.on_disk is None else torch.device("cpu")  # where indices and labels lie
        self.shape = tuple(to_channels_first(images[:1]).shape[1:])  # (C, H, W)
        if self.on_disk is None:
            parts = images.parts() if isinstance(images, Mapped) else [images]
            self.raw = joined([self.prepared(part) for part in parts])
        self.labels = torch.as_tensor(labels, dtype=torch.int64, device=self.home)
        self.draws = draws
        self.nets = (len(draws),) if draws else ()  # the dimension in front that nets which train together add
        of_one = torch.as_tensor(np.arange(len(images)) if members is None else members, dtype=torch.int64)
        self.members = [each.to(self.home) for each in ([draw.members for draw in draws] or [of_one])]
        self.epoch_images = epoch_images or max(map(len, self.members))

    def __len__(self) -> int:
        """Images of an epoch, for each net."""
        return self.epoch_images

    def limits(self) -> Limits:
        """The range of the pixels as they are held."""
        raw = self.raw if self.on_disk is None else self.on_disk
        return Limits(float(raw.min()), float(raw.max()), BYTE if raw.dtype in (torch.uint8, np.uint8) else 1)

    def order(self, seed: int, epoch: int) -> Tensor:
        """The images of an epoch: (n,), or (K, n) for K nets, by their own seeds."""
        if not self.draws:
            return self.members[0][permutation(len(self), seed, epoch).to(self.home)]
        return torch.stack([draw.order(len(self), epoch) for draw in self.draws]).to(self.home)

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Raw images (..., C, H, W) and labels (...) at `index` (...), which lies at `home`."""
        flat = index.flatten()
        y = self.labels.index_select(0, flat).to(self.device)
        raw = self.raw.index_select(0, flat) if self.on_disk is None else self.prepared(self.on_disk[flat.numpy()])
        return raw.view(index.shape + raw.shape[1:]), y.view(index.shape)

    def some(self, n: int, net: int = 0) -> Tensor:
        """Up to n random images of those that a net sees, (n, C, H, W) as in an evaluation; the same at every call."""
        members = self.members[net]
        return self.evaluation_pixels(
            self.gather(members[permutation(len(members), self.seed, 0)[:n].to(self.home)])[0]
        )

    def split(self, size: int) -> Iterable[Tensor]:
        """All raw images in order, so many at a time."""
        if self.on_disk is None:
            return torch.split(self.raw, size)
        images = self.on_disk
        return (self.prepared(images[start : start + size]) for start in range(0, len(images), size))

    def prepared(self, images: np.ndarray) -> Tensor:
        """Raw images (n, C, H, W) on the device, black and white if binarisation is static."""
        raw = to_channels_first(images).to(self.device)
        if self.binarise != "static":
            return raw
        return torch.cat([binary(part, self.seed) for part in torch.split(raw, 1024)])

    def training_pixels(self, raw: Tensor) -> Tensor:
        """What a training step sees: float32, drawn anew from the global generator if binarisation is dynamic."""
        x = scale(raw)
        return (torch.rand_like(x) < x).float() if self.binarise == "dynamic" else x

    def evaluation_pixels(self, raw: Tensor) -> Tensor:
        """What an evaluation sees: repeatable, by each image's own noise if binarisation is dynamic."""
        x = scale(raw)
        return noise.binarise(x, self.seed) if self.binarise == "dynamic" else x


def has_room(device: torch.device, images: Mapped) -> bool:
    """Whether a GPU has four times the memory free that these images take."""
    return device.type == "cuda" and 4 * images.nbytes <= torch.cuda.mem_get_info(device)[0]


def joined(parts: list[Tensor]) -> Tensor:
    """Without a copy where there is one."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def binary(raw: Tensor, seed: int) -> Tensor:
    """uint8 0 or 255 by the image's own noise."""
    return (noise.binarise(scale(raw), seed) * 255).to(torch.uint8)
