"""The variational autoencoder against what can be known exactly."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from latently import VAE, Autoencoder, Network
from latently.data.noise import image_normal
from latently.models.densities import Normal

TINY = Network("dense(8)")


@pytest.fixture(scope="module")
def digits():
    X = load_digits().images / 16
    return (X - X.mean(0)).astype(np.float32)


def test_a_linear_gaussian_vae_reaches_the_likelihood_of_probabilistic_pca(digits):
    """Lucas et al. 2019: with a linear decoder and one learned variance the bound is tight at pPCA's optimum.

    q(z|x) has one variance for all x in a linear model, so a linear encoder can be exact. The ELBO must come within a
    nat of the log-likelihood, and by the inequality it cannot lie above it but for the noise of one sample per image.
    """
    linear = Network(encoder="reshape(1, 8, 8)", decoder="dense(out)")
    model = VAE(latent_dim=4, network=linear, likelihood="gaussian")
    fit = Autoencoder(model, epochs=100, batch_size=256, lr=5e-2, precision="float32", random_state=0).fit(digits)
    exact = PCA(4).fit(digits.reshape(-1, 64)).score(digits.reshape(-1, 64))  # nats per image, Tipping & Bishop 1999
    elbo = fit.score(digits)
    standard_error = fit.score_samples(digits).std() / math.sqrt(len(digits))
    assert exact - 1 < elbo < exact + 3 * standard_error, f"ELBO {elbo:.2f}, exact log-likelihood {exact:.2f}"


def test_loss_is_reconstruction_plus_beta_times_kl():
    x = torch.rand(4, 1, 4, 4)
    for beta in (0.0, 1.0, 4.0):
        model = VAE(2, TINY, beta=beta)
        terms = model.loss(model.build((1, 4, 4)), x, None, 1.0)
        torch.testing.assert_close(terms["loss"], terms["reconstruction"] + beta * terms["kl"])


def test_kl_warm_up_rises_along_a_line():
    model = VAE(beta=2.0, kl_warmup=0.5)
    assert [float(model.weight(progress)) for progress in (0.0, 0.25, 0.5, 1.0)] == [0.0, 1.0, 2.0, 2.0]
    assert VAE(beta=2.0).weight(0.0) == 2.0


def test_free_bits_change_the_objective_and_not_the_figure():
    x = torch.rand(4, 1, 4, 4)
    model = VAE(3, TINY, free_bits=10.0)
    terms = model.loss(model.build((1, 4, 4)), x, None, 1.0)
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + 30.0)
    assert (terms["kl"] < 30).all()


@pytest.mark.parametrize("variance", [0.25, "learned"])
def test_the_variance_of_the_gaussian_likelihood(variance):
    model = VAE(2, TINY, likelihood="gaussian", variance=variance)
    net = model.build((1, 4, 4))
    px = model.decode(net, torch.zeros(1, 2))
    expected = 0.25 if variance == 0.25 else 1.0  # where learning starts
    assert px.log_variance.exp().item() == pytest.approx(expected)
    assert px.log_variance.requires_grad == (variance == "learned")


@pytest.mark.parametrize("likelihood", ["gaussian", "discretised-logistic"])
def test_a_learned_variance_begins_at_the_best_one_for_a_code_that_says_nothing(likelihood):
    """However the pixels are scaled: it is theirs about the mean image. A variance that is given stays."""
    x = 0.1 * torch.rand(50, 3, 4, 4)
    for scale in (1.0, 1000.0):
        model = VAE(2, TINY, likelihood=likelihood)
        net = model.build((3, 4, 4))
        model.prepare(net, lambda n, scale=scale: scale * x[:n])
        assert net.log_variance.exp().item() == pytest.approx(scale**2 * x.var(0, correction=0).mean().item(), rel=1e-4)
        assert net.log_variance.requires_grad
    fixed = VAE(2, TINY, likelihood=likelihood, variance=0.25)
    net = fixed.build((3, 4, 4))
    fixed.prepare(net, lambda n: x[:n])
    assert fixed.pixel_variance(net) == 0.25


@pytest.mark.parametrize(
    ("decoder", "moved"),
    [("dense(8) dense(out)", "each value"), ("dense(48) reshape(3, 4, 4) conv(out)", "each channel"),
     ("dense(8) dense(out, sigmoid)", "nothing")],
)  # fmt: skip
def test_means_begin_at_the_mean_image(decoder, moved):
    """Where the decoder ends in a linear layer; logits of a Bernoulli likelihood begin as they are."""
    x, z = torch.arange(48.0).view(1, 3, 4, 4).repeat(5, 1, 1, 1), torch.randn(2, 2)
    expected = {"each value": x[:1], "each channel": x[:1].mean((2, 3), keepdim=True), "nothing": torch.zeros(1)}[moved]
    for likelihood, shift in (("gaussian", expected), ("bernoulli", torch.zeros(1))):
        model = VAE(2, Network("dense(8)", decoder), likelihood=likelihood)
        net = model.build((3, 4, 4))
        before = net.decoder(z)
        model.prepare(net, lambda n: x[:n])
        torch.testing.assert_close(net.decoder(z) - before, shift.expand_as(before), atol=1e-4, rtol=0)


def test_the_bound_averages_over_z_and_lies_below_the_importance_weighted_one():
    """Burda et al. 2016: log 1/K sum p(x,z)/q(z|x) rises with K, from the ELBO at K = 1."""
    torch.manual_seed(0)
    model = VAE(2, TINY)
    net, x = model.build((1, 4, 4)), torch.rand(50, 1, 4, 4).round()
    with torch.no_grad():
        elbos = torch.stack([-sum(t.reshape(50, -1).sum(1) for t in model.bound(net, x).values()) for _ in range(400)])
        q, prior, weights = model.encode(net, x), Normal(torch.zeros(50, 2), torch.zeros(50, 2)), []
        for _ in range(400):
            z = q.rsample()
            weights.append(model.decode(net, z).log_prob(x) + prior.log_prob(z) - q.log_prob(z))
    sampled = torch.stack(weights)  # (K, B)
    assert elbos.mean().item() == pytest.approx(sampled.mean().item(), abs=0.05), "closed-form and sampled KL agree"
    iw_bound = (torch.logsumexp(sampled, 0) - math.log(400)).mean()
    assert iw_bound > elbos.mean()


def test_noise_given_to_the_bound_makes_it_repeatable():
    model = VAE(2, TINY)
    net, x = model.build((1, 4, 4)), torch.rand(5, 1, 4, 4)
    one, other = (model.bound(net, x, image_normal(x, 2))["reconstruction"] for _ in range(2))
    assert torch.equal(one, other)


def test_samples_come_from_the_standard_normal():
    model = VAE(3, TINY)
    prior = model.prior(model.build((1, 4, 4)))
    assert prior.mean.tolist() == [[0, 0, 0]]
    assert prior.log_variance.exp().tolist() == [[1, 1, 1]]


def test_a_fixed_variance_is_not_rounded_with_the_network():
    """Under bfloat16 autocast log 0.01 must stay what it is: 784 pixels would make nats of its rounding."""
    model = VAE(2, TINY, likelihood="gaussian", variance=0.01)
    net = model.build((1, 4, 4))
    with torch.autocast("cpu", torch.bfloat16):
        px = model.decode(net, torch.zeros(1, 2))
    assert px.log_variance.item() == pytest.approx(math.log(0.01), abs=1e-6)
