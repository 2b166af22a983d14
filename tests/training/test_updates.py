"""Muon's update: orthogonal, as large as AdamW's, and AdamW itself for what is no kernel."""

import pytest
import torch

from latently.training.optimiser import Muon, build_optimiser
from latently.training.settings import Training
from latently.training.updates import orthogonalised


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (9, 9)], ids=str)
def test_singular_values_come_near_one_and_directions_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, vt = torch.linalg.svd(orthogonalised(matrix), full_matrices=False)
    assert s.min() > 0.5
    assert s.max() < 1.3
    mu, _, mvt = torch.linalg.svd(matrix, full_matrices=False)
    torch.testing.assert_close(u @ u.T @ mu, mu, atol=1e-4, rtol=0, msg="the same column space")
    torch.testing.assert_close(mvt @ vt.T @ vt, mvt, atol=1e-4, rtol=0, msg="the same row space")


def test_an_update_of_a_kernel_is_a_fifth_of_the_learning_rate_in_the_mean_square():
    kernel = torch.nn.Parameter(torch.zeros(16, 8, 3, 3))
    optimiser = Muon([kernel], lr=0.1, betas=(0.9, 0.999), weight_decay=0.0)
    kernel.grad = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(0))
    optimiser.step()
    rms = kernel.detach().square().mean().sqrt().item()
    assert rms == pytest.approx(2.0 * 0.1, rel=0.25)


def test_what_is_no_kernel_gets_the_update_of_torch_s_adamw():
    weights = [torch.nn.Parameter(torch.ones(4, 3)) for _ in range(2)]
    settings = {"lr": 0.01, "weight_decay": 0.1, "device": "cpu"}
    ours, oracle = (
        build_optimiser(Training(optimiser=name, **settings), torch.nn.ParameterList([weight]))
        for name, weight in zip(("muon", "adamw"), weights, strict=True)
    )
    for step in range(5):
        for weight, optimiser in zip(weights, (ours, oracle), strict=True):
            weight.grad = torch.full((4, 3), float(step - 1))
            optimiser.step()
    torch.testing.assert_close(*weights)
