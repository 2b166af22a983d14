"""Images with the same pixels: found, counted where they train and judge, and kept in one part."""

import numpy as np
import pytest

from latently.data import ImageSet, Mapped, n_in_training, split
from latently.runs.record import DataRecord

RNG = np.random.default_rng(0)


def with_copies(n: int, n_copies: int) -> ImageSet:
    """n different images, then copies of the first ones; four classes in turn, a copy with the class of its own."""
    images = RNG.integers(0, 256, (n, 4, 4), dtype=np.uint8)
    labels = np.arange(n) % 4
    images, labels = (np.concatenate([each, each[:n_copies]]) for each in (images, labels))
    return ImageSet(images, labels, tuple("abcd"), np.arange(len(images)).astype(str), "here")


def test_a_copy_is_known_by_its_pixels():
    data = with_copies(20, 7)
    expected = [*range(20), *range(7)]
    assert data.originals.tolist() == expected
    on_disk = ImageSet(Mapped(data.pixels, "here"), data.labels, data.classes, data.names, "here")
    assert on_disk.originals.tolist() == expected


def test_grouped_keeps_copies_in_one_part():
    data = with_copies(200, 100)
    apart, together = split(data, "random"), split(data, "grouped")
    assert n_in_training(data, apart, "test") > 0, "this test needs copies that a random split parts"
    assert n_in_training(data, together, "test") == n_in_training(data, together, "validation") == 0
    assert not np.isin(data.originals[together.validation], data.originals[together.test]).any()
    assert sorted(np.concatenate([together.train, together.validation, together.test])) == list(range(300))
    assert 20 <= len(together.test) <= 40
    assert np.bincount(data.labels[together.test]).min() >= 4, "a part of every class"
    again = split(data, "grouped")
    assert np.array_equal(again.train, together.train)
    assert not np.array_equal(split(data, "grouped", seed=1).test, together.test)


def test_images_that_are_mostly_alike_train():
    data = with_copies(60, 0)
    data.images[20:] = 0
    parts = split(data, "grouped")
    assert (data.images[parts.train] == 0).all((1, 2)).sum() == 40
    assert len(parts.test) == len(parts.validation) == 2


def test_a_record_counts_copies_that_train_and_judge():
    data = with_copies(200, 100)
    parts = split(data, "random", seed=2)
    record = DataRecord.of(data, parts, seed=2)
    trained = {image.tobytes() for image in data.images[parts.train]}
    assert record.n_test_in_training == sum(image.tobytes() in trained for image in data.images[parts.test]) > 0
    with pytest.warns(UserWarning, match=rf"{record.n_test_in_training} of {len(parts.test)} test images also train"):
        record.note_copies(["test"])
    with pytest.warns(UserWarning, match="validation images and .* test images also train"):
        record.note_copies()
