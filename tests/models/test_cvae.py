"""The conditional VAE against what can be known exactly, and how its labels travel."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from latently import CVAE, Autoencoder, InputError, Network, evaluate, load

DIGITS = load_digits()
X, Y = (DIGITS.images / 16).astype(np.float32), DIGITS.target
MEANS = np.stack([X[label == Y].mean(0) for label in range(10)])


@pytest.fixture(scope="module")
def fitted():
    model = CVAE(4, Network("dense(64)"))
    return Autoencoder(model, epochs=15, batch_size=64, lr=0.01, random_state=0).fit(X[:1500], Y[:1500])


def test_a_decoder_that_gets_nothing_from_the_code_learns_each_labels_mean_image():
    """With a huge price on the code, p(x|z,y) = p(x|y), whose best Bernoulli means are the class's mean pixels."""
    model = CVAE(1, Network(encoder="dense(8)", decoder="dense(out)"), beta=1000.0)
    fit = Autoencoder(model, epochs=40, batch_size=128, lr=0.1, precision="float32", random_state=0).fit(X, Y)
    drawn = fit.sample(10, y=range(10), random_state=0)
    assert np.abs(drawn - MEANS).max() < 0.06
    assert np.abs(drawn - MEANS).mean() < 0.01


def test_a_linear_gaussian_one_reaches_the_likelihood_of_pca_about_each_labels_mean():
    """x = W z + V y + noise: given the label, probabilistic PCA of what is left of x beside its label's mean."""
    linear = Network(encoder="dense(74, linear)", decoder="dense(out)")
    model = CVAE(4, linear, likelihood="gaussian", beta=1.0)
    centred = X - X.mean(0)
    fit = Autoencoder(model, epochs=60, batch_size=256, lr=5e-2, precision="float32", random_state=0).fit(centred, Y)
    rest = (X - MEANS[Y]).reshape(-1, 64)
    exact = PCA(4).fit(rest).score(rest)  # nats per image
    elbo = fit.score(centred, Y)
    error = fit.score_samples(centred, Y).std() / np.sqrt(len(X))
    assert exact - 1.5 < elbo < exact + 3 * error, f"ELBO {elbo:.2f}, exact log-likelihood {exact:.2f}"


def test_labels_stand_beside_pixels_or_as_planes_beside_channels():
    values = CVAE(3, Network("dense(16)")).build((1, 8, 8), 5)
    assert values.encoder.network[0].in_features == 64 + 5
    planes = CVAE(3, Network("conv(4)")).build((3, 8, 8), 5)
    assert planes.encoder.network[0].in_channels == 3 + 5
    assert planes.decoder.network[0].in_features == 3 + 5


def test_it_believes_an_image_more_under_its_own_label(fitted):
    right, wrong = fitted.score(X[1500:], Y[1500:]), fitted.score(X[1500:], (Y[1500:] + 1) % 10)
    assert right > wrong + 5


def test_a_sample_of_a_label_looks_like_it(fitted):
    drawn = fitted.sample(500, y=np.repeat(range(10), 50), random_state=0).reshape(500, -1)
    nearest = np.linalg.norm(drawn[:, None] - MEANS.reshape(10, -1), axis=2).argmin(1)
    assert (nearest == np.repeat(range(10), 50)).mean() > 0.9


def test_without_a_label_the_classes_come_in_turn(fitted):
    assert np.array_equal(fitted.sample(12, 0), fitted.sample(12, 0, y=[*range(10), 0, 1]))
    assert np.array_equal(fitted.sample(3, 0, y=7), fitted.sample(3, 0, y=[7, 7, 7]))


def test_analogies_keep_the_code_and_change_the_label(fitted):
    sheet = fitted.analogies(X[:6], Y[:6])
    assert sheet.shape == (6, 10, 8, 8)
    own = sheet[range(6), Y[:6]]
    assert np.allclose(own, fitted.reconstruct(X[:6], Y[:6]), atol=1e-6)


def test_figures_and_terms_are_of_the_images_under_their_labels(fitted):
    figures = evaluate(fitted, X[1500:], Y[1500:])
    assert figures["elbo_nats"] == pytest.approx(fitted.score(X[1500:], Y[1500:]), rel=1e-5)
    assert figures["elbo_nats"] == pytest.approx(-figures["reconstruction_nats"] - figures["kl_nats"])


def test_a_row_does_not_depend_on_its_neighbours(fitted):
    some = [5, 300, 2]
    assert np.array_equal(fitted.score_samples(X, Y)[some], fitted.score_samples(X[some], Y[some]))


def test_labels_are_names_of_any_kind_and_survive_a_run_folder(tmp_path):
    names = np.array([f"digit {label}" for label in Y[:300]])
    fit = Autoencoder(CVAE(2, Network("dense(16)")), epochs=2, random_state=0).fit(X[:300], names)
    again = load(fit.save(tmp_path / "run") and tmp_path / "run")
    assert again.classes_.tolist() == fit.classes_.tolist() == [f"digit {label}" for label in range(10)]
    assert np.array_equal(again.transform(X[:9], names[:9]), fit.transform(X[:9], names[:9]))
    assert np.array_equal(again.sample(4, 0, y="digit 3"), fit.sample(4, 0, y="digit 3"))


def test_a_number_and_its_name_are_one_label(fitted):
    assert np.array_equal(fitted.transform(X[:9], Y[:9]), fitted.transform(X[:9], Y[:9].astype(str)))


def test_validation_brings_its_labels():
    fit = Autoencoder(clone(CVAE(2, Network("dense(16)"))), epochs=2, random_state=0)
    fit.fit(X[:300], Y[:300], validation=(X[300:400], Y[300:400]))
    assert fit.history_[-1]["val_loss"] > 0
    assert fit.fit_transform(X[:300], Y[:300]).shape == (300, 2)
    with pytest.raises(InputError, match=r"validation=\(X, y\)"):
        fit.fit(X[:300], Y[:300], validation=X[300:400])


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (None, r"wants the label of every image: fit\(X, y\)"),
        (np.where(Y[:100] == 3, -1, Y[:100]), "of these 100 have none: leave them out"),
        (np.full(100, 7), "all labels are of one class"),
        (Y[:99], "inconsistent numbers of samples"),
    ],
)
def test_a_fit_wants_a_label_of_every_image(y, sentence):
    with pytest.raises(ValueError, match=sentence):
        Autoencoder(CVAE(2, Network("dense(8)")), epochs=1).fit(X[:100], y)


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (None, "wants the label of every image: give y"),
        (np.full(5, 11), "11 is none that was fitted; there are 0, 1, 2"),
        (np.array([1, 2, 3, -1, 4]), "-1 is none that was fitted"),
        (np.array(["1", "2", "", "4", "5"]), "'' is none that was fitted"),
        (np.arange(4), r"y has shape \(4,\); expected one label, or \(5,\)"),
    ],
)
def test_what_is_asked_of_it_wants_known_labels(fitted, y, sentence):
    for ask in (fitted.transform, fitted.reconstruct, fitted.score_samples, fitted.analogies):
        with pytest.raises(InputError, match=sentence):
            ask(X[:5], y)


def test_a_model_that_is_told_nothing_has_no_analogies():
    fit = Autoencoder(epochs=1, random_state=0).fit(X[:50])
    with pytest.raises(InputError, match="vae is not told the class of an image"):
        fit.analogies(X[:5], Y[:5])


def test_unlabelled_images_are_told_as_zeros():
    net = CVAE(3, Network("dense(16)")).build((1, 8, 8), 5)
    z = torch.randn(2, 3)
    nothing = net.decoder.network(torch.cat([z, torch.zeros(2, 5)], 1))
    assert torch.equal(net.decoder(z, torch.tensor([-1, -1])), nothing)
