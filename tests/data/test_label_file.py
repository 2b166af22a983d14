"""Labels that come apart from their images, and budgets that pay for their own validation."""

from dataclasses import replace
from pathlib import Path

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
        ("0,cat\n1,dog\n0,dog\n", "line 3: '0' is 'dog', but line 1 says 'cat'"),
        ("0,cat,sure\n", "line 1: 3 columns; expected two"),
        ("image,label\n", "holds no label"),
        ("0,\n1,\n", "holds no label"),
    ],
)
def test_labels_that_cannot_be_read_are_told(labels_of, text, sentence):
    with pytest.raises(InputError, match=sentence):
        labels_of(text)


def named(*names: str, source: str = "/x/photos") -> ImageSet:
    """Unlabelled images of these names."""
    return ImageSet(np.zeros((len(names), 2, 2), np.uint8), np.full(len(names), -1), (), np.array(names), source)


def labels_by(tmp_path: Path, images: ImageSet, content: str | bytes) -> dict[str, str]:
    """Image name -> label, of those that have one."""
    path = tmp_path / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    read = read_labels(path, images)
    return {name: label for name, label in zip(read.names.tolist(), read.label_names.tolist(), strict=True) if label}


PHOTOS = named("cats/One.PNG", "cats/two.v1.png", "dogs/two.png", "dogs/deep/three.png", "four.png")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("cats/One.PNG", "cats/One.PNG"), ("One.PNG", "cats/One.PNG"), ("One", "cats/One.PNG"),
        ("cats/One", "cats/One.PNG"), ("one.png", "cats/One.PNG"), ("CATS\\one", "cats/One.PNG"),
        ("cats\\One.PNG", "cats/One.PNG"), (".\\cats\\One.PNG", "cats/One.PNG"), ("./four.png", "four.png"),
        ("/x/photos/four.png", "four.png"), ("/X/Photos/FOUR.png", "four.png"), ("photos/four.png", "four.png"),
        ("./photos/cats/two.v1", "cats/two.v1.png"), ("two", "dogs/two.png"), ("two.v1", "cats/two.v1.png"),
        ("deep/three.png", "dogs/deep/three.png"), ("three", "dogs/deep/three.png"), ("x//photos/four", "four.png"),
        ("cats/../four.png", "four.png"), ("0", "cats/One.PNG"), ("4", "four.png"), (" four.png ", "four.png"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the class")
def test_an_image_goes_by_its_name_stem_path_or_position(tmp_path, word, name):
    assert labels_by(tmp_path, PHOTOS, f"image,label\n{word},cat\n") == {name: "cat"}


@pytest.mark.parametrize(
    "word",
    ["/y/photos/four.png", "birds/four.png", "four.jpg", "our.png", "5", "-1", "00", "dogs/four", "C:\\a\\four.png"],
)
def test_what_fits_no_image_is_quoted_beside_names(tmp_path, word):
    with pytest.raises(InputError, match="line 2: there is no image") as caught:
        labels_by(tmp_path, PHOTOS, f"image,label\n{word},cat\n")
    assert "'cats/One.PNG', 'dogs/two.png', 'four.png'" in str(caught.value)
    assert repr(f"{word},cat") in str(caught.value)


@pytest.mark.parametrize("word", ["a.png", "a", "A.PNG", "7", "dogs\\7"])
def test_what_fits_several_images_is_refused(tmp_path, word):
    images = named("cats/a.png", "dogs/a.png", "cats/7.png", "dogs/007.png", "dogs/7.jpg", "dogs/7.png", "x", "y", "z")
    with pytest.raises(InputError, match="more than one image"):
        labels_by(tmp_path, images, f"image,label\n{word},cat\n")


@pytest.mark.filterwarnings("ignore:the class")
def test_another_case_is_not_taken_where_two_images_differ_by_it(tmp_path):
    images = named("a.png", "A.png")
    assert labels_by(tmp_path, images, "a.png,cat\nA.png,dog\n") == {"a.png": "cat", "A.png": "dog"}
    with pytest.raises(InputError, match=r"more than one image 'a\.PNG'"):
        labels_by(tmp_path, images, "a.PNG,cat\n")


@pytest.mark.filterwarnings("ignore:the class")
def test_a_path_that_leads_out_of_the_folder_of_the_file(tmp_path, monkeypatch):
    images = named("a.png", "b.png", source=str(tmp_path / "photos"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    assert labels_by(tmp_path / "lists", images, "../photos/a.png,cat\n") == {"a.png": "cat"}
    with pytest.raises(InputError, match="no image"):
        labels_by(tmp_path / "lists", images, "../others/a.png,cat\n")


NUMBERED = named(*sorted(f"{i}.png" for i in range(1, 61)))  # 1.png, 10.png, 11.png ... 2.png


@pytest.mark.parametrize("n", [60, 20])
def test_numbers_that_are_stems_are_no_positions(tmp_path, notes, n):
    """Measured before: 54 of 60 labels on the wrong image."""
    text = "".join(f"{i},{'odd' if i % 2 else 'even'}\n" for i in range(1, n + 1))
    expected = {f"{i}.png": "odd" if i % 2 else "even" for i in range(1, n + 1)}
    assert labels_by(tmp_path, NUMBERED, text) == expected
    assert "1 is the image '1.png', and the image at position 1 is '10.png'; all numbers are taken for names" in notes()


@pytest.mark.parametrize("word", ["{}", "{:03}", "{:04}"])
def test_stems_keep_or_lose_their_zeros(tmp_path, notes, word):
    """A table drops the zeros of 001: 1 is 001.png, and not the image at position 1."""
    images = named(*(f"{i:03}.png" for i in range(1, 41)))
    text = "".join(f"{word.format(i)},{i % 2}\n" for i in range(1, 31))
    assert labels_by(tmp_path, images, text) == {f"{i:03}.png": str(i % 2) for i in range(1, 31)}
    assert ("taken for names" in notes()) == (word == "{}")


def test_positions_beside_stems_are_refused(tmp_path):
    text = "".join(f"{i},{i % 2}\n" for i in range(60))  # 0 is no stem: these are positions, or 60 lines of a mistake
    with pytest.raises(InputError, match="line 1 has 0, a position alone: give all images by their names"):
        labels_by(tmp_path, NUMBERED, text)


def test_positions_that_are_the_stems_too(tmp_path, notes):
    images = named(*(f"{i:02}.png" for i in range(40)))
    text = "".join(f"{i},{i % 2}\n" for i in range(40))
    assert labels_by(tmp_path, images, text) == {f"{i:02}.png": str(i % 2) for i in range(40)}
    arrays = named(*map(str, range(40)))
    assert labels_by(tmp_path, arrays, text) == {str(i): str(i % 2) for i in range(40)}
    assert notes() == ""


@pytest.mark.parametrize(
    "text",
    [
        "label,image\ncat,four.png\ndog,two\n",
        ",image,label\n0,four.png,cat\n1,two,dog\n",
        "id,filename,label\n0,four.png,cat\n1,two,dog\n",
        "file;y\nfour.png;cat\ntwo;dog\n",
        "sep=;\nfile;y\nfour.png;cat\ntwo;dog\n",
        "species\tpath\ncat\tfour.png\ndog\ttwo\n",
        "four.png,cat,\ntwo,dog,\n",
        '"image","label"\r\n"four.png","cat"\r\n"two","dog"\r\n',
        "image,label\rfour.png,cat\rtwo,dog\r",
        "animal,image\ncat,four.png\ndog,two\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.filterwarnings("ignore:the class")
def test_files_as_others_write_them(tmp_path, text, encoding):
    assert labels_by(tmp_path, PHOTOS, text.encode(encoding)) == {"four.png": "cat", "dogs/two.png": "dog"}


@pytest.mark.filterwarnings("ignore:the class")
def test_commas_in_names_beside_semicolons(tmp_path):
    images = named("a,b,c.png", "d,e.png")
    expected = {"a,b,c.png": "cat", "d,e.png": "dog"}
    assert labels_by(tmp_path, images, "a,b,c.png;cat\nd,e.png;dog\n") == expected
    assert labels_by(tmp_path, images, '"a,b,c.png",cat\n"d,e.png",dog\n') == expected


def test_a_line_that_is_no_text_is_shown(tmp_path):
    with pytest.raises(InputError, match=r"line 2 is not UTF-8: the line is 'two,ch\\xe2t'"):
        labels_by(tmp_path, PHOTOS, "four,cat\ntwo,chât\n".encode("latin-1"))


@pytest.mark.filterwarnings("ignore:the class")
def test_an_image_that_is_called_as_a_header(tmp_path, notes):
    images = named("image.png", "name.png", "four.png")
    assert labels_by(tmp_path, images, "image,cat\nname,dog\n") == {"image.png": "cat", "name.png": "dog"}
    assert "header" not in notes()
    assert labels_by(tmp_path, images, "animal,class\nfour,cat\nname,dog\n") == {"four.png": "cat", "name.png": "dog"}
    assert "line 1, 'animal,class', is taken for a header" in notes()
    with pytest.raises(InputError, match=r"line 1: there is no image 'five\.png'"):
        labels_by(tmp_path, images, "five.png,y\nfour,n\n")


@pytest.mark.filterwarnings("ignore:the class")
def test_missing_labels_are_counted(tmp_path, notes):
    labels_by(tmp_path, PHOTOS, "0,cat\n1,NA\n2,\n3,-1\n4,dog\n")
    assert "3 of 5 labels are missing: 1 empty, 1 '-1', 1 'NA'" in notes()


@pytest.mark.parametrize(
    ("labels", "classes"),
    [(["007", "07", "7"], {"007", "07", "7"}), (["1e3", "1000", "3"], {"1e3", "1000", "3"}),
     (["3.0", "3", "12"], {"3", "12"}), (["9007199254740993", "9007199254740992", "1"], None)],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the class")
def test_labels_keep_their_text(tmp_path, labels, classes):
    text = "".join(f"{image},{label}\n" for image, label in enumerate(labels))
    assert set(labels_by(tmp_path, PHOTOS, text).values()) == (classes or set(labels))


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
