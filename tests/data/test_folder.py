"""Folders of other people's photographs: of all sizes, turned, grey among coloured."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from latently.common.errors import DataNote, InputError
from latently.data import Preparation, image_file, load
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
    seen, pixels = [], image_file._pixels
    monkeypatch.setattr(image_file, "_pixels", lambda image, path: (seen.append(image.size), pixels(image, path))[1])
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
