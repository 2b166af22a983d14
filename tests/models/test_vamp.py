"""The VampPrior against its definition, and what a learned prior changes."""

import copy

import pytest
import torch
from sklearn.datasets import load_digits

from latently import Autoencoder, Network, VampVAE, evaluate
from latently.common.errors import InputError

TINY = Network("dense(16)")


@pytest.fixture(scope="module")
def digits():
    return load_digits().images / 16


@pytest.fixture(scope="module")
def vamp(digits):
    return Autoencoder(VampVAE(3, TINY, pseudo_inputs=30), epochs=30, lr=0.01, random_state=0).fit(digits)


def test_the_prior_is_the_mean_of_the_pseudo_inputs_posteriors():
    """Tomczak & Welling 2018, eq. 9, by torch.distributions, a component at a time."""
    model = VampVAE(3, TINY, pseudo_inputs=4)
    net, z = model.build((1, 4, 4)), torch.randn(6, 3)
    densities = []
    for u in net.pseudo_inputs:
        q = model.encode(net, torch.sigmoid(u)[None])
        component = torch.distributions.Normal(q.mean, q.stddev)
        densities.append(component.log_prob(z).sum(1).exp())
    expected = torch.stack(densities).mean(0).log()
    torch.testing.assert_close(model.prior(net).log_prob(z), expected)


def test_the_kl_is_that_of_the_sample():
    model = VampVAE(3, TINY, pseudo_inputs=4)
    net, x, noise = model.build((1, 4, 4)), torch.rand(5, 1, 4, 4), torch.randn(5, 3)
    terms, q = model.bound(net, x, noise), model.encode(net, x)
    z = q.mean + q.stddev * noise
    torch.testing.assert_close(terms["kl"], q.log_prob(z) - model.prior(net).log_prob(z))
    assert terms["kl"].shape == (5,)


def test_the_pseudo_inputs_of_a_gaussian_likelihood_are_any_numbers():
    model = VampVAE(3, TINY, pseudo_inputs=4, likelihood="gaussian")
    net = model.build((1, 4, 4))
    with torch.no_grad():
        net.pseudo_inputs.fill_(7.0)
    same = model.encode(net, torch.full((1, 1, 4, 4), 7.0)).mean
    torch.testing.assert_close(model.prior(net).parts.mean[:1], same)


def test_the_pseudo_inputs_move_to_where_the_codes_are(vamp, digits):
    """The codes' density under the learned prior is higher than with fresh pseudo-inputs before the same encoder."""
    codes, fresh = torch.tensor(vamp.transform(digits)), copy.deepcopy(vamp.net_)
    with torch.no_grad():
        learned = vamp.model_.prior(vamp.net_).log_prob(codes).mean()
        fresh.pseudo_inputs.copy_(torch.randn(fresh.pseudo_inputs.shape, generator=torch.Generator().manual_seed(1)))
        unlearned = vamp.model_.prior(fresh).log_prob(codes).mean()
    assert learned > unlearned + 0.2, f"{learned:.2f} against {unlearned:.2f}"
    assert vamp.importance_bound(digits, 50)[0].mean() > vamp.score(digits)


def test_no_dimension_has_a_kl_of_its_own(vamp, digits):
    figures = evaluate(vamp, digits[:100])
    assert "active_dimensions" not in figures
    assert figures["elbo_nats"] == pytest.approx(-figures["reconstruction_nats"] - figures["kl_nats"])


def test_samples_come_from_the_learned_prior(vamp):
    codes = vamp.model_.prior(vamp.net_).sample(4000, torch.Generator().manual_seed(0)).detach().numpy()
    mean, stddev = vamp.prior_moments()
    assert codes.mean(0) == pytest.approx(mean, abs=4 * stddev.max().item() / 63)
    assert codes.std(0) == pytest.approx(stddev, rel=0.05)
    assert vamp.sample(5, random_state=0).shape == (5, 8, 8)


def test_what_does_not_go_with_a_learned_prior_says_so(digits):
    for settings, word in (({"free_bits": 0.1}, "free_bits"), ({"flow_steps": 2}, "flow_steps")):
        with pytest.raises(InputError, match=word):
            Autoencoder(VampVAE(3, TINY, **settings), epochs=1).fit(digits)
