"""Images that stay on the disk give what images in memory give, and are never read whole."""

import errno
import pickle
import shutil
import tracemalloc
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

from latently import VAE, Autoencoder, Classifier, FeedForward, InputError, Network, Trunk, evaluate
from latently.data import Mapped, Preparation, load
from latently.data import folder as folder_room
from latently.data import mapped as mapped_room
from latently.data.imageset import pixel_hash
from latently.runs.outputs import write_images

DIGITS = load("digits")
BYTES = DIGITS.images[:600]
FLOATS = (BYTES / 255).astype(np.float32)


@pytest.fixture
def on_disk(monkeypatch, tmp_path) -> Path:
    """Everything counts as large; the cache is a folder of the test's own."""
    monkeypatch.setattr(mapped_room, "IN_MEMORY_BYTES", 0)
    monkeypatch.setenv("LATENTLY_DATA", str(tmp_path / "cache"))
    return tmp_path


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize(
    "array",
    [BYTES, BYTES.astype(np.int64), BYTES > 99, FLOATS, FLOATS.astype(">f8"), BYTES.reshape(600, 64), BYTES[..., None]],
    ids=["bytes", "whole numbers", "bools", "floats", "big-endian doubles", "rows", "one channel"],
)
def test_pixels_are_those_of_an_array_in_memory(on_disk, monkeypatch, array):
    path = saved(on_disk / "images.npy", array)
    left = load(path).images
    monkeypatch.setattr(mapped_room, "IN_MEMORY_BYTES", 2**28)
    read = load(path).images
    assert isinstance(left, Mapped)
    assert isinstance(read, np.ndarray)
    assert (left.shape, left.dtype, left.min(), left.max()) == (read.shape, read.dtype, read.min(), read.max())
    np.testing.assert_array_equal(np.asarray(left), read)
    rows = np.array([5, 3, 3])
    np.testing.assert_array_equal(left.take(np.arange(600) % 2 == 0).take(rows)[:], read[::2][rows])
    assert pixel_hash(left) == pixel_hash(read), "a run would not know its images again"


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.where(np.arange(600)[:, None, None] == 7, np.nan, FLOATS), "the first in image 7"),
        (BYTES.astype(np.int64) + 1, "from 1 to 256"),
        (BYTES.astype(complex), "complex128"),
    ],
)
def test_what_is_no_pixel_is_told_before_the_training(on_disk, monkeypatch, array, said):
    monkeypatch.setattr(mapped_room, "PART_BYTES", 2000)
    with pytest.raises(InputError, match=said):
        load(saved(on_disk / "images.npy", array))


def vae(X: np.ndarray, **settings) -> Autoencoder:
    model = VAE(2, Network("dense(16)"))
    return Autoencoder(model, epochs=2, random_state=0, **settings).fit(X, validation=X)


@pytest.mark.parametrize("binarise", ["none", "static", "dynamic"])
@pytest.mark.parametrize("array", [BYTES, FLOATS, BYTES.reshape(600, 64)], ids=["bytes", "floats", "rows"])
def test_a_fit_and_its_figures_are_those_of_images_in_memory(on_disk, array, binarise):
    """An array of the user's own, opened with mmap_mode."""
    mapped = np.load(saved(on_disk / "images.npy", array), mmap_mode="r")
    left, read = vae(mapped, binarise=binarise), vae(array, binarise=binarise)
    for name, value in read.net_.state_dict().items():
        assert torch.equal(left.net_.state_dict()[name], value), name
    np.testing.assert_array_equal(left.transform(mapped), read.transform(array))
    assert evaluate(left, mapped) == evaluate(read, array)


def test_a_classifier_learns_from_the_labelled_ones(on_disk):
    labels = np.where(np.arange(600) < 400, DIGITS.labels[:600], -1)
    mapped = np.load(saved(on_disk / "images.npy", BYTES), mmap_mode="r")
    left, read = (
        Classifier(FeedForward(Trunk("dense(16)")), epochs=2, random_state=0).fit(X, labels) for X in (mapped, BYTES)
    )
    np.testing.assert_array_equal(left.predict_proba(mapped), read.predict_proba(BYTES))


def test_no_command_reads_all_images_at_once(on_disk, latently, monkeypatch):
    """What is asked of the file at a time, over all commands that are to work on more than memory holds."""
    most, read = 0, Mapped._stored

    def watched(self, rows):
        nonlocal most
        found = read(self, rows)
        most = max(most, len(found) if found.ndim == 3 else 1)
        return found

    def refused(self, *_, **__):
        raise AssertionError("all images were read into memory")

    monkeypatch.setattr(mapped_room, "PART_BYTES", 16_000)  # 250 images of 8 x 8
    monkeypatch.setattr(Mapped, "_stored", watched)
    monkeypatch.setattr(Mapped, "__array__", refused)
    many = np.concatenate([DIGITS.images] * 3)
    data, run = saved(on_disk / "images.npy", many), on_disk / "run"
    for words in (
        ("train", "vae", "--data", data, "--encoder", "dense(8)", "--latent-dim", 2, "--epochs", 1, "--out", run),
        ("evaluate", run, "--part", "all"),
        ("encode", run, "--out", on_disk / "codes.npy"),
        ("score", run, "--out", on_disk / "worst.png"),
        ("report", run),
        ("data", data),
    ):
        ran = latently(*words)
        assert ran.code == 0, ran.err
    assert 250 <= most <= 2000, f"{most:,} of {len(many):,} images were read at once"


def test_memory_does_not_grow_with_the_file(on_disk, latently):
    """80 MB on the disk, of which NumPy holds a quarter at most, names and splits and all."""
    np.lib.format.open_memmap(on_disk / "images.npy", "w+", np.uint8, (20_000, 64, 64))[::100] = 200
    words = ["train", "vae", "--data", on_disk / "images.npy", "--encoder", "dense(8)", "--latent-dim", 2]
    latently(*words, "--limit", 64, "--epochs", 1, "--out", on_disk / "first")  # imports and the like
    tracemalloc.start()
    try:
        ran = latently(*words, "--limit", 2000, "--epochs", 1, "--out", on_disk / "run")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ran.code == 0, ran.err
    assert peak < 20e6, f"{peak / 1e6:.0f} MB"


# Decoded once


@pytest.fixture
def folder(on_disk) -> Path:
    """A folder of 40 digits, the first twenty sorted into classes."""
    names = [f"{label}/{i}.png" for i, label in enumerate(DIGITS.labels[:20])] + [f"{i}.png" for i in range(20, 40)]
    write_images(on_disk / "digits", np.array(names), BYTES[:40] / 255)
    return on_disk / "digits"


def decoded(monkeypatch) -> list[Path]:
    """The files that are decoded from now on."""
    files, decode = [], folder_room.read_image
    monkeypatch.setattr(folder_room, "read_image", lambda path, *how: (files.append(path), decode(path, *how))[1])
    return files


def test_a_large_folder_is_decoded_once(folder, monkeypatch, on_disk):
    files = decoded(monkeypatch)
    first = load(folder)
    assert isinstance(first.images, Mapped)
    assert len(set(files)) == 40
    files.clear()
    again = load(folder)
    assert len(files) == 1, "the first image alone tells the size of all"
    np.testing.assert_array_equal(np.asarray(again.images), np.asarray(first.images))
    assert (again.labels >= 0).sum() == 20
    monkeypatch.setattr(mapped_room, "IN_MEMORY_BYTES", 2**28)
    np.testing.assert_array_equal(np.asarray(again.images), load(folder).images)


def test_a_folder_that_has_changed_is_decoded_anew(folder, on_disk):
    load(folder)
    (kept,) = (on_disk / "cache/decoded").iterdir()
    write_images(folder, np.array(["39.png"]), BYTES[50:51] / 255)
    images = load(folder).images
    (now,) = (on_disk / "cache/decoded").iterdir()
    assert now != kept, "the old array is still there"
    place = load(folder).names.tolist().index("39.png")
    np.testing.assert_array_equal(images[place], BYTES[50])
    small = load(folder, Preparation((4, 4))).images
    assert small.shape == (40, 4, 4)
    assert len(list((on_disk / "cache/decoded").iterdir())) == 2, "another preparation is another array"


def test_a_large_array_is_resized_once(on_disk):
    path = saved(on_disk / "images.npy", BYTES)
    images = load(path, Preparation((4, 4))).images
    assert isinstance(images, Mapped)
    np.testing.assert_array_equal(np.asarray(images), Preparation((4, 4)).apply(BYTES))


def test_a_writer_that_is_interrupted_leaves_nothing_that_counts(folder, monkeypatch, on_disk):
    def press_ctrl_c(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folder_room, "_decoded", press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            load(folder)
    assert not list(on_disk.glob("cache/decoded/*"))
    (on_disk / "cache/decoded").mkdir(parents=True)
    (on_disk / "cache/decoded/.half.npy.99999999.tmp").write_bytes(b"half")  # what kill -9 leaves
    assert len(load(folder)) == 40
    assert len(list((on_disk / "cache/decoded").iterdir())) == 1


def test_a_full_disk_gets_a_sentence(folder, monkeypatch, on_disk):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    said = "40 images of .* take 0.0 GB once decoded.*has no room.*LATENTLY_DATA"
    with monkeypatch.context() as patch:
        patch.setattr(folder_room, "_decoded", full)
        with pytest.raises(InputError, match=said):
            load(folder)
    usage = namedtuple("usage", "free")(100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=said):
        load(folder)


def test_a_damaged_file_of_a_large_folder_is_named(folder):
    (folder / "25.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"25\.png"):
        load(folder)


def test_a_whole_file_is_sent_by_its_path(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(4000, dtype=np.uint8).reshape(-1, 2, 2))
    images = Mapped(np.load(tmp_path / "a.npy", mmap_mode="r"), "a")
    for sent in (images, images.take(np.array([7, 3])), Mapped(np.load(tmp_path / "a.npy", mmap_mode="r")[5:], "a")):
        assert np.array_equal(pickle.loads(pickle.dumps(sent))[:], sent[:])
    assert len(pickle.dumps(images)) < 1000
