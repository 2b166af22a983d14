"""Tables as other programs write them: each kind is written here, and read with the right labels and pixels."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas
import pytest

from latently.common.errors import InputError
from latently.data import ImageSet, load

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (6, 8, 8), dtype=np.uint8)
FLAT = GREY.reshape(6, 64)
DIGITS = np.array([7, 10, 7, 2, 10, 2])
ANIMALS = np.array(["cat", "dog", "cat", "ant", "dog", "ant"])
PIXEL_NAMES, NUMBERS = [f"pixel{i}" for i in range(64)], list(map(str, range(64)))
PLACES = [f"{i}x{j}" for i in range(8) for j in range(8)]


def as_read(tmp_path: Path, content: str | bytes, name: str = "a.csv") -> ImageSet:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(path)


def lines(rows, delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def labelled(labels, flat=FLAT) -> str:
    """Without a header, the label first."""
    return lines([label, *pixels] for label, pixels in zip(labels, flat.tolist(), strict=True))


def is_read(images: ImageSet, labels=None, pixels=GREY) -> bool:
    """Asserts pixels and labels, by name."""
    assert images.images.dtype == pixels.dtype
    assert np.array_equal(images.images, pixels), "the pixels are not those that were written"
    expected = [""] * len(pixels) if labels is None else list(map(str, labels))
    assert images.label_names.tolist() == expected
    return True


def frame(**columns) -> pandas.DataFrame:
    """Pixels under their numbers, and other columns by name."""
    return pandas.concat([pandas.DataFrame(FLAT), pandas.DataFrame(columns)], axis=1)


# Columns by their names


@pytest.mark.parametrize("name", ["label", "class", "target", "species", "y", "Label", " Class ", "labels"])
@pytest.mark.parametrize("place", [0, 30, 64], ids=["first", "in the middle", "last"])
@pytest.mark.parametrize("pixel_names", [PIXEL_NAMES, NUMBERS, PLACES], ids=["pixel0", "0", "0x0"])
def test_a_column_that_is_called_a_label_is_the_label_wherever_it_stands(tmp_path, notes, name, place, pixel_names):
    header = [*pixel_names[:place], name, *pixel_names[place:]]
    rows = [[*row[:place], label, *row[place:]] for row, label in zip(FLAT.tolist(), ANIMALS, strict=True)]
    assert is_read(as_read(tmp_path, lines([header, *rows])), ANIMALS)
    assert notes() == "", "a table that says what its columns are needs no note"


@pytest.mark.parametrize("name", ["id", "index", "file", "name", "filename", "ID", "path", "Unnamed: 0"])
@pytest.mark.parametrize("place", [0, 64])
def test_a_column_that_names_the_image_is_no_pixel_and_no_label(tmp_path, notes, name, place):
    table = pandas.DataFrame(FLAT, columns=PIXEL_NAMES)
    table.insert(place, name, range(100, 106))
    assert is_read(as_read(tmp_path, table.to_csv(index=False)))
    assert "no label" in notes(), "its images have no label, and that is said"
    table["label"] = DIGITS
    assert is_read(as_read(tmp_path, table.to_csv(index=False)), DIGITS)
    assert notes() == ""


def test_names_label_and_index_together(tmp_path, notes):
    table = frame(file=[f"{i}.png" for i in range(6)], species=ANIMALS, id=range(6))
    assert is_read(as_read(tmp_path, table.to_csv()), ANIMALS)
    assert "no name" not in notes(), "beside a label, an index needs no note"


def test_columns_that_are_called_otherwise_are_told(tmp_path, notes):
    table = pandas.DataFrame(FLAT, columns=PIXEL_NAMES)
    table["digit"] = DIGITS
    assert is_read(as_read(tmp_path, table.to_csv(index=False)), DIGITS)
    assert "'digit' is taken for the label" in notes()
    table["fold"] = [0, 1] * 3
    table = table.rename(columns={"digit": "label"})
    assert is_read(as_read(tmp_path, table.to_csv(index=False)), DIGITS)
    assert "'fold'" in notes()


def test_two_labels_are_not_chosen_between(tmp_path):
    with pytest.raises(InputError, match="'label' and 'class'"):
        as_read(tmp_path, frame(label=DIGITS, **{"class": ANIMALS}).to_csv(index=False))


def test_pixels_in_the_order_of_their_names_as_text(tmp_path, notes):
    """pixel1, pixel10, pixel11 ... pixel2: tools that sort columns scramble the images."""
    table = pandas.DataFrame(FLAT, columns=PIXEL_NAMES)
    table["label"] = DIGITS
    assert is_read(as_read(tmp_path, table[sorted(table)].to_csv(index=False)), DIGITS)
    assert "order" in notes()


# pandas' own headers


def test_pandas_with_its_index(tmp_path, notes):
    assert is_read(as_read(tmp_path, pandas.DataFrame(FLAT).to_csv()))
    assert "column without a name is taken for an index" in notes()
    shuffled = pandas.DataFrame(FLAT, index=[5, 3, 3, 9, 1, 0])
    assert is_read(as_read(tmp_path, shuffled.to_csv()))
    assert is_read(as_read(tmp_path, frame(label=DIGITS).to_csv()), DIGITS)


def test_pandas_without_its_index(tmp_path, notes):
    assert is_read(as_read(tmp_path, pandas.DataFrame(FLAT).to_csv(index=False)))
    assert "line 1 counts 0, 1, 2" in notes()
    assert is_read(as_read(tmp_path, frame(label=DIGITS).to_csv(index=False)), DIGITS)
    assert notes() == ""


def test_pandas_of_a_table_without_names(tmp_path, notes):
    """0..64, the label among them: it is the first, and a note says that this was not said."""
    table = pandas.DataFrame(np.column_stack([DIGITS, FLAT]))
    for with_index in (False, True):
        assert is_read(as_read(tmp_path, table.to_csv(index=with_index)), DIGITS)
        assert "first of 65 columns is taken for the label" in notes()


def test_an_image_that_pandas_took_for_names(tmp_path, notes):
    """Read with a header that was none, and written again: 0, 0, 0 came back as 0, 0.1, 0.2."""
    flat = FLAT // 64
    table = pandas.read_csv(io.StringIO(labelled(DIGITS, flat)))
    assert "0.1" in table.columns
    assert is_read(as_read(tmp_path, table.to_csv(index=False)), DIGITS, flat.reshape(6, 8, 8))
    assert "line 1" in notes()


def test_an_image_that_counts_is_no_header_where_the_next_one_counts_on(tmp_path):
    counting = np.arange(128).reshape(2, 64)
    assert is_read(as_read(tmp_path, lines(counting.tolist())), None, counting.astype(np.uint8).reshape(2, 8, 8))


def test_few_columns_that_count_are_a_header_from_0_as_pandas_counts(tmp_path, notes):
    tiny = np.array([[[9, 1], [0, 2]], [[3, 3], [1, 0]]], np.uint8)
    table = pandas.DataFrame(tiny.reshape(2, 4))
    assert is_read(as_read(tmp_path, table.to_csv(index=False)), None, tiny)
    assert "line 1 counts 0, 1, 2" in notes()
    assert is_read(as_read(tmp_path, table.to_csv()), None, tiny)
    counting = np.array([[[1, 2], [3, 4]], *tiny], np.uint8)
    assert is_read(as_read(tmp_path, lines(counting.reshape(3, 4).tolist())), None, counting)


def test_numpys_header(tmp_path):
    path = tmp_path / "a.csv"
    np.savetxt(path, np.column_stack([FLAT, DIGITS]), "%d", ",", header=",".join([*PIXEL_NAMES, "label"]))
    assert path.read_text().startswith("# pixel0")
    assert is_read(load(path), DIGITS)


# Without a header


def test_a_table_without_a_header_says_what_was_taken_for_what(tmp_path, notes):
    assert is_read(as_read(tmp_path, labelled(DIGITS)), DIGITS)
    assert "first of 65 columns is taken for the label" in notes()
    assert is_read(as_read(tmp_path, lines(FLAT.tolist())))
    assert notes() == "", "64 columns are pixels"


def test_names_say_where_the_label_is(tmp_path, notes):
    rows = [[*pixels, label] for label, pixels in zip(ANIMALS, FLAT.tolist(), strict=True)]
    assert is_read(as_read(tmp_path, lines(rows)), ANIMALS)
    assert is_read(as_read(tmp_path, labelled(ANIMALS)), ANIMALS)
    assert notes() == ""


def test_a_first_column_of_one_value_is_hardly_the_label(tmp_path):
    """The UCI digits: the label is last, and the first pixel is always 0."""
    flat = FLAT.copy()
    flat[:, 0] = 0
    rows = [[*pixels, label] for label, pixels in zip(DIGITS, flat.tolist(), strict=True)]
    with pytest.raises(InputError, match=r"first of 65 columns is '0' in every line.*header"):
        as_read(tmp_path, lines(rows))
    rows = [[*PIXEL_NAMES, "label"], *rows]
    assert is_read(as_read(tmp_path, lines(rows)), DIGITS, flat.reshape(6, 8, 8))


def test_a_delimiter_at_the_end_is_no_column_of_pixels(tmp_path, notes):
    assert is_read(as_read(tmp_path, lines([*row, ""] for row in FLAT.tolist())))
    rows = [[*row, ""] for row in [PIXEL_NAMES, *FLAT.tolist()]]
    assert is_read(as_read(tmp_path, lines(rows)))


# Labels keep their text


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["007", "07", "7"] * 2, ("007", "07", "7")),
        (["1e3", "1000", "10"] * 2, ("10", "1000", "1e3")),
        (["9007199254740993", "9007199254740992", "9007199254740994"] * 2,
         ("9007199254740992", "9007199254740993", "9007199254740994")),
        (["3.0", "3", "12"] * 2, ("3", "12")),
        (["3.0", "12.0", ""] * 2, ("3", "12")),
        (["0.5", "1.0", "1.5"] * 2, ("0.5", "1.0", "1.5")),
        (["3.0", "cat", "3"] * 2, ("3", "3.0", "cat")),
        (["0x10", "1_0", "10"] * 2, ("0x10", "10", "1_0")),
        (["inf", "1e400", "1"] * 2, ("1", "1e400", "inf")),
        (["True", "False", "yes"] * 2, ("False", "True", "yes")),
        (["2024-01-02", "2024-02-01", "1/2"] * 2, ("1/2", "2024-01-02", "2024-02-01")),
        (["+1", "1", "0"] * 2, ("0", "+1", "1")),
        (["日本", "é", "e"] * 2, ("e", "é", "日本")),
    ],
    ids=lambda value: ",".join(value),
)  # fmt: skip
def test_labels_keep_their_text(tmp_path, labels, classes):
    images = as_read(tmp_path, lines([["label", *PIXEL_NAMES], *csv.reader(labelled(labels).splitlines())]))
    assert set(images.classes) == set(classes)
    whole = [label.removesuffix(".0") for label in labels] if "3" in classes and "cat" not in classes else labels
    assert images.label_names.tolist() == whole


def test_numbered_classes_stand_in_the_order_of_numbers(tmp_path):
    images = as_read(tmp_path, labelled(["10", "9", "2"] * 2))
    assert images.classes == ("2", "9", "10")


def test_labels_of_an_npz_keep_their_value(tmp_path):
    def classes_of(labels) -> tuple[str, ...]:
        np.savez(tmp_path / "a.npz", images=GREY[:3], labels=labels)
        images = load(tmp_path / "a.npz")
        assert len(set(images.labels.tolist())) == 3
        return images.classes

    assert classes_of(np.array([2**53 + 1, 2**53, 2**53 + 2])) == tuple(str(2**53 + i) for i in range(3))
    assert classes_of(np.array([2**64 - 1, 2**64 - 2, 0], np.uint64)) == ("0", str(2**64 - 2), str(2**64 - 1))
    assert classes_of(np.array([1e300, 2e300, 1.0])) == ("1", str(int(1e300)), str(int(2e300)))
    assert classes_of(np.array(["007", "07", "7"])) == ("007", "07", "7")
    assert set(classes_of(np.array(["1e3", "1000", "10"]))) == {"10", "1000", "1e3"}
    assert len(classes_of(np.array([b"\xff", b"\xfe", b"a"]))) == 3, "bytes that are no UTF-8 became one class"


@pytest.mark.parametrize("key", ["label", "y", "target", "class", "species"])
def test_labels_of_an_npz_by_any_name(tmp_path, key):
    np.savez(tmp_path / "a.npz", images=GREY, **{key: DIGITS})
    assert is_read(load(tmp_path / "a.npz"), DIGITS)
    np.savez(tmp_path / "b.npz", images=GREY, labels=ANIMALS, **{key: DIGITS})
    assert is_read(load(tmp_path / "b.npz"), ANIMALS), "the array that is called labels comes first"


def test_two_labels_of_an_npz_are_not_chosen_between(tmp_path):
    np.savez(tmp_path / "a.npz", images=GREY, y=DIGITS, target=ANIMALS)
    with pytest.raises(InputError, match="'target' and 'y'"):
        load(tmp_path / "a.npz")


# Missing labels


def test_missing_labels_are_counted(tmp_path, notes):
    labels = ["cat", "NA", "", "-1", "null", "dog"]
    images = as_read(tmp_path, labelled(labels))
    assert images.label_names.tolist() == ["cat", "", "", "", "", "dog"]
    assert "4 of 6 labels are missing: 1 empty, 1 '-1', 1 'NA', 1 'null'" in notes()
    np.savez(tmp_path / "a.npz", images=GREY, labels=np.array([1, -1, 0, -1, 0, 1]))
    load(tmp_path / "a.npz")
    assert "2 of 6 labels are missing: 2 '-1'" in notes()
    np.savez(tmp_path / "a.npz", images=GREY, labels=np.array([1, np.nan, 0, 1, 0, 1]))
    load(tmp_path / "a.npz")
    assert "1 of 6 labels is missing: 1 'nan'" in notes()
    np.savez(tmp_path / "a.npz", images=GREY, labels=DIGITS)
    load(tmp_path / "a.npz")
    assert notes() == ""


def test_what_pandas_writes_for_missing_labels(tmp_path):
    for labels in (["cat", None, "dog"] * 2, ["cat", pandas.NA, "dog"] * 2, ["cat", float("nan"), "dog"] * 2):
        images = as_read(tmp_path, frame(label=labels).to_csv(index=False))
        assert is_read(images, ["cat", "", "dog"] * 2)
    images = as_read(tmp_path, frame(label=[3, None, 12] * 2).to_csv(index=False))
    assert is_read(images, ["3", "", "12"] * 2)
    images = as_read(tmp_path, frame(label=["cat", None, "dog"] * 2).to_csv(index=False, na_rep="NULL"))
    assert is_read(images, ["cat", "", "dog"] * 2)


# Delimiters, decimal commas, encodings, line ends


TABLE = frame(label=ANIMALS)
FRACTIONS = pandas.concat([pandas.DataFrame(FLAT / 512).round(4), pandas.DataFrame({"label": ANIMALS})], axis=1)
REAL = (FLAT / 512).round(4).astype(np.float32).reshape(6, 8, 8)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", [True, False])
def test_delimiters_and_decimal_commas(tmp_path, notes, delimiter, header):
    assert is_read(as_read(tmp_path, TABLE.to_csv(sep=delimiter, index=False, header=header)), ANIMALS)
    notes()
    images = as_read(tmp_path, FRACTIONS.to_csv(sep=delimiter, decimal=",", index=False, header=header))
    assert is_read(images, ANIMALS, REAL)
    assert "decimal comma" in notes()
    images = as_read(tmp_path, FRACTIONS.to_csv(sep=delimiter, index=False, header=header))
    assert is_read(images, ANIMALS, REAL)
    assert "decimal comma" not in notes()


def test_labels_with_decimal_commas_are_numbers_as_the_pixels_are(tmp_path):
    table = FRACTIONS.assign(label=[3.0, 12.0, np.nan] * 2)
    images = as_read(tmp_path, table.to_csv(sep=";", decimal=",", index=False))
    assert is_read(images, ["3", "12", ""] * 2, REAL)


def test_what_is_no_number_is_shown(tmp_path):
    rows = FLAT.tolist()
    rows[3][5] = "1.234,5"
    with pytest.raises(InputError, match=r"line 4, has '1\.234,5' as pixel 5.*the line is '"):
        as_read(tmp_path, lines(rows, ";"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, notes, encoding, end):
    labels = ["chât", "犬", "chât", "ant", "犬", "ant"]
    text = TABLE.assign(label=labels).to_csv(index=False, lineterminator=end)
    assert is_read(as_read(tmp_path, text.encode(encoding)), labels)
    assert notes() == ""


def test_utf_16_with_its_byte_order_mark_either_way(tmp_path):
    text = TABLE.to_csv(index=False)
    assert is_read(as_read(tmp_path, b"\xff\xfe" + text.encode("utf-16-le")), ANIMALS)
    assert is_read(as_read(tmp_path, b"\xfe\xff" + text.encode("utf-16-be")), ANIMALS)


def test_other_encodings_are_refused_with_the_line(tmp_path):
    labels = ["cat", "chât", *ANIMALS[2:]]
    with pytest.raises(InputError, match=r"line 2 .*'ch\\xe2t,.*UTF-8"):
        as_read(tmp_path, labelled(labels).encode("latin-1"))
    with pytest.raises(InputError, match="no text"):
        as_read(tmp_path, b"\x00\x01\x02\x00" * 50)
    with pytest.raises(InputError, match="UTF-16"):
        as_read(tmp_path, TABLE.to_csv().encode("utf-16")[:-1])


def test_excels_line_that_names_the_delimiter(tmp_path):
    assert is_read(as_read(tmp_path, "sep=;\r\n" + TABLE.to_csv(sep=";", index=False)), ANIMALS)


def test_quotes(tmp_path):
    labels = ['say "x"', "a,b", "c;d", "", "e", "f"]
    rows = [["label", *PIXEL_NAMES], *([label, *row] for label, row in zip(labels, FLAT.tolist(), strict=True))]
    for place in (0, 64):
        moved = [[*row[1 : place + 1], row[0], *row[place + 1 :]] for row in rows]
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC):
            text = io.StringIO()
            csv.writer(text, quoting=quoting, lineterminator="\n").writerows(moved)
            assert is_read(as_read(tmp_path, text.getvalue()), labels)


def test_a_line_of_another_length_is_shown(tmp_path):
    for rows in ([*FLAT.tolist(), [1, 2, 3]], [*FLAT.tolist(), [*range(65)]]):
        with pytest.raises(InputError, match=r"line 7, has \d+ columns; expected 64 .*the line is '\d,"):
            as_read(tmp_path, lines(rows))


def test_columns_that_are_no_square_show_the_way_out(tmp_path):
    rows = [[f"{i}.png", label, *row] for i, (label, row) in enumerate(zip(DIGITS, FLAT.tolist(), strict=True))]
    with pytest.raises(InputError, match=r"66 columns.*header"):
        as_read(tmp_path, lines(rows))
    assert is_read(as_read(tmp_path, lines([["file", "label", *PIXEL_NAMES], *rows])), DIGITS)
