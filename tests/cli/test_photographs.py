"""The front door: a folder of photographs of all sizes goes through every command without a further flag."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latently.cli.main import main
from latently.data import Preparation, load

RNG = np.random.default_rng(0)


def photograph(path: Path, height: int, width: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = Image.fromarray(RNG.integers(0, 256, (3, 3, 3), dtype=np.uint8))
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """Thirty of two classes, of nearly as many sizes."""
    folder = tmp_path_factory.mktemp("front") / "photos"
    for i in range(30):
        photograph(folder / "ab"[i % 2] / f"{i}.jpg", 20 + i % 7, 40 - i)
    return folder


@pytest.fixture(scope="module", params=["vae", "classifier"])
def run(request, photographs) -> Path:
    run = photographs.parent / request.param
    small = "--encoder dense(8)" if request.param == "vae" else "--layers dense(8)"
    words = f"train {request.param} --data {photographs} {small} --epochs 1 --out {run}"
    assert main(shlex.split(words)) == 0
    return run


def test_training_says_what_it_does_and_remembers_it(latently, photographs, tmp_path):
    words = shlex.split(f"train vae --data {photographs} --encoder dense(8) --epochs 1 --out {tmp_path / 'r'}")
    ran = latently(*words)
    assert ran.code == 0
    assert ran.err.count("images of 30 sizes") == 1, ran.err
    assert "cropped at the centre to 12 x 12 pixels" in ran.err
    params = json.loads((tmp_path / "r/params.json").read_text())
    assert params["data"]["preparation"] == {"image_size": [12, 12], "channels": 3, "fit": "crop"}
    assert latently(*words, "--resume").code == 0, "the command that began a run may be given again"


def test_every_command_takes_the_run_s_own_photographs(latently, run):
    for words in (["evaluate", run], ["report", run]):
        ran = latently(*words)
        assert ran.code == 0, ran.err
        assert "changed" not in ran.err
        assert "cropped" not in ran.err, "what was done to these images was said when they were trained on"


def test_one_photograph_of_another_size_needs_no_flag(latently, run, tmp_path):
    new = photograph(tmp_path / "new" / "new.png", 300, 500)
    command, key = ("encode", "codes") if run.name == "vae" else ("predict", "class")
    for source in (new, new.parent):
        ran = latently(command, run, "--data", source, "--out", tmp_path / "out.npz")
        assert ran.code == 0, ran.err
        with np.load(tmp_path / "out.npz") as found:
            assert found["names"].tolist() == ["new.png"]
            assert len(found[key]) == 1


def test_a_run_on_images_of_one_size_takes_a_photograph_and_says_how(latently, small_run, tmp_path):
    new = photograph(tmp_path / "new.jpg", 30, 50)
    ran = latently("encode", small_run, "--data", new, "--out", tmp_path / "out.npy")
    assert ran.code == 0, ran.err
    assert "an image of 30 x 50 is cropped at the centre to 8 x 8 pixels, in grey; as the images of" in ran.err


@pytest.mark.parametrize("sized", [(), ("--image-size", 8, 8)])
def test_a_grey_run_says_that_it_takes_a_colour_photograph_as_grey(latently, tmp_path, sized):
    for i in range(20):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)
        (tmp_path / "grey").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "grey" / f"{i}.png")
    words = ("train", "ae", "--data", tmp_path / "grey", "--encoder", "dense(4)", "--latent-dim", 2, "--epochs", 1)
    assert latently(*words, *sized, "--out", tmp_path / "run").code == 0
    colour = photograph(tmp_path / "colour.png", 8, 8)
    ran = latently("encode", tmp_path / "run", "--data", colour, "--out", tmp_path / "out.npy")
    assert ran.code == 0, ran.err
    assert "1 of 1 images are colour and are read as grey, as the images of" in ran.err


def test_data_shows_the_sizes_and_what_a_model_will_see(latently, photographs, tmp_path):
    ran = latently("data", photographs, "--out", tmp_path / "sheet.png", "--json")
    found = {key: ran.json[key] for key in ("n_sizes", "heights", "widths", "image_shape", "fit")}
    assert found == {
        "n_sizes": 30, "heights": "20 to 26", "widths": "11 to 40", "image_shape": [12, 12, 3], "fit": "crop",
    }  # fmt: skip
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 100
    among = latently("data", photographs, "--out", photographs / "sheet.png")
    assert among.code == 2, "a sheet among the images would be one of them next time"


def test_pictures_show_every_class_and_not_the_first_files_of_one(latently, run, monkeypatch, tmp_path):
    seen = []
    if run.name != "vae":
        pytest.skip("a classifier has no reconstructions")
    from latently import pictures

    draw = pictures.reconstructions
    monkeypatch.setattr(pictures, "reconstructions", lambda images, *a, **b: (seen.append(images), draw(images, *a))[1])
    words = ["plot", run, "reconstructions", "--part", "all", "--n", 6, "--out", tmp_path / "r.png"]
    assert latently(*words).code == 0
    images = load(run.parent / "photos", Preparation((12, 12), 3, "crop"))
    shown = [int(np.abs(images.images / 255 - image).sum((1, 2, 3)).argmin()) for image in seen[0]]
    assert images.labels[shown].tolist() == [0, 1, 0, 1, 0, 1]
