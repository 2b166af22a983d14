"""Classes from a handful of labels: the potential solves its equation, and the cut keeps the sizes of the classes."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from latently.data import label_budget
from latently.estimator.label_spreading import similarities, spread
from latently.estimator.poisson_learning import (
    degrees_of,
    poisson,
    poisson_mbo,
    sources_of,
    spread_evenly,
    weights_for,
)

DIGITS = load_digits()
CODES, Y = DIGITS.images.reshape(-1, 64).astype(np.float32), DIGITS.target


def few(n, seed, of=Y):
    labels = np.full(len(of), -1)
    drawn = label_budget(of, n, seed)
    labels[drawn] = of[drawn]
    return labels


def test_the_potential_solves_poissons_equation(monkeypatch):
    """L u = B, of mean 0 by degrees, on a graph that is connected; with steps enough."""
    monkeypatch.setattr("latently.estimator.poisson_learning.MOST_STEPS", 20_000)
    rng = np.random.default_rng(0)
    graph = similarities(rng.normal(size=(60, 2)))
    monkeypatch.setattr("latently.estimator.poisson_learning.has_mixed", lambda *_: False)
    labels = np.full(60, -1)
    labels[:5] = [0, 0, 0, 1, 2]
    u = poisson(graph, labels, 3)
    laplacian = np.diag(degrees_of(graph)) - graph.toarray()
    np.testing.assert_allclose(laplacian @ u, sources_of(labels, 3), atol=1e-8)
    np.testing.assert_allclose(degrees_of(graph) @ u, 0, atol=1e-8)


def test_sources_of_each_class_sum_to_zero():
    sources = sources_of(np.array([0, -1, 2, 2, -1, 1]), 3)
    np.testing.assert_allclose(sources.sum(0), 0, atol=1e-12)
    np.testing.assert_allclose(sources[2], [-0.25, -0.25, 0.5])
    assert (sources[[1, 4]] == 0).all()


def test_weights_bring_the_classes_to_their_sizes():
    """Two classes that the first would win 9 to 1, of which half each is known."""
    u = np.stack([np.ones(1000), np.linspace(0.6, 1.05, 1000)], 1)
    assert np.bincount(u.argmax(1)).min() < 120
    found = (u * weights_for(u, np.array([0.5, 0.5]))).argmax(1)
    assert np.bincount(found) == pytest.approx([500, 500], abs=60)


def test_classes_of_known_sizes_fill_their_islands():
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.normal(0, 1, (40, 3)), rng.normal(6, 1, (80, 3))])
    labels = np.full(120, -1)
    labels[[3, 60]] = [0, 1]
    beliefs = poisson_mbo(similarities(codes), labels, np.array([1 / 3, 2 / 3]))
    assert beliefs.argmax(1).tolist() == [0] * 40 + [1] * 80
    np.testing.assert_allclose(beliefs.sum(1), 1)
    assert beliefs.min() >= 0


def test_a_label_of_each_digit_is_worth_more_with_the_sizes_of_the_classes():
    """Five draws of ten labels, on the pixels of 1,797 digits, which are about equally frequent."""
    ours, theirs = [], []
    for seed in range(5):
        labels = few(10, seed)
        ours.append((spread_evenly(CODES, labels, 10).argmax(1) == Y).mean())
        theirs.append((spread(CODES, labels, 10).argmax(1) == Y).mean())
    assert np.mean(ours) > np.mean(theirs) + 0.02
    assert np.mean(ours) > 0.85
