"""Files of codes that were made elsewhere: a row for every image, whatever the kind of file and its order."""

import numpy as np
import pytest

from latently.common.errors import InputError
from latently.data import ImageSet, read_codes

NAMES = np.array(["b/2.png", "a/1.png", "c.png"])
IMAGES = ImageSet(np.zeros((3, 4, 4), np.uint8), np.full(3, -1), (), NAMES, "the images")
CODES = np.float32([[0, 1], [2, 3], [4, 5]])


def test_rows_of_npy_are_in_the_order_of_the_images(tmp_path):
    np.save(tmp_path / "c.npy", CODES.astype(np.float64))
    codes = read_codes(tmp_path / "c.npy", IMAGES)
    assert codes.dtype == np.float32
    assert np.array_equal(codes, CODES)


def test_rows_of_npz_are_found_by_name(tmp_path):
    order = [2, 0, 1]
    np.savez(tmp_path / "c.npz", codes=CODES[order], labels=np.zeros((3, 1)), names=NAMES[order])
    assert np.array_equal(read_codes(tmp_path / "c.npz", IMAGES), CODES)


def test_the_only_table_of_an_npz_holds_the_codes(tmp_path):
    np.savez(tmp_path / "c.npz", whatever=CODES, labels=np.arange(3))
    assert np.array_equal(read_codes(tmp_path / "c.npz", IMAGES), CODES)


@pytest.mark.parametrize("kind", ["fixed lists", "lists", "columns", "folder", "index"])
def test_parquet_of_every_form(tmp_path, kind):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    fixed = pa.FixedSizeListArray.from_arrays(pa.array(CODES.ravel()), 2)
    tables = {
        "fixed lists": {"code": fixed},
        "lists": {"embedding": pa.array(CODES.tolist()), "other": pa.array([[1], [2], [3]])},
        "columns": {"name": NAMES.tolist(), "f0": CODES[:, 0], "f1": CODES[:, 1], "label": [1, 2, 3]},
        "folder": {"name": NAMES.tolist(), "code": fixed},
        "index": {"index": [2, 0, 1], "code": pa.array(CODES[[2, 0, 1]].tolist())},
    }
    table, path = pa.table(tables[kind]), tmp_path / "c.parquet"
    if kind == "folder":  # as `latently encode --ray` writes it
        path = tmp_path / "codes"
        path.mkdir()
        parquet.write_table(table.slice(1), path / "codes-00000-of-00002.parquet")
        parquet.write_table(table.slice(0, 1), path / "codes-00001-of-00002.parquet")
    else:
        parquet.write_table(table, path)
    assert np.array_equal(read_codes(path, IMAGES), CODES)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"codes": CODES[:2]}, "has 2 codes, but the images has 3 images; expected a row for every image"),
        ({"codes": CODES[:, 0]}, r"holds an array of shape \(3,\) and type float32; expected numbers \(n, d\)"),
        ({"codes": CODES * [1, np.nan]}, r"has NaN, infinite or too large numbers in 3 of its 3 rows"),
        ({"codes": CODES.astype(str)}, "expected numbers"),
        ({"codes": CODES.astype(complex)}, "expected numbers"),
        ({"codes": CODES, "names": NAMES[[0, 0, 1]]}, "has two rows of one name"),
        ({"codes": CODES, "names": np.array(["x", "b/2.png", "c.png"])}, "has no row named 'a/1.png'; 1 images"),
        ({"one": CODES, "other": CODES}, r"holds no array 'codes' \(its keys: one, other\)"),
        ({"codes": np.array([[{}], [{}], [{}]])}, "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, arrays, sentence):
    np.savez(tmp_path / "c.npz", **arrays)
    with pytest.raises(InputError, match=sentence):
        read_codes(tmp_path / "c.npz", IMAGES)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("c.npy", b"\x80\x04K\x01.", "is not a .npy array"),
        ("c.npz", b"hello", "is not a .npz archive"),
        ("c.npz", b"PK\x03\x04hello", "cannot be read as a .npz archive"),
        ("c.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("c.csv", b"1,2", "of no known kind; expected a .npy, .npz or .parquet file"),
        ("gone/c.npy", None, "does not exist"),
    ],
)
def test_files_of_other_kinds_are_refused(tmp_path, name, content, sentence):
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_codes(tmp_path / name, IMAGES)
