"""The data room: every source becomes one ImageSet, bad input gets one sentence, splits and budgets keep their word."""

import gzip
import io
import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latently.common.errors import DataNote, InputError
from latently.data import NAMED, ImageSet, Preparation, Split, arrays, label_budget, load, split
from latently.data.download import ARCHIVES, cache_folder
from latently.data.imageset import UNLABELLED
from latently.data.preparation import AS_THEY_ARE

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8, 8), dtype=np.uint8)  # six small images to write in every format


@pytest.fixture(scope="module")
def mnist() -> ImageSet:
    if not all((cache_folder() / "mnist" / archive).exists() for archive in ARCHIVES):
        pytest.skip("no MNIST in the cache: set LATENTLY_DATA to a folder with mnist/*.gz")
    return load("mnist")


def sentence(source: object, *parts: str, preparation: Preparation | None = None) -> None:
    """`load(source)` must fail with one sentence that holds every part."""
    with pytest.raises(InputError) as caught:
        load(source, preparation)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text, f"the message is not one sentence: {text!r}"
    for part in parts:
        assert part in text, f"{part!r} is missing in: {text}"


# Named sources


def test_digits_are_embedded_and_use_the_whole_range_of_uint8():
    data = load("digits")
    assert data.images.shape == (1797, 8, 8), "digits have another shape than scikit-learn's"
    assert data.images.dtype == np.uint8
    assert data.images.max() == 255, "16, the brightest value, must become 255"
    assert set(np.unique(data.images)) == {round(v * 255 / 16) for v in range(17)}, "values are not round(x * 255 / 16)"
    assert (data.n_train, data.source, data.classes) == (None, "digits", tuple("0123456789"))


def test_mnist_is_the_real_one_in_its_own_order(mnist):
    assert mnist.images.shape == (70_000, 28, 28)
    assert mnist.n_train == 60_000
    assert mnist.labels[:5].tolist() == [5, 0, 4, 1, 9], "the first training digits of MNIST are 5 0 4 1 9"
    assert mnist.labels[60_000:60_005].tolist() == [7, 2, 1, 0, 4], "the first test digits of MNIST are 7 2 1 0 4"
    assert mnist.images[:60_000].mean() / 255 == pytest.approx(0.1307, abs=1e-4), "MNIST's mean pixel is 0.1307"


@pytest.mark.parametrize(
    ("name", "hint"), [("mnits", "mnist"), ("Fashion_MNIST", "fashion-mnist"), ("", "digits"), ("~nobody/x", "digits")]
)
def test_an_unknown_name_gets_the_known_ones(name, hint):
    sentence(name, repr(name), hint, *NAMED, ".npz", "folder")


def test_importing_the_room_imports_nothing_slow():
    code = "import sys, latently.data; print([m for m in ('torch', 'sklearn', 'PIL', 'pooch') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert shown.stdout.strip() == "[]", f"`import latently.data` imported {shown.stdout.strip()}"


# Arrays


def save_npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def save_npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize(
    ("array", "shape", "dtype"),
    [
        (GREY, (6, 8, 8), "u1"),
        (GREY[..., None], (6, 8, 8), "u1"),
        (GREY.reshape(6, 64), (6, 8, 8), "u1"),
        (GREY.astype(np.int64), (6, 8, 8), "u1"),
        (GREY > 9, (6, 8, 8), "u1"),
        (GREY / 7 - 3, (6, 8, 8), "f4"),
        (GREY.astype(">f8"), (6, 8, 8), "f4"),
        (np.stack([GREY] * 4, axis=-1), (6, 8, 8, 4), "u1"),
    ],
)
def test_npy_shapes_and_types(tmp_path, array, shape, dtype):
    data = load(save_npy(tmp_path / "a.npy", array))
    assert (data.images.shape, data.images.dtype) == (shape, np.dtype(dtype))
    expected = array * 255 if array.dtype == bool else array.astype(dtype)
    assert np.array_equal(data.images.ravel(), expected.ravel()), "the pixels changed on the way"
    assert (data.labels == UNLABELLED).all()
    assert data.classes == ()
    assert data.source == str(tmp_path / "a.npy")


def test_a_gzipped_npy_is_read(tmp_path):
    plain = save_npy(tmp_path / "a.npy", GREY)
    (tmp_path / "b.npy.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert np.array_equal(load(tmp_path / "b.npy.gz").images, GREY)


@pytest.mark.parametrize(
    ("labels", "codes", "classes"),
    [
        ([10, 9, -1, 9, 2, 10], [2, 1, -1, 1, 0, 2], ("2", "9", "10")),
        (["10", "9", "", "9", "2", "-1"], [2, 1, -1, 1, 0, -1], ("2", "9", "10")),
        (["cat", "ant", "", "ant", "é", "cat"], [1, 0, -1, 0, 2, 1], ("ant", "cat", "é")),
        ([1.0, np.nan, 0.0, 1.0, 1.0, 0.0], [1, -1, 0, 1, 1, 0], ("0", "1")),
    ],
)
def test_labels_become_indices_into_sorted_classes(tmp_path, labels, codes, classes):
    data = load(save_npz(tmp_path / "a.npz", images=GREY, labels=np.array(labels)))
    assert data.labels.tolist() == codes
    assert data.labels.dtype == np.int64
    assert data.classes == classes


NAN = np.where(np.arange(6)[:, None, None] == 4, np.nan, GREY / 255)


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ({"x": GREY, "y": GREY}, ["no array named 'images'", "x, y"]),
        ({"images": NAN}, ["64 NaN or infinite", "image 4"]),
        ({"images": NAN * 1e300}, ["NaN or infinite"]),
        ({"images": GREY.astype(complex)}, ["complex128", "expected"]),
        ({"images": GREY.astype(str)}, ["<U", "expected"]),
        ({"images": GREY.astype(object)}, ["Object arrays"]),
        ({"images": GREY.astype(int) * 3}, ["from 0 to", "0..255"]),
        ({"images": GREY.astype(int) - 300}, ["0..255"]),
        ({"images": GREY[:0]}, ["no images"]),
        ({"images": GREY.ravel()}, ["(N, H, W)"]),
        ({"images": GREY.reshape(12, 32)}, ["32 values", "no square"]),
        ({"images": np.zeros((5, 3, 8, 8))}, ["(5, 3, 8, 8)", "transpose it to (N, H, W, C)"]),
        ({"images": np.zeros((5, 8, 8, 7))}, ["C must be 1..4"]),
        ({"images": GREY, "labels": np.arange(5)}, ["6 images", "(5,)"]),
        ({"images": GREY, "labels": np.eye(6)}, ["(6, 6)", "one label per image"]),
        ({"images": GREY, "labels": np.arange(6) / 4}, ["fractions"]),
        ({"images": GREY, "labels": np.array(list("abcdef"), dtype=object)}, ["Object arrays"]),
    ],
)
def test_bad_arrays_get_a_sentence(tmp_path, arrays, parts):
    sentence(save_npz(tmp_path / "bad.npz", **arrays), "bad.npz", *parts)


def test_damaged_numpy_files_get_a_sentence(tmp_path):
    whole = save_npy(tmp_path / "a.npy", GREY).read_bytes()
    zipped = save_npz(tmp_path / "a.npz", images=GREY).read_bytes()
    lying = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        lying, {"descr": "|u1", "fortran_order": False, "shape": (10**8, 10**5, 10**5)}
    )
    for name, content in {
        "short.npy": whole[:-9],
        "lying.npy": lying.getvalue() + whole[-384:],
        "pickle.npy": b"\x80\x04\x95crafted",
        "empty.npy": b"",
        "text.npz": b"hello",
        "short.npz": zipped[:-40],
        "rotten.npz": zipped[:300] + b"\xff" * 20 + zipped[320:],
    }.items():
        (tmp_path / name).write_bytes(content)
        sentence(tmp_path / name, name)


# CSV


def write_csv(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


PIXELS = [",".join(map(str, row)) for row in GREY.reshape(6, 64).tolist()]
LABELS = ["7", "10", "", "7", "-1", "10"]


@pytest.mark.parametrize("header", ["label," + ",".join(f"p{i}" for i in range(64)), "label," + PIXELS[0], None])
def test_csv_with_labels_and_any_header(tmp_path, header):
    if header == "label," + PIXELS[0]:  # pandas names its columns 0, 1, 2 ...
        header = "label," + ",".join(map(str, range(64)))
    rows = [f"{label},{pixels}" for label, pixels in zip(LABELS, PIXELS, strict=True)]
    data = load(write_csv(tmp_path / "a.csv", [header, *rows] if header else rows))
    assert np.array_equal(data.images, GREY)
    assert data.images.dtype == np.uint8
    assert data.classes == ("7", "10")
    assert data.labels.tolist() == [0, 1, -1, 0, -1, 1]


def test_csv_text_labels_quotes_delimiters_and_gzip(tmp_path):
    rows = [f'"cat; old";{PIXELS[0]}', f"ant;{PIXELS[1]}"]
    text = "\r\n".join(row.replace(",", ";") for row in rows)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    data = load(tmp_path / "a.csv.gz")
    assert data.classes == ("ant", "cat; old")
    assert np.array_equal(data.images, GREY[:2])


def test_csv_fractions_make_float32_and_whole_floats_do_not(tmp_path):
    flat = GREY.reshape(6, 64)
    np.savetxt(tmp_path / "whole.csv", flat, delimiter=",")  # writes 1.800000000000000000e+01
    np.savetxt(tmp_path / "parts.csv", flat / 255, delimiter=",")
    assert load(tmp_path / "whole.csv").images.dtype == np.uint8
    assert np.array_equal(load(tmp_path / "whole.csv").images, GREY)
    data = load(tmp_path / "parts.csv")
    assert data.images.dtype == np.float32
    assert np.allclose(data.images, GREY / 255)


def test_csv_first_image_that_counts_upwards_is_no_header(tmp_path):
    np.savetxt(tmp_path / "a.csv", np.arange(128).reshape(2, 64), "%d", delimiter=",")
    assert load(tmp_path / "a.csv").images.shape == (2, 8, 8), "an image of ascending grey was taken for a header"


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([*PIXELS, PIXELS[0] + ",3"], ["line 7", "65 columns", "expected 64"]),
        ([*PIXELS[:3], PIXELS[3][: PIXELS[3].rindex(",")]], ["line 4", "63 columns"]),
        ([*PIXELS, PIXELS[0].replace(",", ",x", 1)], ["line 7", "as pixel 1", "expected a number"]),
        (["5,0,x,0,0"], ["line 1", "'x'", "expected a number"]),
        (["1,2,3"], ["3 columns", "square"]),
        ([",".join(["nan"] * 64), *PIXELS], ["NaN or infinite", "image 0"]),
        ([",".join(["700"] * 64), *PIXELS], ["0..255"]),
        ([""], ["empty"]),
        (["label,a,b,c,d"], ["header and no images"]),
    ],
)
def test_bad_csv_gets_a_sentence_with_the_line(tmp_path, rows, parts):
    sentence(write_csv(tmp_path / "bad.csv", rows), "bad.csv", *parts)


# IDX


def idx(array: np.ndarray, shape: tuple[int, ...] | None = None) -> bytes:
    code = {"u1": 8, "i4": 0x0C, "f4": 0x0D}[array.dtype.str[1:]]
    shape = shape or array.shape
    return (
        struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_with_the_labels_beside_it(tmp_path, zipped):
    pack = gzip.compress if zipped else bytes
    ending = ".gz" if zipped else ""
    (tmp_path / f"train-images-idx3-ubyte{ending}").write_bytes(pack(idx(GREY)))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([3, 1, 1, 3, 9, 1], np.uint8))))
    data = load(tmp_path / f"train-images-idx3-ubyte{ending}")
    assert np.array_equal(data.images, GREY)
    assert data.classes == ("1", "3", "9")
    assert data.labels.tolist() == [1, 0, 0, 1, 2, 0]
    sentence(tmp_path / "train-labels-idx1-ubyte.gz", "labels", "images-idx3")


def test_idx_of_big_endian_floats(tmp_path):
    (tmp_path / "faces").write_bytes(idx((GREY / 255).astype(np.float32)))
    data = load(tmp_path / "faces")
    assert np.allclose(data.images, GREY / 255)
    assert data.images.dtype == np.dtype("f4")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (idx(GREY)[:-1], ["383", "384", "6x8x8"]),
        (idx(GREY) + b"\0", ["more follow"]),
        (idx(GREY, (4_000_000_000, 60_000, 60_000)), ["4000000000x60000x60000", "384 follow"]),
        (idx(GREY, (0, 8, 8))[:16], ["no images"]),
        (idx(GREY)[:9], ["ends inside"]),
        (b"\x93\0\x08\x03" + idx(GREY)[4:], ["93 00 08 03"]),
        (b"", ["damaged"]),
        (gzip.compress(idx(GREY))[:-20], ["IDX", "ended before"]),
        (gzip.compress(idx(GREY))[:60] + b"rotten" + gzip.compress(idx(GREY))[66:], ["IDX"]),
        (gzip.compress(idx(GREY))[:-8] + b"\0" * 8, ["CRC"]),
    ],
)
def test_bad_idx_gets_a_sentence(tmp_path, content, parts):
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(content)
    sentence(tmp_path / "images-idx3-ubyte.gz", "images-idx3-ubyte.gz", *parts)


def test_a_file_of_no_known_kind(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    sentence(tmp_path / "a.txt", "a.txt", ".npy", "IDX")


# Folders


def save(path: Path, array: np.ndarray, mode: str | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)  # type: ignore[arg-type]
    return path


def test_folder_classes_order_and_what_is_ignored(tmp_path):
    for i, name in enumerate(
        ["dog/deep/er/1.PNG", "cat/2.png", "cat/1.pgm", "loose.bmp", "dog/0.tiff", ".cache/a.png"]
    ):
        save(tmp_path / name, GREY[i])
    (tmp_path / "cat" / ".hidden.png").write_text("not an image")
    (tmp_path / "readme.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    data = load(tmp_path)
    assert data.names.tolist() == ["cat/1.pgm", "cat/2.png", "dog/0.tiff", "dog/deep/er/1.PNG", "loose.bmp"]
    assert data.classes == ("cat", "dog")
    assert data.labels.tolist() == [0, 0, 1, 1, UNLABELLED]
    assert np.array_equal(data.images, GREY[[2, 1, 4, 0, 3]]), "images and names are in different orders"


RGB = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
RGBA = np.concatenate([RGB, RNG.choice([0, 51, 255], (8, 8, 1)).astype(np.uint8)], axis=2)
WIDE = RNG.integers(0, 65536, (8, 8), dtype=np.uint16)
TILTED = Image.Exif()
TILTED[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright


@pytest.mark.parametrize(
    ("file", "array", "mode", "options", "expected"),
    [
        ("grey.png", GREY[0], None, {}, GREY[0]),
        ("bits.png", (GREY[0] > 127).astype(np.uint8) * 255, "1", {}, (GREY[0] > 127) * 255),
        ("colour.png", RGB, None, {}, RGB),
        ("alpha.png", RGBA, None, {}, np.rint(RGB * (RGBA[..., 3:] / 255))),
        ("grey-alpha.png", RGBA[..., 2:], None, {}, np.rint(RGB[..., 2] * (RGBA[..., 3] / 255))),
        ("grey-key.png", GREY[0] | 1, None, {"transparency": int(GREY[0, 0, 0] | 1)}, None),
        ("palette.png", RGB // 64 * 64, "P", {}, None),
        ("grey-palette.gif", GREY[0], "P", {}, GREY[0]),
        ("deep.png", WIDE, None, {}, np.rint(WIDE / 257)),
        ("deep.tiff", WIDE, None, {}, np.rint(WIDE / 257)),
        ("deep.pgm", WIDE, None, {}, np.rint(WIDE / 257)),
        ("print.tif", RGB, "CMYK", {}, RGB),
        ("tilted.png", GREY[0], None, {"exif": TILTED}, np.rot90(GREY[0], -1)),
        ("lossless.webp", RGB, None, {"lossless": True}, RGB),
    ],
)
def test_every_kind_of_image_file(tmp_path, file, array, mode, options, expected):
    save(tmp_path / file, array, mode, **options)
    image = load(tmp_path).images[0]
    assert image.dtype == np.uint8
    if file == "grey-key.png":
        expected = np.where(array == array[0, 0], 0, array)  # the transparent grey becomes black
    if file == "palette.png":
        expected = np.asarray(Image.open(tmp_path / file).convert("RGB"))
    assert image.shape == expected.shape, f"{file}: grey and colour were mixed up"
    assert np.array_equal(image, expected), f"{file}: pixels changed by {np.abs(image - expected).max()}"


def test_the_odd_file_and_the_flag_that_helps_are_named(tmp_path):
    for i in range(3):
        save(tmp_path / f"a/{i}.png", GREY[i])
    save(tmp_path / "b/odd.png", GREY[0, :, :6])
    sentence(tmp_path, "odd.png", "8x6", "8x8", "--image-size 8 8", preparation=AS_THEY_ARE)
    assert load(tmp_path, Preparation(image_size=(8, 8))).images.shape == (4, 8, 8), "the flag it names does not help"
    save(tmp_path / "b/odd.png", RGB)
    sentence(tmp_path, "odd.png", "colour", "grey", "--channels 1", preparation=AS_THEY_ARE)
    assert load(tmp_path, Preparation(channels=1)).images.shape == (4, 8, 8)
    assert load(tmp_path, Preparation(channels=3)).images.shape == (4, 8, 8, 3)


def test_damaged_images_are_named(tmp_path):
    whole = save(tmp_path / "good.png", GREY[0]).read_bytes()
    for content in (whole[: len(whole) // 2], whole[:30], b"hello, I am text", b"", b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        (tmp_path / "rotten.png").write_bytes(content)
        sentence(tmp_path, "rotten.png", "cannot be read as an image")


def test_a_picture_of_floats_is_sent_to_npy(tmp_path):
    save(tmp_path / "floats.tiff", GREY[0].astype(np.float32))
    sentence(tmp_path, "floats.tiff", ".npy")


def test_an_empty_folder_and_one_that_cannot_fit(tmp_path, monkeypatch):
    sentence(tmp_path, str(tmp_path), "no image", ".png")
    (tmp_path / "notes.txt").write_text("x")
    sentence(tmp_path, "no image")
    for i in range(3):
        save(tmp_path / f"{i}.png", GREY[i])
    monkeypatch.setattr("latently.data.reading.available_memory", lambda: 3 * 64 - 1)
    sentence(tmp_path, "3 images of 8x8", "memory", "--image-size")
    monkeypatch.setattr("latently.data.reading.available_memory", lambda: 3 * 64)
    assert len(load(tmp_path)) == 3


def test_many_files_decode_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("latently.data.reading.FILES_AT_ONCE", 3)
    for i in range(40):
        save(tmp_path / f"{i:02}.png", np.full((4, 4), i, np.uint8))
    assert load(tmp_path).images[:, 0, 0].tolist() == list(range(40)), "threads put images into each other's places"


# Preparation


def test_preparation_sizes_and_channels():
    colour = np.stack([GREY, GREY // 2, GREY // 3], axis=-1)
    luma = Image.fromarray(colour[0]).convert("L")
    grey = Preparation(channels=1).apply(colour)
    assert np.abs(grey[0].astype(int) - np.asarray(luma)).max() <= 1, "grey is not the BT.601 luma"
    assert Preparation(channels=3).apply(GREY).shape == (6, 8, 8, 3)
    assert Preparation((5, 9)).apply(colour).shape == (6, 5, 9, 3)
    assert np.array_equal(Preparation((8, 8), 3).apply(colour), colour), "images that fit already must not change"
    assert Preparation().apply(GREY) is GREY


def test_preparing_floats_keeps_type_range_and_mean():
    smaller = Preparation((4, 4)).apply((GREY > 127).astype(np.float32))
    assert smaller.dtype == np.float32
    assert smaller.min() >= 0, "bicubic overshoot left [0, 1]"
    assert smaller.max() <= 1, "bicubic overshoot left [0, 1]"
    assert smaller.mean() == pytest.approx((GREY > 127).mean(), abs=0.03), "resizing is not antialiased"
    opaque = Preparation(channels=1).apply(np.full((1, 2, 2, 4), 0.5, np.float32))
    assert np.allclose(opaque, 0.25), "half-transparent grey 0.5 over black is 0.25"


def test_arrays_and_files_are_prepared_alike(tmp_path):
    for i, image in enumerate(GREY):
        save(tmp_path / "files" / f"{i}.png", image)
    preparation = Preparation((5, 7), 3)
    array = save_npy(tmp_path / "a.npy", GREY)
    assert np.array_equal(load(tmp_path / "files", preparation).images, load(array, preparation).images)


@pytest.mark.parametrize(
    "preparation", [AS_THEY_ARE, Preparation(), Preparation((28, 20), 1), Preparation((9, 9), 3, "crop")]
)
def test_preparation_survives_json(preparation):
    assert Preparation.from_json(preparation.to_json()) == preparation


def test_a_preparation_of_an_older_version_has_no_fit():
    """It refused images that differ, and stretched them where it was given a size."""
    for size, fit in ((None, "none"), ([8, 6], "stretch")):
        then = {"image_size": size, "channels": None}
        assert Preparation.from_json(then).fit == fit
        assert Preparation.from_json(then).to_json() == then


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [(((0, 8), None), "--image-size"), (((8,), None), "--image-size"), (((8, 2.5), 1), "--image-size"),
     ((None, 2), "--channels")],
)  # fmt: skip
def test_bad_preparations_name_their_flag(arguments, flag):
    with pytest.raises(InputError, match=flag):
        Preparation(*arguments)
    with pytest.raises(InputError):
        Preparation.from_json({"image_size": arguments[0]})


# Splits


def images_with(labels: np.ndarray, n_train: int | None = None) -> ImageSet:
    n = len(labels)
    return ImageSet(
        np.zeros((n, 1, 1), np.uint8), labels, tuple(map(str, range(99))), np.arange(n).astype(str), "test", n_train
    )


def sizes(parts: Split) -> tuple[int, int, int]:
    return len(parts.train), len(parts.validation), len(parts.test)


def check_partition(parts: Split, n: int) -> None:
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(together.tolist()) == list(range(n)), "an image is missing or stands in two parts"
    assert together.dtype == np.int64


def test_the_standard_split_of_mnist(mnist):
    parts = split(mnist)
    assert parts.kind == "standard"
    assert sizes(parts) == (55_000, 5_000, 10_000)
    assert np.array_equal(parts.train, np.arange(5_000, 60_000)), "training images are 5,000..59,999"
    assert np.array_equal(parts.validation, np.arange(5_000)), "validation images are the first 5,000"
    assert np.array_equal(split(mnist, limit=100).train, np.arange(5_000, 5_100))


def test_the_pooled_split_of_mnist_has_the_study_s_sizes(mnist):
    from sklearn.model_selection import train_test_split

    parts = split(mnist, "pooled", seed=3)
    assert sizes(parts) == (48_996, 13_859, 7_145)
    check_partition(parts, 70_000)
    for digit in range(10):
        members = np.flatnonzero(mnist.labels == digit)
        train, held_out = train_test_split(members, test_size=0.3, random_state=0)
        validation, test = train_test_split(held_out, test_size=0.34, random_state=0)
        counts = [int((mnist.labels[part] == digit).sum()) for part in (parts.train, parts.validation, parts.test)]
        assert counts == [len(train), len(validation), len(test)], f"digit {digit} is not split as scikit-learn does"


def test_the_random_split_gives_a_tenth_of_every_class():
    data = load("digits")
    parts = split(data, seed=1)
    assert parts.kind == "random"
    assert sizes(parts) == (1437, 180, 180)
    check_partition(parts, 1797)
    for part in (parts.validation, parts.test):
        counts = np.bincount(data.labels[part])
        assert np.abs(counts - np.bincount(data.labels) / 10).max() <= 1, "a class is over- or under-represented"
    few = np.bincount(data.labels[split(data, seed=1, limit=200).train])
    assert few.min() >= 10, f"--limit of a random split must be a fair sample of the classes, got {few}"


@pytest.mark.parametrize("n", [3, 4, 9, 10, 11, 57])
@pytest.mark.parametrize("n_classes", [1, 2, 30])
def test_random_splits_of_small_sets_leave_no_part_empty(n, n_classes):
    labels = np.arange(n) % n_classes - (n_classes == 1)  # one class: nothing is labelled
    parts = split(images_with(labels), "random")
    check_partition(parts, n)
    assert min(sizes(parts)) >= 1, f"{n} images of {n_classes} classes: {sizes(parts)}"


def test_classes_too_small_to_divide_train():
    labels = np.array([0] * 40 + [1, 2, 2] + [UNLABELLED] * 20)
    parts = split(images_with(labels), "random", seed=5)
    assert {1, 2} <= set(labels[parts.train]), "a class of one or two images was never trained on"
    assert sizes(parts) == (51, 6, 6)
    assert (labels[parts.test] == UNLABELLED).sum() == 2, "unlabelled images are a stratum of their own"


@pytest.mark.parametrize("kind", ["pooled", "random"])
def test_splits_repeat_by_seed_and_leave_the_global_generator_alone(kind):
    data = load("digits")
    before = np.random.get_state()[1].tolist()
    first, again, other = (split(data, kind, seed) for seed in (4, 4, 5))
    assert np.array_equal(first.train, again.train)
    assert not np.array_equal(first.train, other.train)
    label_budget(data.labels, 50)
    assert np.random.get_state()[1].tolist() == before, "NumPy's global generator moved"


def test_a_limit_of_all_images_is_a_fair_sample_of_those_that_are_sorted(tmp_path):
    np.savez(tmp_path / "sorted.npz", images=np.zeros((300, 4, 4), np.uint8), labels=np.repeat([0, 1, 2], 100))
    data = load(tmp_path / "sorted.npz")
    parts = split(data, "all", seed=1, limit=60)
    assert np.bincount(data.labels[parts.train]).min() >= 10
    assert np.array_equal(parts.train, split(data, "all", seed=1, limit=60).train)
    assert np.array_equal(split(data, "all").train, np.arange(300))


def test_split_all_and_json():
    data = load("digits")
    assert sizes(split(data, "all")) == (1797, 0, 0)
    parts = split(data, "random", limit=10)
    again = Split.from_json(parts.to_json())
    assert again.kind == parts.kind
    for name in ("train", "validation", "test"):
        assert np.array_equal(getattr(again, name), getattr(parts, name))
        assert getattr(again, name).dtype == np.int64
    with pytest.raises(InputError, match="split is damaged"):
        Split.from_json({"kind": "random", "train": ["x"]})


@pytest.mark.parametrize(
    ("n", "arguments", "message"),
    [
        (20, ("half",), "'half'.*random"),
        (20, ("standard",), "--split random"),
        (2, ("random",), "3 or more"),
        (2, ("pooled",), "too few"),
        (20, ("all", 0, 0), "--limit was 0; expected 1..20"),
        (20, ("all", 0, 21), "--limit was 21; expected 1..20"),
    ],
)
def test_bad_splits_get_a_sentence(n, arguments, message):
    with pytest.raises(InputError, match=message):
        split(images_with(np.zeros(n, np.int64)), *arguments)


# Label budgets


@pytest.mark.parametrize("n", [10, 25, 100, 999])
def test_a_label_budget_is_drawn_evenly_per_class(n):
    labels = np.where(RNG.random(1797) < 0.2, UNLABELLED, load("digits").labels)
    drawn = label_budget(labels, n, seed=7)
    assert len(set(drawn.tolist())) == n, "a budget counts every label once"
    assert np.array_equal(drawn, np.sort(drawn))
    counts = np.bincount(labels[drawn], minlength=10)  # fails on -1: no unlabelled image may be drawn
    assert counts.max() - counts.min() <= 1, f"{n} labels over 10 classes: {counts}"
    assert np.isin(label_budget(labels, 10, seed=7), drawn).all(), "a smaller budget must be part of a larger one"


def test_label_budgets_vary_by_seed_also_in_who_gets_one_more():
    labels = np.repeat(np.arange(10), 30)
    favoured = {tuple(np.bincount(labels[label_budget(labels, 25, seed)])) for seed in range(20)}
    assert len(favoured) > 10, "the same classes get the extra label at every seed"


def test_a_class_that_runs_out_leaves_its_share_to_the_others():
    labels = np.repeat([0, 1, 2], [50, 50, 2])
    assert np.bincount(labels[label_budget(labels, 12)]).tolist() == [5, 5, 2]
    assert np.array_equal(label_budget(labels, 102), np.arange(102))


@pytest.mark.parametrize(("n", "message"), [(5, "cannot cover 10 classes"), (101, "1..100"), (0, "1..100")])
def test_bad_budgets_get_a_sentence(n, message):
    with pytest.raises(InputError, match=message):
        label_budget(np.repeat(np.arange(10), 10), n)


# Arrays that may be meant otherwise


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_rows_that_may_be_those_of_one_image_are_told(tmp_path, name):
    image = RNG.random((144, 100)).astype(np.float32)
    np.save(tmp_path / name, image) if name == "a.npy" else np.savez(tmp_path / name, images=image)
    with pytest.warns(DataNote, match=r"144 rows of 100 values .* 144 images of 10 x 10 .* save it as \(1, 144, 100\)"):
        assert load(tmp_path / name).images.shape == (144, 10, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # labels, or many more rows than a side is long, leave no doubt
        np.savez(tmp_path / "b.npz", images=image, labels=np.arange(144) % 2)
        load(tmp_path / "b.npz")
        np.save(tmp_path / "c.npy", np.tile(image, (2, 1)))
        load(tmp_path / "c.npy")


def test_an_array_with_alpha_says_that_it_is_a_channel(tmp_path):
    np.save(tmp_path / "a.npy", RNG.integers(0, 256, (6, 8, 8, 4), dtype=np.uint8))
    with pytest.warns(DataNote, match=r"4 channels are taken as they are; is the last one alpha, --channels 3"):
        assert load(tmp_path / "a.npy").image_shape == (8, 8, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(tmp_path / "a.npy", Preparation(channels=3)).image_shape == (8, 8, 3)


@pytest.mark.parametrize("channels", [2, 3, 4, 5, 12])
def test_channels_that_stand_first_are_refused_however_many(tmp_path, channels):
    np.save(tmp_path / "a.npy", RNG.random((3, channels, 16, 16)))
    sentence(tmp_path / "a.npy", f"(3, {channels}, 16, 16)", "the channels stand first")


def test_a_label_file_is_no_source_of_images(tmp_path):
    (tmp_path / "labels.csv").write_text("name,label\na.png,cat\nb.png,dog\n")
    sentence(tmp_path / "labels.csv", "names and labels, and no pixels", "give it as --labels")


def test_a_grid_of_many_channels_is_not_taken_for_channels_first():
    for shape in ((9, 4, 4, 8), (9, 4, 5, 8), (9, 6, 8, 8), (9, 28, 28, 12)):
        arrays.require_channels_last(shape, "X")
