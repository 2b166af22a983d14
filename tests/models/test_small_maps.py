"""Images side by side convolve as each by itself, forward and back."""

import pytest
import torch
import torch.nn.functional as F

from latently.models import small_maps
from latently.models.modules import MeanOverPlaces
from latently.models.small_maps import convolve


@pytest.mark.parametrize(("kernel", "side", "batch"), [(3, 5, 16), (5, 4, 8), (3, 3, 12), (3, 8, 7), (3, (4, 6), 8)])
def test_images_side_by_side_convolve_as_each_by_itself(monkeypatch, kernel, side, batch):
    monkeypatch.setattr(small_maps, "gains_side_by_side", lambda *_: True)
    height, width = side if isinstance(side, tuple) else (side, side)
    x = torch.randn(batch, 6, height, width, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(4, 6, kernel, kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    edge = kernel // 2
    laid = convolve(x, kernels, bias, (1, 1), (edge, edge))
    plain = F.conv2d(x, kernels, bias, padding=edge)
    assert torch.allclose(laid, plain)
    g = torch.randn_like(plain)
    ours, torchs = (torch.autograd.grad(made, (x, kernels, bias), g) for made in (laid, plain))
    assert all(torch.allclose(one, other) for one, other in zip(ours, torchs, strict=True))


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding", "gains"),
    [((8, 4, 5, 5), 3, 1, 1, True), ((8, 4, 9, 9), 3, 1, 1, False), ((8, 4, 5, 5), 3, 2, 1, False),
     ((8, 4, 5, 5), 1, 1, 0, False), ((8, 4, 5, 5), 3, 1, 0, False)],
)  # fmt: skip
def test_only_small_maps_that_keep_their_size_are_laid_side_by_side(monkeypatch, shape, kernel, stride, padding, gains):
    monkeypatch.setattr(small_maps, "has_tiles", lambda: True)
    asked = torch.zeros(shape), torch.zeros(4, 4, kernel, kernel), (stride, stride), (padding, padding)
    with torch.autocast("cpu", torch.bfloat16):
        assert small_maps.gains_side_by_side(*asked) == gains
    assert not small_maps.gains_side_by_side(*asked)  # tiles multiply bfloat16 alone


def test_the_mean_over_places_hands_back_a_gradient_that_lies_as_the_maps():
    x = torch.randn(8, 5, 3, 4).to(memory_format=torch.channels_last).requires_grad_()
    seen = []
    maps = x * 1
    maps.register_hook(seen.append)
    mean = MeanOverPlaces()(maps)
    assert torch.allclose(mean, F.adaptive_avg_pool2d(x, 1), atol=1e-6)
    mean.square().sum().backward()
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
