"""The studies `denoise` and `conditional`: filters, bugs and figures one by one, and both from end to end, quickly."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from latently import CVAE, Autoencoder, Network
from latently.estimator import label_spreading
from latently.experiments import Bench, conditional, denoise, semi_supervised
from latently.experiments.conditional import BUGS_OF, CLIP, EVERY, MENDED, RELU, WEIGHT, ClippedKL, variants
from latently.models.densities import Normal

SMOOTH = np.stack([np.outer(np.hanning(28), np.hanning(28))] * 3)
NOISY = SMOOTH + np.random.default_rng(0).normal(scale=0.2, size=SMOOTH.shape)


@pytest.fixture
def bench(tmp_path):
    """Digits enlarged to the size of MNIST's, for the studies' networks want that."""
    digits = load_digits()
    images = np.kron(np.rint(digits.images[:300] * 255 / 16), np.ones((3, 3))).astype(np.uint8)
    np.savez(tmp_path / "digits.npz", images=np.pad(images, ((0, 0), (2, 2), (2, 2))), labels=digits.target[:300])
    return Bench(tmp_path / "study", source=str(tmp_path / "digits.npz"), quick=True)


# Denoising --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("apply", "strength"),
    [(denoise.median, 5), (denoise.wiener, 5), (denoise.total_variation, 1.0), (denoise.non_local_means, 0.9)],
)
def test_a_filter_brings_a_noisy_image_nearer_to_the_smooth_one(apply, strength):
    before, after = (np.square(images - SMOOTH).mean() for images in (NOISY, apply(NOISY, 0.2, strength)))
    assert after < before / 2


def test_principal_components_leave_what_lies_in_their_plane():
    clean = np.random.default_rng(0).random((40, 2)) @ np.random.default_rng(1).random((2, 36))
    project = denoise.principal_components(clean.reshape(40, 6, 6))
    assert np.allclose(project(clean.reshape(40, 6, 6), 0.1, 2), clean.reshape(40, 6, 6))
    assert np.allclose(project(clean.reshape(40, 6, 6), 0.1, 0), clean.mean(0).reshape(6, 6))


def test_the_strength_of_the_smallest_error_is_taken():
    best = denoise.tuned(lambda noisy, level, strength: noisy * strength, (0.5, 1.0, 2.0), SMOOTH, SMOOTH / 2, 0.1)
    assert best == 2.0


def test_the_cross_entropy_of_black_and_white_is_finite():
    white = np.ones((2, 8, 8))
    assert denoise.figures(white, 1 - white)["bce_nats"] == pytest.approx(64 * np.log(512))
    assert denoise.figures(white, white)["bce_nats"] == pytest.approx(64 / 512, rel=0.01)


@pytest.mark.slow
def test_the_denoising_study_from_end_to_end(bench):
    result = denoise.run(bench)
    methods = {row["method"] for row in result.rows}
    assert methods > set(denoise.STRENGTHS)
    assert len(result.rows) == 3 * len(methods)
    assert "dB against study 4's with its settings" in result.findings[0]
    drawn = {path.name for path in (bench.folder / "figures").glob("*.png")}
    assert {"psnr.png", "ssim.png", "methods.png"} < drawn


# Labels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", BUGS_OF)
def test_each_bug_comes_alone(preset):
    models = variants(preset)
    mended = models[MENDED]
    assert models[WEIGHT].beta == 28
    assert models[WEIGHT].network == models[CLIP].network == mended.network
    assert type(models[CLIP]) is type(models[EVERY]) is ClippedKL
    assert models[RELU].beta == mended.beta == 1
    net = models[RELU].build((1, 28, 28), 10)
    drawn = models[RELU].decode(net, torch.randn(20, 20), torch.arange(20) % 10).mean
    assert drawn.min() >= 0.5, "a ReLU on the logits leaves no pixel below one half"


def test_the_clipped_kl_is_a_price_on_the_mean_alone():
    model, x, y = ClippedKL(2, Network("dense(8)")), torch.rand(4, 1, 4, 4), torch.arange(4)
    net = model.build((1, 4, 4), 4)
    q = model.encode(net, x, y)
    narrow = Normal(q.mean, q.log_variance - 5)
    torch.testing.assert_close(model.kl(net, narrow, narrow.rsample()), q.mean.square() / 2, atol=1e-6, rtol=0)


def test_as_many_images_are_drawn_of_each_class_and_judged_by_what_was_asked():
    X, y = load_digits(return_X_y=True)
    fit = Autoencoder(CVAE(2, Network("dense(16)")), epochs=1, random_state=0).fit(X[:200] / 16, y[:200])
    images, asked = conditional.drawn(fit, 5)
    assert images.shape == (50, 64)
    assert np.bincount(asked).tolist() == [5] * 10
    assert not np.array_equal(images[0], images[1])
    still, _ = conditional.drawn(fit, 5, spread=0.0)
    assert np.array_equal(still[0], still[1])


@pytest.mark.slow
def test_the_conditional_study_from_end_to_end(bench, monkeypatch):
    few = {name: model for name, model in variants(BUGS_OF[0]).items() if name in (MENDED, RELU, CLIP)}
    monkeypatch.setattr(conditional, "variants", lambda preset: few)
    result = conditional.run(bench)
    flow = {"guidance 1", "guidance 1.5"}
    assert {row["variant"] for row in result.rows} == {MENDED, RELU, CLIP, conditional.NARROW} | flow
    assert (bench.folder / "figures" / "samples-flow-matching.png").exists()
    assert {row["training"] for row in result.rows} == {"ours", "study's"}
    for row in result.rows:
        assert 0 <= row["agreement"] <= 1
        assert 0 <= row["judge_accuracy"] <= 1
    grey = {row["variant"]: row["sample_grey"].mean for row in result.rows}
    assert grey[RELU] > 0.5
    trained = {path: path.stat().st_mtime_ns for path in bench.folder.rglob("model.safetensors")}
    again = conditional.run(bench)
    assert again.rows == result.rows
    assert {path: path.stat().st_mtime_ns for path in trained} == trained, "finished trials are not trained again"


def test_labels_spread_to_the_surest_of_each_class():
    """Two groups of codes, one label each: half of either group gets its label, the surest."""
    codes = np.random.default_rng(0).normal(size=(80, 3)) + 20.0 * np.repeat([[0], [1]], 40, axis=0)
    known = np.full(80, -1)
    known[[3, 50]] = 0, 1
    spread = semi_supervised.spread_labels(known, label_spreading.neighbours(codes), 0.5)
    assert (spread[[3, 50]] == [0, 1]).all()
    for label, group in ((0, spread[:40]), (1, spread[40:])):
        assert set(group) == {-1, label}
        assert (group == label).sum() == 1 + round(0.5 * 39)


@pytest.mark.slow
def test_the_study_of_m2_from_end_to_end(bench):
    """M2 on pixels and on the codes of both encoders; a quick table shows no error."""
    rows = semi_supervised.run(bench).rows
    assert [(row["model"], row["recipe"]) for row in rows] == [
        (model, recipe) for model in ("M2", "M1+M2") for recipe in ("the paper's", "ours")
    ]
    for row in rows:
        assert 0 <= row["error_percent"].mean <= 100
        assert (row["labels"], row["draws"], row["published"]) == (
            100,
            1,
            semi_supervised.PUBLISHED[row["model"]][100][0],
        )
    shown = semi_supervised.STUDY.reproduce(bench).rows
    assert all(row["error_percent"] is None and row["published"] for row in shown)
    assert semi_supervised.run(bench).rows == rows, "figures are kept"
