"""Ranges of pixels: what is unusual is noted with the flag that scales it, and the flag does what the note says."""

import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latently.common.errors import DataNote, InputError
from latently.data import ImageSet, Mapped, Preparation, load
from latently.data import folder as folder_room
from latently.data import mapped as mapped_room

RNG = np.random.default_rng(0)
UNITS = RNG.integers(0, 17, (6, 8, 8))  # 0..16, as scikit-learn's digits
UNITS[0, 0, :2] = 0, 16


def folder(path: Path, images: np.ndarray, suffix: str = "png") -> Path:
    path.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(path / f"{i}.{suffix}")
    return path


def npy(path: Path, images: np.ndarray) -> Path:
    np.save(path, images)
    return path


def npz(path: Path, images: np.ndarray) -> Path:
    np.savez(path, images=images)
    return path


def csv(path: Path, images: np.ndarray) -> Path:
    np.savetxt(path, images.reshape(len(images), -1), "%d" if images.dtype.kind in "iu" else "%.6f", delimiter=",")
    return path


def idx(path: Path, images: np.ndarray) -> Path:
    path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, *images.shape) + images.tobytes())
    return path


def loaded(source: Path, *arguments: object, **settings: object) -> tuple[ImageSet, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load(source, *arguments, **settings)  # type: ignore[arg-type]
    return data, [str(each.message) for each in caught if each.category is DataNote]


@pytest.mark.parametrize(
    ("write", "name"), [(folder, "folder"), (npy, "a.npy"), (npz, "a.npz"), (csv, "a.csv"), (idx, "images-idx3-ubyte")]
)
@pytest.mark.parametrize(("most", "white"), [(1, 1), (9, 15), (16, 16)], ids=lambda value: str(value))
def test_bytes_that_use_few_of_their_values(tmp_path, write: Callable[..., Path], name, most, white):
    images = (UNITS * most // 16).astype(np.uint8)
    source = write(tmp_path / name, images)
    data, (note,) = loaded(source)
    assert f"the pixels reach from 0 to {most} of 0..255; --scale {white} " in note
    assert np.array_equal(data.images, images), "nothing is scaled unasked"
    for scale in ("auto", white):
        data, _ = loaded(source, scale=scale)
        assert data.images.dtype == np.uint8
        assert np.array_equal(data.images, np.rint(images * (255 / white))), f"scale={scale}"
        assert data.preparation.scale == white, "a run could not do the same again"
        again, notes = loaded(source, data.preparation)
        assert np.array_equal(again.images, data.images)
        assert not notes, "what a run remembers need not be said again"
    data, notes = loaded(source, scale="none")
    assert np.array_equal(data.images, images)
    assert not notes


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("bits", [8, 12])
def test_16_bit_files_that_use_fewer_bits(tmp_path, suffix, bits):
    values = RNG.integers(0, 2**bits, (4, 8, 8)).astype(np.uint16)
    values[0, 0, :2] = 0, 2**bits - 1
    source = folder(tmp_path / "deep", values, suffix)
    data, (note,) = loaded(source)
    assert f"from 0 to {2**bits - 1} of 0..65535 ({bits} of 16 bits); --scale {2**bits - 1} " in note
    assert np.array_equal(data.images, np.rint(values / 257)), "nothing is scaled unasked"
    data, _ = loaded(source, scale="auto")
    assert np.array_equal(data.images, np.rint(values * (255 / (2**bits - 1)))), "bits were lost on the way"
    assert data.preparation.scale == 2**bits - 1
    _, (note,) = loaded(source / f"0.{suffix}")
    assert f"({bits} of 16 bits)" in note
    assert np.array_equal(load(source / f"0.{suffix}", scale=2**bits - 1).images[0], data.images[0])


def test_usual_ranges_are_not_noted(tmp_path):
    for i, images in enumerate(
        [
            RNG.integers(0, 256, (4, 8, 8), dtype=np.uint8),
            np.zeros((4, 8, 8), np.uint8),
            RNG.normal(size=(4, 8, 8)),
            RNG.random((4, 8, 8)),
            RNG.random((4, 8, 8)) > 0.5,
        ]
    ):
        assert not loaded(npy(tmp_path / f"{i}.npy", images))[1]
    assert not loaded(folder(tmp_path / "deep", RNG.integers(0, 65536, (4, 8, 8)).astype(np.uint16)))[1]


def test_numbers_beyond_a_byte_are_refused_with_the_flag_that_takes_them(tmp_path):
    values = RNG.integers(0, 4000, (4, 8, 8)).astype(np.uint16)
    values[0, 0, :2] = 0, 4095
    for source in (npy(tmp_path / "a.npy", values), csv(tmp_path / "a.csv", values)):
        with pytest.raises(InputError, match=r"0\.\.255: --scale 4095 makes 4095 white"):
            load(source)
        for scale in (4095, "auto"):
            assert np.array_equal(loaded(source, scale=scale)[0].images, np.rint(values * (255 / 4095)))
    for scale in (None, "auto", 4095):
        with pytest.raises(InputError, match=r"from -5 to .*expected 0\.\.255"):
            load(npy(tmp_path / "b.npy", values.astype(int) - 5), scale=scale)


@pytest.mark.parametrize(
    ("factor", "white"),
    [(255, 255), (16, 16), (1e6, 1e6), (1 / 255, 0.00392157), (7.3, 7.3), (3.0000012, 3.00001)],
    ids=str,
)
def test_floats_far_from_0_to_1(tmp_path, factor, white):
    values = (UNITS / 16 * factor).astype(np.float32)
    values[0, 0, 2] = 0.3 * factor  # no whole number
    source = npy(tmp_path / "a.npy", values)
    data, (note,) = loaded(source)
    assert "where floats are usually 0..1" in note
    assert np.array_equal(data.images, values), "nothing is scaled unasked"
    data, (note,) = loaded(source, scale="auto")
    assert (data.images.dtype, data.preparation.scale) == (np.float32, white)
    assert np.allclose(data.images, values / white)
    assert data.images.max() <= 1, "a Bernoulli likelihood would refuse them"


def test_standardised_floats_are_noted_only_where_they_are_huge(tmp_path):
    values = RNG.normal(size=(4, 8, 8)) * 1e6
    _, (note,) = loaded(npy(tmp_path / "a.npy", values))
    assert "the pixels reach from -" in note
    assert np.abs(loaded(tmp_path / "a.npy", scale="auto")[0].images).max() == pytest.approx(1, rel=1e-5)


def test_what_is_brighter_than_white_is_white_and_noted(tmp_path):
    hot = np.full((3, 8, 8), 500, np.uint16)
    hot[1, 2, 3] = 60000
    for source in (folder(tmp_path / "deep", hot), npy(tmp_path / "a.npy", hot)):
        data, (note,) = loaded(source, scale=1000)
        assert "to 60000" in note
        assert "what is above 1000 (--scale) is white, too" in note
        assert data.images.max() == 255
        assert data.images[0, 0, 0] == 128
    _, (note,) = loaded(tmp_path / "deep/1.png", scale=1000)
    assert "is white, too" in note


def test_bytes_among_16_bit_files_stay_as_they_are(tmp_path):
    source = folder(tmp_path / "mixed", RNG.integers(0, 4096, (3, 8, 8)).astype(np.uint16))
    plain = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(plain).save(source / "plain.png")
    data, _ = loaded(source, scale="auto")
    assert data.preparation.scale == 4095
    assert np.array_equal(data.images[-1], plain)
    assert np.array_equal(load(source / "plain.png", data.preparation).images[0], plain), "and when a run is given one"


def test_a_picture_of_floats_is_read_with_its_range(tmp_path):
    values = RNG.random((8, 8)).astype(np.float32) * 3
    Image.fromarray(values).save(tmp_path / "a.tiff")
    with pytest.raises(InputError, match=r"--scale \S+ makes that white"):
        load(tmp_path)
    assert np.array_equal(load(tmp_path, scale=3.0).images[0], np.rint(values * 85))
    Image.fromarray(values - 1).save(tmp_path / "a.tiff")
    with pytest.raises(InputError, match="expected numbers from 0"):
        load(tmp_path, scale=3.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16, np.float32])
def test_arrays_and_folders_on_the_disk_are_scaled_as_in_memory(tmp_path, monkeypatch, dtype):
    monkeypatch.setenv("LATENTLY_DATA", str(tmp_path / "cache"))
    images = UNITS.astype(dtype)
    sources = [npy(tmp_path / "a.npy", images)]
    if dtype in (np.uint8, np.uint16):
        sources.append(folder(tmp_path / "folder", images))
    for source in sources:
        for scale in (None, "auto", 8):
            with monkeypatch.context() as patch:
                read, told = loaded(source, scale=scale)
                patch.setattr(mapped_room, "IN_MEMORY_BYTES", 0)
                patch.setattr(folder_room, "FILES_IN_A_PART", 4)
                left, told_too = loaded(source, scale=scale)
                assert isinstance(left.images, Mapped)
                assert told == told_too
                assert len(told) == 1
                assert np.array_equal(np.asarray(left.images), read.images)
                assert np.array_equal(left.images[2:4], read.images[2:4])
                assert (left.images.min(), left.images.max()) == (read.images.min(), read.images.max())


@pytest.mark.parametrize("scale", [0, -1, "8", float("nan"), True])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(InputError, match=r"--scale was .*; expected auto, none or a number above 0"):
        Preparation(scale=scale)


def test_a_run_s_entry_keeps_the_scale_and_older_ones_have_none():
    for scale in (None, "none", 4095):
        assert Preparation.from_json(Preparation(scale=scale).to_json()).scale == scale
    assert Preparation.from_json({"image_size": None, "channels": None}).scale is None


def test_notes_of_ranges_can_be_errors(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataNote)
        with pytest.raises(DataNote, match="--scale 16"):
            load(npy(tmp_path / "a.npy", UNITS))
