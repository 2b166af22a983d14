"""A linear head of few labels: a teacher on smoothed features, a student on features as they are."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from latently.data import label_budget, load
from latently.estimator import linear_head
from latently.estimator.label_spreading import similarities

DIGITS = load("digits")
FEATURES = DIGITS.pixels.reshape(len(DIGITS), -1) / 16.0
FEATURES = (FEATURES - FEATURES.mean(0)) / np.linalg.norm(FEATURES - FEATURES.mean(0), axis=1, keepdims=True)


def few(n: int, seed: int) -> np.ndarray:
    labels = np.full(len(DIGITS), -1)
    drawn = label_budget(DIGITS.labels, n, seed)
    labels[drawn] = DIGITS.labels[drawn]
    return labels


def test_smoothing_is_two_steps_of_a_lazy_walk():
    f = FEATURES[:60]
    graph = similarities(f).toarray()
    step = 0.3 * np.eye(60) + 0.7 * graph / graph.sum(1, keepdims=True)
    once = step @ f
    once /= np.linalg.norm(once, axis=1, keepdims=True)
    twice = step @ once
    twice /= np.linalg.norm(twice, axis=1, keepdims=True)
    np.testing.assert_allclose(linear_head.smoothed(f), twice, atol=1e-6)


def test_copies_of_one_image_are_smoothed_to_themselves():
    same = np.repeat(FEATURES[:1], 30, axis=0)
    np.testing.assert_allclose(linear_head.smoothed(same), same, atol=1e-6)


def test_twenty_labels_of_real_digits_are_worth_more_when_neighbours_help():
    gains = []
    for seed in range(3):
        labels = few(20, seed)
        known = labels >= 0
        alone = LogisticRegression(max_iter=1000).fit(FEATURES[known], labels[known]).predict(FEATURES)
        helped = linear_head.classes(FEATURES, labels)
        gains.append(np.mean((helped == DIGITS.labels)[~known]) - np.mean((alone == DIGITS.labels)[~known]))
    assert np.mean(gains) > 0.05


def test_a_student_stands_where_the_stated_loss_is_least():
    labels = few(100, 0)
    classes = linear_head.taught(FEATURES, labels)
    np.testing.assert_array_equal(classes[labels >= 0], labels[labels >= 0])
    start = linear_head.as_softmax(linear_head.student(FEATURES, labels, classes))
    slopes, offsets = (torch.from_numpy(each).requires_grad_() for each in start)
    log_p = (torch.from_numpy(FEATURES) @ slopes.T + offsets).log_softmax(1)
    right = -log_p[torch.arange(len(labels)), torch.from_numpy(classes)]
    known = torch.from_numpy(labels >= 0)
    penalty = slopes.square().sum() / (2 * linear_head.STRENGTH)
    (right[known].mean() / 2 + right[~known].mean() / 2 + penalty).backward()
    assert float(slopes.grad.abs().max()) < 1e-4
    assert float(offsets.grad.abs().max()) < 1e-4


def test_two_classes_have_a_row_each():
    head = LogisticRegression().fit(FEATURES[:200], DIGITS.labels[:200] > 4)
    slopes, offsets = linear_head.as_softmax(head)
    odds = (FEATURES @ slopes.T + offsets) @ [-1, 1]
    np.testing.assert_allclose(odds, head.decision_function(FEATURES))
