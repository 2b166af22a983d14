"""How alike two images are if one is a copy of the other: recompressed, scaled, brightened, mirrored, cropped by up to
a fifth, or with a bar across its top or bottom.

The likeness is the normalised cross-correlation of their details (Lewis 1995), the highest over windows of one image
that may be the other, over its mirror, and over both without their upper or lower quarter. Details are what a blurred
image lacks: many images share their broad shapes, copies alone share details. A window is found roughly, in grey, among
a few; then its size and place are varied, in colour.
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latently.data.preparation import LUMA

SIDE = 32  # of the images that are compared, which are larger ones averaged down
ROUGH, FINE = 16, 20  # pixels per side of a window
BLUR = 5  # pixels per side of the square whose mean is not a detail
STEPS = (0.05, 0.025, 0.0125)  # by which a window is varied, in halves of the image's side
PLACES = [(0.0, x, y) for x in (0.0, -1.0, 1.0) for y in (0.0, -1.0, 1.0)]  # steps of size, across and down
SIZES = [(-0.5, 0.0, 0.0), (0.5, 0.0, 0.0)]
LIKELY, MOST_VARIED = 0.7, 5  # windows are varied of pairs with this rough likeness, of each image the best few
AT_ONCE = 64  # images or pairs
LEAST = 0.01  # length of details below which an image is even
WINDOWS = torch.tensor(  # size, and centre across and down in -1..1
    [(1.0, 0.0, 0.0)]
    + [
        (size, (1 - size) * x, (1 - size) * y)
        for size in (0.95, 0.9, 0.85, 0.8)
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
    ]
)


def small(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 32, 32) or smaller sides as they are."""
    sides = [min(side, SIDE) for side in images.shape[2:]]
    return F.interpolate(images, sides, mode="area") if list(images.shape[2:]) != sides else images


def grey(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 1, H, W)"""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def likeness(images: Tensor, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of pairs of small images (N, C, h, w), by their indices (P,): the correlation, at most 1, (P,) float32."""
    whole, cropped = np.concatenate([first, second]), np.concatenate([second, first])  # either may be the whole
    order = np.argsort(whole, kind="stable")
    score, window, mirrored = roughly(grey(images), whole[order], cropped[order])
    back = np.argsort(order, kind="stable").reshape(2, -1)  # where the pairs of either direction are
    better = np.where((score[back[0]] >= score[back[1]]).numpy(), back[0], back[1])  # (P,)
    found = score[better]
    likely = worth_varying(found.numpy(), first, second)
    for start in range(0, len(likely), AT_ONCE):
        some = likely[start : start + AT_ONCE]
        at = better[some]
        one, like = images[whole[order[at]]], images[cropped[order[at]]]
        like = torch.where(mirrored[at][:, None, None, None], like.flip(3), like)
        found[some] = finely(one, like, window[at])
    return found.numpy()


def worth_varying(score: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Indices of those of the pairs (P,) that are likely by their rough score: of each image the best few."""
    likely = np.flatnonzero(score > LIKELY)
    image, pair = np.concatenate([first[likely], second[likely]]), np.tile(likely, 2)
    order = np.lexsort((-score[pair], image))
    image, pair = image[order], pair[order]
    return np.unique(pair[rank_within(image) < MOST_VARIED])


def rank_within(ordered: np.ndarray) -> np.ndarray:
    """How many equal values precede each, (N,) ascending -> (N,)

    >>> rank_within(np.array([3, 3, 3, 5, 7, 7])).tolist()
    [0, 1, 2, 0, 0, 1]
    """
    _, starts, counts = np.unique(ordered, return_index=True, return_counts=True)
    return np.arange(len(ordered)) - np.repeat(starts, counts)


def roughly(images: Tensor, of: np.ndarray, like: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Which window of an image `of` (P,), in ascending order, is most like the image `like`, or its mirror: how much
    (P,), the window (P, 3), and whether it is the mirror (P,)."""
    seen = details(cut(images, WINDOWS[:1].expand(len(images), 3), ROUGH))
    wholes = [[unit(each[:, :, rows]) for rows in parts(ROUGH)] for each in (seen, seen.flip(3))]  # 2 x 4 of (N, D)
    best, which = torch.zeros(len(of)), torch.zeros(len(of), dtype=torch.long)
    rank = rank_within(of)
    begins = np.flatnonzero(rank % AT_ONCE == 0)  # of blocks of pairs of one image
    sizes = np.diff(np.append(begins, len(of)))
    for block in range(0, len(begins), AT_ONCE):
        some, n_pairs = of[begins[block : block + AT_ONCE]], sizes[block : block + AT_ONCE]
        pairs = slice(begins[block], begins[block] + n_pairs.sum())
        row, column = np.repeat(np.arange(len(some)), n_pairs), rank[pairs] % AT_ONCE
        others = np.zeros((len(some), n_pairs.max()), int)  # padded by the first image
        others[row, column] = like[pairs]
        repeated = images[some].repeat_interleave(len(WINDOWS), 0)
        windows = details(cut(repeated, WINDOWS.repeat(len(some), 1), ROUGH))
        own = [unit(windows[:, :, rows]).view(len(some), len(WINDOWS), -1) for rows in parts(ROUGH)]
        scores = torch.stack(
            [
                without_bars(torch.stack([windows @ each[others].mT for windows, each in zip(own, whole, strict=True)]))
                for whole in wholes
            ]
        )  # (2, b, windows, k)
        value, at = scores.permute(1, 3, 0, 2).flatten(2).max(2)  # (b, k)
        best[pairs], which[pairs] = value[row, column], at[row, column]
    return best, WINDOWS[which % len(WINDOWS)], which >= len(WINDOWS)


def finely(images: Tensor, like: Tensor, window: Tensor) -> Tensor:
    """How alike each image (B, C, h, w) and that of `like` are, the windows (B, 3) varied: (B,)"""
    whole = details(cut(like, WINDOWS[:1].expand(len(like), 3), FINE))
    wholes = [unit(whole[:, :, rows]) for rows in parts(FINE)]
    best = torch.full((len(images),), -1.0)
    for step, changes in itertools.product(STEPS, (PLACES, SIZES)):
        centre = window
        for change in changes:
            tried = centre + step * torch.tensor(change)
            seen = details(cut(images, tried, FINE))
            scores = [(unit(seen[:, :, rows]) * each).sum(1) for rows, each in zip(parts(FINE), wholes, strict=True)]
            score = without_bars(torch.stack(scores))
            window = torch.where((score > best)[:, None], tried, window)
            best = torch.maximum(best, score)
    return best


def parts(side: int) -> list[slice]:
    """Rows that are compared: all, all but the lower quarter, all but the upper one, the middle half."""
    quarter = side // 4
    return [slice(0, side), slice(0, side - quarter), slice(quarter, side), slice(quarter, side - quarter)]


def without_bars(scores: Tensor) -> Tensor:
    """(4, ...) of `parts` -> the best of the first three, which may lack a bar that one image has, but no better than
    the middle, so that images are not alike by a bar that both have: (...)"""
    return torch.minimum(scores[:3].amax(0), scores[3])


def cut(images: Tensor, windows: Tensor, side: int) -> Tensor:
    """The windows (B, 3) of images (B, C, h, w), (B, C, side, side); beyond an image its edge is repeated."""
    size, across, down = windows.T
    none = torch.zeros_like(size)
    affine = torch.stack([torch.stack([size, none, across], 1), torch.stack([none, size, down], 1)], 1)  # (B, 2, 3)
    grid = F.affine_grid(affine, [*images.shape[:2], side, side], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def details(images: Tensor) -> Tensor:
    """Images without their blur."""
    reach = BLUR // 2
    return images - F.avg_pool2d(F.pad(images, (reach, reach, reach, reach), mode="reflect"), BLUR, 1)


def unit(images: Tensor) -> Tensor:
    """(B, C, h, w) -> rows with mean 0 and length 1, (B, C h w); of an even image 0."""
    rows = images.flatten(1)
    return F.normalize(rows - rows.mean(1, keepdim=True), dim=1, eps=LEAST)
