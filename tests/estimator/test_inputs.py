"""Images as people hold them reach an estimator as what they are, or are refused in one sentence."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import latently
from latently import AE, VAE, Autoencoder, Classifier, FeedForward, FewLabelClassifier, InputError, Network, Trunk
from latently.common.errors import DataNote
from latently.data import load
from latently.estimator.inputs import as_array

BYTES = np.rint(load_digits().images[:60] * (255 / 16)).astype(np.uint8)
FLOATS = (BYTES / 255).astype(np.float32)
RGB = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
ROW = np.empty(60, dtype=object)
ROW[:] = list(BYTES)


@pytest.fixture(scope="module")
def fitted() -> Autoencoder:
    return Autoencoder(VAE(2, Network("dense(8)")), epochs=1, random_state=0).fit(BYTES)


@pytest.mark.parametrize(
    "X",
    [
        torch.tensor(FLOATS, requires_grad=True),
        torch.tensor(BYTES),
        [torch.tensor(image) for image in BYTES],
        tuple(torch.tensor(image, requires_grad=True) for image in FLOATS),
        [Image.fromarray(image) for image in BYTES],
        [Image.fromarray(image).convert("P") for image in BYTES],
        np.ma.array(BYTES, mask=False),
        list(BYTES),
        ROW,
    ],
    ids=["gradients", "bytes", "tensors", "tuple", "pictures", "palettes", "masked", "list", "objects"],
)
def test_the_codes_are_those_of_the_array(fitted, X):
    codes = fitted.transform(BYTES)
    np.testing.assert_allclose(fitted.transform(X), codes, atol=1e-6)
    again = Autoencoder(VAE(2, Network("dense(8)")), epochs=1, random_state=0).fit(X)
    np.testing.assert_allclose(again.transform(X), codes, atol=1e-5)


def test_bfloat16_is_taken_as_far_as_it_tells(fitted):
    X = torch.tensor(FLOATS).bfloat16()
    assert np.array_equal(as_array(X), X.float().numpy())
    np.testing.assert_allclose(fitted.transform(X), fitted.transform(FLOATS), atol=0.05)


def test_pictures_are_read_as_their_files_are(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    see_through = np.concatenate([RGB, np.full((4, 8, 8, 1), 51, np.uint8)], axis=3)
    pictures = [
        [Image.fromarray(image) for image in RGB],
        [Image.fromarray(image) for image in see_through],
        [Image.fromarray(image).convert("CMYK") for image in RGB],
        [Image.fromarray((image[..., 0].astype(np.uint16)) * 257) for image in RGB],
        [Image.fromarray(image[..., 0] > 99) for image in RGB],
    ]
    for kind, each in enumerate(pictures):
        (tmp_path / str(kind)).mkdir()
        for place, picture in enumerate(each):
            picture.save(tmp_path / f"{kind}/{place}.{'tif' if picture.mode == 'CMYK' else 'png'}")
        assert np.array_equal(as_array(each), load(tmp_path / str(kind)).images), pictures[kind][0].mode
    Image.fromarray(RGB[0]).save(tmp_path / "turned.png", exif=turned)
    with Image.open(tmp_path / "turned.png") as picture:
        assert np.array_equal(as_array([picture])[0], np.rot90(RGB[0], -1))


SMALL = FeedForward(Trunk("dense(8)"))


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((60, 3, 8, 8)), r"\(60, 3, 8, 8\); expected \(N, H, W, C\), the channels stand first: transpose"),
        (torch.zeros((60, 1, 8, 8)), "X holds an array of .* the channels stand first"),
        (np.ma.masked_greater(BYTES, 254), "X has [0-9,]+ masked values; fill them"),
        ([Image.new("L", (8, 8)), Image.new("L", (8, 9))] * 30, r"2 shapes, such as \(8, 8\) and \(9, 8\); make"),
        ([Image.new("L", (8, 8)), Image.new("RGB", (8, 8))] * 30, r"2 shapes, such as \(8, 8\) and \(8, 8, 3\)"),
        ([Image.new("F", (8, 8))] * 60, "image 0 of X holds floats, which have no known range"),
        ([BYTES[0], FLOATS[0]] * 30, "2 types, such as float32 and uint8"),
        ([BYTES[0], BYTES[0, :4]] * 30, "2 shapes"),
        (BYTES.astype(object), r"Python objects.*astype\('uint8'\)"),
        (np.where(FLOATS > 0.99, np.nan, FLOATS), "X holds [0-9,]+ NaN or infinite values, the first in image 1"),
        (load("digits"), "X is an ImageSet; give X.images, and X.label_names as labels"),
        ("my/photos", r"X is a path, 'my/photos'; .* latently.data.load\('my/photos'\).images"),
        (Path("photos"), "X is a path"),
        ((image for image in BYTES), r"X is generator; expected images as one array: \(n, h, w\)"),
        ({"images": BYTES}, "X is dict; expected images"),
        (None, "X is NoneType; expected images"),
        (torch.utils.data.DataLoader(list(FLOATS)), "X is a DataLoader, .* give X.dataset"),
        (np.zeros((60, 5, 12, 12)), "the channels stand first"),
    ],
    ids=["channels first", "tensor", "masked", "sizes", "colours", "floats", "types", "arrays", "objects",
        "NaN", "ImageSet", "text", "path", "generator", "dict", "None", "DataLoader", "many channels"],
)  # fmt: skip
def test_what_would_be_misread_is_one_sentence(fitted, X, words):
    y = np.arange(60) % 2
    calls: list[Any] = [
        lambda: fitted.transform(X),
        lambda: Autoencoder(VAE(2, Network("dense(8)")), epochs=1).fit(X),
        lambda: Classifier(SMALL, epochs=1, lr=1e-6, random_state=0).fit(X, y),
        lambda: FewLabelClassifier(Autoencoder(VAE(2, Network("dense(8)")), epochs=1), Classifier(SMALL)).fit(X, y),
    ]
    for call in calls:
        with pytest.raises(InputError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


# The scale of pixels

ANY_RANGE = AE(2, Network("dense(8)"), likelihood="squared-error")  # a VAE of 0..255 may overflow at once
OTHER = {
    "whole numbers": (BYTES.astype(int), "from 0 to 255, but the model was fitted on from 0 to 1"),
    "16 bits": (BYTES.astype(np.uint16) * 257, "from 0 to 65535"),
    "lists": (BYTES.tolist(), "from 0 to 255"),
    "float32": (BYTES.astype(np.float32), "from 0 to 255"),
    "tensors": (torch.tensor(load_digits().images[:60]), "from 0 to 16"),
    "centred": (FLOATS * 2 - 1, "from -1 to 1"),
}


@pytest.mark.parametrize("kind", OTHER)
def test_pixels_of_another_scale_than_those_of_the_fit_are_told(kind, tmp_path):
    X, words = OTHER[kind]
    y = np.arange(60) % 2
    autoencoder, classifier = (
        Autoencoder(ANY_RANGE, epochs=1, lr=1e-6, random_state=0).fit(BYTES),
        Classifier(SMALL, epochs=1, lr=1e-6, random_state=0).fit(FLOATS, y),
    )
    loaded = latently.load(classifier.save(tmp_path / "run") and tmp_path / "run")
    for call in (autoencoder.transform, classifier.predict, loaded.predict):
        with pytest.warns(DataNote, match=f"X: the pixels reach {words}"):
            call(X)


def test_runs_that_do_not_say_which_pixels_they_were_fitted_on_still_load(tmp_path):
    Autoencoder(ANY_RANGE, epochs=1, lr=1e-6, random_state=0).fit(BYTES).save(tmp_path / "run")
    path = tmp_path / "run" / "params.json"
    params = json.loads(path.read_text())
    assert params.pop("pixels") == [0, 1]
    path.write_text(json.dumps(params))
    old = latently.load(tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataNote)
        old.transform(BYTES.astype(int))
    assert latently.load(old.save(tmp_path / "again") and tmp_path / "again").image_shape_ == (8, 8)
    path.write_text(json.dumps(params | {"pixels": ["black", "white"]}))
    with pytest.raises(InputError, match=r"params.json cannot be used"):
        latently.load(tmp_path / "run")


def test_bytes_for_a_model_of_other_numbers_are_told():
    for X, then in ((FLOATS * 2 - 1, "-1 to 1"), (FLOATS * 255, "0 to 255")):
        fitted = Autoencoder(ANY_RANGE, epochs=1, lr=1e-6, random_state=0).fit(X)
        with pytest.warns(DataNote, match=rf"from 0 to 1 \(bytes are divided by 255\), but .* fitted on from {then}"):
            fitted.transform(BYTES)


def test_pixels_of_one_scale_are_taken_without_a_word():
    standardised = (FLOATS - FLOATS.mean()) / FLOATS.std()
    noisy = FLOATS + np.random.default_rng(0).normal(0, 0.1, FLOATS.shape)
    for X, other in (
        (BYTES, FLOATS),
        (BYTES, BYTES > 99),
        (FLOATS, BYTES // 9),
        (FLOATS, noisy),
        (standardised, 2 * standardised),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error", DataNote)
            Autoencoder(ANY_RANGE, epochs=1, lr=1e-6, random_state=0).fit(X).transform(other)


@pytest.mark.parametrize("X", [BYTES.astype(int), BYTES.astype(float), BYTES.tolist(), torch.tensor(BYTES).float()])
def test_unscaled_numbers_are_told_when_a_model_is_fitted_that_takes_any(X):
    for fit in (
        Autoencoder(ANY_RANGE, epochs=1, lr=1e-6, random_state=0).fit,
        lambda X: Classifier(SMALL, epochs=1, lr=1e-6, random_state=0).fit(X, np.arange(60) % 2),
    ):
        with pytest.warns(
            DataNote, match="X: the pixels reach from 0 to 255, .* divide them by 255, or give bytes as uint8"
        ):
            fit(X)


def test_a_series_of_images_is_an_array(fitted):
    pandas = pytest.importorskip("pandas")
    assert np.array_equal(fitted.transform(pandas.Series(list(BYTES))), fitted.transform(BYTES))


def test_labels_may_be_tensors():
    y = torch.arange(60) % 3
    own = Classifier(SMALL, epochs=1, random_state=0).fit(BYTES, y.numpy())
    for same in (y, y.float().requires_grad_(), list(y), tuple(y)):
        fitted = Classifier(SMALL, epochs=1, random_state=0).fit(BYTES, same)
        assert fitted.classes_.tolist() == [0, 1, 2]
        assert fitted.score(BYTES, same) == own.score(BYTES, y.numpy())


def test_masked_labels_are_missing_labels():
    y = np.ma.array(load_digits().target[:60] % 3, mask=np.arange(60) >= 40)
    own = Classifier(SMALL, epochs=1, random_state=0).fit(BYTES, y).predict_proba(BYTES)
    cut = Classifier(SMALL, epochs=1, random_state=0).fit(BYTES[:40], y[:40].data).predict_proba(BYTES)
    np.testing.assert_allclose(own, cut, atol=1e-6)
