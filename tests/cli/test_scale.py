"""--scale: a run remembers which number is white, and scales whatever it is given later; notes name the flag."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latently import VAE, Autoencoder, InputError, Network
from latently.cli.main import main
from latently.data import load

DIGITS = load("digits").images
TRAIN = "--encoder dense(16) --latent-dim 2 --seed 3 --epochs"


def deep(path: Path, images: np.ndarray) -> Path:
    """12 bits in 16-bit files."""
    path.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image.astype(np.uint16) * 16).save(path / f"{i}.png")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Of 12-bit images."""
    place = tmp_path_factory.mktemp("scale")
    source = deep(place / "deep", DIGITS[:100])
    assert main(shlex.split(f"train vae --data {source} --scale auto {TRAIN} 1 --out {place / 'run'}")) == 0
    return place / "run"


def codes(latently, run: Path, out: Path, *words: object) -> np.ndarray:
    ran = latently("encode", run, *words, "--out", out)
    assert ran.code == 0, ran.err
    return np.load(out)


def test_a_run_remembers_the_number_and_scales_what_it_is_given(latently, run, tmp_path):
    assert json.loads((run / "params.json").read_text())["data"]["preparation"]["scale"] == 4095
    own = codes(latently, run, tmp_path / "own.npy", "--part", "all")
    new = deep(tmp_path / "new", DIGITS[:5])
    np.save(tmp_path / "new.npy", DIGITS[:5].astype(np.uint16) * 16)
    order = np.argsort([str(i) for i in range(100)])[: len(own)]  # a folder's files go by name
    for source in (new, tmp_path / "new.npy"):
        found = codes(latently, run, tmp_path / "codes.npy", "--data", source)
        np.testing.assert_allclose(found, own[[order.tolist().index(i) for i in range(5)]], atol=1e-5)
    bytes_only = codes(latently, run, tmp_path / "codes.npy", "--data", "digits")
    assert len(bytes_only) == 1797, "a named set has a range of its own"
    ran = latently("evaluate", run)
    assert (ran.code, "pixels reach" in ran.err) == (0, False), ran.err


def test_the_command_that_began_a_run_may_be_given_again(latently, run, tmp_path):
    words = shlex.split(f"train vae --data {run.parent / 'deep'} {TRAIN} 1 --out {tmp_path / 'r'}")
    for scale in ("auto", "4095"):
        assert latently(*words, "--scale", scale, "--overwrite").code == 0
        assert latently(*words, "--scale", scale, "--resume").code == 0
    ran = latently(*words, "--scale", "12", "--resume")
    assert ran.code == 2
    assert "--scale is 12.0, but" in ran.err


@pytest.mark.parametrize(
    ("words", "highest", "noted"), [("", 16, True), ("--scale 4095", 254, False), ("--scale none", 16, False)]
)
def test_data_shows_what_is_made_of_the_pixels(latently, run, words, highest, noted):
    ran = latently("data", run.parent / "deep", *words.split(), "--json")
    assert ran.json["highest_pixel"] == highest
    assert ("--scale 4095 of train and data" in ran.err) is noted


def test_what_is_no_scale_is_a_sentence(latently):
    for word, said in (("dark", "expected auto or none or a number"), ("0", "a number above 0")):
        ran = latently("data", "digits", "--scale", word)
        assert ran.code == 2
        assert said in ran.err


def test_a_collapse_on_dark_images_names_their_range(latently, tmp_path):
    np.save(tmp_path / "dark.npy", DIGITS[:300] // 128)
    words = ["train", "vae", "--data", tmp_path / "dark.npy", *TRAIN.split(), 3, "--beta", 10, "--out", tmp_path / "r"]
    ran = latently(*words)
    assert ran.code == 0
    why = r"has collapsed: .* the likely cause is that the pixels reach from 0 to 1 of 0\.\.255: train with --scale a"
    assert re.search(why, ran.err), ran.err
    ran = latently("evaluate", tmp_path / "r")
    assert re.search(why, ran.err), ran.err


def test_pixels_of_a_million_are_explained_by_their_range(latently, tmp_path):
    images = (DIGITS[:100] / 255 * 1e6).astype(np.float32)
    np.save(tmp_path / "large.npy", images)
    words = f"train vae --data {tmp_path / 'large.npy'} --likelihood gaussian {TRAIN} 1 --out {tmp_path / 'r'}"
    ran = latently(*shlex.split(words))
    assert ran.code == 2
    said = "the likely cause is that the pixels reach from 0 to 1000000"
    assert said in ran.err
    assert "--scale 1000000, or auto" in ran.err
    assert "learning rate" not in ran.err
    model = VAE(2, Network("dense(16)"), likelihood="gaussian")
    with pytest.raises(InputError, match=said):
        Autoencoder(model, epochs=1, random_state=0).fit(images)


def test_a_bernoulli_likelihood_names_the_number_to_divide_by():
    with pytest.raises(InputError, match="divide them by 16, as --scale auto does"):
        Autoencoder(VAE(2)).fit(DIGITS[:9] / 255 * 16)
