"""The autoencoder against the oracle it has: principal component analysis."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from latently import AE, Autoencoder, Network


@pytest.fixture(scope="module")
def digits():
    X = load_digits().images / 16
    return (X - X.mean(0)).astype(np.float32)


def test_a_linear_autoencoder_with_squared_error_spans_the_plane_of_pca(digits):
    """Baldi & Hornik 1989: its global minimum is the plane of the first principal components."""
    linear = Network(encoder="reshape(1, 8, 8)", decoder="dense(out)")
    model = AE(latent_dim=3, network=linear, likelihood="squared-error")
    fit = Autoencoder(model, epochs=400, batch_size=2000, lr=5e-2, precision="float32", random_state=0).fit(digits)
    pca = PCA(3).fit(digits.reshape(-1, 64))
    plane = fit.net_.decoder[0].weight.detach().numpy()  # (64, 3)
    angle = np.degrees(subspace_angles(plane, pca.components_.T).max())
    assert angle < 1, f"the decoder's plane is {angle:.2f} degrees off PCA's"
    best = (
        np.square(digits.reshape(-1, 64) - pca.inverse_transform(pca.transform(digits.reshape(-1, 64)))).sum(1).mean()
    )
    assert -fit.score(digits) == pytest.approx(best, rel=0.01), "its loss is what PCA leaves over"


def test_the_squared_error_is_summed_over_pixels(digits):
    model = AE(latent_dim=2, network=Network("dense(8)"), likelihood="squared-error")
    fit = Autoencoder(model, epochs=1, random_state=0).fit(digits)
    by_hand = np.square(fit.reconstruct(digits) - digits).sum((1, 2))
    assert np.allclose(-fit.score_samples(digits), by_hand, rtol=1e-4)


def test_its_code_is_a_point():
    model = AE(latent_dim=2, network=Network("dense(8)"))
    net = model.build((1, 4, 4))
    x = torch.rand(3, 1, 4, 4)
    assert torch.equal(model.encode(net, x).mean, model.encode(net, x).mean)
    assert not hasattr(model, "prior")
