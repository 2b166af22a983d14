"""The nearest images by code, and near-duplicates: against brute force, and through the command."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from latently import InputError, data
from latently.analysis import duplicates as duplicates_room
from latently.analysis import nearest as nearest_room
from latently.analysis.duplicates import near_duplicates
from latently.analysis.nearest import nearest

RNG = np.random.default_rng(0)


def test_the_nearest_by_brute_force():
    codes, queries = RNG.normal(size=(200, 5)).astype(np.float32), RNG.normal(size=(7, 5)).astype(np.float32)
    places, distances = nearest(codes, queries, 4)
    by_hand = np.linalg.norm(codes[None] - queries[:, None], axis=2)
    assert np.array_equal(places, by_hand.argsort(1)[:, :4])
    assert np.allclose(distances, np.sort(by_hand, 1)[:, :4], atol=1e-5)


def test_an_index_finds_nearly_all_that_brute_force_finds(monkeypatch):
    pytest.importorskip("faiss", reason="no faiss: pip install faiss-cpu")
    codes = RNG.normal(size=(3000, 8)).astype(np.float32)
    exact, apart = nearest(codes, codes, 5)
    monkeypatch.setattr(nearest_room, "INDEXED", 1000)
    found, distances = nearest(codes, codes, 5)
    assert np.mean([len(np.intersect1d(a, b)) / 5 for a, b in zip(exact, found, strict=True)]) > 0.9
    assert np.allclose(distances[:, 0], 0, atol=1e-3)
    assert (distances >= apart - 1e-3).all()


def test_without_an_index_the_search_is_exact_and_a_note_names_it(monkeypatch, capsys):
    monkeypatch.setattr(nearest_room, "INDEXED", 10)
    monkeypatch.setattr(nearest_room, "find_spec", lambda name: None)
    codes = RNG.normal(size=(20, 3))
    assert (nearest(codes, codes, 1)[0][:, 0] == np.arange(20)).all()
    assert "latently[index]" in capsys.readouterr().err


def test_near_duplicates_by_brute_force(monkeypatch):
    """Also in blocks, and of images that have more than one."""
    monkeypatch.setattr(duplicates_room, "AT_ONCE", 7)
    monkeypatch.setattr(duplicates_room, "PAIRS_AT_ONCE", 40)
    codes = RNG.normal(size=(60, 3)).astype(np.float32)
    codes[50:] = codes[:10] + 0.01 * RNG.normal(size=(10, 3)).astype(np.float32)
    codes[30:33] = codes[0]
    by_hand = np.linalg.norm(codes[None].astype(float) - codes[:, None], axis=2)
    for threshold in (0.0, 0.1, 0.5):
        found = near_duplicates(codes, threshold)
        i, j = np.nonzero(np.triu(by_hand <= threshold, 1))
        assert set(zip(found.first, found.second, strict=True)) == set(zip(i, j, strict=True))
        assert np.allclose(found.distance, by_hand[found.first, found.second])
        assert (np.diff(found.distance) >= 0).all()


def test_the_threshold_is_a_quarter_of_the_median_distance_between_nearest_images():
    line = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 4.2])[:, None]
    found = near_duplicates(line)
    assert found.threshold == 0.25
    assert (found.first.tolist(), found.second.tolist()) == ([4], [5])
    copies = np.repeat(line[:3], 50, axis=0)
    found = near_duplicates(np.concatenate([copies, [[9.0]]]))
    assert found.threshold == pytest.approx(0.25 * 7), "copies do not move it"
    assert near_duplicates(np.zeros((5, 2))).threshold == 0
    assert len(near_duplicates(np.zeros((5, 2))).first) == 10


def test_too_many_pairs_and_too_few_images_are_sentences(monkeypatch):
    monkeypatch.setattr(duplicates_room, "MOST_PAIRS", 9)
    with pytest.raises(InputError, match="more than 9 pairs are closer than 1; give a smaller --threshold"):
        near_duplicates(np.zeros((5, 2)), 1.0)
    with pytest.raises(InputError, match="a single image"):
        near_duplicates(np.zeros((1, 2)))


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def digits():
    return data.load("digits")


def test_queries_are_numbers_names_and_files(latently, small_run, digits, tmp_path):
    fit_codes = latently("encode", small_run, "--out", tmp_path / "c.npy")
    assert fit_codes.code == 0
    codes = np.load(tmp_path / "c.npy")
    Image.fromarray(digits.images[7]).save(tmp_path / "seven.png")
    told = latently("similar", small_run, "--query", 7, tmp_path / "seven.png", "-n", 3, "--json").json
    distances = np.linalg.norm(codes - codes[7], axis=1)
    order = [place for place in distances.argsort(kind="stable") if place != 7]
    own, of_file = told["neighbours"][:3], told["neighbours"][3:]
    assert [row["image"] for row in own] == [str(place) for place in order[:3]]
    assert [row["distance"] for row in own] == pytest.approx(distances[order[:3]].tolist(), abs=1e-5)
    assert own[0]["label"] == digits.label_names[order[0]]
    assert [row["rank"] for row in own] == [1, 2, 3]
    assert of_file[0]["image"] == "7", "the file is not among the images, the seventh is"
    assert of_file[0]["distance"] == pytest.approx(0, abs=1e-5)
    assert "seven.png" in of_file[0]["query"]


@pytest.fixture
def photos(digits, tmp_path):
    """Twelve digits as files, one of them twice, one again with a little noise; and a name that is a number."""
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    for n in range(12):
        Image.fromarray(digits.images[n]).save(folder / "a" / f"{n}.png")
    Image.fromarray(digits.images[4]).save(folder / "copy.png")
    noisy = np.clip(digits.images[5].astype(int) + RNG.integers(-2, 3, (8, 8)), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(folder / "a" / "noisy.png")
    return folder


def test_copies_in_a_folder_are_found(latently, small_run, photos, tmp_path):
    told = latently("similar", small_run, "--duplicates", "--data", photos, "--json").json
    pairs = {frozenset((row["image"], row["like"])): row for row in told["pairs"]}
    assert {frozenset(("a/4.png", "copy.png")), frozenset(("a/5.png", "a/noisy.png"))} <= pairs.keys()
    assert told["n_pairs"] == len(told["pairs"])
    copy = pairs[frozenset(("a/4.png", "copy.png"))]
    assert (copy["distance"], copy["same_pixels"], copy["label_of_like"]) == (0.0, True, "")
    assert not pairs[frozenset(("a/5.png", "a/noisy.png"))]["same_pixels"]
    for ending in ("csv", "npz", "png"):
        out = tmp_path / f"pairs.{ending}"
        assert latently("similar", small_run, "--duplicates", "--data", photos, "--out", out).out.endswith(f"{out}\n")
    with open(tmp_path / "pairs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["name"] == told["pairs"][0]["image"]
    assert float(rows[0]["distance"]) == 0


def test_duplicates_by_codes_and_of_tiny_images(latently, small_run, digits, photos, tmp_path):
    assert (
        latently("similar", small_run, "--duplicates", "--data", photos, "--by", "codes", "--json").json["by"]
        == "codes"
    )
    assert latently("similar", small_run, "--duplicates", "--data", photos, "--json").json["by"] == "pixels"
    tiny = digits.images[:40, 1:7, 1:7]
    np.save(tmp_path / "tiny.npy", np.concatenate([tiny, tiny[:1]]))
    words = ["train", "ae", "--data", tmp_path / "tiny.npy", "--epochs", "1", "--encoder", "dense(8)"]
    assert latently(*words, "--out", tmp_path / "r").code == 0
    told = latently("similar", tmp_path / "r", "--duplicates", "--json").json
    assert told["by"] == "codes"
    assert (told["pairs"][0]["image"], told["pairs"][0]["like"]) == ("0", "40")
    refused = latently("similar", tmp_path / "r", "--duplicates", "--by", "pixels")
    assert refused.code == 2
    assert "--by pixels compares pictures" in refused.err


def test_a_number_that_is_a_position_and_the_name_of_another_image_is_noted(latently, small_run, photos):
    ran = latently("similar", small_run, "--query", 2, "--data", photos, "--json")
    assert "--query 2 is the image at position 2, 'a/10.png', not one of that name" in ran.err
    assert "--query" not in latently("similar", small_run, "--query", 0, "--data", photos, "--json").err


def test_a_file_of_the_folder_is_not_its_own_neighbour(latently, small_run, photos, monkeypatch):
    words = ("similar", small_run, "--data", photos, "--query", photos / "a" / "4.png", "-n", 99, "--json")
    rows = latently(*words).json["neighbours"]
    assert rows[0] == {"query": "a/4.png", "rank": 1, "image": "copy.png", "distance": pytest.approx(0), "label": ""}
    assert "a/4.png" not in [row["image"] for row in rows]
    assert len(rows) == 13, "no more than there are"
    monkeypatch.chdir(photos)
    assert latently("similar", small_run, "--data", ".", "--query", "copy.png").out.count("copy.png") == 10


def test_the_picture_shows_each_query_with_its_nearest(latently, small_run, tmp_path):
    assert latently("similar", small_run, "--query", 3, 4, "--out", tmp_path / "p.png").out.endswith("p.png\n")
    wide, high = Image.open(tmp_path / "p.png").size
    assert wide > 3 * high, "two rows of eleven"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "expected either --query IMAGE or --duplicates"),
        ("--query 3 --duplicates", "expected either --query IMAGE or --duplicates"),
        ("--query nothing.png", "--query is nothing.png; expected a number from 0 to 1796, or a name"),
        ("--query 1797", "--query is 1797; expected a number from 0 to 1796"),
        ("--query text.png", "text.png cannot be read as an image"),
        ("--query 3 -n 0", "-n is 0"),
        ("--query 3 --threshold 1", "--threshold is for --duplicates"),
        ("--duplicates --threshold -1", "--threshold is -1"),
        ("--query 3 --by codes", "--by is for --duplicates"),
        ("--query 3 --out a.txt", "expected a name that ends in .csv, .npz, .png"),
    ],
)
def test_what_cannot_be_searched_is_a_sentence(latently, small_run, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    ran = latently("similar", small_run, *words.split())
    assert ran.code == 2
    assert sentence in ran.err
    assert ran.out == ""


def test_a_query_of_another_size_is_fitted_and_told(latently, small_run, tmp_path):
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(tmp_path / "tall.png")
    ran = latently("similar", small_run, "--query", tmp_path / "tall.png", "--json")
    assert len(ran.json["neighbours"]) == 10
    assert "tall.png: an image of 9 x 8 is cropped at the centre to 8 x 8 pixels; as the images of" in ran.err


def test_a_model_that_is_told_the_class_takes_no_file_alone(latently, digits, tmp_path):
    words = ["train", "cvae", "--data", "digits", "--limit", "200", "--encoder", "dense(8)", "--epochs", "1"]
    assert latently(*words, "--out", tmp_path / "r").code == 0
    Image.fromarray(digits.images[7]).save(tmp_path / "seven.png")
    refused = latently("similar", tmp_path / "r", "--query", tmp_path / "seven.png")
    assert refused.code == 2
    assert "needs the class of an image to encode it" in refused.err
    assert len(latently("similar", tmp_path / "r", "--query", 7, "--json").json["neighbours"]) == 10


def test_a_classifier_has_no_codes_to_be_near_by(latently, tmp_path):
    words = ["train", "classifier", "--data", "digits", "--limit", "100", "--layers", "dense(8)", "--epochs", "1"]
    assert latently(*words, "--out", tmp_path / "r").code == 0
    ran = latently("similar", tmp_path / "r", "--query", 7)
    assert ran.code == 2
    assert "is a classifier, which has no codes" in ran.err


def test_json_is_one_object(latently, small_run):
    told = json.loads(
        latently("similar", small_run, "--duplicates", "--part", "test", "--threshold", 0.0, "--json").out
    )
    assert told["threshold"] == 0
