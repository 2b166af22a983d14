"""The importance-weighted bound against a slow loop in double precision, and against an exact likelihood."""

import copy
import math
import shutil

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from torch import distributions

from latently import AE, CVAE, VAE, Autoencoder, Network
from latently.common.errors import InputError
from latently.data.noise import image_normal
from latently.estimator import autoencoder
from latently.evaluation.figures import evaluate

SMALL = Network("dense(32)")


@pytest.fixture(scope="module")
def digits():
    return load_digits()


@pytest.fixture(scope="module")
def vae(digits):
    return Autoencoder(VAE(4, SMALL), epochs=10, random_state=0).fit(digits.images / 16)


def slow_bound(fit: Autoencoder, x: np.ndarray, label: int, samples: int) -> tuple[float, float]:
    """One image, one sample at a time, in double precision, by torch's own distributions: the bound, and the standard
    error of the log of a mean."""
    model, net = fit.model_, copy.deepcopy(fit.net_).double()
    x = torch.tensor(x)[None, None]
    y = (torch.tensor([label]),) if model.takes_labels else ()
    noise = image_normal(x, samples * model.latent_dim).view(samples, 1, -1).double()
    log_w = []
    for each in noise:
        mean, log_variance = net.encoder(x.double(), *y).chunk(2, dim=1)
        q = distributions.Normal(mean, (0.5 * log_variance).exp())
        z = q.mean + q.stddev * each
        output = net.decoder(z, *y)
        likelihood = (
            distributions.Bernoulli(logits=output, validate_args=False)
            if model.likelihood == "bernoulli"
            else distributions.Normal(output, (0.5 * net.log_variance).exp())
        )
        log_joint = likelihood.log_prob(x.double()).sum() + distributions.Normal(0.0, 1.0).log_prob(z).sum()
        log_w.append((log_joint - q.log_prob(z).sum()).item())
    w = np.exp(np.array(log_w) - max(log_w))
    return logsumexp(log_w) - math.log(samples), w.std(ddof=1) / math.sqrt(samples) / w.mean()


@pytest.mark.parametrize(
    ("model", "binarise"),
    [
        (VAE(4, SMALL), "none"),
        (VAE(4, SMALL), "dynamic"),
        (VAE(4, SMALL, likelihood="gaussian"), "none"),
        (CVAE(4, SMALL), "static"),
    ],
    ids=["grey", "dynamic", "gaussian", "told labels"],
)
def test_it_is_what_a_slow_loop_gives(digits, model, binarise, monkeypatch):
    """5 images, 30 samples, in pieces of 12: to 1e-3 nats, and the standard error likewise."""
    monkeypatch.setitem(autoencoder.VALUES_DECODED, "cpu", 12 * 64)
    X, y = digits.images / 16, digits.target
    fit = Autoencoder(model, epochs=2, random_state=0, binarise=binarise).fit(X, y)
    bound, error = fit.importance_bound(X[:5], 30, y[:5])
    slow = np.array([slow_bound(fit, x, label, 30) for x, label in zip(fit.seen(X[:5]), y[:5], strict=True)])
    np.testing.assert_allclose(bound, slow[:, 0], atol=1e-3, rtol=0)
    np.testing.assert_allclose(error, slow[:, 1], atol=1e-3, rtol=0)


def test_it_rises_with_the_number_of_samples_from_the_elbo(vae, digits):
    X = digits.images / 16
    bounds = [vae.importance_bound(X, samples)[0].mean() for samples in (2, 8, 32)]
    assert vae.score(X) < bounds[0]
    assert bounds == sorted(bounds)


def test_of_a_linear_gaussian_model_it_is_the_likelihood(digits):
    """x = W z + b + noise is N(b, W W' + s^2 I), whose log density is exact."""
    X = (digits.images / 16 - 0.5).astype(np.float32)
    linear = Network(encoder="reshape(1, 8, 8)", decoder="dense(out)")
    fit = Autoencoder(VAE(4, linear, likelihood="gaussian"), epochs=60, lr=1e-2, random_state=0).fit(X)
    weights = fit.net_.decoder[0]
    w, b = weights.weight.detach().double().numpy(), weights.bias.detach().double().numpy()
    variance = math.exp(fit.net_.log_variance.item())
    exact = stats.multivariate_normal(b, w @ w.T + variance * np.eye(64)).logpdf(X.reshape(-1, 64).astype(float))
    figures = evaluate(fit, X, importance_samples=300)
    error = figures["iw_bound_standard_error"]
    assert 0 < error < 0.02, "with a posterior as good as this one the bound is nearly exact"
    assert figures["iw_bound_nats"] == pytest.approx(exact.mean(), abs=3 * error)


@pytest.mark.parametrize("samples", [700, 7000])
def test_what_is_decoded_at_a_time_does_not_grow_with_the_samples(vae, digits, samples, monkeypatch):
    monkeypatch.setitem(autoencoder.VALUES_DECODED, "cpu", 640 * 64)
    rows, encoded = [], []
    hooks = [
        vae.net_.decoder.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0]))),
        vae.net_.encoder.register_forward_hook(lambda *_: encoded.append(1)),
    ]
    vae.importance_bound(digits.images[:2] / 16, samples)
    for hook in hooks:
        hook.remove()
    assert max(rows) <= 640
    assert sum(rows) == pytest.approx(2 * samples, rel=0.01), "samples are decoded that nobody asked for"
    assert sum(encoded) == 2, "an image is encoded once, however many samples it has"


def test_it_does_not_depend_on_order_or_batch(vae, digits):
    X = digits.images[:30] / 16
    bound, error = vae.importance_bound(X, 20)
    turned, turned_error = vae.importance_bound(X[::-1], 20)
    assert np.array_equal(turned[::-1], bound)
    assert np.array_equal(turned_error[::-1], error)
    assert np.array_equal(vae.importance_bound(X[7:9], 20)[0], bound[7:9])


def test_what_has_no_such_bound_says_so(vae, digits):
    X = digits.images[:5] / 16
    with pytest.raises(InputError, match="no prior"):
        Autoencoder(AE(2, SMALL), epochs=1).fit(X).importance_bound(X, 10)
    for samples in (1, 0, 2.5):
        with pytest.raises(InputError, match="at least 2"):
            vae.importance_bound(X, samples)


def test_evaluate_gives_it_on_request(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "r")
    assert not any("iw_bound" in name for name in latently("evaluate", run, "--json").json)
    figures = latently("evaluate", run, "--importance-samples", 50, "--json").json
    assert figures["importance_samples"] == 50
    assert figures["elbo_nats"] < figures["iw_bound_nats"] < 0 < figures["iw_bound_standard_error"] < 0.5
    refused = latently("evaluate", run, "--importance-samples", 1)
    assert refused.code == 2
    assert "--importance-samples is 1; expected at least 2" in refused.err
