"""Near-duplicates by pixels: copies of photographs that were changed, closed forms, and exact copies by brute force."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from latently.analysis import alignment
from latently.analysis.alignment import cut, details, likeness, small
from latently.analysis.duplicates import Pairs, near_by_pixels, with_copies


@pytest.fixture(scope="module")
def photographs():
    """The parts of two photographs that are no empty sky, (N, 3, 64, 64)"""
    parts = [
        image[top : top + 64, left : left + 64]
        for image in load_sample_images().images
        for top in range(0, 6 * 64, 64)
        for left in range(0, 10 * 64, 64)
    ]
    x = torch.from_numpy(np.stack(parts)).permute(0, 3, 1, 2).float() / 255
    return x[details(small(x)).std((1, 2, 3)) > 0.05]


def with_bar(x):
    x = x.clone()
    x[:, :, 54:] = 0
    x[:, :, 57:61, 10::4] = 1
    return x


CHANGES = {
    "scaled by half": lambda x: torch.nn.functional.interpolate(x, (32, 32), mode="area"),
    "brightened": lambda x: (1.3 * x).clip(0, 1),
    "mirrored": lambda x: x.flip(3),
    "cropped": lambda x: cut(x, torch.tensor([[0.9, 0.1, -0.06]]).expand(len(x), 3), 64),
    "captioned": with_bar,
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_of_photographs_are_found_and_nothing_else(photographs, change):
    n, n_copies = len(photographs), 20
    copies = small(CHANGES[change](photographs[:n_copies]))
    images = torch.cat([small(photographs), copies])
    no_help = np.random.default_rng(0).normal(size=(len(images), 4)).astype(np.float32)  # codes that know nothing
    found = near_by_pixels(images, no_help)
    right = (found.second == found.first + n).sum()
    assert right >= 0.9 * n_copies, f"{right} of {n_copies} copies {change} were found"
    assert len(found.first) - right <= 1, "different parts of the photographs were taken for copies"


def test_likeness_is_1_of_copies_symmetric_and_0_of_even_images(photographs, monkeypatch):
    images = torch.cat([small(photographs), small(photographs[:1]), torch.full((1, 3, 32, 32), 0.5)])
    copy, even = len(photographs), len(photographs) + 1
    first, second = np.array([0, 0, 3, 8, 8]), np.array([copy, even, 7, 2, 9])
    forth = likeness(images, first, second)
    assert forth[0] == pytest.approx(1, abs=1e-5)
    assert forth[1] == pytest.approx(0, abs=1e-4)
    assert (forth <= 1 + 1e-5).all()
    monkeypatch.setattr(alignment, "AT_ONCE", 2)
    assert np.allclose(likeness(images, second, first), forth, atol=1e-5), "in other blocks, and the other way round"


def test_an_image_and_its_window_are_alike(photographs):
    """The window is between those that are tried."""
    window = torch.tensor([[0.87, 0.08, -0.1]]).expand(20, 3)
    images = torch.cat([small(photographs[:20]), small(cut(photographs[:20], window, 64))])
    alike = likeness(images, np.arange(20), np.arange(20) + 20)
    assert np.median(alike) > 0.95
    assert np.median(likeness(images, np.arange(19), np.arange(19) + 21)) < 0.6


def test_exact_copies_pair_like_their_originals():
    originals = np.array([0, 1, 0, 3, 1, 0])  # own: 0, 1, 3
    found = with_copies(
        Pairs(np.array([0]), np.array([2]), np.array([0.1]), 0.2, "pixels"), originals, np.array([0, 1, 3])
    )
    distance_of = dict(zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.distance, strict=True))
    equal = {(0, 2): 0, (0, 5): 0, (2, 5): 0, (1, 4): 0}
    assert distance_of == equal | {(0, 3): 0.1, (2, 3): 0.1, (3, 5): 0.1}
    assert (np.diff(found.distance) >= 0).all()


def test_equal_images_alone_and_one_that_many_are_compared_with(photographs, monkeypatch):
    found = near_by_pixels(small(photographs[:1]), np.zeros((1, 2), np.float32))
    assert (len(found.first), found.threshold) == (0, 0)
    images = small(photographs)
    one, others = np.zeros(len(images) - 1, int), np.arange(1, len(images))
    at_once = likeness(images, one, others)
    monkeypatch.setattr(alignment, "AT_ONCE", 3)
    assert np.allclose(likeness(images, one, others), at_once, atol=1e-5)
