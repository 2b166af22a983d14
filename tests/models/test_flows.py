"""Coupling flows: invertible, with the log-determinant of their Jacobian, and a density that is one."""

import math

import pytest
import torch
from sklearn.datasets import load_digits

from latently import CVAE, VAE, Autoencoder, Network
from latently.common.errors import InputError
from latently.models.densities import Normal
from latently.models.flows import Coupling, Flow, Flowed


@pytest.fixture
def flow():
    """Three steps over five dimensions, an odd number, with weights far from the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = Flow(3, 5, 8)
        for step in flow.steps:
            torch.nn.init.normal_(step.out.weight, std=0.5)
    return flow


def test_the_log_determinant_is_that_of_the_jacobian(flow):
    z, h = torch.randn(6, 5), torch.randn(6, 8)
    _, log_det = flow(z, h)
    for one, context, given in zip(z, h, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v, c=context: flow(v[None], c[None])[0][0], one)
        torch.testing.assert_close(given, torch.linalg.slogdet(jacobian).logabsdet)
    assert log_det.abs().max() > 0.1, "the steps do nothing"  # of a single image it may be near 0 by chance


def test_the_inverse_leads_back_with_the_same_determinant(flow):
    z, h = torch.randn(6, 5), torch.randn(6, 8)
    there, log_det = flow(z, h)
    back, same = flow.inverse(there, h)
    torch.testing.assert_close(back, z, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(same, log_det)


def test_every_dimension_is_moved(flow):
    z, h = torch.randn(6, 5), torch.randn(6, 8)
    assert ((flow(z, h)[0] - z).abs() > 1e-3).any(0).all()


@pytest.mark.parametrize(("raw", "stretch"), [(0.01, 0.01), (-0.01, -0.01), (1e4, 2.0), (-1e4, -2.0)])
def test_a_step_stretches_by_what_its_network_says_and_by_no_more_than_e_squared(raw, stretch):
    step, b = Coupling(2, 4), torch.tensor([[7.0, 1.0]])
    torch.nn.init.zeros_(step.out.weight)
    step.out.bias.data = torch.tensor([raw, 0.0])  # s, t
    with torch.no_grad():
        z, log_det = step(b, torch.randn(1, 4))
    assert log_det.item() == pytest.approx(stretch, rel=1e-4)
    assert z.tolist() == [[pytest.approx(math.exp(stretch), rel=1e-4), 7.0]]


def test_a_fresh_step_is_the_identity_but_for_weights_of_a_thousandth():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        step, z, h = Coupling(100, 2000), torch.randn(3, 100), torch.randn(3, 2000)
    moved, log_det = step(z, h)
    torch.testing.assert_close(moved, torch.cat([z[:, 50:], z[:, :50]], 1), atol=0.2, rtol=0)
    assert (log_det.abs() < 1).all()
    assert step.out.weight.std().item() == pytest.approx(1e-3, rel=0.005)


def test_the_density_of_two_dimensions_integrates_to_one():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        flow = Flow(2, 2, 4)
        for step in flow.steps:
            torch.nn.init.normal_(step.out.weight, std=0.3)
        context = torch.randn(1, 4)
    side = torch.linspace(-12, 12, 481)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        q = Flowed(Normal(torch.zeros(1, 2), torch.zeros(1, 2)), flow, context).repeated(len(grid))
        mass = q.log_prob(grid).exp().sum() * 0.05**2
    assert mass.item() == pytest.approx(1.0, abs=1e-3)


def test_sampling_and_density_agree(flow):
    """log q of a sample is the base's log density minus log |det|: the change of variables."""
    base, noise = Normal(torch.randn(6, 5), torch.randn(6, 5)), torch.randn(6, 5)
    q = Flowed(base, flow, torch.randn(6, 8))
    expected = base.log_prob(base.rsample(noise)) - flow(base.rsample(noise), q.context)[1]
    torch.testing.assert_close(q.log_prob(q.rsample(noise)), expected, atol=1e-4, rtol=1e-4)


def test_there_and_back_meet_under_bfloat16(flow):
    q = Flowed(Normal(torch.zeros(6, 5), torch.zeros(6, 5)), flow, torch.randn(6, 8))
    noise = torch.randn(6, 5)
    with torch.autocast("cpu", torch.bfloat16):
        bent = q.log_prob(q.rsample(noise))
    torch.testing.assert_close(bent, q.log_prob(q.rsample(noise)))


def test_a_flow_that_does_nothing_leaves_the_bound_as_it_was():
    plain, bent = VAE(4, Network("dense(8)")), VAE(4, Network("dense(8)"), flow_steps=2)
    net, x, noise = bent.build((1, 4, 4)), torch.rand(50, 1, 4, 4), torch.randn(50, 4)
    for step in net.flow.steps:
        torch.nn.init.zeros_(step.out.weight)
    terms, q = bent.bound(net, x, noise), bent.encode(net, x)
    assert torch.equal(terms["reconstruction"], -plain.decode(net, q.base.rsample(noise)).log_prob(x))
    by_sample = q.base.log_prob(q.base.rsample(noise)) - plain.prior(net).log_prob(q.base.rsample(noise))
    torch.testing.assert_close(terms["kl"], by_sample, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q.mean, q.base.mean)


@pytest.mark.parametrize("kind", [VAE, pytest.param(CVAE, marks=pytest.mark.slow)])
def test_a_bent_posterior_learns_and_its_bound_holds(kind):
    """On two dimensions, where a normal posterior is most wrong: at least as good a bound, within half a nat."""
    digits = load_digits()
    X, y = digits.images[:600] / 16, digits.target[:600]
    small = Network("dense(32)")
    elbos = []
    for steps in (0, 4):
        fit = Autoencoder(kind(2, small, flow_steps=steps), epochs=60, lr=0.01, random_state=0).fit(X, y)
        elbos.append(fit.score(X, y))
    assert elbos[1] > elbos[0] - 0.5
    assert fit.importance_bound(X, 20, y)[0].mean() > elbos[1]


def test_a_flow_wants_two_dimensions():
    with pytest.raises(InputError, match="single dimension"):
        VAE(1, flow_steps=2).build((1, 8, 8))
    with pytest.raises(InputError, match="no dimension has a KL of its own"):
        VAE(2, flow_steps=2, free_bits=0.1).build((1, 8, 8))
