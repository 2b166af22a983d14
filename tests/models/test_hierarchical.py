"""Two layers of codes against their definition, by torch.distributions and by numerical integration."""

import pytest
import torch
from sklearn.datasets import load_digits

from latently import Autoencoder, HierarchicalVAE, Network, VampVAE, evaluate
from latently.common.errors import InputError
from latently.models.densities import Normal

TINY = Network("dense(16)")


def normal(density: Normal) -> torch.distributions.Normal:
    return torch.distributions.Normal(density.mean, density.stddev)


GRID = Network("conv(3, 3, silu, stride=2)")  # of 4 x 4 pixels it makes 2 x 2 places


@pytest.fixture(scope="module", params=["rows", "grid"])
def model(request) -> HierarchicalVAE:
    """z2 of 2 values, and z1 of 3, or of 1 x 2 x 2."""
    if request.param == "rows":
        return HierarchicalVAE(5, TINY, pseudo_inputs=4, upper=0.4, between=8)
    return HierarchicalVAE(6, GRID, pseudo_inputs=4, upper=0.4, between=8, grid=True)


@pytest.fixture(scope="module")
def net(model):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model.build((1, 4, 4)).requires_grad_(False)


def test_the_product_of_two_normals_is_bayes_rule():
    """A prior N(a, s^2) and one observation b with noise t: the posterior of a linear Gaussian model, on a grid."""
    prior, seen = (
        Normal(torch.tensor([[1.0]]), torch.tensor([[0.3]])),
        Normal(torch.tensor([[-2.0]]), torch.tensor([[1.1]])),
    )
    grid = torch.linspace(-12, 12, 48001).double()
    density = (normal(prior).log_prob(grid) + normal(seen).log_prob(grid)).exp()[0]
    density /= density.sum()
    mean = (density * grid).sum()
    product = prior.times(seen)
    assert product.mean.item() == pytest.approx(mean.item(), abs=1e-4)
    assert product.log_variance.exp().item() == pytest.approx(((grid - mean).square() * density).sum().item(), abs=1e-4)


def test_the_prior_is_a_mixture_and_what_it_leads_to(model, net):
    """p(z2) p(z1|z2), a pseudo-input at a time."""
    z = torch.randn(6, model.latent_dim)
    parts = [normal(model.seen(net, torch.sigmoid(u)[None])[0]).log_prob(z[:, :2]).sum(1) for u in net.pseudo_inputs]
    upper = torch.stack(parts).exp().mean(0).log()
    expected = upper + normal(net.between(z[:, :2])).log_prob(z[:, 2:]).sum(1)
    torch.testing.assert_close(model.prior(net).log_prob(z), expected)


def test_the_posterior_of_the_lower_layer_joins_image_and_upper_layer(model, net):
    x, noise = torch.rand(3, 1, 4, 4), torch.randn(3, model.latent_dim)
    q, (z2, z1) = model.encode(net, x), model.seen(net, x)
    code = q.rsample(noise)
    torch.testing.assert_close(code[:, :2], z2.mean + z2.stddev * noise[:, :2])
    expected = net.between(code[:, :2])
    precision = 1 / expected.stddev**2 + 1 / z1.stddev**2
    mean = (expected.mean / expected.stddev**2 + z1.mean / z1.stddev**2) / precision
    torch.testing.assert_close(code[:, 2:], mean + precision**-0.5 * noise[:, 2:])
    lower = torch.distributions.Normal(mean, precision**-0.5)
    both = normal(z2).log_prob(code[:, :2]).sum(1) + lower.log_prob(code[:, 2:]).sum(1)
    torch.testing.assert_close(q.log_prob(code), both)


def test_weights_of_many_draws_integrate_to_one(model, net):
    """E_q[p(z) / q(z|x)] = 1: both are densities over the whole code."""
    q, prior = model.encode(net, torch.rand(1, 1, 4, 4)), model.prior(net)
    noise = torch.randn(40000, model.latent_dim, generator=torch.Generator().manual_seed(0))
    z = q.repeated(40000).rsample(noise)
    ratio = (prior.log_prob(z) - q.repeated(40000).log_prob(z)).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=5 * ratio.std().item() / 200)


def test_the_kl_is_the_mean_log_ratio_of_draws(model, net):
    """Part of it is in closed form: its mean over draws is the same, with less spread."""
    x = torch.rand(1, 1, 4, 4).expand(20000, -1, -1, -1)
    q, prior = model.encode(net, x), model.prior(net)
    noise = torch.randn(len(x), model.latent_dim, generator=torch.Generator().manual_seed(0))
    z, kl = model.draw(net, q, noise)
    torch.testing.assert_close(z, q.rsample(noise))
    ratio = q.log_prob(z) - prior.log_prob(z)
    assert kl.mean().item() == pytest.approx(ratio.mean().item(), abs=5 * ratio.std().item() / 141)
    assert kl.std() < ratio.std()


def test_each_place_of_a_grid_is_the_matter_of_its_part_of_the_image():
    """A pixel in one corner changes what the image says of the places near it, and of no others; z2 hears of all."""
    net = HierarchicalVAE(40, Network("conv(3, 3, silu, stride=2)"), upper=0.1, between=4, grid=True).build((1, 12, 12))
    x = torch.rand(1, 1, 12, 12)
    other = x.clone()
    other[..., 0, 0] += 1
    changed = (net.encoder(x) != net.encoder(other))[0]
    upper, lower = changed[:8], changed[8:].view(2, 6, 6)  # 4 means and spreads of z2; 1 x 6 x 6 of z1
    assert upper.all()
    assert lower[:, :2, :2].all()
    assert not lower[:, 2:].any()
    assert not lower[..., 2:].any()


def test_a_grid_that_cannot_be_says_so():
    digits = load_digits().images[:20] / 16
    for model, word in (
        (HierarchicalVAE(20, TINY, grid=True), "end in one"),
        (HierarchicalVAE(16, GRID, upper=0.0, grid=True), "leaves none for z2"),
        (HierarchicalVAE(20, Network(torch.nn.Flatten()), grid=True), "line of text"),
        (HierarchicalVAE(20, Network("conv(3, 3, stride=2)", "conv(2, 3)"), grid=True), "the decoder"),
    ):
        with pytest.raises(InputError, match=word):
            Autoencoder(model, epochs=1).fit(digits)


def test_it_learns_a_tighter_bound_and_samples():
    digits = load_digits().images / 16
    fitted = Autoencoder(
        HierarchicalVAE(6, Network("dense(64)"), pseudo_inputs=30), epochs=30, lr=0.01, random_state=0
    ).fit(digits)
    figures = evaluate(fitted, digits[:300], importance_samples=50)
    assert figures["iw_bound_nats"] > figures["elbo_nats"]
    assert figures["elbo_nats"] > fitted.score(1 - digits[:300]) + 10, "negatives are as likely as digits"
    assert not figures["collapsed"]
    assert fitted.sample(5, random_state=0).shape == (5, 8, 8)
    _, stddev = fitted.prior_moments()
    draws = fitted.model_.prior(fitted.net_).sample(4000, torch.Generator().manual_seed(1)).detach().numpy()
    assert draws.std(0) == pytest.approx(stddev, rel=0.15)


@pytest.mark.parametrize(("wide", "upper"), [(2, 1), (3, 1), (80, 40)])
def test_each_layer_has_a_dimension(wide, upper):
    assert HierarchicalVAE(wide, upper=upper / wide).upper_dim == upper
    assert HierarchicalVAE(wide, upper=1.0).upper_dim == wide - 1
    assert HierarchicalVAE(wide, upper=0.0).upper_dim == 1


def test_what_does_not_go_with_two_layers_says_so():
    digits = load_digits().images[:20] / 16
    for settings, word in (({"free_bits": 0.1}, "free_bits"), ({"flow_steps": 2}, "flow_steps")):
        with pytest.raises(InputError, match=word):
            Autoencoder(HierarchicalVAE(3, TINY, **settings), epochs=1).fit(digits)
    with pytest.raises(InputError, match="two layers"):
        Autoencoder(HierarchicalVAE(1, TINY), epochs=1).fit(digits)
    assert issubclass(HierarchicalVAE, VampVAE)


@pytest.mark.slow
def test_it_is_exported(tmp_path):
    """The decoder of a code of two layers, and the code's mean, by the check that `export` makes of its files."""
    from latently.analysis.onnx_export import export

    digits = load_digits().images / 16
    fitted = Autoencoder(HierarchicalVAE(4, TINY, pseudo_inputs=5, between=8), epochs=1, random_state=0).fit(digits)
    assert [row["outputs"] for row in export(fitted, tmp_path / "m.onnx")] == [["codes", "reconstructed"], ["decoded"]]
