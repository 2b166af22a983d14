"""Folders of other people's photographs: of all sizes, turned, grey among coloured."""

import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from latently.common.errors import DataNote, InputError
from latently.data import Preparation, image_file, load, split
from latently.data.image_file import read_header, read_image

RNG = np.random.default_rng(0)
TURNED = Image.Exif()
TURNED[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright


def photograph(path: Path, height: int, width: int, grey: bool = False, **options: object) -> Image.Image:
    """A smooth scene, so that JPEG keeps its pixels nearly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = RNG.integers(0, 256, (4, 4) if grey else (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    image.save(path, **options)  # type: ignore[arg-type]
    return image


def square(image: Image.Image, side: int) -> np.ndarray:
    """What Pillow's own crop at the centre gives."""
    return np.asarray(ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC))


def notes_of(source: Path, *arguments: object) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(source, *arguments)  # type: ignore[arg-type]
    return [str(each.message) for each in caught if each.category is DataNote]


# Sizes that differ


def test_photographs_of_all_sizes_are_cropped_to_a_square(tmp_path):
    wide = photograph(tmp_path / "a/wide.png", 90, 160)
    tall = photograph(tmp_path / "b/tall.png", 200, 100)
    with pytest.warns(DataNote, match=r"2 images of 2 sizes \(90 x 160 to 200 x 100.* cropped .* 64 x 64"):
        data = load(tmp_path)
    assert data.images.shape == (2, 64, 64, 3)
    assert data.preparation == Preparation((64, 64), 3, "crop"), "a run could not do the same again"
    for image, original in zip(data.images, (wide, tall), strict=True):
        assert np.abs(image.astype(int) - square(original, 64)).max() <= 1, "the middle of the photograph is elsewhere"


def test_what_was_chosen_does_the_same_without_a_note(tmp_path):
    photograph(tmp_path / "a.png", 30, 50)
    photograph(tmp_path / "b.png", 60, 40, grey=True)
    with pytest.warns(DataNote):
        first = load(tmp_path)
    assert not notes_of(tmp_path, first.preparation), "what a run remembers need not be said again"
    assert np.array_equal(load(tmp_path, first.preparation).images, first.images)


@pytest.mark.parametrize(
    ("shorter", "largest", "side"), [(200, 64, 64), (200, 128, 128), (63, 64, 48), (9, 64, 8), (5, 64, 5)]
)
def test_the_side_is_no_larger_than_the_images(tmp_path, shorter, largest, side):
    for i in range(3):
        photograph(tmp_path / f"{i}.png", shorter, shorter + i)
    with pytest.warns(DataNote):
        assert load(tmp_path, largest_side=largest).image_shape == (side, side, 3)


def test_one_small_image_does_not_make_all_small(tmp_path):
    for i in range(20):
        photograph(tmp_path / f"{i}.png", 70, 80 + i)
    photograph(tmp_path / "thumb.png", 10, 10)
    with pytest.warns(DataNote):
        assert load(tmp_path).image_shape == (64, 64, 3)


def test_pad_and_stretch_keep_all_of_a_photograph(tmp_path):
    for i, size in enumerate([(40, 80), (80, 40)]):
        Image.fromarray(np.full((*size, 3), 200, np.uint8)).save(tmp_path / f"{i}.png")
    padded = load(tmp_path, Preparation((16, 16), fit="pad")).images
    assert (padded[0, 4:12] == 200).all(), "the photograph fills the middle"
    assert not padded[0, :4].any(), "above it is black"
    assert not padded[0, 12:].any(), "below it is black"
    assert np.array_equal(padded[1], padded[0].transpose(1, 0, 2))
    assert (load(tmp_path, Preparation((16, 16), fit="stretch")).images == 200).all()


def test_a_size_alone_does_not_squash(tmp_path):
    wide = photograph(tmp_path / "wide.png", 20, 60)
    photograph(tmp_path / "tall.png", 60, 20)
    with pytest.warns(DataNote, match="cropped"):
        images = load(tmp_path, Preparation((16, 16))).images
    assert np.abs(images[1].astype(int) - square(wide, 16)).max() <= 1


def test_fit_none_refuses_images_that_differ(tmp_path):
    photograph(tmp_path / "a.png", 20, 60)
    photograph(tmp_path / "b.png", 60, 20)
    with pytest.raises(InputError, match=r"b\.png is 60x20 .* --image-size 20 60"):
        load(tmp_path, Preparation(fit="none"))


# Sizes that do not differ


@pytest.mark.parametrize("asked", [Preparation(), Preparation((10, 10)), Preparation(channels=1)])
def test_images_of_one_size_stay_as_they_always_were(tmp_path, asked):
    for i in range(3):
        photograph(tmp_path / f"{i}.jpg", 20, 30)
    assert not notes_of(tmp_path, asked)
    data = load(tmp_path, asked)
    plain = np.stack([np.asarray(Image.open(tmp_path / f"{i}.jpg")) for i in range(3)])
    assert np.array_equal(data.images, asked.apply(plain))
    assert "fit" not in data.preparation.to_json(), "an older version could not read the run"


def test_large_images_of_one_size_are_photographs_too(tmp_path):
    for i in range(2):
        photograph(tmp_path / f"{i}.jpg", 1025, 1100)
    with pytest.warns(DataNote, match=r"2 images of 1,025 x 1,100 are cropped at the centre to 64 x 64"):
        assert load(tmp_path).image_shape == (64, 64, 3)


# Colours


def test_grey_among_coloured_becomes_colour(tmp_path):
    photograph(tmp_path / "a.png", 16, 16, grey=True)
    photograph(tmp_path / "b.png", 16, 16)
    with pytest.warns(DataNote, match="1 of 2 images are grey and are read as colour"):
        data = load(tmp_path)
    assert data.images.shape == (2, 16, 16, 3)
    assert np.array_equal(data.images[0, ..., 0], data.images[0, ..., 2]), "grey has three equal channels"


def test_grey_photographs_stay_grey(tmp_path):
    photograph(tmp_path / "a.png", 16, 20, grey=True)
    photograph(tmp_path / "b.png", 20, 16, grey=True)
    with pytest.warns(DataNote):
        assert load(tmp_path).images.shape == (2, 16, 16)


# Headers


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("exif", [None, TURNED])
def test_a_header_tells_the_size_of_the_pixels(tmp_path, ending, exif):
    photograph(tmp_path / f"a.{ending}", 24, 40, **({"exif": exif} if exif else {}))
    header = read_header(tmp_path / f"a.{ending}")
    assert (header.height, header.width, 3) == read_image(tmp_path / f"a.{ending}", Preparation(fit="none")).shape
    assert header.is_turned == bool(exif)


def test_turned_photographs_are_upright_and_counted(tmp_path):
    original = photograph(tmp_path / "a.jpg", 40, 80, exif=TURNED, quality=95)
    photograph(tmp_path / "b.jpg", 40, 60)
    with pytest.warns(DataNote, match=r"\(1 turned upright first\)"):
        upright = load(tmp_path, largest_side=32).images[0]
    expected = square(original.rotate(-90, expand=True), 32)
    assert np.abs(upright.astype(int) - expected).mean() < 4


# Large files


def test_a_jpeg_is_decoded_at_a_fraction_of_its_size(tmp_path, monkeypatch):
    original = photograph(tmp_path / "a.jpg", 1200, 1600, quality=95)
    seen, pixels = [], image_file.stored_pixels
    monkeypatch.setattr(
        image_file, "stored_pixels", lambda image, path: (seen.append(image.size), pixels(image, path))[1]
    )
    small = read_image(tmp_path / "a.jpg", Preparation((64, 64), 3, "crop"))
    assert seen == [(200, 150)], "a sixty-fourth of the pixels would do"
    assert np.abs(small.astype(int) - square(original, 64)).mean() < 3
    read_image(tmp_path / "a.jpg", Preparation((64, 64), 3, "stretch"))
    assert seen[1] == (1600, 1200), "runs that stretch were trained on other bytes"


def test_a_hundred_megapixels_are_read_and_a_limit_of_memory_is_told(tmp_path, monkeypatch):
    Image.new("L", (10_000, 10_000), 9).save(tmp_path / "large.png")
    before = Image.MAX_IMAGE_PIXELS
    assert (read_image(tmp_path / "large.png", Preparation((8, 8), 1, "crop")) == 9).all()
    assert before == Image.MAX_IMAGE_PIXELS, "Pillow's guard is off for everybody"
    monkeypatch.setattr(image_file, "LARGEST_BYTES", 2**28)
    with pytest.raises(
        InputError, match=r"10,000 x 10,000 pixels, which take 0\.4 GB .* one image may take 0\.3 GB"
    ) as e:
        read_image(tmp_path / "large.png", Preparation((8, 8), 1, "crop"))
    assert "damaged" not in str(e.value)


# One photograph


def test_a_photograph_is_a_source_of_its_own(tmp_path):
    photograph(tmp_path / "cat.jpg", 30, 40)
    data = load(tmp_path / "cat.jpg", Preparation((16, 16), 3, "crop"))
    assert (data.images.shape, data.names.tolist(), data.labels.tolist()) == ((1, 16, 16, 3), ["cat.jpg"], [-1])
    frames = [photograph(tmp_path / "frame.png", 8, 8) for _ in range(2)]
    frames[0].save(tmp_path / "cat.gif", save_all=True, append_images=frames[1:])
    (note,) = notes_of(tmp_path / "cat.gif")
    assert note.startswith(f"{tmp_path / 'cat.gif'}: 1 file has several frames"), "a note names another place"


# Files of other kinds


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPG", "webp", "avif", "heic"])
def test_endings_that_are_read(tmp_path, ending):
    if ending == "heic":
        pytest.importorskip("pillow_heif")
    if ending == "avif" and ".avif" not in image_file.readable_suffixes():
        pytest.skip("this Pillow does not read AVIF")
    formats = {"jfif": "JPEG", "jpe": "JPEG", "JPG": "JPEG", "heic": "HEIF"}
    photograph(tmp_path / "plain.png", 64, 64).save(
        tmp_path / f"a.{ending}", formats.get(ending, ending.upper()), quality=95
    )
    images = load(tmp_path).images
    assert np.abs(images[0].astype(int) - images[1]).mean() < 8, "another picture was read"


def test_files_that_are_passed_over_are_counted_by_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(image_file, "formats", lambda: image_file.FORMATS)
    image_file.readable_suffixes.cache_clear()
    photograph(tmp_path / "a/1.png", 8, 8)
    for i in range(3):
        (tmp_path / f"a/{i}.HEIC").write_bytes(b"")
    for name in ("readme", "b.mov"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".DS_Store").write_bytes(b"")
    told = notes_of(tmp_path)
    image_file.readable_suffixes.cache_clear()
    assert len(told) == 1
    assert "5 files are passed over: 3 .heic, " in told[0]
    assert "1 .mov" in told[0]
    assert "1 without an ending" in told[0]
    assert told[0].endswith("pip install 'latently[heic]' reads .heic")


def test_frames_beyond_the_first_are_counted(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "b.tiff", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "c.png")
    with pytest.warns(DataNote, match="2 files have several frames or pages, of which the first is read"):
        images = load(tmp_path).images
    assert (images == 10).all()


# Files that cannot be read


@pytest.fixture
def broken(tmp_path) -> Path:
    """Ten photographs, seven of them broken, some only behind their header."""
    for i in range(10):
        photograph(tmp_path / f"broken/{i}.png", 40, 40)
    for i in range(7):
        path = tmp_path / f"broken/{i}.png"
        path.write_bytes(b"text" if i < 3 else path.read_bytes()[:-200])
    return tmp_path / "broken"


def test_broken_files_are_listed_together(broken):
    with pytest.raises(InputError) as caught:
        load(broken)
    told = str(caught.value)
    assert "7 of 10 images cannot be read: 0.png (" in told
    assert "4.png (" in told
    assert "5.png" not in told
    assert "and 2 more" in told
    assert "--skip-broken" in told


def test_broken_files_are_left_out_where_that_is_asked(broken):
    with pytest.warns(DataNote, match="7 of 10 images cannot be read and are left out"):
        data = load(broken, Preparation(skip_broken=True))
    assert data.names.tolist() == ["7.png", "8.png", "9.png"]
    assert len(data.images) == len(data.labels) == 3
    assert data.images.all(axis=(1, 2, 3)).any() or data.images.any(), "a broken file was read as black"
    again = load(broken, Preparation.from_json(data.preparation.to_json()))
    assert np.array_equal(again.images, data.images), "a run would not find its images again"


def test_a_large_folder_remembers_which_files_are_broken(broken, monkeypatch, tmp_path):
    monkeypatch.setattr("latently.data.mapped.IN_MEMORY_BYTES", 0)
    monkeypatch.setenv("LATENTLY_DATA", str(tmp_path / "cache"))
    for _ in range(2):
        with pytest.warns(DataNote, match="7 of 10 images"):
            images = load(broken, Preparation(skip_broken=True)).images
        assert len(images) == 3
    with pytest.raises(InputError, match=r"7 of 10 images cannot be read.*0\.png"):
        load(broken)


def test_one_broken_file_is_named_with_its_reason(tmp_path):
    photograph(tmp_path / "a.png", 8, 8)
    (tmp_path / "b.png").write_bytes(b"text")
    with pytest.raises(InputError, match=r"b\.png cannot be read as an image: .* replace or remove it"):
        load(tmp_path)


# Links and pipes


def test_a_folder_that_links_to_itself_is_walked_once(tmp_path):
    photograph(tmp_path / "a/1.png", 8, 8)
    photograph(tmp_path / "elsewhere.png", 8, 8)
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "same").symlink_to(tmp_path / "a")
    data = load(tmp_path)
    assert data.names.tolist() == ["a/1.png", "elsewhere.png"]
    assert data.classes == ("a",)


def test_a_class_folder_may_be_a_link(tmp_path):
    photograph(tmp_path / "far/away/1.png", 8, 8)
    (tmp_path / "here").mkdir()
    (tmp_path / "here/cat").symlink_to(tmp_path / "far/away")
    assert load(tmp_path / "here").names.tolist() == ["cat/1.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_opened(tmp_path):
    photograph(tmp_path / "a.png", 8, 8)
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to(tmp_path / "nothing")
    with pytest.warns(DataNote, match="2 files are passed over"):
        assert load(tmp_path).names.tolist() == ["a.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["a.png", "a.csv", "a.npy", "a"])
def test_a_pipe_is_no_source(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="neither a file nor a folder"):
        load(tmp_path / name)


def test_a_subfolder_whose_name_means_no_label_is_noted(tmp_path):
    for place in ("EU/1.png", "NA/1.png", "NA/2.png"):
        photograph(tmp_path / place, 8, 8)
    with pytest.warns(DataNote, match=r"mean a missing label are unlabelled: 'NA' \(2\)"):
        assert load(tmp_path).labels.tolist() == [0, -1, -1]


# Folders that are a split


@pytest.fixture
def parted(tmp_path) -> Path:
    """Sixty images to train on, ten each to validate and to test, of two classes."""
    for part, n in {"train": 60, "val": 10, "Test": 10}.items():
        for i in range(n):
            path = tmp_path / "parted" / part / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), i, np.uint8)).save(path)
    return tmp_path / "parted"


def test_train_val_and_test_are_the_split(parted):
    with pytest.warns(DataNote, match=r"its subfolders are the split: train \(60\), val \(10\), Test \(10\)"):
        data = load(parted)
    assert data.classes == ("a", "b")
    parts = split(data)
    for name, indices in {"train/": parts.train, "val/": parts.validation, "Test/": parts.test}.items():
        assert sorted(indices) == [i for i, of in enumerate(data.names) if of.startswith(name)]
    assert len(set(data.labels[split(data, limit=20).train])) == 2, "the first training images are no fair sample"
    assert split(data, "random").kind == "random"
    assert len(split(data, "random").train) == 64


def test_without_a_validation_folder_a_tenth_of_each_class_validates(parted):
    shutil.rmtree(parted / "val")
    with pytest.warns(DataNote):
        data = load(parted)
    first, second = split(data, seed=1), split(data, seed=2)
    assert (len(first.train), len(first.validation), len(first.test)) == (54, 6, 10)
    assert np.bincount(data.labels[first.validation]).tolist() == [3, 3]
    assert first.validation.tolist() != second.validation.tolist()
    assert all(data.names[i].startswith("Test/") for i in first.test), "an image that trains would judge"


def test_without_a_test_folder_nothing_is_taken_from_training_for_it(parted):
    shutil.rmtree(parted / "Test")
    with pytest.warns(DataNote):
        parts = split(load(parted))
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (60, 10, 0)


@pytest.mark.parametrize("others", ["boat/1.png", "loose.png"])
def test_among_other_folders_they_are_classes(parted, others):
    photograph(parted / others, 8, 8, grey=True)
    with pytest.warns(DataNote, match="test and train and val are taken as classes"):
        data = load(parted)
    assert set(data.classes) >= {"train", "val", "Test"}
    assert split(data).kind == "random"


def test_a_class_of_trains_is_a_class(tmp_path):
    for name in ("train", "boat"):
        photograph(tmp_path / name / "1.png", 8, 8)
    assert not notes_of(tmp_path)
    assert load(tmp_path).classes == ("boat", "train")


# Folders in folders


@pytest.mark.parametrize("outer", ["", "photos/", "archive/photos/"])
def test_a_folder_around_all_others_is_no_class(tmp_path, outer):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "loose.png"):
        photograph(tmp_path / outer / name, 8, 8)
    found = notes_of(tmp_path)
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.names.tolist() == [f"{outer}{name}" for name in ("cat/1.png", "cat/2.png", "dog/1.png", "loose.png")]
    assert data.labels.tolist() == [0, 0, 1, -1]
    assert found == (
        [f"{tmp_path}: all images are in {outer[:-1]}, so its subfolders are the classes"] if outer else []
    )


def test_a_folder_around_a_split_is_none_of_its_parts(parted):
    (parted / "inner").mkdir()
    for part in ("train", "val", "Test"):
        (parted / part).rename(parted / "inner" / part)
    assert notes_of(parted)[:2] == [
        f"{parted}: all images are in inner, so its subfolders are the split",
        f"{parted}: its subfolders are the split: train (60), val (10), Test (10)",
    ]
    assert load(parted).classes == ("a", "b")
    assert len(split(load(parted)).train) == 60


def test_subfolders_inside_a_class_are_told(tmp_path):
    for name in ("cat/1.png", "cat/young/2.png", "cat/old/3.png", "dog/1.png"):
        photograph(tmp_path / name, 8, 8)
    assert notes_of(tmp_path) == [f"{tmp_path}: subfolders inside a class are no classes of their own: cat (2)"]
    assert load(tmp_path).classes == ("cat", "dog")
