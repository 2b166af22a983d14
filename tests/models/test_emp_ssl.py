"""EMP-SSL: its equation in the order of the paper, what minimises it, and that it learns features of digits."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from latently import EMPSSL, Autoencoder, Network
from latently.models.densities import coding_rate


def test_the_loss_is_equation_5_crop_by_crop():
    model = EMPSSL(n_views=3, alike=7.0, distortion=0.3)
    projected = torch.randn(3 * 4, 6, generator=torch.Generator().manual_seed(0))  # 3 crops of 4 images
    crops = F.normalize(projected, dim=1).double().reshape(3, 4, 6)
    mean, total = crops.mean(0), 0.0
    for z in crops:  # (B, P), as the paper has it: Z^T Z is (P, P)
        rate = 0.5 * math.log(np.linalg.det(np.eye(6) + 6 / (4 * 0.3) * (z.T @ z).numpy()))
        alike = np.mean([(a @ b / (a.norm() * b.norm())).item() for a, b in zip(z, mean, strict=True)])
        total += 7.0 * alike + rate
    assert model.compare(projected).mean().item() == pytest.approx(-total / 3, rel=1e-5)


def test_each_image_has_its_own_part_of_the_loss():
    """What is alike counts for its image; the rate is of all."""
    model = EMPSSL(n_views=2, alike=200.0)
    first = torch.eye(3)
    apart = first.clone()
    apart[2] = torch.tensor([1.0, 0.0, 0.0])
    same, other = model.compare(torch.cat([first, first])), model.compare(torch.cat([first, apart]))
    assert same.shape == (3,)
    assert same.tolist() == pytest.approx([same[0].item()] * 3)
    assert other[2] > other[0] + 50


def test_the_rate_is_largest_for_vectors_in_all_directions():
    apart, near = torch.eye(4), F.normalize(torch.ones(4, 4) + 0.1 * torch.eye(4), dim=1)
    assert coding_rate(apart, 0.2).item() == pytest.approx(4 / 2 * math.log(1 + 1 / 0.2))
    assert coding_rate(near, 0.2) < coding_rate(apart, 0.2)


def test_an_epoch_of_more_views_is_repeated_less_often():
    assert EMPSSL().length((3, 32, 32), 30, 1200) == (10, 1200)
    assert EMPSSL(n_views=4).length((3, 32, 32), 30, 1200) == (30, 1200)


def test_features_of_digits_are_worth_more_than_those_of_an_untrained_net():
    X, y = load_digits(return_X_y=True)
    X = (X.reshape(-1, 8, 8) / 16).astype(np.float32)
    network = Network("conv(16, 3, norm=group) pool(2) conv(24, 3, norm=group) mean()", "dense(out)")

    def accuracy(epochs: int, lr: float) -> float:
        training = {"epochs": epochs, "lr": lr, "optimiser": "muon", "batch_size": 32, "random_state": 0}
        encoder = Autoencoder(EMPSSL(40, network=network, n_views=4), **training).fit(X[:400])
        judge = KNeighborsClassifier(5).fit(encoder.features(X[400:900]), y[400:900])
        return float(judge.score(encoder.features(X[900:]), y[900:]))

    untrained, trained = accuracy(1, 1e-9), accuracy(12, 4e-3)
    assert trained > untrained + 0.1, f"{trained:.3f} after training, {untrained:.3f} before"
