"""Parts of images beside parts of normal ones, which tell where an image is odd. One pass over normal images each.

Of pixels (`Patches`): parts at one place are compared with one another. Of an encoder that is trained, a place of its
maps at the last two sizes is a patch, whose feature f (D,) joins both, the smaller map enlarged:

PatchCore, Roth et al. 2022. f is averaged over 3 x 3 places (eq. 2); of all normal ones, the bank M, a coreset is kept
by the greedy k-centre algorithm under a random projection psi (eq. 5), and a patch is as odd as it is far from that:

    M_C ~ argmin_{C in M} max_{m in M} min_{n in C} |psi(m) - psi(n)|,    s(f) = min_{m in M_C} |f - m|      (eq. 6)

PaDiM, Defard et al. 2021. At each place a Gaussian of N normal images, of at most 100 dimensions at random:

    S = 1 / (N - 1) sum_k (f_k - m)(f_k - m)^T + e I  (eq. 1),    s(f) = sqrt((f - m)^T S^-1 (f - m))  (eq. 2)

An image is as odd as its oddest patch. Left out: that PatchCore weighs the score by the density about m (eq. 7).
"""

import itertools
import math
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

PATCHES = 5  # k; among normal images may be some odd ones, and an odd patch must not find its like among them
LARGEST_SIDE = 32  # of images whose patches are compared; larger ones are averaged down to it
BLUR, MAP_BLUR = 0.7, 1.0  # standard deviation in pixels, of images and of maps
SAME = 1e-6  # relative distance below which two images are the same, up to rounding
BANK, KEPT = 25_000, 0.1  # patches of PatchCore's bank, drawn at random from more, and the share that it keeps
PROJECTED = 128  # dimensions of its random projection
DIMENSIONS, RIDGE = 100, 0.01  # of PaDiM's Gaussians, and e beside the mean variance,
LEAST = 1e-12  # which is 0 where maps do not vary


class Patches:
    """The patches of normal images x (N, C, H, W), a third of an image's side wide, a quarter of that apart. Those at
    one place are compared with one another, blurred a little: strokes half a pixel apart are nearly the same."""

    def __init__(self, x: Tensor, k: int = PATCHES) -> None:
        self.k = k
        self.sides = [min(side, LARGEST_SIDE) for side in x.shape[2:]]
        self.widths = [max(1, round(side / 3)) for side in self.sides]
        self.steps = [max(1, round(width / 4)) for width in self.widths]
        self.normal = self.prepared(x)

    def prepared(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> blurred, and averaged down to at most `LARGEST_SIDE` pixels."""
        x = F.interpolate(x, self.sides, mode="area") if list(x.shape[2:]) != self.sides else x
        return blurred(x, BLUR)

    def places(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each patch."""
        edges = (
            [*range(0, side - width, step), side - width]
            for side, width, step in zip(self.sides, self.widths, self.steps, strict=True)
        )
        for top, left in itertools.product(*edges):
            yield slice(top, top + self.widths[0]), slice(left, left + self.widths[1])

    def distances(self, x: Tensor) -> Tensor:
        """Of each patch of x (B, C, H, W) to the k-th nearest normal one: root mean square, (B, patches)."""
        x = self.prepared(x)
        found = [
            nearest(self.normal[:, :, down, across].flatten(1), x[:, :, down, across].flatten(1), self.k)[0]
            for down, across in self.places()
        ]
        return torch.stack(found, 1) / math.sqrt(x.shape[1] * math.prod(self.widths))

    def maps(self, x: Tensor) -> Tensor:
        """The squared difference of each pixel from those normal patches, mean over the patches that hold it and over
        channels, (B, H, W)."""
        sides, x = x.shape[2:], self.prepared(x)
        total, count = x.new_zeros(len(x), *self.sides), x.new_zeros(self.sides)
        for down, across in self.places():
            normal, seen = self.normal[:, :, down, across], x[:, :, down, across]
            closest = normal[nearest(normal.flatten(1), seen.flatten(1), self.k)[1]]
            total[:, down, across] += (seen - closest).square().mean(1)
            count[down, across] += 1
        return F.interpolate((total / count)[:, None], sides, mode="bilinear")[:, 0]


def blurred(x: Tensor, deviation: float) -> Tensor:
    """(B, C, H, W) with each pixel the Gaussian mean about it, of this standard deviation in pixels."""
    reach = math.ceil(2.5 * deviation)
    steps = torch.arange(-reach, reach + 1, device=x.device)
    bell = torch.exp(-(steps**2) / (2 * deviation**2))
    square = (bell[:, None] * bell / bell.sum() ** 2).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(F.pad(x, (reach,) * 4, mode="replicate"), square, groups=x.shape[1])


def nearest(normal: Tensor, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Of each query (B, D): its distance to the k-th nearest normal row (N, D) that is not itself, or to the last there
    is, and that row's place: (B,) and (B,)."""
    centre = normal.mean(0)  # about which squares are small, and rounding with them
    normal, queries = normal - centre, queries - centre
    squares = queries.square().sum(1, keepdim=True)
    distances = squares + normal.square().sum(1) - 2 * queries @ normal.T
    found, at = distances.topk(min(k + 1, len(normal)), largest=False)
    itself = found[:, :1] <= 10 * SAME * squares
    last = torch.where(itself, k, k - 1).clamp(max=found.shape[1] - 1)  # (B, 1)
    return found.gather(1, last)[:, 0].clamp(min=0).sqrt(), at.gather(1, last)[:, 0]


# Of an encoder's maps -------------------------------------------------------------------------------------------------


def joined_maps(maps: list[Tensor], around: int) -> Tensor:
    """Maps (B, C, h, w), the largest first, averaged over so many places a side -> the feature of each place of the
    largest, (B, D, h, w)."""
    averaged = [F.avg_pool2d(each.float(), around, 1, around // 2, count_include_pad=False) for each in maps]
    sides = averaged[0].shape[2:]
    return torch.cat([F.interpolate(each, sides, mode="bilinear") for each in averaged], 1)


class PatchCore:
    """normal: the features of normal images in parts (b, D, h, w)."""

    around = 3

    def __init__(self, normal: Iterable[Tensor], device: torch.device | str = "cpu") -> None:
        some = torch.cat([drawn(part.permute(0, 2, 3, 1).flatten(0, 2)) for part in normal])
        bank = drawn(some).to(device)  # (N, D)
        self.bank = bank[k_centres(projected(bank), math.ceil(KEPT * len(bank)))]  # (M, D)

    def distances(self, x: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, h, w)"""
        rows = x.permute(0, 2, 3, 1)
        away: Tensor = nearest(self.bank, rows.flatten(0, 2), 1)[0]
        return away.view(rows.shape[:3])


class PaDiM:
    """normal: the features of normal images in parts (b, D, h, w)."""

    around = 1
    scale: Tensor  # (P, d, d), L^-1 of S = L L^T

    def __init__(self, normal: Iterable[Tensor], device: torch.device | str = "cpu") -> None:
        parts = iter(normal)
        first = next(parts)
        self.dimensions = torch.randperm(first.shape[1], generator=generator())[:DIMENSIONS]
        n, total, products = 0, torch.zeros(()), torch.zeros(())
        for part in itertools.chain([first], parts):
            f = self.rows(part).double()  # (P, b, d), P = h w places
            n, total, products = n + f.shape[1], total + f.sum(1), products + f.mT @ f
        mean = total / n  # (P, d)
        covariance = (products - n * mean[:, :, None] * mean[:, None]) / (n - 1)  # (P, d, d)
        variance = covariance.diagonal(dim1=1, dim2=2).mean().clamp(min=LEAST)
        ridge = RIDGE * variance * torch.eye(mean.shape[1])
        self.mean = mean.float().to(device)
        self.scale = torch.linalg.inv(torch.linalg.cholesky(covariance + ridge)).float().to(device)

    def rows(self, x: Tensor) -> Tensor:
        """(B, D, h, w) -> (P, B, d)"""
        return x[:, self.dimensions.to(x.device)].flatten(2).permute(2, 0, 1)

    def distances(self, x: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, h, w)"""
        away = (self.rows(x) - self.mean[:, None]) @ self.scale.mT  # (P, B, d)
        return away.square().sum(2).sqrt().T.reshape(len(x), *x.shape[2:])


def k_centres(rows: Tensor, n: int) -> Tensor:
    """The places of n of the rows (N, D): the first, then each next the farthest from those before it (Sener & Savarese
    2018, algorithm 1)."""
    squares, chosen = rows.square().sum(1), torch.zeros(n, dtype=torch.int64, device=rows.device)
    away = torch.full_like(squares, torch.inf)
    for k in range(1, n):  # nothing here waits for the device
        centre = rows.index_select(0, chosen[k - 1 : k])[0]
        away = torch.minimum(away, squares + centre @ centre - 2 * rows @ centre)
        chosen[k] = away.argmax()
    return chosen


def drawn(rows: Tensor) -> Tensor:
    """At most `BANK` of the rows, at random."""
    return rows[torch.randperm(len(rows), generator=generator())[:BANK]]


def projected(rows: Tensor) -> Tensor:
    """To fewer dimensions at random, which keeps distances nearly (Johnson & Lindenstrauss 1984)."""
    width = rows.shape[1]
    if width <= PROJECTED:
        return rows
    directions = torch.randn(width, PROJECTED, generator=generator()) / math.sqrt(PROJECTED)
    return rows @ directions.to(rows.device)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
