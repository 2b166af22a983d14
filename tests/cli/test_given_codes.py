"""latently train decoder: codes of any origin go through every command that works on a run."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from latently.cli.main import main
from latently.data import load

DIGITS = load("digits")
CODES = PCA(6, random_state=0).fit_transform(DIGITS.images.reshape(len(DIGITS), -1) / 255).astype(np.float32)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("decoder")
    np.save(place / "codes.npy", CODES)
    train = f"train decoder --data digits --codes {place / 'codes.npy'} --epochs 2 --decoder 'dense(64) dense(out)'"
    assert main([*shlex.split(train), "--out", str(place / "run")]) == 0
    return place


def test_encode_gives_the_codes_that_came(latently, place, tmp_path):
    assert latently("encode", place / "run", "--out", tmp_path / "back.npz").code == 0
    assert np.array_equal(np.load(tmp_path / "back.npz")["codes"], CODES)
    again = latently("train", "decoder", "--data", "digits", "--codes", tmp_path / "back.npz", "--epochs", 1,
                     "--out", tmp_path / "again")  # fmt: skip
    assert again.code == 0, "what encode writes is read again"


def test_the_figures_of_codes_are_those_of_the_table(latently, place):
    figures = latently("evaluate", place / "run", "--codes", "--json").json
    assert figures["code_dimensions"] == 6
    assert figures["knn_accuracy"] > 0.9
    assert figures["n_images"] == 180, "judged on the test images alone"


def test_the_nearest_images_are_those_of_the_nearest_codes(latently, place, tmp_path):
    assert latently("similar", place / "run", "--query", 7, "-n", 3, "--out", tmp_path / "near.csv").code == 0
    rows = (tmp_path / "near.csv").read_text().splitlines()[1:]
    expected = np.argsort(np.linalg.norm(CODES - CODES[7], axis=1))[1:4]
    assert [int(row.split(",")[2]) for row in rows] == expected.tolist()


@pytest.mark.parametrize(
    "command",
    ["score RUN --out OUT.csv", "reconstruct RUN --out OUT.npy", "sample RUN --sampler mixture -n 4 --out OUT.png",
     "similar RUN --duplicates --out OUT.csv", "report RUN", "plot RUN scatter --out OUT.png"],
)  # fmt: skip
def test_commands_work_as_on_any_run(latently, place, tmp_path, command):
    words = [word.replace("RUN", str(place / "run")).replace("OUT", str(tmp_path / "out")) for word in command.split()]
    ran = latently(*words)
    assert ran.code == 0, ran.err


def test_few_labels_spread_through_the_codes(latently, place, tmp_path):
    few = tmp_path / "few"
    words = ["train", "few-label", "--data", "digits", "--n-labels", "60", "--epochs", "1", "--encoder"]
    ran = latently(*words, place / "run", "--out", few)
    assert ran.code == 0, ran.err
    assert latently("evaluate", few, "--json").json["accuracy"] > 0.6


def test_a_new_image_is_refused_with_a_sentence(latently, place, tmp_path):
    np.save(tmp_path / "new.npy", 255 - DIGITS.images[:3])
    ran = latently("encode", place / "run", "--data", tmp_path / "new.npy", "--out", tmp_path / "out.npy")
    assert (ran.code, ran.out) == (2, "")
    assert "an image is not among the 1,797 whose codes were given" in ran.err


def test_the_images_of_the_table_are_known_from_any_file(latently, place, tmp_path):
    np.save(tmp_path / "some.npy", DIGITS.images[[5, 900]])
    assert latently("encode", place / "run", "--data", tmp_path / "some.npy", "--out", tmp_path / "out.npy").code == 0
    assert np.array_equal(np.load(tmp_path / "out.npy"), CODES[[5, 900]])


def test_a_finished_run_resumes_and_other_codes_are_not_taken_for_its_own(latently, place):
    ran = latently("train", "decoder", "--out", place / "run", "--resume")
    assert (ran.code, "nothing is left to train" in ran.err) == (0, True)
    np.save(place / "other.npy", CODES + 1)
    ran = latently("train", "decoder", "--out", place / "run", "--codes", place / "other.npy", "--resume")
    assert ran.code == 2
    assert "--codes is" in ran.err


def test_codes_are_part_of_the_record(place):
    params = json.loads((place / "run/params.json").read_text())
    assert params["options"]["codes"] == str(place / "codes.npy")
    assert params["model"]["network"]["encoder"]["table"]["n"] == 1797
    assert params["model"]["latent_dim"] == 6


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "a decoder needs codes that were made elsewhere (--codes FILE) or an encoder (--encoder timm:NAME)"),
        ("--codes PLACE/codes.npy --encoder timm:resnet18", "--codes and --encoder contradict each other"),
        ("--codes PLACE/codes.npy --latent-dim 7", "latent_dim is 7, but the encoder gives 6 features"),
        ("--codes PLACE/codes.npy --limit 5 --image-size 8 7", ""),
        ("--codes PLACE/gone.npy", "does not exist; expected a .npy, .npz or .parquet file"),
        ("--codes PLACE/codes.npy --binarise static", "latently train decoder has no --binarise"),
    ],
)
def test_what_cannot_be_heeded_is_refused_before_anything_is_written(latently, place, tmp_path, words, sentence):
    out = tmp_path / "out"
    words = words.replace("PLACE", str(place)).split()
    ran = latently("train", "decoder", "--data", "digits", "--epochs", 1, *words, "--out", out)
    if not sentence:
        assert ran.code == 0, "the table is of the images as they are prepared"
        return
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert not out.exists()


def test_export_writes_the_decoder_alone(latently, place, tmp_path):
    pytest.importorskip("onnxruntime")
    ran = latently("export", place / "run", "--out", tmp_path / "m.onnx")
    assert ran.code == 0, ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["m.decoder.onnx"]


def test_a_page_that_encodes_in_the_browser_is_refused(latently, place, tmp_path):
    ran = latently("explore", place / "run", "--static", tmp_path / "page")
    assert ran.code == 2
    assert "cannot be exported to the browser" in ran.err
