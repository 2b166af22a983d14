"""A missing label: one table of spellings, run against every door through which labels come in."""

import math

import numpy as np
import pandas
import pytest
from PIL import Image
from sklearn.svm import SVC

from latently import (
    CVAE,
    VAE,
    Autoencoder,
    Classifier,
    FeedForward,
    FewLabelClassifier,
    InputError,
    Network,
    Trunk,
    load,
)  # fmt: skip
from latently.data import ImageSet, read_labels
from latently.data import load as load_images
from latently.data.classes import encode_labels, is_missing, is_missing_label
from latently.explorer.saved_labels import checked_label

# How a label is written, and whether it is missing.
SPELLINGS = [
    (None, True), (pandas.NA, True), (pandas.NaT, True), (math.nan, True), (np.float32("nan"), True), (-1, True),
    (-1.0, True), (np.int64(-1), True), ("", True), ("  ", True), ("nan", True), ("NaN", True), (" NAN ", True),
    ("-1", True), ("-1.0", True), (0, False), (1, False), (0.0, False), ("0", False), ("none", False), ("nano", False),
    ("-10", False), ("1", False), ("-", False), (False, False), ("NA", True), (" NA ", True), ("N/A", True),
    ("n/a", True), ("NULL", True), ("null", True), ("<NA>", True), ("#N/A", True), ("-nan", True), ("-1.00", True),
    ("na", False), ("Na", False), ("Null island", False), ("-1.5", False), ("NAN ", True), ("--1", False),
]  # fmt: skip
TEXTS = [(label, missing) for label, missing in SPELLINGS if isinstance(label, str)]
NUMBERS = [(label, missing) for label, missing in SPELLINGS if isinstance(label, int | float | np.number)]
X = np.random.default_rng(0).random((6, 4, 4), dtype=np.float32)
TINY = {"epochs": 1, "batch_size": 4, "random_state": 0}
spelled = pytest.mark.parametrize(("label", "missing"), SPELLINGS, ids=repr)
written = pytest.mark.parametrize(("label", "missing"), TEXTS, ids=repr)
numbered = pytest.mark.parametrize(("label", "missing"), NUMBERS, ids=repr)


def mixed(label) -> list:
    """Six labels: two classes, twice, and two of the spelling in question."""
    others = ["a", "b"] if isinstance(label, str) or label is None else [5, 7]
    return [*others, label, *others, label]


@spelled
def test_the_rule(label, missing):
    assert is_missing_label(label) == missing
    assert is_missing(np.array([label, "a"], dtype=object)).tolist() == [missing, False]
    typed = np.array([label, label])
    assert is_missing(typed).tolist() == [missing, missing]


@spelled
def test_fit_of_a_classifier(label, missing):
    model = FeedForward(Trunk("dense(2)"))
    classifier = Classifier(model, **TINY).fit(X, mixed(label))
    assert len(classifier.classes_) == (2 if missing else 3)
    assert (classifier.label_codes([label]) < 0).all() == missing


@written
def test_fit_of_few_label(label, missing):
    few = FewLabelClassifier(Autoencoder(VAE(2, Network("dense(4)")), **TINY), SVC(), random_state=0)
    assert len(few.fit(X, mixed(label)).classes_) == (2 if missing else 3)


@written
def test_fit_of_a_conditional_autoencoder_refuses_what_is_missing(label, missing):
    cvae = Autoencoder(CVAE(2, Network("dense(4)")), **TINY)
    if missing:
        with pytest.raises(InputError, match="2 of these 6 have none"):
            cvae.fit(X, mixed(label))
    else:
        assert len(cvae.fit(X, mixed(label)).classes_) == 3


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(FeedForward(Trunk("dense(2)")), **TINY).fit(X, ["a", "b"] * 3)


@spelled
def test_score_leaves_out_what_is_missing(classifier, label, missing):
    predicted = classifier.predict(X).astype(object)
    predicted[0] = label
    assert classifier.score(X, list(predicted)) == (1 if missing else 5 / 6)


@written
def test_an_npz_of_texts(tmp_path, label, missing):
    np.savez(tmp_path / "a.npz", images=X, labels=np.array(["x", "y", label, "x", "y", label]))
    images = load_images(tmp_path / "a.npz")
    assert (images.labels[2] < 0) == missing
    assert images.classes == (("x", "y") if missing else tuple(sorted(["x", "y", label])))


@numbered
def test_an_npz_of_numbers(tmp_path, label, missing):
    np.savez(tmp_path / "a.npz", images=X, labels=np.array([5, 7, label, 5, 7, label]))
    assert (load_images(tmp_path / "a.npz").labels[2] < 0) == missing


@pytest.mark.parametrize("others", [("x", "y"), ("5", "7")])
@written
def test_a_csv(tmp_path, label, missing, others):
    if others == ("5", "7") and not (missing or label.removeprefix("-").isdigit()):
        pytest.skip("a text among numbers makes texts of all")
    labels = [*others, label, *others, label]
    rows = [",".join([name, *map(str, image.ravel())]) for name, image in zip(labels, X, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    images = load_images(tmp_path / "a.csv")
    assert (images.labels[2] < 0) == missing
    assert (images.labels[:2] >= 0).all()


@written
def test_a_file_of_labels(tmp_path, label, missing):
    images = ImageSet(X, np.full(6, -1), (), np.arange(6).astype(str), "X")
    lines = [f"{image},{name}" for image, name in enumerate(mixed(label))]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *lines]))
    read = read_labels(tmp_path / "labels.csv", images)
    assert (read.labels[2] < 0) == missing
    assert len(read.classes) == (2 if missing else 3)


@pytest.mark.parametrize(
    ("label", "missing"), [(label, missing) for label, missing in TEXTS if label.strip() and "/" not in label], ids=repr
)
def test_a_subfolder(tmp_path, label, missing):
    for name in ("x", "y", label):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name / "0.png")
    images = load_images(tmp_path)
    assert len(images) == 3
    assert sorted(images.classes) == (["x", "y"] if missing else sorted(["x", "y", label]))


@pytest.mark.parametrize(
    ("label", "missing"), [(label, missing) for label, missing in TEXTS if label.strip()], ids=repr
)
def test_what_is_typed_in_the_explorer(label, missing):
    if missing:
        with pytest.raises(InputError, match="means no label"):
            checked_label(label)
    else:
        assert checked_label(label) == label


def test_names_that_python_gives_for_no_label_are_counted(notes):
    encode_labels(["a", "b", "", -1, math.nan, None])
    assert notes() == "", "that is how a caller says that an image has no label"
    encode_labels(["a", "NA", "", "b", "NA", "null"])
    assert "y: 4 of 6 labels are missing: 2 'NA', 1 empty, 1 'null'" in notes()


def test_a_run_of_named_classes_knows_them_again(tmp_path):
    Classifier(FeedForward(Trunk("dense(2)")), **TINY).fit(X, mixed("nan")).save(tmp_path / "r")
    assert load(tmp_path / "r").classes_.tolist() == ["a", "b"]
