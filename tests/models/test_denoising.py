"""The denoising autoencoder: its noise, its loss against the clean image, and the oracle that a linear one has."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from latently import DAE, Autoencoder, InputError, Network, evaluate
from latently.evaluation.figures import psnr_db, ssim
from latently.evaluation.samples import precision_recall

TINY = Network("dense(8)")


@pytest.fixture(scope="module")
def digits():
    return (load_digits().images / 16).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(digits):
    model = DAE(32, Network("dense(128)"), level=0.3)
    return Autoencoder(model, epochs=20, batch_size=64, lr=0.01, random_state=0).fit(digits[:1000])


def test_a_linear_one_reaches_the_best_linear_map():
    """Least squares from x + s * noise to x is (S + s^2 I)^-1 S, S the second moments (Bishop 1995: noise is a ridge).

    Its loss on average over the noise is s^2 trace((S + s^2 I)^-1 S), and a linear autoencoder whose code is as wide as
    the image can reach it and not go below.
    """
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6)) * [2, 1.5, 1, 0.5, 0.2, 0.1]
    X = rng.normal(size=(4000, 6)) @ mixing.T
    X = (X - X.mean(0)).astype(np.float32)
    level = 0.8
    linear = Network(encoder="dense(6, linear)", decoder="dense(out)")
    model = DAE(6, linear, likelihood="squared-error", level=level, unclipped=True)
    fit = Autoencoder(model, epochs=80, batch_size=512, lr=3e-2, precision="float32", random_state=0).fit(X)
    S = X.T @ X / len(X)
    best = np.linalg.solve(S + level**2 * np.eye(6), S)
    learned = fit.reconstruct(np.eye(6)) - fit.reconstruct(np.zeros((1, 6)))
    assert np.allclose(learned, best, atol=0.03), f"off by {np.abs(learned - best).max():.3f}"
    assert fit.history_[-1]["train_loss"] == pytest.approx(level**2 * np.trace(best), rel=0.02)


def test_the_loss_is_against_the_clean_image():
    model, x = DAE(2, TINY), torch.rand(4, 1, 4, 4)
    net = model.build((1, 4, 4))
    torch.manual_seed(0)
    loss = model.loss(net, x, None, 1.0)["loss"]
    torch.manual_seed(0)
    damaged = model.corrupt(x)
    torch.testing.assert_close(loss, -model.denoise(net, damaged).log_prob(x))
    torch.testing.assert_close(model.bound(net, x)["reconstruction"], -model.denoise(net, x).log_prob(x))


def test_gaussian_noise_has_its_level_and_is_clipped():
    x = torch.full((50, 1, 40, 40), 0.5)
    free = DAE(level=0.3, unclipped=True).corrupt(x)
    assert free.mean().item() == pytest.approx(0.5, abs=0.005)
    assert free.std().item() == pytest.approx(0.3, abs=0.005)
    clipped = DAE(level=0.3).corrupt(x)
    assert (clipped.min().item(), clipped.max().item()) == (0.0, 1.0)
    assert (clipped == 0).float().mean().item() == pytest.approx(0.0478, abs=0.003), "Phi(-0.5 / 0.3) falls on 0"


@pytest.mark.parametrize("level", [0.0, 0.25, 1.0])
def test_masking_hits_its_share_and_leaves_the_rest(level):
    x = torch.full((50, 1, 40, 40), 0.7)
    damaged = DAE(noise="masking", level=level).corrupt(x)
    assert (damaged == 0).float().mean().item() == pytest.approx(level, abs=0.005)
    assert set(damaged.unique().tolist()) <= {0.0, x[0, 0, 0, 0].item()}


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_salt_and_pepper_come_in_equal_shares(level):
    damaged = DAE(noise="salt-and-pepper", level=level).corrupt(torch.full((50, 1, 40, 40), 0.7))
    for value in (0.0, 1.0):
        assert (damaged == value).float().mean().item() == pytest.approx(level / 2, abs=0.005)


def test_levels_are_drawn_evenly_for_each_image():
    x = torch.full((400, 1, 20, 20), 0.5)
    spread = DAE(level=0.9, lowest_level=0.1, unclipped=True).corrupt(x).flatten(1).std(1)
    assert 0.08 < spread.min() < 0.15
    assert 0.8 < spread.max() < 0.98
    assert spread.mean().item() == pytest.approx(0.5, abs=0.05)
    one_level = DAE(level=0.9, lowest_level=0.1, unclipped=True).corrupt(x, level=0.2).std().item()
    assert one_level == pytest.approx(0.2, abs=0.005)


def test_every_step_draws_anew():
    x = torch.rand(2, 1, 4, 4)
    assert not torch.equal(DAE().corrupt(x), DAE().corrupt(x))


def test_noise_of_an_evaluation_belongs_to_the_image(fitted, digits):
    whole = fitted.corrupt(digits[:300])
    assert np.array_equal(whole[[7, 3]], fitted.corrupt(digits[[7, 3]]))
    assert not np.array_equal(whole, fitted.corrupt(digits[:300], seed=1))
    assert not np.array_equal(whole, fitted.corrupt(digits[:300], level=0.1))


def test_it_removes_noise(fitted, digits):
    figures = evaluate(fitted, digits[1000:])
    assert figures["noise"] == "gaussian 0.3"
    assert figures["denoised_psnr_db"] > figures["noisy_psnr_db"] + 3
    by_hand = np.square(fitted.denoise(fitted.corrupt(digits[1000:])) - digits[1000:]).mean()
    assert figures["denoised_mse"] == pytest.approx(by_hand, rel=1e-5)


def test_noisy_greys_are_not_binarised_again(digits):
    fit = Autoencoder(DAE(2, TINY, level=0.3), binarise="static", epochs=1, random_state=0).fit(digits[:200])
    noisy = fit.corrupt(digits[:50])
    with torch.no_grad():
        by_hand = fit.model_.denoise(fit.net_, torch.from_numpy(noisy)[:, None]).mean[:, 0].numpy()
    assert np.allclose(fit.denoise(noisy), by_hand, atol=1e-6)


def test_pixels_beyond_0_to_1_have_no_decibels(digits):
    X = 20 * digits[:200] - 5
    model = DAE(2, TINY, likelihood="squared-error", unclipped=True)
    figures = evaluate(Autoencoder(model, epochs=1, random_state=0).fit(X), X)
    assert figures["denoised_mse"] > 0
    assert not {"denoised_psnr_db", "noisy_psnr_db"} & figures.keys()


def test_noisy_images_of_any_range_are_cut_as_in_training(fitted, digits):
    wild = digits[:5] + np.random.default_rng(0).normal(size=(5, 8, 8))
    assert np.array_equal(fitted.denoise(wild), fitted.denoise(wild.clip(0, 1)))
    as_bytes = np.rint(digits[:5] * 255).astype(np.uint8)
    assert np.allclose(fitted.denoise(as_bytes), fitted.denoise(as_bytes / 255), atol=1e-6)


def test_a_spatial_code_needs_no_dense_layer():
    network = Network("conv(4) pool(2) code()", "reshape(4, 4, 4) deconv(out, 3, stride=2)")
    net = DAE(64, network).build((1, 8, 8))
    assert not any(isinstance(module, torch.nn.Linear) for module in net.modules())
    mirrored = DAE(64, Network("conv(4) pool(2) code()")).build((1, 8, 8))
    assert mirrored.decoder(torch.zeros(2, 64)).shape == (2, 1, 8, 8)
    with pytest.raises(InputError, match="ends at 64 values, but the model wants 20"):
        DAE(20, network).build((1, 8, 8))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lowest_level": 0.6}, "lowest_level is 0.6; expected at most level, which is 0.5"),
        ({"noise": "masking", "level": 1.5}, "level is 1.5; expected a share of pixels"),
        ({"noise": "speckle"}, "noise is 'speckle'"),
        ({"level": -1.0}, "level is -1.0; expected a number of at least 0"),
    ],
)
def test_settings_that_cannot_be(settings, sentence, digits):
    with pytest.raises(InputError, match=sentence):
        Autoencoder(DAE(2, TINY, **settings), epochs=1).fit(digits[:50])


def test_pixels_beyond_0_and_1_are_told_of(digits):
    with pytest.raises(InputError, match="with unclipped noise"):
        Autoencoder(DAE(2, TINY, likelihood="squared-error"), epochs=1).fit(digits[:50] * 3)


def test_an_autoencoder_says_that_it_has_not_learned_to_denoise(digits):
    fit = Autoencoder(epochs=1, random_state=0).fit(digits[:50])
    with pytest.raises(InputError, match="vae has not learned to remove noise; train a dae"):
        fit.denoise(digits)


# Figures of images ------------------------------------------------------------------------------------


def test_figures_of_images_against_what_is_known():
    clean = np.random.default_rng(0).random((3, 12, 12))
    assert psnr_db(clean, clean).tolist() == [100.0] * 3
    assert ssim(clean, clean) == pytest.approx([1.0] * 3)
    assert psnr_db(clean, clean + 0.5) == pytest.approx([6.0206] * 3, abs=1e-4)
    assert (ssim(clean, 1 - clean) < 0).all(), "a negative is unlike"


def test_precision_and_recall_by_brute_force():
    rng = np.random.default_rng(0)
    real, drawn = rng.normal(size=(60, 3)), rng.normal(size=(50, 3)) * 0.5 + 1

    def inside(points, by, k=3):
        reach = [np.sort(np.linalg.norm(by - centre, axis=1))[k] for centre in by]
        return np.mean([
            any(np.linalg.norm(p - c) <= r for c, r in zip(by, reach, strict=True)) for p in points
        ])  # fmt: skip

    assert precision_recall(real, drawn) == pytest.approx((inside(drawn, real), inside(real, drawn)))
    precision, recall = precision_recall(real, np.repeat(real[:1], 50, axis=0) + 1e-6 * rng.normal(size=(50, 3)))
    assert precision == 1.0
    assert recall < 0.1, "one image again and again covers nothing"
