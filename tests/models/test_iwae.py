"""The importance-weighted objective: the bound of Burda et al. 2015, for every model that has q, p(x|z) and p(z)."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import distributions

from latently import VAE, Autoencoder, InputError, Network, VampVAE

TINY = Network("dense(8)")


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    X = load_digits().images / 16
    return (X - X.mean(0)).astype(np.float32)


def test_the_importance_weighted_objective_is_the_bound_it_reports():
    """Burda et al. 2015, eq. 8: at weight 1 minus log 1/K sum w, w from the one formula of the reported bound."""
    model = VAE(2, TINY, importance_samples=5)
    net, x = model.build((1, 4, 4)), torch.rand(4, 1, 4, 4)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        terms = model.objective(net, x, None, 1.0)
        torch.manual_seed(3)
        noise = torch.randn(5, 4, 2)
    log_w = model.log_weights(net, x, model.encode(net, x), model.prior(net), noise)
    torch.testing.assert_close(terms["loss"], -log_w.exp().mean(0).log())
    torch.testing.assert_close(terms["reconstruction"] + terms["kl"], -log_w.mean(0))
    assert (terms["loss"] <= terms["reconstruction"] + terms["kl"]).all(), "Jensen's inequality"


def test_an_importance_weight_is_the_joint_density_over_the_posterior():
    """w = p(x|z) p(z) / q(z|x), each density by torch.distributions."""
    model = VAE(2, TINY)
    net, x, noise = model.build((1, 4, 4)), torch.rand(4, 1, 4, 4).round(), torch.randn(3, 4, 2)
    q = model.encode(net, x)
    z = q.mean + q.stddev * noise  # (3, 4, 2)
    log_q = distributions.Normal(q.mean, q.stddev).log_prob(z).sum(2)
    log_p = distributions.Normal(0.0, 1.0).log_prob(z).sum(2)
    logits = net.decoder(z.flatten(0, 1)).view(3, 4, 1, 4, 4)
    log_px = distributions.Bernoulli(logits=logits).log_prob(x).sum((2, 3, 4))
    torch.testing.assert_close(model.log_weights(net, x, q, model.prior(net), noise), log_px + log_p - log_q)


def test_beta_and_warm_up_weigh_the_kl_inside_the_importance_weights():
    model = VAE(2, TINY, importance_samples=3, beta=4.0, kl_warmup=0.5)
    net, x = model.build((1, 4, 4)), torch.rand(4, 1, 4, 4)
    q, prior, noise = model.encode(net, x), model.prior(net), torch.randn(3, 4, 2)
    log_px, log_ratio = model.sampled(net, x, q, prior, noise, None)
    for progress, weight in ((0.0, 0.0), (0.25, 2.0), (1.0, 4.0)):
        with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "randn", lambda *_, **__: noise)
            loss = model.objective(net, x, None, progress)["loss"]
        torch.testing.assert_close(loss, -(log_px - weight * log_ratio).exp().mean(0).log())


def test_unless_asked_for_several_samples_a_vae_is_trained_on_its_elbo():
    model = VAE(2, TINY)
    net, x = model.build((1, 4, 4)), torch.rand(4, 1, 4, 4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loss = model.objective(net, x, None, 1.0)["loss"]
        torch.manual_seed(0)
        bound = model.bound(net, x)
    torch.testing.assert_close(loss, bound["reconstruction"] + bound["kl"].sum(1))


def test_free_bits_do_not_go_with_importance_samples():
    with pytest.raises(InputError, match="several importance samples no dimension has a KL of its own"):
        VAE(2, TINY, importance_samples=5, free_bits=0.1).check()


def test_training_on_more_samples_gives_a_better_bound_of_as_many(digits):
    """What Burda et al. found: for the bound of K samples it is better to train on it than on the ELBO."""
    X = np.clip(digits[:600] + 0.5, 0, 1)
    settings = {"epochs": 30, "lr": 0.01, "random_state": 0}
    fits = [Autoencoder(VAE(2, TINY, importance_samples=k), **settings).fit(X) for k in (1, 20)]
    elbo_trained, trained = (fit.importance_bound(X, 100)[0].mean() for fit in fits)
    assert trained > elbo_trained


@pytest.mark.parametrize("model", [VampVAE(2, TINY, pseudo_inputs=5, importance_samples=3), VAE(2, TINY)])
def test_the_objective_is_the_bound_of_several_samples_or_the_loss_of_one(model):
    net, x = model.build((1, 4, 4)), torch.rand(4, 1, 4, 4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        objective = model.objective(net, x, None, 1.0)
        torch.manual_seed(0)
        loss = model.loss(net, x, None, 1.0)
    same = bool(torch.equal(objective["loss"], loss["loss"]))
    assert same == (model.importance_samples == 1)
    assert objective.keys() == loss.keys()
