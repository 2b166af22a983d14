"""Labels that come apart from their images, and budgets that pay for their own validation."""

from dataclasses import replace

import numpy as np
import pytest

from latently import InputError
from latently.data import load, read_labels, within_budget
from latently.data.classes import class_indices, encode_labels, is_missing
from latently.data.imageset import ImageSet

IMAGES = ImageSet(
    np.zeros((4, 2, 2), np.uint8), np.array([0, 1, -1, -1]), ("x", "y"),
    np.array(["a/one.png", "a/two.png", "b/two.png", "three.png"]), "photos",
)  # fmt: skip


@pytest.fixture
def labels_of(tmp_path):
    def read(text: str) -> list[str]:
        path = tmp_path / "labels.csv"
        path.write_text(text)
        return read_labels(path, IMAGES).label_names.tolist()

    return read


@pytest.mark.parametrize(
    "text",
    [
        "a/one.png,cat\na/two.png,dog\n",
        "image,label\na/one.png,cat\na/two.png,dog\n\n",
        "0,cat\n1,dog\n",
        "one.png, cat\na/two.png,dog\nthree.png,\n",
        "file name,label\n0,cat\n1,dog\n",
        "photo,class\n0,cat\n1,dog\n",
        "0,cat\n1,dog\n2,-1\n3,nan\n",
        "image;label\na/one.png;cat\n ; \n1;dog\n",
        "0\tcat\n1\tdog\n",
        "\ufefffile,class\na/one.png,cat\na/one.png,cat\n1,dog\n",
    ],
    ids=[
        "names",
        "a header",
        "numbers",
        "short names and an empty label",
        "two words",
        "a label's word",
        "-1 and nan for no label",
        "semicolons and a line of nothing",
        "tabs",
        "byte order mark and a line twice",
    ],
)
@pytest.mark.filterwarnings("ignore:the class")
def test_labels_are_read(labels_of, text):
    assert labels_of(text) == ["cat", "dog", "", ""]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a/one.png,cat\nfour.png,dog\n", "line 2: there is no image 'four.png' in photos"),
        ("two.png,cat\n", "line 1: there is more than one image 'two.png' in photos; give its folder, too"),
        ("0,cat\n1,dog\n0,dog\n", "line 3: 0 is 'dog', but line 1 says 'cat'"),
        ("0,cat,sure\n", "line 1: 3 columns; expected two"),
        ("image,label\n", "holds no label"),
        ("0,\n1,\n", "holds no label"),
    ],
)
def test_labels_that_cannot_be_read_are_told(labels_of, text, sentence):
    with pytest.raises(InputError, match=sentence):
        labels_of(text)


@pytest.mark.filterwarnings("ignore:the class")
def test_whole_numbers_lose_the_point_that_a_table_gave_them(labels_of):
    """pandas writes 3 as 3.0 where a cell of the column is empty."""
    assert labels_of("0,3.0\n1,\n2,12.0\n") == ["3", "", "12", ""]
    assert labels_of("0,01\n1,1.5\n") == ["01", "1.5", "", ""]


@pytest.mark.filterwarnings("ignore:the class")
def test_an_accent_is_a_letter_however_it_is_written(tmp_path):
    disk = replace(IMAGES, names=np.array(["u\u0308ber.png", "b", "c", "d"]))
    (tmp_path / "l.csv").write_text("\u00fcber.png,cat\nb,dog\n")
    assert read_labels(tmp_path / "l.csv", disk).label_names.tolist() == ["cat", "dog", "", ""]


def test_a_class_with_a_single_label_is_told(labels_of):
    with pytest.warns(UserWarning, match="the class 'dog' has a single label"):
        labels_of("0,cat\n1,dog\n2,cat\n")


def test_a_budget_pays_for_its_own_validation():
    digits = load("digits")
    trains, chooses = within_budget(digits, 100, seed=0, choosing=True)
    assert (trains.labels >= 0).sum() + len(chooses) == 100
    assert len(chooses) == 20
    assert not set(trains.names) & set(chooses.names), "a label that spreads would reach them"
    assert len(trains) == len(digits) - 20
    trains, chooses = within_budget(digits, 100, seed=0, choosing=False)
    assert np.bincount(trains.labels[trains.labels >= 0]).tolist() == [10] * 10
    assert len(chooses) == 0
    assert len(trains) == len(digits), "unlabelled images stay"


@pytest.mark.parametrize("n", [12, 20, 33])
def test_every_class_keeps_labels_to_train_on(n):
    """Drawn at random, those that choose would take the only ones of a class."""
    digits = load("digits")
    for seed in range(20):
        trains, chooses = within_budget(digits, n, seed, choosing=True)
        counts = np.bincount(trains.labelled().labels, minlength=10)
        assert counts.min() >= 1
        assert counts.sum() + len(chooses) == n
        assert not set(trains.labelled().names) & set(chooses.names)
    with pytest.raises(InputError, match="of 11 labels 2 choose the epoch, and 9 cannot cover 10 classes"):
        within_budget(digits, 11, 0, choosing=True)


def test_a_list_keeps_what_it_mixes():
    """NumPy makes names of all: "-1" and "nan" would be classes."""
    classes, codes = encode_labels(["cat", "dog", -1, None, float("nan"), "", "cat"])
    assert classes.tolist() == ["cat", "dog"]
    assert codes.tolist() == [0, 1, -1, -1, -1, -1, 0]
    assert class_indices(["dog", -1, float("nan")], classes).tolist() == [1, -1, -1]
    classes, codes = encode_labels([3, 5, -1, 3])
    assert (classes.tolist(), codes.tolist()) == ([3, 5], [0, 1, -1, 0])


def test_a_class_goes_by_its_name_and_no_label_by_none():
    assert class_indices(["A", None, "None", ""], np.array(["A", "None"])).tolist() == [0, -1, 1, -1]
    assert class_indices(np.array([0.0, 1.0, np.nan]), np.array(["0", "1", "nan"])).tolist() == [0, 1, -1]
    assert class_indices(["0", "1", "2"], np.array([0.0, 1.0])).tolist() == [0, 1, -1]


def test_pandas_says_nothing_in_its_own_way():
    pandas = pytest.importorskip("pandas")
    assert is_missing(np.array(["a", pandas.NA, None], dtype=object)).tolist() == [False, True, True]
