"""Heads on codes: what they are worth, and that a user is not bothered with how they are fitted."""

import warnings

import numpy as np

from latently.evaluation import codes


def test_a_probe_that_stops_at_its_last_step_says_nothing(monkeypatch):
    """It is good enough; scikit-learn's warning, three lines with an address, was printed as a note."""
    monkeypatch.setattr(codes, "MOST_STEPS", 2)
    x = np.random.default_rng(0).normal(size=(300, 20))
    y = (x[:, :3].sum(1) > 0).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert codes.probe_accuracy(x[:200], y[:200], x[200:], y[200:], seed=0) > 0.8
