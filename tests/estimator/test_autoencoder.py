"""The scikit-learn promise, on real digits."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import latently
from latently import AE, VAE, Autoencoder, InputError, Network

SMALL = Network(encoder="dense(32)")


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    return bunch.images / 16, bunch.target


@pytest.fixture(scope="module")
def fitted(digits):
    return Autoencoder(VAE(latent_dim=4, network=SMALL), epochs=3, random_state=0).fit(digits[0])


@parametrize_with_checks([Autoencoder(VAE(latent_dim=2, likelihood="gaussian", network=SMALL), epochs=2)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_clone_keeps_every_setting_and_nothing_learned(fitted):
    copy = clone(fitted)
    assert copy.get_params()["model__network__encoder"] == "dense(32)"
    assert copy.epochs == 3
    assert not hasattr(copy, "net_")
    assert copy.model is not fitted.model


def test_codes_of_digits_feed_a_pipeline(digits):
    X, y = digits
    encoder = Autoencoder(VAE(8, Network("dense(128)")), epochs=20, lr=0.01, random_state=0)
    pipeline = make_pipeline(encoder, LogisticRegression(C=10, max_iter=2000)).fit(X[:1200], y[:1200])
    assert pipeline.score(X[1200:], y[1200:]) > 0.8, "codes of 8 dimensions should tell most digits apart"


@pytest.mark.slow
def test_grid_search_over_the_width_of_the_code(digits):
    X = digits[0][:600]
    estimator = Autoencoder(VAE(network=SMALL), epochs=80, batch_size=32, random_state=0)
    search = GridSearchCV(estimator, {"model__latent_dim": [1, 8]}, cv=2).fit(X)
    assert search.best_params_ == {"model__latent_dim": 8}, "eight dimensions explain digits better than one"


def test_one_random_state_gives_one_fit(digits):
    X = digits[0][:300]
    one, other = (Autoencoder(VAE(2, SMALL), epochs=2, random_state=7).fit(X) for _ in range(2))
    assert np.array_equal(one.transform(X), other.transform(X))
    third = Autoencoder(VAE(2, SMALL), epochs=2, random_state=8).fit(X)
    assert not np.array_equal(one.transform(X), third.transform(X))


def test_the_callers_generators_do_not_move(digits):
    X = digits[0][:100]
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state().clone(), np.random.get_state()[1].copy()
    estimator = Autoencoder(VAE(2, SMALL), epochs=1).fit(X)
    estimator.sample(3)
    estimator.score(X)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_a_score_does_not_depend_on_order_batch_or_repetition(digits, fitted):
    X = digits[0].astype(np.float32)
    scores = fitted.score_samples(X)
    shuffled = np.random.default_rng(0).permutation(len(X))
    assert np.array_equal(fitted.score_samples(X[shuffled]), scores[shuffled])
    assert np.array_equal(fitted.score_samples(X[5:6]), scores[5:6])
    assert fitted.score(X) == pytest.approx(scores.mean(), abs=1e-4)


def test_a_score_is_the_bound_it_claims_to_be(digits, fitted):
    """Minus reconstruction minus KL, at weight 1 whatever beta the objective had."""
    X = digits[0][:50]
    terms = fitted.bound_terms(X)
    assert np.allclose(fitted.score_samples(X), -terms["reconstruction"] - terms["kl"].sum(1), atol=1e-4)
    weighted = clone(fitted).set_params(model__beta=0.0).fit(X)
    assert np.allclose(
        weighted.score_samples(X), -sum(t.reshape(50, -1).sum(1) for t in weighted.bound_terms(X).values()), atol=1e-4
    )


@pytest.mark.parametrize("shape", [(60, 64), (60, 8, 8), (60, 8, 8, 3)], ids=str)
def test_what_comes_back_has_the_shape_of_x(shape):
    X = np.random.default_rng(0).random(shape, dtype=np.float32)
    estimator = Autoencoder(VAE(3, SMALL), epochs=1).fit(X)
    assert estimator.transform(X).shape == (60, 3)
    assert estimator.reconstruct(X).shape == shape
    assert estimator.sample(5).shape == (5, *shape[1:])
    assert estimator.seen(X).shape == shape
    assert np.array_equal(estimator.seen(X), X), "what the model sees of floats is the floats"


def test_bytes_are_scaled_and_floats_are_not(digits):
    floats = (digits[0][:100] * 255).round().astype(np.uint8)
    fit = Autoencoder(VAE(2, SMALL), epochs=1, random_state=0)
    from_bytes = clone(fit).fit(floats).transform(floats)
    from_floats = clone(fit).fit(floats / np.float32(255)).transform(floats / np.float32(255))
    assert np.allclose(from_bytes, from_floats, atol=1e-6)


def test_saved_and_loaded_it_is_the_same(digits, fitted, tmp_path):
    loaded = latently.load(fitted.save(tmp_path / "run") and tmp_path / "run")
    assert np.array_equal(loaded.transform(digits[0]), fitted.transform(digits[0]))
    assert loaded.score(digits[0]) == fitted.score(digits[0])
    assert loaded.history_ == fitted.history_
    assert loaded.model == fitted.model


def test_a_plain_autoencoder_says_that_it_has_no_prior(digits):
    estimator = Autoencoder(AE(2, SMALL), epochs=1).fit(digits[0])
    with pytest.raises(InputError, match="no prior"):
        estimator.sample(2)


def test_samples_repeat_with_a_seed_and_differ_without(fitted):
    assert np.array_equal(fitted.sample(4, random_state=1), fitted.sample(4, random_state=1))
    assert not np.array_equal(fitted.sample(4), fitted.sample(4))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"batch_size": -3}, "batch_size is -3"),
        ({"patience": 2}, "patience needs validation"),
        ({"model__latent_dim": 0}, "latent_dim is 0"),
        ({"model__network__encoder": "desne(3)"}, "no layer 'desne'"),
        ({"device": "cuda:77"}, "device is 'cuda:77'"),
        ({"binarise": "twice"}, "binarise is 'twice'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_that_cannot_be_is_a_sentence(digits, settings, words):
    estimator = Autoencoder(VAE(2, Network("dense(32)")), epochs=1).set_params(**settings)
    with pytest.raises(InputError, match=words):
        estimator.fit(digits[0])


def test_pixels_outside_0_to_1_want_a_gaussian(digits):
    X = digits[0] * 16
    with pytest.raises(InputError, match="Bernoulli likelihood expects 0 to 1"):
        Autoencoder(VAE(2, SMALL), epochs=1).fit(X)
    assert np.isfinite(Autoencoder(VAE(2, SMALL, likelihood="gaussian"), epochs=1).fit(X).score(X))


def test_static_binarisation_is_one_draw_and_dynamic_a_new_one(digits):
    X = digits[0][:200]
    static = Autoencoder(VAE(2, SMALL), epochs=1, binarise="static", random_state=0).fit(X)
    seen = static.seen(X)
    assert set(np.unique(seen)) == {0.0, 1.0}
    assert np.array_equal(seen, static.seen(X)), "the draw is kept"
    assert seen.mean() == pytest.approx(X.mean(), abs=0.01), "a pixel is white with its grey value's probability"
    dynamic = Autoencoder(VAE(2, SMALL), epochs=2, binarise="dynamic", random_state=0).fit(X)
    assert set(np.unique(dynamic.seen(X))) == {0.0, 1.0}


@pytest.mark.parametrize("kind", [list, np.float16, np.float64, np.longdouble], ids=str)
def test_numbers_of_any_kind_are_taken_as_they_are(digits, fitted, kind):
    X = digits[0][:20]
    given = X.tolist() if kind is list else X.astype(kind)
    assert np.allclose(fitted.transform(given), fitted.transform(X.astype(np.float32)), atol=1e-2)
    assert np.allclose(fitted.seen(given), X, atol=1e-3)


def test_whole_numbers_that_are_no_bytes_are_not_scaled(digits):
    with pytest.raises(InputError, match="reach from 0 to 1000"):
        Autoencoder(VAE(2, SMALL), epochs=1).fit((digits[0] * 1000).astype(np.int64))


def test_numbers_beyond_float32_are_a_sentence(digits):
    X = digits[0][:20].copy()
    X[3] = 1e300
    with pytest.raises(InputError, match="too large for float32"):
        Autoencoder(VAE(2, SMALL, likelihood="gaussian"), epochs=1).fit(X)


def test_what_was_fitted_does_not_share_its_model(digits):
    model = VAE(2, Network("dense(8)"))
    one = Autoencoder(model, epochs=1, random_state=0).fit(digits[0])
    before = one.transform(digits[0])
    model.latent_dim, model.network.encoder = 7, "dense(9)"
    assert np.array_equal(one.transform(digits[0]), before)
    assert one.sample(2).shape == (2, 8, 8)


def test_settings_of_numpy_can_be_saved(digits, tmp_path):
    fit = Autoencoder(VAE(np.int64(2), Network("dense(8)")), epochs=np.int64(1), lr=np.float32(0.01)).fit(digits[0])
    assert latently.load(fit.save(tmp_path / "run") and tmp_path / "run").score(digits[0]) == fit.score(digits[0])


@pytest.mark.parametrize("seed", [-1, 2**60, 1.5, "one"])
def test_a_seed_that_cannot_be_is_a_sentence(digits, fitted, seed):
    with pytest.raises(InputError, match="random_state is"):
        Autoencoder(VAE(2, Network("dense(8)")), epochs=1, random_state=seed).fit(digits[0])
    with pytest.raises(InputError, match="random_state is"):
        fitted.sample(2, random_state=seed)


def test_what_is_no_model_or_no_code_is_a_sentence(digits, fitted):
    with pytest.raises(InputError, match="expected a model such as VAE"):
        Autoencoder("vae").fit(digits[0])
    with pytest.raises(InputError, match=r"Z has shape \(0, 4\)"):
        fitted.inverse_transform(np.zeros((0, 4)))


def test_a_run_folder_that_describes_a_giant_is_refused_without_building_it(fitted, tmp_path):
    fitted.save(tmp_path / "run")
    params = tmp_path / "run/params.json"
    params.write_text(params.read_text().replace('"dense(32)"', '"dense(300000) dense(300000)"'))
    with pytest.raises(InputError, match=r"params\.json"):
        latently.load(tmp_path / "run")
