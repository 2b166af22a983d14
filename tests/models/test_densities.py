"""Every formula against torch.distributions or arithmetic; a changed sign or constant fails the test of its name."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import distributions

from latently.models import densities
from latently.models.densities import (
    AbsoluteError,
    Bernoulli,
    Categorical,
    DiscretisedLogistic,
    Mixture,
    Normal,
    SquaredError,
    best_log_variance,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_bernoulli_log_prob_is_that_of_torch(generator):
    logits = 3 * torch.randn(5, 1, 4, 4, generator=generator)
    x = torch.rand(5, 1, 4, 4, generator=generator).round()
    expected = distributions.Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli(logits).log_prob(x), expected, msg="Bernoulli.log_prob")


def test_bernoulli_on_grey_pixels_is_the_cross_entropy(generator):
    logits, x = torch.randn(3, 6, generator=generator), torch.rand(3, 6, generator=generator)
    p = torch.sigmoid(logits)
    expected = (x * p.log() + (1 - x) * (1 - p).log()).sum(1)
    torch.testing.assert_close(Bernoulli(logits).log_prob(x), expected, msg="Bernoulli.log_prob on grey pixels")


@pytest.mark.parametrize("logit", [-1e4, -80.0, 0.0, 80.0, 1e4])
@pytest.mark.parametrize("pixel", [0.0, 0.3, 1.0])
def test_bernoulli_is_finite_at_any_logit_with_its_gradient(logit, pixel):
    logits = torch.tensor([[logit]], requires_grad=True)
    log_px = Bernoulli(logits).log_prob(torch.tensor([[pixel]]))
    log_px.sum().backward()
    assert torch.isfinite(log_px).all()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.item() == pytest.approx(pixel - torch.sigmoid(torch.tensor(logit)).item(), abs=1e-6)


def test_bernoulli_mean_is_the_sigmoid():
    assert Bernoulli(torch.tensor([[0.0]])).mean.item() == 0.5
    assert Bernoulli(torch.tensor([[math.log(3.0)]])).mean.item() == pytest.approx(0.75)


def test_normal_log_prob_is_that_of_torch(generator):
    mean, log_variance, x = torch.randn(3, 4, 7, generator=generator)
    expected = distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(x).sum(1)
    torch.testing.assert_close(Normal(mean, log_variance).log_prob(x), expected, msg="Normal.log_prob")


def test_a_shared_variance_counts_for_every_pixel(generator):
    mean, x = torch.randn(2, 4, 1, 3, 3, generator=generator)
    log_variance = torch.tensor(-0.7)
    expected = distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(Normal(mean, log_variance).log_prob(x), expected, msg="Normal.log_prob, one variance")


def test_the_best_variance_is_the_mean_squared_error(generator):
    """Of all variances it makes the pixels most probable, and there the error counts half a nat for each."""
    x, mean = torch.rand(5, 3, 4, 4, generator=generator), torch.rand(3, 4, 4, generator=generator)
    best = best_log_variance(x, mean)
    assert best.exp().item() == pytest.approx((x - mean).square().mean().item())
    at_best, narrower, wider = (Normal(mean, best + shift).log_prob(x).mean() for shift in (0.0, -0.05, 0.05))
    assert at_best > max(narrower, wider)
    assert -at_best.item() == pytest.approx(24 * (1 + best.item() + densities.LOG_2PI), rel=1e-5)
    assert best_log_variance(torch.ones(2, 1, 2, 2), torch.ones(1, 2, 2)).isfinite(), "constant images have none"


def test_kl_between_normals_is_that_of_torch(generator):
    mean, other, log_variance, others = torch.randn(4, 6, 3, generator=generator)
    expected = distributions.kl_divergence(
        distributions.Normal(mean, (log_variance / 2).exp()), distributions.Normal(other, (others / 2).exp())
    )
    torch.testing.assert_close(Normal(mean, log_variance).kl(Normal(other, others)), expected)


def test_kl_to_standard_normal_is_that_of_torch(generator):
    mean, log_variance = torch.randn(2, 6, 5, generator=generator)
    q = distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = distributions.kl_divergence(q, distributions.Normal(0.0, 1.0))
    ours = Normal(mean, log_variance)
    torch.testing.assert_close(ours.kl_to_standard_normal(), expected, msg="KL per dimension")


def test_rsample_has_the_moments_it_claims():
    q = Normal(torch.full((100_000, 1), 2.0), torch.full((100_000, 1), math.log(0.25)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = q.rsample()
    assert z.mean().item() == pytest.approx(2.0, abs=0.01)
    assert z.std().item() == pytest.approx(0.5, abs=0.01), (
        "log_variance is the log of the variance, not of the deviation"
    )


def test_given_noise_is_used_as_it_is():
    z = Normal(torch.ones(1, 2), torch.zeros(1, 2)).rsample(noise=torch.tensor([[0.5, -1.0]]))
    assert z.tolist() == [[1.5, 0.0]]


def test_rsample_stretches_the_noise_by_the_root_of_the_variance(generator):
    mean, noise, variance = *torch.randn(2, 6, 5, generator=generator), 0.1 + 9 * torch.rand(6, 5, generator=generator)
    q = Normal(mean, variance.log())
    torch.testing.assert_close(q.stddev, variance.sqrt(), msg="Normal.stddev")
    torch.testing.assert_close(q.rsample(noise), mean + variance.sqrt() * noise, msg="Normal.rsample")


def test_draws_from_a_single_normal_are_independent_with_its_moments(generator):
    z = Normal(torch.tensor([[-1.0, 0.0, 2.0]]), torch.tensor([[0.25, 1.0, 4.0]]).log()).sample(100_000, generator)
    assert z.shape == (100_000, 3)
    torch.testing.assert_close(z.mean(0), torch.tensor([-1.0, 0.0, 2.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(z.T.cov(), torch.tensor([0.25, 1.0, 4.0]).diag(), atol=0.06, rtol=0)


def test_repeated_normals_are_the_whole_batch_again_and_again(generator):
    mean, log_variance, z = torch.randn(3, 4, 5, generator=generator)
    q = Normal(mean, log_variance)
    repeated = q.repeated(3)
    assert repeated.mean.shape == repeated.log_variance.shape == (12, 5)
    torch.testing.assert_close(repeated.log_prob(torch.cat([z, z, z])).view(3, 4), q.log_prob(z).expand(3, 4))


def test_the_mixture_is_that_of_torch(generator):
    mean, log_variance = 3 * torch.randn(7, 5, generator=generator), torch.randn(7, 5, generator=generator)
    z = 3 * torch.randn(11, 5, generator=generator)
    parts = distributions.Independent(distributions.Normal(mean, (0.5 * log_variance).exp()), 1)
    expected = distributions.MixtureSameFamily(distributions.Categorical(logits=torch.zeros(7)), parts)
    ours = Mixture(Normal(mean, log_variance))
    torch.testing.assert_close(ours.log_prob(z), expected.log_prob(z), msg="Mixture.log_prob")
    torch.testing.assert_close(ours.mean[0], expected.mean, msg="Mixture.mean")
    torch.testing.assert_close(ours.stddev[0], expected.stddev, msg="Mixture.stddev")
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(ours.log_prob(z), expected.log_prob(z), msg="Mixture.log_prob is rounded")
    drawn = ours.sample(50_000, generator)
    torch.testing.assert_close(drawn.mean(0), expected.mean, atol=0.06, rtol=0)
    torch.testing.assert_close(drawn.std(0), expected.stddev, atol=0.06, rtol=0)


def test_a_mixture_keeps_its_digits_far_from_the_origin_and_where_its_parts_are_narrow(generator):
    mean = 1000 + torch.randn(7, 20, generator=generator)
    parts, z = Normal(mean, torch.full((7, 20), -6.0)), mean[:3] + 0.05
    squared = (z[:, None].double() - mean.double()).square().sum(2) * math.exp(6)  # (3, 7)
    slow = torch.logsumexp(-0.5 * (squared + 20 * (math.log(2 * math.pi) - 6)), 1) - math.log(7)
    torch.testing.assert_close(Mixture(parts).log_prob(z).double(), slow, atol=0.01, rtol=0)


def test_log_mean_exp_is_finite_where_the_weights_are_not(generator):
    log_w = torch.randn(9, 4, generator=generator)
    torch.testing.assert_close(densities.log_mean_exp(log_w), log_w.exp().mean(0).log())
    torch.testing.assert_close(densities.log_mean_exp(log_w - 5000), log_w.exp().mean(0).log() - 5000)


def test_the_mean_of_weights_and_its_error_are_those_of_scipy(generator):
    """log 1/K sum w, and the standard error of the mean weight over the mean weight, from two sums alone."""
    log_w = torch.randn(6, 4, generator=generator)
    log_mean, error = densities.log_mean_and_error(log_w.logsumexp(0), (2 * log_w).logsumexp(0), 6)
    torch.testing.assert_close(log_mean, log_w.exp().mean(0).log(), msg="log of the mean weight")
    expected = torch.as_tensor(stats.sem(log_w.exp().numpy())) / log_w.exp().mean(0)
    torch.testing.assert_close(error, expected, msg="its standard error")


@pytest.mark.parametrize("k", range(2, 20))
def test_equal_weights_have_no_error(k):
    log_w = torch.full((k, 1), -90.3)  # rounding takes some of these variances below 0
    log_mean, error = densities.log_mean_and_error(log_w.logsumexp(0), (2 * log_w).logsumexp(0), k)
    assert log_mean.item() == pytest.approx(-90.3)
    assert error.item() == pytest.approx(0, abs=0.01)


def test_categorical_log_prob_is_that_of_torch(generator):
    logits, y = 3 * torch.randn(6, 3, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2])
    p, expected = Categorical(logits), distributions.Categorical(logits=logits)
    torch.testing.assert_close(p.log_prob(y), expected.log_prob(y), msg="Categorical.log_prob")
    torch.testing.assert_close(p.log_probabilities, expected.probs.log(), msg="Categorical.log_probabilities")


def test_label_smoothing_is_that_of_torch(generator):
    logits, y = 3 * torch.randn(7, 3, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2, -1])
    for smoothing in (0.0, 0.1, 1.0):
        expected = -F.cross_entropy(logits, y, ignore_index=-1, label_smoothing=smoothing, reduction="none")
        ours = Categorical(logits).smoothed_log_prob(y, smoothing)
        torch.testing.assert_close(ours, expected, msg=f"label smoothing of {smoothing}")


def test_an_unknown_class_says_nothing():
    unknown = torch.tensor([-1, -1])
    p = Categorical(torch.tensor([[1.0, 2.0], [5.0, -5.0]]))
    assert p.log_prob(unknown).tolist() == p.smoothed_log_prob(unknown, 0.1).tolist() == [0, 0]


def test_absolute_error_is_a_laplaces_log_density_but_for_its_constant():
    mean, x = torch.randn(3, 2, 5), torch.randn(3, 2, 5)
    density = torch.distributions.Laplace(mean, 1.0).log_prob(x).sum((1, 2))
    torch.testing.assert_close(AbsoluteError(mean).log_prob(x), density + 10 * np.log(2.0))


def test_squared_error_sums_over_pixels():
    assert SquaredError(torch.ones(1, 1, 2, 2)).log_prob(torch.full((1, 1, 2, 2), 3.0)).tolist() == [-16.0]


def test_free_bits_floor_the_mean_of_each_dimension_over_the_batch():
    kl = torch.tensor([[0.0, 2.0], [0.2, 4.0]], requires_grad=True)  # means 0.1 and 3
    floored = densities.free_bits(kl, 0.5)
    assert floored.tolist() == [3.5, 3.5]
    floored.sum().backward()
    assert kl.grad[:, 0].tolist() == [0, 0], "below the floor there is nothing to gain"
    assert kl.grad[:, 1].tolist() == [1, 1]


def test_bits_per_dim():
    assert densities.bits_per_dim(-math.log(2) * 784, 784) == pytest.approx(1.0)


def test_bfloat16_in_float32_out():
    logits = torch.randn(2, 3).bfloat16()
    assert Bernoulli(logits).log_prob(torch.rand(2, 3)).dtype == torch.float32
    assert Normal(logits, logits).kl_to_standard_normal().dtype == torch.float32


@pytest.mark.parametrize("mean", [-3.0, 0.0, 0.4999, 1.0, 250.0])
@pytest.mark.parametrize("log_variance", [-14.0, -6.0, 0.0, 9.0])
def test_a_discretised_logistic_gives_256_bytes_probabilities_of_sum_one(mean, log_variance):
    bytes_ = torch.arange(256)[:, None] / 255
    p = DiscretisedLogistic(torch.full((256, 1), mean), torch.tensor(log_variance)).log_prob(bytes_)
    assert torch.isfinite(p).all(), "also far from the mean"
    assert p.double().exp().sum() == pytest.approx(1, abs=1e-4)


def test_a_discretised_logistic_has_its_bins_under_the_logistic_of_scipy():
    """Its variance is that of the logistic, s^2 pi^2 / 3."""
    mean, variance = 0.3, 0.02
    logistic = stats.logistic(mean, np.sqrt(3 * variance) / np.pi)
    assert logistic.var() == pytest.approx(variance)
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
    exact = np.log(np.diff(logistic.cdf(edges)))
    ours = DiscretisedLogistic(torch.full((256, 1), mean), torch.tensor(variance).log())
    np.testing.assert_allclose(ours.log_prob(torch.arange(256)[:, None] / 255), exact, rtol=1e-3)
    images = torch.tensor([[[0.0, 1.0], [100 / 255, 3 / 255]]])
    whole = DiscretisedLogistic(torch.full((1, 2, 2), mean), torch.tensor(variance).log()).log_prob(images)
    assert whole.item() == pytest.approx(exact[[0, 255, 100, 3]].sum(), rel=1e-3)
