"""Confident learning: its formulas by hand, and altered labels found."""

import numpy as np
import pytest

from latently.common.errors import InputError
from latently.data import load
from latently.evaluation.label_noise import confident_joint, held_out_probabilities, label_noise

RNG = np.random.default_rng(0)


def test_thresholds_are_the_mean_confidence_of_each_class():
    """Class 1 is given sparingly: 0.45 is much for it (t = 0.4), and 0.55 little for class 0 (t = 0.7)."""
    p = np.array([[0.9, 0.1], [0.55, 0.45], [0.65, 0.35], [0.6, 0.4]])
    assert confident_joint(p, np.array([0, 0, 0, 1])).tolist() == [[1, 1], [0, 1]]


def test_the_noise_rate_is_that_of_a_known_confusion():
    """Of sure and right probabilities, Q is the true joint of labels and classes."""
    true = np.repeat([0, 1, 2], 100)
    labels = true.copy()
    labels[:10], labels[100:105] = 1, 2
    p = np.full((300, 3), 0.01)
    p[np.arange(300), true] = 0.98
    found = label_noise(p, labels)
    assert found.noise_rate == pytest.approx(15 / 300)
    assert sorted(found.suspects.tolist()) == [*range(10), *range(100, 105)]
    assert (found.likely == true).all()


def test_the_least_probable_label_comes_first():
    true = np.repeat([0, 1], 50)
    p = np.where(true[:, None] == [0, 1], 0.8, 0.2)
    labels = true.copy()
    labels[[3, 7]] = 1
    p[7], p[3] = (0.99, 0.01), (0.9, 0.1)
    found = label_noise(p, labels)
    assert found.suspects.tolist() == [7, 3]
    assert found.of_label[found.suspects].tolist() == [0.01, 0.1]


def test_right_labels_are_not_suspect():
    labels = np.repeat([0, 1], 50)
    found = label_noise(np.where(labels[:, None] == [0, 1], 0.9, 0.1), labels)
    assert len(found.suspects) == found.noise_rate == 0


def test_probabilities_come_from_other_images():
    """Of features that say nothing, no label is known: a probe that had seen them would know some."""
    labels = np.arange(200) % 2
    p = held_out_probabilities(RNG.normal(size=(200, 50)), labels)
    assert p.shape == (200, 2)
    assert p.sum(1) == pytest.approx(1)
    assert abs((p.argmax(1) == labels).mean() - 0.5) < 0.15


def test_altered_labels_of_digits_are_found():
    digits = load("digits")
    labels, some = digits.labels.copy(), RNG.permutation(1797)[:90]
    labels[some] = (labels[some] + RNG.integers(1, 10, 90)) % 10
    found = label_noise(held_out_probabilities(digits.images.reshape(1797, -1) / 255, labels), labels)
    first = found.suspects[:90]
    assert np.isin(first, some).mean() > 0.7
    assert found.noise_rate == pytest.approx(0.05, abs=0.05)


@pytest.mark.parametrize(
    ("labels", "sentence"), [(np.zeros(9, int), "of one class"), (np.append(np.zeros(8, int), 1), "a single image")]
)
def test_labels_that_cannot_be_judged_are_refused(labels, sentence):
    with pytest.raises(InputError, match=sentence):
        held_out_probabilities(RNG.normal(size=(9, 2)), labels)
