"""What an encoder's and a decoder's outputs mean, as closed forms of the outputs themselves."""

import math

import pytest
import torch

from latently.models.densities import Bernoulli, Normal
from latently.models.flows import Flow, Flowed
from latently.models.posterior import likelihood, posterior


def test_the_outputs_are_the_mean_then_the_spread():
    q = posterior(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), 2, "log-variance", None)
    assert isinstance(q, Normal)
    assert q.mean.tolist() == [[1, 2]]
    assert q.log_variance.tolist() == [[3, 4]]


def test_what_is_left_of_the_outputs_is_the_context_of_the_flow():
    flow = Flow(1, 2, 3)
    q = posterior(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]), 2, "log-variance", flow)
    assert isinstance(q, Flowed)
    assert q.flow is flow
    assert (q.base.mean.tolist(), q.base.log_variance.tolist()) == ([[1, 2]], [[3, 4]])
    assert q.context.tolist() == [[5, 6, 7]]


@pytest.mark.parametrize(
    ("spread", "output", "stddev"),
    [
        ("log-variance", 0.0, 1.0),
        ("log-variance", 2.0, math.e),
        ("softplus", 0.0, math.log(2)),
        ("softplus", 3.0, math.log1p(math.exp(3))),
        ("softplus", -200.0, 1e-6),
        ("stddev", 0.7, 0.7),
        ("stddev", -3.0, 3.0),
        ("stddev", 0.0, 1e-4),
    ],
)
def test_the_standard_deviation_of_an_output_and_its_floor(spread, output, stddev):
    q = posterior(torch.tensor([[0.0, output]]), 1, spread, None)
    assert q.stddev.item() == pytest.approx(stddev, rel=1e-5)
    assert torch.isfinite(q.kl_to_standard_normal()).all(), "a spread of nearly nothing still has a KL"


def test_the_outputs_of_a_decoder_are_logits_or_means():
    output = torch.randn(2, 1, 3, 3)
    black = likelihood(output, "bernoulli", 1.0)
    assert isinstance(black, Bernoulli)
    torch.testing.assert_close(black.mean, output.sigmoid())
    grey = likelihood(output, "gaussian", 0.04)
    assert isinstance(grey, Normal)
    assert torch.equal(grey.mean, output)
    assert grey.stddev.item() == pytest.approx(0.2)
    learned = likelihood(output, "gaussian", torch.tensor(0.04).log())
    torch.testing.assert_close(learned.log_prob(output + 0.1), grey.log_prob(output + 0.1))
