"""Samples beside their nearest training images."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from latently import AE, Autoencoder, Network
from latently.analysis.copies import copies
from latently.data import ImageSet


def test_a_copy_is_at_distance_zero_and_test_images_stand_beside():
    X = (load_digits().images * 15.9).astype(np.uint8)
    train, test = (ImageSet(x, np.full(len(x), -1), (), np.arange(len(x)), "digits") for x in (X[:300], X[300:350]))
    ae = Autoencoder(AE(2, Network("dense(8)")), epochs=1, random_state=0).fit(train.images)
    samples = np.concatenate([X[[7]], X[[7]] + np.pad([[10]], (3, 4))[None]]) / np.float32(255)  # one pixel is off
    found = copies(ae, samples, train, test)
    np.testing.assert_allclose(found.distances, [0, 10 / 255], atol=1e-3)
    np.testing.assert_array_equal(found.nearest[0], ae.seen(X[[7]])[0])
    for median, images in ((found.of_test, X[300:350] / 255), (found.of_rebuilt, ae.reconstruct(X[300:350]))):
        gaps = np.linalg.norm((images[:, None] - X[None, :300] / 255).reshape(50, 300, -1), axis=2)
        assert median == pytest.approx(np.median(gaps.min(1)), rel=1e-4)
    assert f"of test images {found.of_test:.3g}, of test images rebuilt {found.of_rebuilt:.3g}" in found.sentence()
