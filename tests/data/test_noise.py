"""Noise that belongs to an image: repeatable, independent, and truly uniform or normal."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits

from latently.data import noise


@pytest.fixture(scope="module")
def digits():
    return torch.tensor(load_digits().images / 16, dtype=torch.float32)[:, None]


def test_the_same_pixels_get_the_same_noise_anywhere(digits):
    whole = noise.image_uniform(digits, 20)
    assert torch.equal(noise.image_uniform(digits[7:8], 20), whole[7:8])
    assert torch.equal(noise.image_uniform(digits.flip(0), 20).flip(0), whole)


def test_an_image_s_noise_can_be_taken_piece_by_piece(digits):
    whole = noise.image_normal(digits[:9], 50)
    pieces = [noise.image_normal(digits[:9], 20), noise.image_normal(digits[:9], 30, start=20)]
    assert torch.equal(torch.cat(pieces, 1), whole)


def test_another_seed_or_a_changed_pixel_gives_other_noise(digits):
    one = digits[:1].clone()
    before = noise.image_uniform(one, 1000)
    assert not torch.equal(noise.image_uniform(one, 1000, seed=1), before)
    one[0, 0, 3, 3] += 1 / 16
    after = noise.image_uniform(one, 1000)
    assert abs(np.corrcoef(before[0], after[0])[0, 1]) < 0.1


def test_uniforms_are_uniform_across_images_and_within_one(digits):
    u = noise.image_uniform(digits, 30)
    for sample in (u.flatten(), u[:, 0], u[:, 29], noise.image_uniform(digits[:1], 5000)[0]):
        assert stats.kstest(sample.numpy(), "uniform").pvalue > 1e-3
    assert 0 < u.min() < u.max() < 1


def test_dimensions_are_not_correlated(digits):
    correlation = np.corrcoef(noise.image_normal(digits, 12).T)
    assert np.abs(correlation - np.eye(12)).max() < 4.5 / np.sqrt(len(digits))


def test_normals_are_normal(digits):
    assert stats.kstest(noise.image_normal(digits, 30).flatten().numpy(), "norm").pvalue > 1e-3


def test_binarise_keeps_black_and_white_and_the_mean_of_grey():
    x = torch.rand(200, 1, 10, 10, generator=torch.Generator().manual_seed(0)) * 0.5
    x[:, :, 0], x[:, :, 1] = 0.0, 1.0
    drawn = noise.binarise(x)
    assert torch.equal(drawn[:, :, :2], x[:, :, :2])
    assert drawn[:, :, 2:].mean().item() == pytest.approx(x[:, :, 2:].mean().item(), abs=0.01)


def test_no_uniform_is_0_or_1_whatever_its_bits(monkeypatch):
    """The largest and the smallest pattern of 64 bits: at 1 the normal's quantile would be infinite."""
    for bits in (-1, 0):
        monkeypatch.setattr(noise, "_splitmix", lambda x, bits=bits: torch.full_like(x, bits))
        uniform = noise.image_uniform(torch.zeros(1, 1, 2, 2), 3)
        assert uniform.min() > 0
        assert uniform.max() < 1
        assert torch.isfinite(noise.image_normal(torch.zeros(1, 1, 2, 2), 3)).all()
