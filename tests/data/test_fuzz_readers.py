"""Some hundred damaged files; `fuzz_readers.py` as a script reads 10^5. What it found first stands below, by kind."""

import io
import signal
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzz_readers import IMAGES, KINDS, NAMES, fuzz

from latently.common.errors import DataNote, InputError
from latently.data import image_file, load, read_labels

needs_an_alarm = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="time limits need Unix")


@needs_an_alarm
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused_with_a_sentence(kind, tmp_path):
    found = fuzz(kind, range(50), seed=0, folder=tmp_path)
    assert not found.failures, "\n".join(found.failures)
    assert set(found.outcomes) == {"read", "refused"}, "the files were all harmless, or all hopeless"


@needs_an_alarm
def test_the_fuzz_sees_what_a_reader_does_wrong(tmp_path, monkeypatch):
    """A traceback, a warning of a library's own, and a set that breaks its promises."""
    monkeypatch.setattr("fuzz_readers.load", lambda *_: [][0])
    assert "IndexError" in fuzz("csv", range(1), 0, tmp_path).failures[0]
    monkeypatch.setattr("fuzz_readers.load", lambda *_: warnings.warn("odd", RuntimeWarning, 1) or IMAGES)
    assert "RuntimeWarning" in fuzz("csv", range(1), 0, tmp_path).failures[0]
    monkeypatch.setattr("fuzz_readers.load", lambda *_: IMAGES.take(np.zeros(2, int)))
    assert "a name each" in fuzz("csv", range(1), 0, tmp_path).failures[0]


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    np.lib.format.write_array(file := io.BytesIO(), array, version)
    return file.getvalue()


PIXELS = npy(np.zeros((2, 4, 4), np.uint8))


@pytest.mark.parametrize("damaged", ["images", "labels"])
def test_a_member_that_is_no_array_is_refused(tmp_path, damaged):
    members = {"images": PIXELS, "labels": npy(np.array([0, 1]))} | {damaged: b"no array"}
    with pytest.raises(InputError, match=f"'{damaged}', which is damaged or no array"):
        load(npz(tmp_path / "a.npz", **members))


@pytest.mark.parametrize("letter", [0x110000, 0xFFFFFFFF, 0xD800])
@pytest.mark.parametrize("order", "<>")
def test_text_that_holds_no_letters_is_refused(tmp_path, letter, order):
    """NumPy keeps a letter as 32 bits; Python ends in a SystemError on some, and cannot write others."""
    labels = npy(np.array(["a", "b"], f"{order}U1")).replace(
        struct.pack(f"{order}I", ord("b")), struct.pack(f"{order}I", letter)
    )
    with pytest.raises(InputError, match="labels that hold no letters"):
        load(npz(tmp_path / "a.npz", images=PIXELS, labels=labels))


def test_an_archive_that_points_outside_itself_is_refused(tmp_path):
    path = npz(tmp_path / "a.npz", images=PIXELS)
    end = path.read_bytes().rindex(b"PK\5\6")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, end + 16, 0xFFFFFF00)  # where the list of members begins
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read as a \.npz"):
        load(path)


def test_a_header_of_python_2_is_read_without_a_warning(tmp_path):
    content = PIXELS.replace(b"(2, 4, 4), }", b"(2L, 4, 4),}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(npz(tmp_path / "a.npz", images=content)).image_shape == (4, 4)


def test_a_signalling_nan_is_counted_without_a_warning(tmp_path):
    pixels = np.zeros((2, 4, 4)).view(np.uint64)
    pixels[1] = 0x7FF0000000000001  # which a cast to float32 calls invalid
    np.save(tmp_path / "a.npy", pixels.view(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="16 NaN or infinite values, the first in image 1"):
            load(tmp_path / "a.npy")


def test_damaged_exif_is_no_warning_that_names_no_file(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x010E] = "a photograph of the sea"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    content = (tmp_path / "a.jpg").read_bytes()
    tag = content.index(struct.pack(">H", 0x010E)) if b"MM" in content else content.index(struct.pack("<H", 0x010E))
    (tmp_path / "a.jpg").write_bytes(content[: tag + 8] + b"\xff\xff\xff\x7f" + content[tag + 12 :])
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert load(tmp_path / "a.jpg").image_shape == (8, 8, 3)
    assert not told
    assert warnings.filters == before, "the caller's filters are as they were"


def test_an_image_that_is_too_large_is_not_decoded_to_look_for_colours(tmp_path, monkeypatch):
    """The header of a damaged palette image may promise 97,508 x 61,014 pixels."""
    from PIL import Image

    decoded = []
    monkeypatch.setattr(image_file, "LARGEST_BYTES", 1000)
    monkeypatch.setattr(image_file, "_composed", lambda *image: decoded.append(image))
    Image.new("P", (17, 17)).save(tmp_path / "a.gif")
    with pytest.raises(InputError, match="17 x 17 pixels, which take"):
        load(tmp_path / "a.gif")
    assert not decoded


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_a_large_image_is_converted_by_stripes(tmp_path, monkeypatch, mode):
    """In one piece, 142 megapixels with alpha took 5.6 GB; the pixels are the same."""
    from PIL import Image

    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (23, 17, 4), dtype=np.uint8))
    options = {"transparency": 3} if mode == "P" else {"transparency": (1, 2, 3)} if mode == "RGB" else {}
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    (image if mode == "RGBA" else image.convert("RGB").convert(mode)).save(path, **options)
    whole = load(path).images
    monkeypatch.setattr(image_file, "STRIPE", 3 * 17)
    np.testing.assert_array_equal(load(path).images, whole)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_zero_bytes_are_no_letters(tmp_path, encoding):
    """NumPy drops them from the end of a label: a class without a name, or two classes that become one."""
    path = tmp_path / "labels.csv"
    filler = "".join(f"{name},cat\n" for name in NAMES[:2]) + "\n" * 5000  # past what tells the encoding
    path.write_bytes(f"{filler}{NAMES[3]},\0\n".encode(encoding))
    with pytest.raises(InputError, match="line 5003 holds zero bytes"):
        read_labels(path, IMAGES)


def test_whole_numbers_of_more_than_63_bits_are_named_as_they_are(tmp_path):
    (tmp_path / "a.csv").write_text("0,9,2,3\n4,5,6,1e30\n")
    with pytest.raises(InputError, match=r"whole numbers from 0 to 1e\+30; expected 0\.\.255"):
        load(tmp_path / "a.csv")


def test_sentences_stay_short_and_move_no_cursor(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(f"{'x' * 10_000},cat\n")
    with pytest.raises(InputError) as refused:
        read_labels(path, IMAGES)
    assert len(str(refused.value)) < 600
    path.write_text(f"{NAMES[0]},{'x' * 10_000}\n")
    with pytest.warns(UserWarning, match="single label") as told:
        read_labels(path, IMAGES)
    assert len(str(told[0].message)) < 600
    load_npz = npz(tmp_path / "a.npz", images=PIXELS.replace(b"'descr'", b"'" + b"x" * 5 + b"'"))
    with pytest.raises(InputError) as refused:
        load(load_npz)
    assert len(str(refused.value)) < 600
    assert str(InputError("a\x1b[2J\nb\ud800")) == r"a\x1b[2J\nb\ud800"
    assert str(DataNote("a\x1b")) == r"a\x1b"
