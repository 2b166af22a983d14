"""`latently score`: which way it takes, p-values by images that were not learned from, and what is written."""

import csv
import typing

import numpy as np
import pytest
from PIL import Image

from latently import data
from latently.cli.apply import score
from latently.estimator import anomalies

RNG = np.random.default_rng(0)


@pytest.fixture
def with_noise(tmp_path):
    """Thirty digits, of which number 17 is noise."""
    digits = data.load("digits").images[:30].copy()
    digits[17] = RNG.integers(0, 256, (8, 8))
    np.save(tmp_path / "a.npy", digits)
    return tmp_path / "a.npy"


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_flag_names_every_way():
    assert typing.get_args(typing.get_type_hints(score)["by"]) == typing.get_args(anomalies.By)


@pytest.mark.parametrize("by", ["elbo", "error", "neighbours", "patches", "auto"])
def test_every_way_ranks_and_names_itself(latently, small_run, with_noise, tmp_path, by):
    ran = latently("score", small_run, "--data", with_noise, "--by", by, "--out", tmp_path / "odd.csv")
    assert ran.code == 0, ran.err
    assert f"scored by {'patches' if by == 'auto' else by}" in ran.err, "the way is named"
    rows = rows_of(tmp_path / "odd.csv")
    name, column, p_value = rows[0]
    assert (name, p_value) == ("name", "p_value")
    assert column in {"elbo_nats", "minus_squared_error", "minus_neighbour_distance", "minus_patch_distance"}
    assert rows[0]["name"] == "17" or by in ("error", "neighbours"), "noise is grey, and so near the mean of all digits"
    scores = [float(row[column]) for row in rows]
    assert scores == sorted(scores)
    p = [float(row["p_value"]) for row in rows]
    assert p == sorted(p)
    assert all(0 < each <= 1 for each in p)


def test_p_values_come_from_the_validation_images(latently, small_run, tmp_path):
    out = tmp_path / "v.csv"
    assert latently("score", small_run, "--part", "validation", "--out", out).code == 0
    scores, p = (np.array([float(row[name]) for row in rows_of(out)]) for name in ("minus_patch_distance", "p_value"))
    as_low = (scores[:, None] >= scores).sum(1)
    assert np.allclose(p, (1 + as_low) / (len(p) + 1))


def test_false_alarms_are_marked_and_counted(latently, small_run, with_noise, tmp_path):
    ran = latently("score", small_run, "--data", with_noise, "--false-alarms", 0.1, "--out", tmp_path / "odd.csv")
    assert ran.code == 0, ran.err
    rows = rows_of(tmp_path / "odd.csv")
    assert all((row["odd"] == "True") == (float(row["p_value"]) <= 0.1) for row in rows)
    assert rows[0]["odd"] == "True"
    n_odd = sum(row["odd"] == "True" for row in rows)
    assert f"{n_odd} of 30 images are marked odd; of so many ordinary ones 3 would be" in ran.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--false-alarms 1.5", "--false-alarms is 1.5; expected a number between 0 and 1"),
        ("--false-alarms 0.0001", "validation images, too few for --false-alarms 0.0001"),
        ("--by luck", "luck"),
        ("--by patchcore", "patchcore compares places of an encoder's maps, and this encoder has none"),
    ],
)
def test_bad_flags_are_sentences(latently, small_run, tmp_path, flags, words):
    ran = latently("score", small_run, *flags.split(), "--out", tmp_path / "odd.csv")
    assert ran.code == 2
    assert words in ran.err
    assert not (tmp_path / "odd.csv").exists()


def test_where_the_images_of_a_run_are_gone_the_error_is_left(latently, tmp_path):
    """Patches and neighbours compare with them; auto falls back and says so."""
    digits = data.load("digits").images[:60]
    np.save(tmp_path / "own.npy", digits)
    np.save(tmp_path / "new.npy", digits[:9])
    run, out = tmp_path / "run", tmp_path / "odd.csv"
    train = ["train", "ae", "--data", tmp_path / "own.npy", "--encoder", "dense(8)", "--epochs", 1, "--out", run]
    assert latently(*train).code == 0
    (tmp_path / "own.npy").rename(tmp_path / "moved.npy")
    ran = latently("score", run, "--data", tmp_path / "new.npy", "--out", out)
    assert ran.code == 0, ran.err
    assert "scored by error" in ran.err
    assert list(rows_of(out)[0]) == ["name", "minus_squared_error"]
    ran = latently("score", run, "--data", tmp_path / "new.npy", "--by", "patches", "--out", out)
    assert ran.code == 2
    assert "give --by error" in ran.err
    assert latently("score", run, "--data", tmp_path / "moved.npy", "--by", "patches", "--out", out).code == 0


def test_a_picture_shows_where(latently, small_run, with_noise, tmp_path):
    assert latently("score", small_run, "--data", with_noise, "--out", tmp_path / "odd.png").code == 0
    with Image.open(tmp_path / "odd.png") as image:
        assert image.size[0] > 300
        assert len(image.convert("RGB").getcolors(1_000_000)) > 200, "maps are in colours"
