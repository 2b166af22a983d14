"""latently label-noise: what it writes, and what it refuses."""

import csv
from pathlib import Path

import numpy as np
import pytest

from latently.data import load
from latently.runs.outputs import write_csv

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def altered(tmp_path_factory) -> Path:
    """The labels of the digits, of which the first 20 are one too many."""
    digits, path = load("digits"), tmp_path_factory.mktemp("labels") / "labels.csv"
    labels = digits.labels.copy()
    labels[:20] = (labels[:20] + 1) % 10
    with open(path, "wb") as file:
        write_csv(file, digits.names, {"label": labels.astype(str)})
    return path


def test_wrong_labels_of_a_file_are_found_and_written(small_run, tmp_path, latently, altered):
    told = latently("label-noise", small_run, "--labels", altered, "--out", tmp_path / "w.csv", "--json").json
    assert told["n_images"] == 1797
    assert told["n_suspects"] == len(told["suspects"]) > 20
    assert 0 < told["noise_rate"] < 0.8
    assert 0.2 < told["probe_accuracy"] <= 1 - told["n_suspects"] / 1797, "each suspect is an error of the probe"
    with open(tmp_path / "w.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [row["name"] for row in told["suspects"]]
    assert all(row["label"] != row["likely"] for row in rows)
    assert [float(row["p_label"]) for row in rows] == sorted(float(row["p_label"]) for row in rows)
    share = np.isin([row["name"] for row in rows], [str(i) for i in range(20)]).mean()
    assert share > 20 / 1797, "altered labels are no more frequent among the suspects than anywhere"
    ran = latently("label-noise", small_run, "--out", tmp_path / "w.png")
    assert ran.code == 0
    assert (tmp_path / "w.png").read_bytes().startswith(b"\x89PNG")
    assert "... and" in ran.out
    assert "% of all labels; its own errors are among the suspects" in ran.err


def test_images_without_labels_are_refused(small_run, tmp_path, latently):
    np.save(tmp_path / "plain.npy", RNG.integers(0, 255, (9, 8, 8), dtype=np.uint8))
    ran = latently("label-noise", small_run, "--data", tmp_path / "plain.npy")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "has no labels; give --labels" in ran.err


def test_the_label_file_is_not_overwritten(small_run, latently, altered):
    ran = latently("label-noise", small_run, "--labels", altered, "--out", altered)
    assert ran.code == 2
    assert "the label file" in ran.err
