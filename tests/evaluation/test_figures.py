"""Figures with their units, and the pictures' arrays, from a fitted estimator on real digits."""

import math

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from latently import (
    AE,
    CVAE,
    DAE,
    VAE,
    Autoencoder,
    Classifier,
    FeedForward,
    FewLabelClassifier,
    InputError,
    Network,
    Trunk,
    data,
    evaluate,
)
from latently.analysis import plots  # fmt: skip
from latently.evaluation import figures
from latently.evaluation.figures import calibration_error, in_batches

SMALL = Network("dense(64)")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits").take(np.arange(300))


@pytest.fixture(scope="module")
def vae(digits):
    return Autoencoder(VAE(2, SMALL), epochs=10, random_state=0).fit(digits.images)


@pytest.fixture(scope="module")
def ae(digits):
    return Autoencoder(AE(2, SMALL), epochs=10, random_state=0).fit(digits.images)


@pytest.fixture(scope="module")
def classifier(digits):
    model = FeedForward(Trunk("dense(64)"))
    return Classifier(model, epochs=20, random_state=0).fit(digits.images[:200], digits.label_names[:200])


def test_the_figures_of_a_classifier_are_scikit_learns(classifier, digits):
    from sklearn.metrics import accuracy_score, log_loss, precision_score, recall_score

    X, y = digits.images, digits.label_names
    figures, predicted = evaluate(classifier, X, y), classifier.predict(X)
    assert figures["accuracy"] == pytest.approx(accuracy_score(y, predicted))
    assert figures["nll_nats"] == pytest.approx(log_loss(y, classifier.predict_proba(X)), rel=1e-5)
    for place, name in enumerate(classifier.classes_):
        of_class = figures["per_class"][name]
        assert of_class["precision"] == pytest.approx(precision_score(y, predicted, average=None)[place])
        assert of_class["recall"] == pytest.approx(recall_score(y, predicted, average=None)[place])


def test_unlabelled_images_are_not_judged(classifier, digits):
    y = digits.label_names.copy()
    y[100:] = ""
    mixed = [*y[:100].tolist(), *[-1] * 200]
    assert evaluate(classifier, digits.images, mixed) == evaluate(classifier, digits.images, y)
    assert evaluate(classifier, digits.images, y) == evaluate(classifier, digits.images[:100], y[:100])
    with pytest.raises(InputError, match="none of these images has a label"):
        evaluate(classifier, digits.images, np.full(300, ""))


def test_a_classifier_without_probabilities_is_judged_by_its_classes(vae, digits):
    fitted = FewLabelClassifier(vae, SVC(), spread=0).fit(digits.images, digits.label_names)
    figures = evaluate(fitted, digits.images, digits.label_names.tolist())
    assert figures["accuracy"] == fitted.score(digits.images, digits.label_names)
    assert "nll_nats" not in figures
    with pytest.raises(InputError, match="evaluating a classifier needs labels: give y"):
        evaluate(fitted, digits.images)


def test_a_class_that_was_never_trained_on_counts_as_wrong(classifier, digits):
    y = np.array([*digits.label_names[:3], "a letter"], dtype=object)
    figures = evaluate(classifier, digits.images[:4], y)
    assert figures["accuracy"] == pytest.approx(0.75 * evaluate(classifier, digits.images[:3], y[:3])["accuracy"])
    with pytest.raises(
        InputError, match=r"none of these labels \(for example 'a letter'\) is a class of the training labels"
    ):
        evaluate(classifier, digits.images[:4], np.full(4, "a letter"))


def test_a_score_is_of_the_labelled_images(classifier, digits):
    y = digits.label_names.astype(object)
    y[100:] = None
    assert classifier.score(digits.images, y) == classifier.score(digits.images[:100], digits.label_names[:100])
    with pytest.raises(InputError, match="none of these images carries a label"):
        classifier.score(digits.images, np.full(300, -1))


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    """90 % sure and 60 % right in one bin, 50 % sure and 50 % right in another, weighed by their images."""
    p = np.repeat([0.9, 0.5], [10, 30])
    right = np.array([True] * 6 + [False] * 4 + [True, False] * 15)
    assert calibration_error(p, right) == pytest.approx(0.3 * 10 / 40)


def test_the_bound_is_minus_the_sum_of_its_parts(vae, digits):
    figures = evaluate(vae, digits.images)
    assert figures["elbo_nats"] < 0 < min(figures["reconstruction_nats"], figures["kl_nats"])
    assert figures["elbo_nats"] == pytest.approx(-figures["reconstruction_nats"] - figures["kl_nats"])
    assert figures["elbo_nats"] == pytest.approx(vae.score(digits.images), rel=1e-6)
    assert figures["bits_per_dim"] == pytest.approx(-figures["elbo_nats"] / 64 / math.log(2))
    assert figures["likelihood"] == "bernoulli, continuous"
    assert figures["n_images"] == 300


def test_beta_moves_the_objective_and_not_the_reported_bound(digits):
    """With beta 0 the objective is the reconstruction alone; the figure still pays for the KL."""
    fit = Autoencoder(VAE(2, SMALL, beta=0.0), epochs=5, random_state=0).fit(digits.images)
    figures = evaluate(fit, digits.images)
    assert figures["kl_nats"] > 0
    assert figures["elbo_nats"] == pytest.approx(-figures["reconstruction_nats"] - figures["kl_nats"])


def test_mse_is_per_pixel(vae, digits):
    by_hand = np.square(vae.reconstruct(digits.images) - digits.images / 255).mean()
    assert evaluate(vae, digits.images)["mse"] == pytest.approx(by_hand, rel=1e-5)


def test_an_autoencoder_reports_no_bound(ae, digits):
    figures = evaluate(ae, digits.images)
    assert "elbo_nats" not in figures
    assert figures["reconstruction_nats"] == pytest.approx(-ae.score(digits.images), rel=1e-6)


def test_squared_error_is_not_called_nats(digits):
    fit = Autoencoder(AE(2, SMALL, likelihood="squared-error"), epochs=1).fit(digits.images)
    figures = evaluate(fit, digits.images)
    assert "squared_error" in figures
    assert not any(name.endswith("_nats") for name in figures)


def test_a_vae_whose_kl_weight_is_raised_until_it_collapses_is_called_collapsed(digits):
    crushed = Autoencoder(VAE(4, SMALL, beta=100.0), epochs=20, random_state=0).fit(digits.images)
    figures = evaluate(crushed, digits.images)
    assert (figures["active_units"], figures["collapsed"]) == (0, True)
    healthy = Autoencoder(VAE(4, SMALL, beta=0.1), epochs=20, random_state=0).fit(digits.images)
    figures = evaluate(healthy, digits.images)
    assert figures["active_units"] == (healthy.transform(digits.images).var(0) > 0.01).sum() > 0
    assert not figures["collapsed"]
    assert not evaluate(healthy, digits.images[:1])["collapsed"], "one image cannot tell"


def test_a_dimension_that_is_never_used_is_not_active(digits):
    """A decoder that is deaf to the last of three dimensions leaves its posterior at the prior."""
    fit = Autoencoder(VAE(3, SMALL, beta=0.1), epochs=20, random_state=0).fit(digits.images)
    n = evaluate(fit, digits.images)["active_units"]
    encoder = [module for module in fit.net_.encoder.modules() if hasattr(module, "weight")][-1]
    with torch.no_grad():
        encoder.weight[2] = 0
    assert evaluate(fit, digits.images)["active_units"] == n - 1


def test_the_reconstruction_is_judged_as_scikit_image_does(vae, digits):
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    figures = evaluate(vae, digits.images)
    pairs = list(zip(vae.seen(digits.images), vae.reconstruct(digits.images), strict=True))
    alike = [structural_similarity(a, b, data_range=1.0) for a, b in pairs]
    assert figures["ssim"] == pytest.approx(np.mean(alike), abs=1e-5)
    decibels = [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in pairs]
    assert figures["psnr_db"] == pytest.approx(np.mean(decibels), rel=1e-5)


def test_a_figure_of_many_images_is_computed_in_parts(monkeypatch):
    monkeypatch.setattr(figures, "VALUES_AT_ONCE", 40)
    images = np.random.default_rng(0).random((7, 4, 4))
    sizes = []
    figure = in_batches(lambda a: sizes.append(len(a)) or a.mean((1, 2)), images)
    assert sizes == [2, 2, 2, 1]
    assert np.array_equal(figure, images.mean((1, 2)))


def test_what_has_no_likeness_lacks_its_figure(digits):
    """Decibels want a highest pixel, windows of 7 an image that holds one."""
    wide = Autoencoder(VAE(2, SMALL, likelihood="gaussian"), epochs=1, random_state=0)
    beyond = digits.images / 100
    assert not {"psnr_db", "ssim"} & evaluate(wide.fit(beyond), beyond).keys()
    rows = digits.images.reshape(300, -1)
    assert {"psnr_db", "ssim"} & evaluate(wide.fit(rows), rows).keys() == {"psnr_db"}
    tiny = digits.images[:, 1:7]
    assert {"psnr_db", "ssim"} & evaluate(wide.fit(tiny), tiny).keys() == {"psnr_db"}


@pytest.fixture(scope="module")
def dae(digits):
    return Autoencoder(DAE(2, SMALL), epochs=2, random_state=0).fit(digits.images)


@pytest.fixture(scope="module")
def cvae(digits):
    return Autoencoder(CVAE(2, SMALL), epochs=2, random_state=0).fit(digits.images, digits.label_names)


def test_a_model_has_the_pictures_that_its_abilities_allow(vae, ae, dae, cvae):
    special = {*plots.CLASSIFIER_KINDS, *plots.DENOISING_KINDS, *plots.CONDITIONAL_KINDS}
    assert set(plots.available_kinds(vae)) == set(plots.KINDS) - special
    assert set(plots.available_kinds(ae)) == set(plots.available_kinds(vae)) - {"samples", "traversals"}
    assert set(plots.available_kinds(dae)) == set(plots.available_kinds(ae)) | set(plots.DENOISING_KINDS)
    assert set(plots.available_kinds(cvae)) == set(plots.available_kinds(vae)) | set(plots.CONDITIONAL_KINDS)


@pytest.mark.parametrize("kind", plots.KINDS)
def test_every_picture_draws(kind, vae, ae, dae, cvae, classifier, digits):
    able = [each for each in (vae, ae, dae, cvae, classifier) if kind in plots.available_kinds(each)]
    assert able
    for estimator in able:
        assert plots.draw(kind, estimator, digits).axes


def test_a_residual_is_of_what_is_rebuilt_from_the_noisy_image(dae, digits, monkeypatch):
    """Study 4 took that of the clean image."""
    shown = {}
    monkeypatch.setattr(plots.pictures, "rows", lambda named, title: shown.update(named))
    plots.draw("denoising", dae, digits, plots.PlotOptions(noise=0.3, n=10))
    originals, noisy, rebuilt, residual = shown.values()
    assert len(originals) == 10
    assert np.array_equal(noisy, dae.corrupt(digits.images[:10], 0.3))
    assert np.array_equal(rebuilt, dae.denoise(noisy))
    assert np.allclose(residual, 0.5 + (rebuilt - originals) / 2)


def test_a_label_has_a_mean_code_and_noise_about_it(cvae, digits):
    classes, means = plots.label_means(cvae, digits)
    sevens = digits.take(np.flatnonzero(digits.labels == 7))
    assert classes[7] == "7"
    assert np.allclose(means[7], cvae.transform(sevens.images, "7").mean(0), atol=1e-5)
    still = plots.draw("mean-noise", cvae, digits, plots.PlotOptions(noise=0.0, n=3)).axes[0].images[0].get_array()
    moved = plots.draw("mean-noise", cvae, digits, plots.PlotOptions(noise=2.0, n=3)).axes[0].images[0].get_array()
    assert not np.array_equal(still, moved)


@pytest.mark.parametrize("kind", [*plots.DENOISING_KINDS, *plots.CONDITIONAL_KINDS])
def test_a_picture_names_the_model_that_it_wants(kind, vae, digits):
    with pytest.raises(InputError, match=f"{kind!r} needs a (dae|cvae); there are curves, reconstructions"):
        plots.draw(kind, vae, digits)


def test_a_canvas_of_an_autoencoder_spans_its_own_codes(ae, digits):
    codes = ae.transform(digits.images)
    axes = plots.draw("canvas", ae, digits, plots.PlotOptions(grid=5)).axes[0]
    shown = [float(tick.get_text().replace("\N{MINUS SIGN}", "-")) for tick in axes.get_xticklabels()]
    low, high = np.quantile(codes[:, 0], [0.01, 0.99])
    assert min(shown) == pytest.approx(low, rel=0.05)
    assert max(shown) == pytest.approx(high, rel=0.05)


def test_traversals_put_the_most_active_dimension_first(digits):
    fit = Autoencoder(VAE(5, SMALL), epochs=20, random_state=0).fit(digits.images)
    kl = fit.bound_terms(digits.images)["kl"].mean(0)
    labels = [tick.get_text() for tick in plots.draw("traversals", fit, digits).axes[0].get_yticklabels()]
    assert labels[0].startswith(f"z{kl.argmax() + 1} ")


def test_what_a_model_cannot_draw_is_a_sentence(ae, digits):
    with pytest.raises(InputError, match="there is no picture 'hologram'; there are curves"):
        plots.draw("hologram", ae, digits)
    with pytest.raises(InputError, match="need a prior"):
        plots.draw("traversals", ae, digits)
    wide = Autoencoder(VAE(5, SMALL), epochs=1).fit(digits.images)
    with pytest.raises(InputError, match="canvas needs a code of 2 dimensions; this model's has 5"):
        plots.draw("canvas", wide, digits)
