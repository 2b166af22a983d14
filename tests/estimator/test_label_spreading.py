"""Labels go where neighbours lead them."""

import numpy as np
import pytest

from latently.data import label_budget, load
from latently.estimator.label_spreading import N_NEIGHBOURS, neighbours, similarities, spread


def test_a_label_fills_its_own_island():
    """Two clouds far apart, one label each."""
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.normal(0, 1, (50, 3)), rng.normal(40, 1, (70, 3))])
    labels = np.full(120, -1)
    labels[[3, 60]] = [0, 1]
    beliefs = spread(codes, labels, 2)
    assert beliefs.argmax(1).tolist() == [0] * 50 + [1] * 70
    np.testing.assert_allclose(beliefs.sum(1), 1, rtol=1e-5)


def test_where_no_label_reaches_nothing_is_known():
    codes = np.concatenate([np.zeros((20, 2)) + np.arange(20)[:, None] / 100, np.full((20, 2), 1e3)])
    labels = np.full(40, -1)
    labels[:2] = [0, 1]
    assert np.allclose(spread(codes, labels, 2)[20:], 0.5)


def test_it_comes_near_the_fixed_point_of_zhou_and_others():
    """(1 - alpha) (I - alpha S)^-1 Y, with every class of the same weight; fifty steps leave a hundredth."""
    codes = np.random.default_rng(0).normal(size=(60, 2))
    labels = np.full(60, -1)
    labels[:5] = [0, 0, 0, 1, 1]
    given = np.zeros((60, 2))
    given[:3, 0], given[3:5, 1] = 1 / 3, 1 / 2
    exact = np.linalg.solve(np.eye(60) - 0.99 * neighbours(codes).toarray(), given)
    exact /= exact.sum(1, keepdims=True)
    np.testing.assert_allclose(spread(codes, labels, 2), exact, atol=0.01)


def test_the_graph_is_symmetric_and_its_largest_eigenvalue_is_one():
    graph = neighbours(np.random.default_rng(1).normal(size=(80, 3))).toarray()
    np.testing.assert_allclose(graph, graph.T, rtol=1e-6)
    assert ((graph > 0).sum(1) >= N_NEIGHBOURS).all()
    assert np.linalg.eigvalsh(graph).max() == pytest.approx(1, abs=1e-5)


def test_no_image_is_its_own_neighbour_where_there_are_copies():
    codes = np.random.default_rng(1).normal(size=(30, 3))
    graph = similarities(np.concatenate([codes, codes[:9], codes[:4]]))
    assert graph.diagonal().sum() == 0
    same = similarities(np.zeros((40, 2)))
    assert same.diagonal().sum() == 0
    assert (graph[np.arange(9), 30 + np.arange(9)] == 1).all(), "a copy is"


@pytest.mark.parametrize("n", [2, 3, 11])
def test_few_images_are_enough(n):
    labels = np.array([0, 1] + [-1] * (n - 2))
    assert spread(np.arange(n, dtype=float)[:, None], labels, 2).shape == (n, 2)


def test_twenty_labels_of_real_digits_spread_to_most_of_the_others():
    digits = load("digits")
    labels = np.full(len(digits), -1)
    chosen = label_budget(digits.labels, 20, seed=0)
    labels[chosen] = digits.labels[chosen]
    found = spread(digits.images.reshape(-1, 64).astype(np.float32), labels, 10).argmax(1)
    assert (found == digits.labels).mean() > 0.85
