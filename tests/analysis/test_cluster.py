"""Groups of images: what is known of blobs, and what the command writes."""

import csv
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from latently.analysis.cluster import divide, find_groups, likely_number, points_of, stability
from latently.common.errors import InputError
from latently.data import ImageSet, load, read_labels

RNG = np.random.default_rng(0)
SIZES = (60, 90, 30, 120)
BLOB = np.repeat(np.arange(4), SIZES)
BLOBS = RNG.normal(size=(300, 3)) + 12 * np.eye(4, 3)[BLOB]
IMAGES = ImageSet(
    RNG.integers(0, 255, (300, 4, 4), dtype=np.uint8), BLOB, tuple("abcd"), np.arange(300).astype(str), "blobs"
)
METHODS = pytest.mark.parametrize("method", ["mixture", "k-means", "hdbscan"])


@METHODS
def test_blobs_are_groups_the_largest_first(method):
    found = find_groups(IMAGES, BLOBS, method, "codes", None if method == "hdbscan" else 4)
    grouped = found.group >= 0
    assert grouped.mean() > 0.9
    by_size = np.array([2, 1, 3, 0])  # of each blob, its place by size
    assert (found.group[grouped] == by_size[BLOB[grouped]]).all()
    assert [row["label"] for row in found.rows()] == list("dbac")
    assert found.rows()[0]["share"] == 1
    assert found.figures()["clustering_accuracy"] == pytest.approx(grouped.mean())
    assert ((found.certainty >= 0) & (found.certainty <= 1)).all()


@METHODS
def test_a_point_between_two_groups_is_the_least_certain(method):
    between = (12 * np.eye(4, 3)[0] + 12 * np.eye(4, 3)[1]) / 2
    _, certainty = divide(np.concatenate([BLOBS[:150], [between]]), method, 2)
    assert certainty.argmin() == 150


def test_the_certainty_of_a_mixture_is_its_posterior():
    """By Bayes' rule, from the densities of the fitted groups: moments of clearly separated groups are theirs."""
    near = np.concatenate([RNG.normal(size=(2000, 2)), RNG.normal([5, 0], size=(2000, 2))])
    group, certainty = divide(near, "mixture", 2)
    parts = [near[group == each] for each in (0, 1)]
    weighed = [len(part) * multivariate_normal(part.mean(0), np.cov(part.T)).pdf(near) for part in parts]
    posterior = np.max(weighed, 0) / np.sum(weighed, 0)
    assert np.abs(posterior - certainty).mean() < 0.01


def test_the_number_of_groups_is_found():
    assert likely_number(BLOBS) == 4
    assert len(find_groups(IMAGES, BLOBS, "mixture", "codes", None).stability) == 4


def test_groups_that_are_there_are_stable_and_arbitrary_ones_are_not():
    group, _ = divide(BLOBS, "k-means", 4)
    assert stability(BLOBS, group, "k-means", 4).min() > 0.95
    one = RNG.normal(size=(300, 3))
    group, _ = divide(one, "k-means", 7)
    assert stability(one, group, "k-means", 7).mean() < 0.75


def test_images_of_no_group_have_no_label_and_count_as_their_own():
    scattered = np.concatenate([BLOBS, RNG.uniform(-40, 40, (30, 3))])
    images = ImageSet(
        np.zeros((330, 4, 4), np.uint8), np.append(BLOB, np.full(30, -1)), tuple("abcd"), np.arange(330), "blobs"
    )
    found = find_groups(images, scattered, "hdbscan", "codes", None)
    assert found.figures()["n_ungrouped"] >= 20
    assert (found.named[found.group < 0] == "").all()
    assert np.isnan(found.distance[found.group < 0]).all()


@pytest.mark.parametrize(
    ("n", "groups", "sentence"), [(30, 2, "got 30 images; groups need at least 40"), (50, 26, "at most 25")]
)
def test_too_few_images_are_refused(n, groups, sentence):
    with pytest.raises(InputError, match=sentence):
        find_groups(IMAGES.take(np.arange(n)), BLOBS[:n], "k-means", "codes", groups)


# The command


def lines_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_writes_groups_labels_and_a_sheet(small_run, tmp_path, latently):
    run = shutil.copytree(small_run, tmp_path / "r")
    words = ["cluster", run, "--groups", 5, "--space", "codes"]
    figures = latently(*words, "--json").json
    assert figures["n_groups"] == len(figures["groups"]) == 5
    assert sum(row["images"] for row in figures["groups"]) == figures["n_images"] == 1797
    assert 0.2 < figures["clustering_accuracy"] <= 1
    rows = lines_of(run / "groups" / "groups.csv")
    assert {row["group"] for row in rows} == {f"group {n}" for n in range(1, 6)}
    labelled = read_labels(run / "groups" / "labels.csv", load("digits"))  # as --labels reads it
    assert labelled.label_names.tolist() == [row["group"] for row in rows]
    assert (run / "groups" / "groups.png").read_bytes().startswith(b"\x89PNG")
    ran = latently(*words)
    assert ran.code == 2
    assert "give --overwrite, or another --out" in ran.err
    assert latently(*words, "--overwrite", "--method", "k-means").code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--groups 1", "expected at least 2"),
        ("--groups 3 --method hdbscan", "finds its own number"),
        ("--out F", "is not empty"),
    ],
)
def test_bad_input_is_one_sentence(small_run, tmp_path, latently, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "F").mkdir()
    (tmp_path / "F" / "mine.txt").write_text("mine")
    ran = latently("cluster", small_run, *words.split())
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert sentence in ran.err


@pytest.mark.skipif(not find_spec("umap"), reason="umap-learn is not installed")
@pytest.mark.slow
def test_umap_keeps_blobs_apart_and_repeats_itself():
    points = points_of(BLOBS, "umap")
    assert np.array_equal(points, points_of(BLOBS, "umap"))
    assert find_groups(IMAGES, BLOBS, "mixture", "umap", 4).figures()["clustering_accuracy"] == 1
