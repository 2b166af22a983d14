"""Readout: principal components by numpy, of unit length, the same for an image and its mirror, and kept in a run."""

import numpy as np
import pytest
import torch
from torch import nn

import latently
from latently import Autoencoder, InputError, Network, SimCLR
from latently.models.readout import Readout, last_maps, level_widths, pooled_maps


@pytest.fixture
def readout():
    return Readout([6, 2], 3)


def test_half_whitened_components_are_those_of_the_covariance(readout):
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(400, 8)) @ rng.normal(size=(8, 8)) + 5
    readout.learn(torch.tensor(pooled, dtype=torch.float32).split(150))
    centred = pooled - pooled.mean(0)
    levels = [centred[:, :6], centred[:, 6:]]
    scaled = np.concatenate([level / np.sqrt(level.var(0).sum()) for level in levels], 1)
    _, s, v = np.linalg.svd(scaled, full_matrices=False)
    expected = scaled @ v[:3].T / (s[:3] ** 2 / 400) ** 0.25
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    features = readout(torch.tensor(pooled, dtype=torch.float32)).double().numpy()
    assert np.abs(features @ features.T - expected @ expected.T).max() < 1e-4, "signs of components are free"


def test_directions_in_which_training_images_are_alike_count_nothing(readout):
    pooled = torch.randn(50, 1) @ torch.randn(1, 8)  # of rank one
    readout.learn([pooled])
    assert torch.isfinite(readout.directions).all()
    assert (readout.directions[:, 1:] == 0).all()


def test_images_that_are_all_alike_give_no_direction(readout):
    readout.learn([torch.ones(5, 8)])
    assert (readout(torch.ones(2, 8)) == 0).all()


def test_maps_are_the_last_ones_of_each_size_before_places_are_lost():
    encoder = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    x = torch.rand(2, 3, 16, 16)
    half, quarter = last_maps(encoder, x)
    assert torch.equal(half, encoder[:4](x)), "after its activation"
    assert torch.equal(quarter, encoder[:5](x))
    assert level_widths(encoder, (3, 16, 16)) == [20, 20]
    quadrant = pooled_maps(encoder, x, mirrored=False)[:, 0]  # of the first map of the half, its upper left quarter
    torch.testing.assert_close(quadrant, half[:, 0, :4, :4].mean((1, 2)))


@pytest.fixture(scope="module")
def photographs():
    return np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def fitted(photographs):
    model = SimCLR(10, appearance=0.2, network=Network("conv(4, 3) pool(2) conv(6, 3) mean()", "dense(out)"))
    return Autoencoder(model, epochs=1, random_state=0).fit(photographs)


def test_features_are_of_unit_length_and_those_of_the_mirror(fitted, photographs):
    features = fitted.features(photographs)
    assert features.shape == (60, 8)
    assert np.abs((features**2).sum(1) - 1).max() < 1e-5
    assert np.abs(features - fitted.features(photographs[:, :, ::-1])).max() < 1e-4
    assert np.abs(features[:7] - fitted.features(photographs[:7])).max() < 1e-6, "independent of the batch"
    assert features[:, 0].var() > 1e-3, "an image differs from another"


def test_a_run_keeps_the_readout(fitted, photographs, tmp_path):
    fitted.save(tmp_path / "run")
    assert np.array_equal(latently.load(tmp_path / "run").features(photographs), fitted.features(photographs))


def test_a_run_from_before_the_readout_has_the_code_as_features():
    settings = SimCLR(10, network=Network("conv(4, 3) mean()")).to_json()
    assert settings.pop("features_of") == "auto"
    net = SimCLR.from_json(settings).build((3, 16, 16))
    assert not hasattr(net, "readout")


def test_where_maps_are_fewer_than_features_the_code_serves():
    few = Network("conv(4, 3) dense(160)", "dense(out)")
    assert not hasattr(SimCLR(200, appearance=0.2, network=few).build((3, 16, 16)), "readout")
    with pytest.raises(InputError, match="maps hold 16 values and features 160"):
        SimCLR(200, appearance=0.2, network=few, features_of="layers").build((3, 16, 16))


def test_drawings_have_the_code_as_features():
    """With 20 labels of the embedded digits it is right on 87 %, the layers on 84 (docs/log.md)."""
    assert not hasattr(SimCLR(20).build((1, 28, 28)), "readout")
    assert hasattr(SimCLR(20, features_of="layers").build((1, 28, 28)), "readout")
