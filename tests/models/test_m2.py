"""M2 against sums over classes by hand, and how it learns from images without a label."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.distributions import Bernoulli, Categorical, Independent, Normal, kl_divergence

from latently import AE, CVAE, M2, Autoencoder, Classifier, FewLabelClassifier, InputError, Network, evaluate, load

DIGITS = load_digits()
X, Y = (DIGITS.images / 16).astype(np.float32), DIGITS.target
FEW = np.where(np.arange(len(Y)) < 100, Y, -1)  # a hundred labels
N_CLASSES, WIDTH = 3, 2


@pytest.fixture
def tiny():
    """A net for three classes, four images of 2 x 2, and the noise of their codes."""
    torch.manual_seed(0)
    model = M2(WIDTH, Network("dense(5)"))
    return model, model.build((1, 2, 2), N_CLASSES), torch.rand(4, 1, 2, 2), torch.randn(4, WIDTH)


def under_class(model, net, x, noise, k):
    """-log p(x|y=k, z) and KL(q(z|x, y=k) || p(z)), (B,), by torch's distributions and the networks alone."""
    told = torch.zeros(len(x), N_CLASSES)
    told[:, k] = 1
    mean, log_variance = net.encoder.network(torch.cat([x.flatten(1), told], 1)).chunk(2, 1)
    q = Normal(mean, (log_variance / 2).exp())
    logits = net.decoder.network(torch.cat([q.mean + q.stddev * noise, told], 1)).flatten(1)
    log_px = -torch.nn.functional.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="none").sum(1)
    return -log_px, kl_divergence(q, Normal(0.0, 1.0)).sum(1)


def by_hand(model, net, x, noise):
    """U(x) = sum_y q(y|x) L(x,y) - H(q(y|x)), and L(x,y) of every class, (B,) and (B, K): equations 6 and 7."""
    labelled = torch.stack(
        [sum(under_class(model, net, x, noise, k)) + math.log(N_CLASSES) for k in range(N_CLASSES)], 1
    )
    q_y = Categorical(logits=net.classifier(x))
    return (q_y.probs * labelled).sum(1) - q_y.entropy(), labelled


def total(terms):
    return sum(term.reshape(len(term), -1).sum(1) for term in terms.values())


def test_the_unlabelled_bound_is_the_sum_over_classes_less_the_entropy(tiny):
    model, net, x, noise = tiny
    unlabelled, labelled = by_hand(model, net, x, noise)
    torch.testing.assert_close(total(model.bound(net, x, noise)), unlabelled)
    for k in range(N_CLASSES):
        given = total(model.bound(net, x, noise, torch.full((4,), k)))  # a bound on log p(x|y), without p(y)
        torch.testing.assert_close(given + math.log(N_CLASSES), labelled[:, k])


@pytest.mark.parametrize("layers", ["dense(5)", "conv(3, 2) dense(5)"])
def test_a_batch_under_every_class_is_the_batch_under_each(layers):
    encoder = Network(layers).build_encoder((1, 4, 4), 6, N_CLASSES)
    x, y = torch.rand(2, 1, 4, 4), torch.arange(N_CLASSES)[:, None].expand(N_CLASSES, 2)
    torch.testing.assert_close(encoder(x, y), encoder(x.repeat(N_CLASSES, 1, 1, 1), y.flatten()))


def test_the_objective_is_equation_9_per_image(tiny, monkeypatch):
    """Two labelled images of four: J / N plus alpha times the mean of -log q(y|x) over the two."""
    model, net, x, noise = tiny
    monkeypatch.setattr(torch, "randn_like", lambda like: noise.repeat(len(like) // len(noise), 1))
    unlabelled, labelled = by_hand(model, net, x, noise)
    y = torch.tensor([2, -1, 0, -1])
    j = labelled[0, 2] + unlabelled[1] + labelled[2, 0] + unlabelled[3]
    log_q = net.classifier(x).log_softmax(1)
    expected = j / 4 - model.alpha * (log_q[0, 2] + log_q[2, 0]) / 2
    torch.testing.assert_close(model.loss(net, x, y, 1.0)["loss"].mean(), expected)


def test_no_bound_exceeds_the_class_summed_out_exactly(tiny):
    """The importance weights sum the class out inside the logarithm: E[w] = p(x), so with many they exceed -U(x)."""
    model, net, x, _ = tiny
    y = torch.full((4,), -1)
    many = torch.randn(4000, 4, WIDTH)
    with torch.no_grad():
        log_w = model.log_weights(net, x, model.encode(net, x, y), model.prior(net), many, y)
        tight = log_w.logsumexp(0) - math.log(len(many))
        elbo = -torch.stack([total(model.bound(net, x, each, y)) for each in many[:200]]).mean(0)
    assert (tight >= elbo).all()
    z = torch.randn(100_000, WIDTH)  # log p(x) by plain Monte Carlo from the prior and every class
    with torch.no_grad():
        px = sum(
            Independent(Bernoulli(logits=model.decode(net, z, torch.full((len(z),), k)).logits.flatten(1)), 1)
            .log_prob(x.flatten(1)[:, None].round())
            .exp()
            .mean(1)
            for k in range(N_CLASSES)
        )
        exact = (px / N_CLASSES).log()
        hard = x.round()
        log_w = model.log_weights(net, hard, model.encode(net, hard, y), model.prior(net), many, y)
    torch.testing.assert_close(log_w.logsumexp(0) - math.log(len(many)), exact, atol=0.02, rtol=0)


def test_an_image_whose_class_is_sure_counts_as_labelled(tiny):
    model, net, x, noise = tiny
    net.classifier[-1].weight.data.zero_()
    net.classifier[-1].bias.data.copy_(torch.tensor([0.0, 200.0, 0.0]))
    sure, given = model.bound(net, x, noise), model.bound(net, x, noise, torch.ones(4, dtype=torch.int64))
    torch.testing.assert_close(sure["reconstruction"], given["reconstruction"])
    torch.testing.assert_close(sure["class_kl"], torch.full((4,), math.log(N_CLASSES)))
    loss = model.loss(net, x, torch.full((4,), -1), 1.0)["loss"].sum()
    loss.backward()
    assert all(weight.grad.isfinite().all() for weight in net.parameters())


def test_with_every_class_known_it_is_the_conditional_vae(tiny):
    model, net, x, noise = tiny
    cvae = CVAE(WIDTH, Network("dense(5)"), beta=1.0)
    y = torch.tensor([0, 1, 2, 0])
    ours, theirs = model.bound(net, x, noise, y), cvae.bound(net, x, noise, y)
    for name, term in theirs.items():
        torch.testing.assert_close(ours[name], term)
    assert (ours["class_kl"] == 0).all()


@pytest.fixture(scope="module")
def fitted():
    return learned(np.where(np.arange(1500) < 50, Y[:1500], -1))


def learned(y, epochs=25):
    """From the first images, of which y are the labels."""
    model = M2(4, Network("dense(128)"))
    return Autoencoder(model, epochs=epochs, batch_size=64, lr=5e-3, random_state=0).fit(X[: len(y)], y)


def test_unlabelled_images_make_it_predict_better(fitted):
    """Beside the same classifier with the fifty labels alone, on the unlabelled images and on new ones."""
    ours, theirs = ((each.predict(X[50:]) == Y[50:]).mean() for each in (fitted, learned(Y[:50], epochs=60)))
    assert ours > theirs + 0.02
    assert ours > 0.8


def test_samples_are_of_the_class_that_was_asked_for(fitted):
    means = np.stack([X[label == Y].mean(0) for label in range(10)]).reshape(10, -1)
    drawn = fitted.sample(500, y=np.repeat(range(10), 50), random_state=0).reshape(500, -1)
    nearest = np.linalg.norm(drawn[:, None] - means, axis=2).argmin(1)
    assert (nearest == np.repeat(range(10), 50)).mean() > 0.8


def test_a_missing_label_is_the_predicted_one(fitted):
    some, partly = X[1500:1520], Y[1500:1520].copy()
    partly[::2] = -1
    filled = np.where(partly < 0, fitted.predict(some), partly)
    assert np.array_equal(fitted.completed(some, partly), filled)
    assert np.array_equal(fitted.transform(some, partly), fitted.transform(some, filled))
    assert np.array_equal(fitted.reconstruct(some), fitted.reconstruct(some, fitted.predict(some)))
    assert fitted.analogies(some, None).shape == (20, 10, 8, 8)
    with pytest.raises(InputError, match="11 is none that was fitted"):
        fitted.transform(some, np.full(20, 11))
    with pytest.raises(InputError, match="give y"):
        fitted.inverse_transform(np.zeros((2, 4)))


def test_figures_are_of_the_bound_on_images_alone_and_of_the_classes(fitted):
    figures = evaluate(fitted, X[1500:], Y[1500:], importance_samples=20)
    assert figures["accuracy"] == pytest.approx((fitted.predict(X[1500:]) == Y[1500:]).mean())
    assert figures["elbo_nats"] == pytest.approx(fitted.score(X[1500:]), rel=1e-5)
    assert figures["elbo_nats"] == pytest.approx(-figures["reconstruction_nats"] - figures["kl_nats"])
    assert figures["iw_bound_nats"] > figures["elbo_nats"]
    without = evaluate(fitted, X[1500:])
    assert "accuracy" not in without
    assert without["elbo_nats"] == figures["elbo_nats"]


def test_a_run_folder_holds_it(fitted, tmp_path):
    again = load(fitted.save(tmp_path / "run") and tmp_path / "run")
    assert np.array_equal(again.predict_proba(X[:9]), fitted.predict_proba(X[:9]))
    assert np.array_equal(again.sample(4, 0, y=3), fitted.sample(4, 0, y=3))


def test_m1_and_m2_learn_classes_from_codes(tmp_path):
    """M1+M2, section 2.3, as one estimator, kept in one run folder."""
    encoder = Autoencoder(AE(10, Network("dense(64)")), epochs=20, batch_size=64, lr=5e-3)
    model = M2(4, Network("dense(32)"), likelihood="gaussian")
    classifier = Classifier(model, epochs=20, batch_size=64, lr=5e-3)
    both = FewLabelClassifier(encoder, classifier, sees="codes", random_state=0).fit(X[:1500], FEW[:1500])
    assert both.n_taught_ == 1500, "the unlabelled images are learned from, too"
    assert both.score(X[1500:], Y[1500:]) > 0.7
    both.save(tmp_path / "run")
    assert np.array_equal(load(tmp_path / "run").predict(X[:9]), both.predict(X[:9]))


def test_labels_of_validation_are_as_many_as_images():
    for labels, sentence in ((Y[:3], "inconsistent numbers of samples"), (None, "no pair of images")):
        with pytest.raises(ValueError, match=sentence):
            Autoencoder(M2(2), epochs=1).fit(X[:50], FEW[:50], validation=(X[:5], labels))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"importance_samples": 5}, "importance_samples is 5"), ({"free_bits": 0.1}, "free_bits is 0.1")],
)
def test_what_it_cannot_heed_is_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        Autoencoder(M2(**settings), epochs=1).fit(X[:50], Y[:50])
