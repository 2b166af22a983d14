"""The classifier keeps scikit-learn's promises, takes labels of any kind, and says what it cannot use."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from latently import Classifier, FeedForward, InputError, Trunk, load

DIGITS = load_digits()
X, Y = DIGITS.images[:400] / 16, DIGITS.target[:400]


def small(**settings) -> Classifier:
    return Classifier(FeedForward(Trunk("dense(32)")), **({"epochs": 20, "lr": 0.01, "random_state": 0} | settings))


@parametrize_with_checks(
    [Classifier(FeedForward(Trunk("dense(16)")), epochs=15, batch_size=32, lr=0.05, random_state=0)],
    expected_failed_checks=lambda _: {"check_classifiers_classes": "labels -1 and 1: -1 means unlabelled here"},
)
def test_scikit_learn(estimator, check):
    check(estimator)


def test_a_loaded_one_has_the_rate_that_was_decided(tmp_path):
    fitted = Classifier(FeedForward(Trunk("dense(8)")), epochs=1, random_state=0).fit(X, Y)
    fitted.save(tmp_path / "run")
    assert load(tmp_path / "run").training_.lr == fitted.training_.lr > 0
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.score(X[:5], Y[:4])


@pytest.mark.parametrize("names", [list("zwei"), [10.0, 2.0, 7.0], [True, False]], ids=str)
def test_labels_of_any_kind_come_back_as_they_were_given(names, tmp_path):
    y = np.array(names)[Y % len(names)]
    fitted = small().fit(X, y)
    assert fitted.score(X, y) > 0.8
    fitted.save(tmp_path / "run")
    again = load(tmp_path / "run")
    assert np.array_equal(again.predict(X), fitted.predict(X))
    assert again.classes_.dtype.kind == fitted.classes_.dtype.kind


@pytest.mark.parametrize(
    ("y", "nothing"),
    [(Y, -1), (Y.astype(float), np.nan), (Y.astype(str), ""), (Y.astype(object), None)],
    ids=["-1", "nan", "empty", "None"],
)
def test_unlabelled_images_are_left_out(y, nothing):
    some = y.copy()
    some[200:] = nothing
    assert np.array_equal(small().fit(X, some).predict_proba(X), small().fit(X[:200], y[:200]).predict_proba(X))


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (np.full(400, -1), "no image carries a label"),
        (np.where(Y > 4, 1, -1), "of one class, 1; .* -1 means unlabelled here: call the classes 0 and 1"),
        (["+1" if y > 4 else -1 for y in Y], r"of one class, \+1; .* -1 means unlabelled here"),
        (np.full(400, "cat"), "of one class, cat"),
        (Y[:5], "inconsistent numbers of samples"),
    ],
    ids=["none", "-1 and 1", "-1 and '+1'", "one class", "too few"],
)
def test_labels_that_cannot_be_used_are_told(y, sentence):
    with pytest.raises(ValueError, match=sentence):
        small().fit(X, y)


def test_an_epoch_holds_an_image_as_often_as_was_asked():
    once = small().fit(X[:200], Y[:200])
    some = small().fit(X, Y, repeats=np.arange(400) < 200)
    assert np.array_equal(some.predict_proba(X), once.predict_proba(X)), "what comes no time is not there"
    twice = small(epochs=1, batch_size=100).fit(X, Y, repeats=np.full(400, 2))
    assert len(twice.net_.state_dict()) > 0
    assert twice.training_.n_epochs == 1


def test_probabilities_are_those_of_the_softmax():
    fitted = small().fit(X, Y)
    p = fitted.predict_proba(X[:7])
    assert p.shape == (7, 10)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    assert np.array_equal(fitted.classes_[p.argmax(1)], fitted.predict(X[:7]))


def test_the_best_validation_epoch_is_kept():
    """With a rate that is far too high the error jumps about; what is kept has the lowest validation error."""
    ended_worse = 0
    for seed in range(4):
        noisy = small(lr=0.1, schedule="constant", patience=30, epochs=30, random_state=seed)
        errors = [row["val_error"] for row in noisy.fit(X[:300], Y[:300], validation=(X[300:], Y[300:])).history_]
        assert 1 - noisy.score(X[300:], Y[300:]) == pytest.approx(min(errors), abs=1e-6)
        ended_worse += min(errors) < errors[-1]
    assert ended_worse > 0, "the last epoch was always the best: this says nothing"


def test_grid_search_and_clone():
    search = GridSearchCV(small(epochs=5), {"model__trunk__layers": ["dense(1)", "dense(32)"]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"model__trunk__layers": "dense(32)"}
    assert clone(search.best_estimator_).model.trunk.layers == "dense(32)"


def test_augmented_images_train_and_plain_ones_are_judged():
    """Twice the same image gives twice the same answer: nothing is distorted outside the training."""
    model = FeedForward(Trunk("dense(32)"))
    model.augmentation.set_params(rotation=5.0)
    fitted = Classifier(model, epochs=30, lr=0.01, random_state=0).fit(X, Y)
    assert np.array_equal(fitted.predict_proba(X), fitted.predict_proba(X))
    assert fitted.score(X, Y) > 0.9


def test_an_unknown_class_is_an_error_of_the_file(tmp_path):
    small(epochs=1).fit(X, Y).save(tmp_path / "run")
    params = (tmp_path / "run" / "params.json").read_text()
    (tmp_path / "run" / "params.json").write_text(params.replace('"classes": [', '"classes": [null, '))
    with pytest.raises(InputError, match="classes is"):
        load(tmp_path / "run")
